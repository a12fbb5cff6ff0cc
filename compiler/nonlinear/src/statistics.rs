//! What a layer's input looks like on the calibration data: range, moments, density and tails, for each channel.

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

/// One channel, or the whole tensor.
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

/// Which axis holds the channels, each with a polynomial of its own: features of [batch, features], channels of images,
/// features of a sequence [batch, position, feature].
pub fn channel_axis(shape: &Shape) -> Option<usize> {
    match shape.rank() {
        2 | 4 => Some(1),
        3 => Some(2),
        _ => None,
    }
}

/// The shape of one number for each channel, which broadcasts to the tensor's shape.
pub fn channel_shape(shape: &Shape) -> Shape {
    let axis = channel_axis(shape);
    Shape::new(shape.dims().iter().enumerate().map(|(a, &d)| if Some(a) == axis { d } else { 1 }).collect::<Vec<_>>())
}

/// Which of several things each element of a tensor belongs to: one for each channel, or the same for all.
pub struct Channels<'a, T> {
    each: &'a [T],
    inner: usize,
}

impl<'a, T> Channels<'a, T> {
    /// Of a tensor's shape.
    pub fn of(shape: &Shape, each: &'a [T]) -> Self {
        let inner = channel_axis(shape).map_or(shape.elements(), |axis| shape.strides()[axis]);
        Channels { each, inner: inner.max(1) }
    }

    /// That of the element at a position.
    pub fn at(&self, position: usize) -> &'a T {
        &self.each[position / self.inner % self.each.len()]
    }
}

/// The calibrated input of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Each channel.
    pub channels: Vec<Density>,
    /// All channels together.
    pub whole: Density,
    /// Whether the range was given by the user, so that it is neither padded nor shrunk.
    pub given_range: bool,
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
    /// The result does not depend on the number of threads: a channel is summed by one of them, in sample order.
    pub fn measure(shape: &Shape, samples: &[Observed<'_>], mirrored: bool) -> Self {
        let count = channel_shape(shape).elements();
        let inner: usize = channel_axis(shape).map_or(shape.elements(), |axis| shape.strides()[axis]);
        let channels: Vec<Density> = (0..count)
            .into_par_iter()
            .map(|channel| {
                let mut values = Vec::new();
                for sample in samples {
                    let rows = sample.input.data.chunks(inner).zip(sample.target.chunks(inner));
                    for (xs, ys) in rows.skip(channel).step_by(count) {
                        values.extend(xs.iter().zip(ys).map(|(&x, &y)| Bin { count: 1.0, x, y: f64::from(y) }));
                    }
                }
                if mirrored {
                    let negatives: Vec<Bin> = values.iter().map(|v| Bin { x: -v.x, ..*v }).collect();
                    values.extend(negatives);
                }
                Density::of(&values)
            })
            .collect();
        let all: Vec<Bin> = channels.iter().flat_map(|c| c.bins.iter().copied()).collect();
        let ends = |f: fn(f64, f64) -> f64, g: fn(&Density) -> f64| channels.iter().map(g).reduce(f);
        let mut whole = Density::of(&all);
        whole.lo = ends(f64::min, |c| c.lo).unwrap_or(whole.lo);
        whole.hi = ends(f64::max, |c| c.hi).unwrap_or(whole.hi);
        whole.std = overall_std(&channels, whole.mean);
        Statistics { channels, whole, given_range: false }
    }

    /// The same values with a range that the user gave for the whole tensor.
    pub fn with_range(mut self, lo: f64, hi: f64) -> Self {
        for density in self.channels.iter_mut().chain([&mut self.whole]) {
            (density.lo, density.hi) = (lo, hi);
        }
        self.given_range = true;
        self
    }

    /// A given range and nothing else.
    pub fn of_range(lo: f64, hi: f64) -> Self {
        let whole = Density::uniform(lo, hi);
        Statistics { channels: vec![whole.clone()], whole, given_range: true }
    }
}

/// Binning loses the spread inside a bin; the channels' exact moments give it back.
fn overall_std(channels: &[Density], mean: f64) -> f64 {
    let count: f64 = channels.iter().map(|c| c.count).sum();
    let second = |c: &Density| c.count * (c.std * c.std + (c.mean - mean) * (c.mean - mean));
    libm::sqrt(channels.iter().map(second).sum::<f64>() / count)
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
    fn channels_are_told_apart_in_images_features_and_sequences() {
        for (dims, channels) in [(vec![1, 3, 2, 2], 3), (vec![2, 5], 5), (vec![1, 4, 6], 6), (vec![7], 1)] {
            let shape = Shape::new(dims.clone());
            let axis = channel_axis(&shape);
            let strides = shape.strides();
            let channel = |i: usize| axis.map_or(0, |a| i / strides[a] % dims[a]) as f64;
            let x = tensor(&dims, channel);
            let target = vec![0.0; x.data.len()];
            let observed = [Observed { input: &x, target: &target }, Observed { input: &x, target: &target }];
            let statistics = Statistics::measure(&shape, &observed, false);
            assert_eq!(statistics.channels.len(), channels, "{dims:?}");
            for (c, density) in statistics.channels.iter().enumerate() {
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
        let s = Statistics::measure(&x.shape, &[Observed { input: &x, target: &y }], false);
        assert!((s.whole.mean - 49.95).abs() < 1e-12);
        assert!((s.whole.std - libm::sqrt(999_999.0 / 1200.0)).abs() < 1e-9);
        assert!(s.channels[0].bins.iter().all(|b| (b.y - 2.0 * b.x).abs() < 1e-4));
    }

    #[test]
    fn mirrored_values_are_symmetric() {
        let x = tensor(&[1, 2], |i| 3.0 + i as f64);
        let s = Statistics::measure(&x.shape, &[Observed { input: &x, target: &[0.0; 2] }], true);
        assert_eq!((s.channels[1].lo, s.channels[1].hi, s.channels[1].mean), (-4.0, 4.0, 0.0));
    }
}
