//! What a layer's input looks like on the calibration data: range, moments, density and tails, for each group of elements.

use crate::groups::Groups;
use crate::tail::Tail;
use hec_ir::tensor::{Shape, Tensor};
use rayon::prelude::*;

/// Bins of a density. A bin keeps the mean of its values, so that 256 of them integrate smooth functions to about 2^-17.
const BINS: usize = 256;

/// Some values that lie close together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// How many.
    pub count: f64,
    /// Their mean.
    pub x: f64,
    /// Mean of what the function should give for them.
    pub y: f64,
}

/// One group of elements, or the whole tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Density {
    /// Number of values; 0 when only the range is known.
    pub count: f64,
    /// Smallest value.
    pub lo: f64,
    /// Largest value.
    pub hi: f64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub std: f64,
    /// The values by bins, ascending; no bin is empty.
    pub bins: Vec<Bin>,
    /// Upper tail of the values.
    pub upper: Tail,
    /// Upper tail of the negated values.
    pub lower: Tail,
}

impl Density {
    /// A range about which nothing else is known: the uniform density.
    pub fn uniform(lo: f64, hi: f64) -> Self {
        let std = (hi - lo) / libm::sqrt(12.0);
        let (upper, lower) = (Tail::default(), Tail::default());
        Density { count: 0.0, lo, hi, mean: 0.5 * (lo + hi), std, bins: Vec::new(), upper, lower }
    }

    /// From values with their targets; at least one, all finite.
    pub fn of(values: &[Bin]) -> Self {
        let count: f64 = values.iter().map(|v| v.count).sum();
        let lo = values.iter().fold(f64::INFINITY, |lo, v| lo.min(v.x));
        let hi = values.iter().fold(f64::NEG_INFINITY, |hi, v| hi.max(v.x));
        let mean = values.iter().map(|v| v.count * v.x).sum::<f64>() / count;
        let variance = values.iter().map(|v| v.count * (v.x - mean) * (v.x - mean)).sum::<f64>() / count;
        let mut sums = vec![Bin::default(); BINS];
        for v in values {
            let at = if hi > lo { (v.x - lo) / (hi - lo) * BINS as f64 } else { 0.0 };
            let bin = &mut sums[(at as usize).min(BINS - 1)];
            bin.count += v.count;
            bin.x += v.count * v.x;
            bin.y += v.count * v.y;
        }
        let bins = sums.into_iter().filter(|b| b.count > 0.0);
        let bins: Vec<Bin> = bins.map(|b| Bin { count: b.count, x: b.x / b.count, y: b.y / b.count }).collect();
        let upper = Tail::fit(&bins.iter().map(|b| (b.x, b.count)).collect::<Vec<_>>());
        let lower = Tail::fit(&bins.iter().rev().map(|b| (-b.x, b.count)).collect::<Vec<_>>());
        Density { count, lo, hi, mean, std: libm::sqrt(variance), bins, upper, lower }
    }
}

/// The calibrated input of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Which elements are seen together.
    pub groups: Groups,
    /// Each group.
    pub densities: Vec<Density>,
    /// All groups together.
    pub whole: Density,
    /// Whether the range was given by the user, so that it is neither padded nor shrunk.
    pub given_range: bool,
    /// Whether every value counts with its negative too.
    pub mirrored: bool,
    /// How far samples that these are not made of leave the range of their group, relative to its width.
    pub beyond: f64,
}

/// A layer's values in the samples.
pub struct Observed<'a> {
    /// Input of the layer in the network that is being built.
    pub input: &'a Tensor,
    /// What the layer gives in the original network; single precision is plenty for it.
    pub target: &'a [f32],
}

impl Statistics {
    /// From samples of one shape, at least one, all finite. With `mirrored`, every value counts with its negative too.
    ///
    /// The result does not depend on the number of threads: a group is summed by one of them, in sample order.
    pub fn measure(shape: &Shape, groups: Groups, samples: &[Observed<'_>], mirrored: bool) -> Self {
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); groups.count()];
        groups.table(shape).into_iter().enumerate().for_each(|(i, group)| members[group].push(i));
        let density = |positions: &Vec<usize>| {
            let at = |s: &Observed<'_>, i: usize| Bin { count: 1.0, x: s.input.data[i], y: f64::from(s.target[i]) };
            let mut values: Vec<Bin> = samples.iter().flat_map(|s| positions.iter().map(move |&i| at(s, i))).collect();
            if mirrored {
                let negatives: Vec<Bin> = values.iter().map(|v| Bin { x: -v.x, ..*v }).collect();
                values.extend(negatives);
            }
            Density::of(&values)
        };
        let densities: Vec<Density> = members.par_iter().map(density).collect();
        let all: Vec<Bin> = densities.iter().flat_map(|c| c.bins.iter().copied()).collect();
        let ends = |f: fn(f64, f64) -> f64, g: fn(&Density) -> f64| densities.iter().map(g).reduce(f);
        let mut whole = Density::of(&all);
        whole.lo = ends(f64::min, |c| c.lo).unwrap_or(whole.lo);
        whole.hi = ends(f64::max, |c| c.hi).unwrap_or(whole.hi);
        whole.std = overall_std(&densities, whole.mean);
        Statistics { groups, densities, whole, given_range: false, mirrored, beyond: 0.0 }
    }

    /// The same values with a range that the user gave for the whole tensor.
    pub fn with_range(mut self, lo: f64, hi: f64) -> Self {
        for density in self.densities.iter_mut().chain([&mut self.whole]) {
            (density.lo, density.hi) = (lo, hi);
        }
        self.given_range = true;
        self
    }

    /// The same densities with ranges that hold these ones too, one for each group.
    pub fn widen(&mut self, ends: &[(f64, f64)]) {
        let mirrored = self.mirrored;
        for (density, &(lo, hi)) in self.densities.iter_mut().zip(ends) {
            let (lo, hi) = if mirrored { (lo.min(-hi), hi.max(-lo)) } else { (lo, hi) };
            (density.lo, density.hi) = (density.lo.min(lo), density.hi.max(hi));
            (self.whole.lo, self.whole.hi) = (self.whole.lo.min(lo), self.whole.hi.max(hi));
        }
    }

    /// A given range of a tensor of that rank, and nothing else.
    pub fn of_range(rank: usize, lo: f64, hi: f64) -> Self {
        let whole = Density::uniform(lo, hi);
        let densities = vec![whole.clone()];
        Statistics { groups: Groups::one(rank), densities, whole, given_range: true, mirrored: false, beyond: 0.0 }
    }
}

/// Binning loses the spread inside a bin; the groups' exact moments give it back.
fn overall_std(groups: &[Density], mean: f64) -> f64 {
    let count: f64 = groups.iter().map(|c| c.count).sum();
    let second = |c: &Density| c.count * (c.std * c.std + (c.mean - mean) * (c.mean - mean));
    libm::sqrt(groups.iter().map(second).sum::<f64>() / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(dims: &[usize], f: impl Fn(usize) -> f64) -> Tensor {
        let shape = Shape::new(dims);
        let data = (0..shape.elements()).map(f).collect();
        Tensor { shape, data }
    }

    #[test]
    fn each_channel_has_its_own_density() {
        for (dims, channels) in [(vec![1, 3, 2, 2], 3), (vec![2, 5], 5), (vec![1, 4, 6], 6), (vec![7], 1)] {
            let shape = Shape::new(dims.clone());
            let table = Groups::channels(&shape).table(&shape);
            let x = tensor(&dims, |i| table[i] as f64);
            let target = vec![0.0; x.data.len()];
            let observed = [Observed { input: &x, target: &target }, Observed { input: &x, target: &target }];
            let statistics = Statistics::measure(&shape, Groups::channels(&shape), &observed, false);
            assert_eq!(statistics.densities.len(), channels, "{dims:?}");
            for (c, density) in statistics.densities.iter().enumerate() {
                assert_eq!((density.lo, density.hi, density.std), (c as f64, c as f64, 0.0), "{dims:?}");
                assert_eq!(density.count as usize * channels, 2 * shape.elements());
            }
            assert_eq!(statistics.whole.hi, (channels - 1) as f64);
        }
    }

    #[test]
    fn moments_are_exact_and_bins_keep_targets() {
        let x = tensor(&[1, 1, 1, 1000], |i| i as f64 / 10.0);
        let y: Vec<f32> = x.data.iter().map(|&x| 2.0 * x as f32).collect();
        let s = Statistics::measure(&x.shape, Groups::channels(&x.shape), &[Observed { input: &x, target: &y }], false);
        assert!((s.whole.mean - 49.95).abs() < 1e-12);
        assert!((s.whole.std - libm::sqrt(999_999.0 / 1200.0)).abs() < 1e-9);
        assert!(s.densities[0].bins.iter().all(|b| (b.y - 2.0 * b.x).abs() < 1e-4));
    }

    #[test]
    fn mirrored_values_are_symmetric() {
        let x = tensor(&[1, 2], |i| 3.0 + i as f64);
        let s = Statistics::measure(
            &x.shape,
            Groups::channels(&x.shape),
            &[Observed { input: &x, target: &[0.0; 2] }],
            true,
        );
        assert_eq!((s.densities[1].lo, s.densities[1].hi, s.densities[1].mean), (-4.0, 4.0, 0.0));
    }
}
