//! What one group of elements sees: its density on its padded range, and how far a formula is from the function there.

use crate::domain;
use crate::fit::Errors;
use crate::formula::Formula;
use crate::orthogonal::Point;
use crate::statistics::{Bin, Density, Statistics};
use hec_ir::tensor::Function;

/// How many values of the whole tensor's density a group's own density is mixed with: it guards groups that were seen a
/// few times only.
const SHRINKAGE: f64 = 8.0;

/// Where the growth beyond the padded range is measured: a quarter of its width outside.
pub const OUTSIDE: f64 = 1.5;

/// By how much a padded range is nearer to a pole, relative to its padding: 1.2 to 2.2 times for the usual ones.
const NEARER: f64 = 4.0;

/// Least curvature of a quadratic relative to its slope, over the half width of the range. A quadratic is evaluated as
/// c(x + b/2c)² + r, which loses log2 of the vertex distance over the half width: at most seven bits with this bound.
const LEAST_CURVATURE: f64 = 1.0 / 256.0;

/// A group's density mixed with a little of the whole tensor's, on its padded range. Positions in it are t = (x − mid)/half.
pub struct View<'a> {
    /// What is to be replaced.
    pub function: Function,
    group: &'a Density,
    whole: &'a Density,
    /// Weight of the whole tensor's density.
    mix: f64,
    /// Middle of the padded range.
    pub mid: f64,
    /// Half its width, positive.
    pub half: f64,
    /// Where the function is evaluated.
    pub reach: (f64, f64),
}

impl<'a> View<'a> {
    /// Of a group, its range padded by `width` on each side.
    pub fn new(function: Function, group: &'a Density, statistics: &'a Statistics, width: f64) -> Self {
        let whole = &statistics.whole;
        let mix = if group.count > 0.0 { SHRINKAGE / (group.count + SHRINKAGE) } else { 0.0 };
        let (mut lo, mut hi) = (group.lo, group.hi);
        if !statistics.given_range {
            (lo, hi) = (lo + mix * (whole.lo - lo), hi + mix * (whole.hi - hi));
            (lo, hi) = function.domain().widen((lo, hi), width * (hi - lo), NEARER * width);
        }
        let reach = domain::reach(function, (lo, hi));
        // A constant group still needs a range to live on.
        let least = 1e-3 * (whole.hi - whole.lo).max(1e-3 * (1.0 + lo.abs().max(hi.abs())));
        View { function, group, whole, mix, mid: 0.5 * (lo + hi), half: (0.5 * (hi - lo)).max(least), reach }
    }

    /// The padded range, as far as the function is evaluated on it.
    pub fn range(&self) -> (f64, f64) {
        ((self.mid - self.half).max(self.reach.0), (self.mid + self.half).min(self.reach.1))
    }

    /// The mixed density on the padded range, as points with masses of sum about 1.
    pub fn density(&self, nodes: &[(f64, f64)]) -> Vec<Point> {
        if self.group.count <= 0.0 {
            return self.uniform(nodes);
        }
        let part = |density: &Density, share: f64| {
            let scale = share / density.count;
            let point = move |b: &Bin| Point { t: (b.x - self.mid) / self.half, weight: b.count * scale, y: b.y };
            density.bins.iter().map(point).filter(|p| p.t.abs() <= 1.0).collect::<Vec<_>>()
        };
        let mut points = part(self.group, 1.0 - self.mix);
        if self.mix > 1e-3 {
            points.extend(part(self.whole, self.mix));
        }
        points
    }

    /// The function on the whole padded range, at the nodes of the uniform measure.
    pub fn uniform(&self, nodes: &[(f64, f64)]) -> Vec<Point> {
        nodes.iter().map(|&(t, weight)| Point { t, weight, y: self.value_at(t) }).collect()
    }

    /// The function, taken as constant beyond where it is evaluated.
    pub fn value(&self, x: f64) -> f64 {
        self.function.eval(x.max(self.reach.0).min(self.reach.1))
    }

    /// The same at x = mid + half·t.
    pub fn value_at(&self, t: f64) -> f64 {
        self.value(self.mid + self.half * t)
    }

    /// Where the function is not smooth, in t.
    pub fn kinks(&self) -> Vec<f64> {
        let ends = [self.reach.0, self.reach.1].into_iter().filter(|x| x.is_finite());
        self.function.kinks().into_iter().chain(ends).map(|x| (x - self.mid) / self.half).collect()
    }

    /// Mean and standard deviation of the mixed density.
    pub fn moments(&self) -> (f64, f64) {
        let (group, whole, mix) = (self.group, self.whole, self.mix);
        let mean = group.mean + mix * (whole.mean - group.mean);
        let second = |d: &Density| d.std * d.std + (d.mean - mean) * (d.mean - mean);
        let variance = (1.0 - mix) * second(group) + mix * second(whole);
        (mean, libm::sqrt(variance).max(0.02 * self.half))
    }

    /// The size of the function's values, below which a curvature does not matter.
    fn value_scale(&self) -> f64 {
        let at = |x: f64| self.value(x).abs();
        at(self.whole.lo).max(at(self.whole.hi)).max(1e-3 * self.half)
    }

    /// A curvature (coefficient of t²) that is large enough to complete the square.
    pub fn curvature(&self, curvature: f64, slope: f64) -> f64 {
        let least = LEAST_CURVATURE * slope.abs().max(LEAST_CURVATURE * self.value_scale());
        if curvature.abs() < least { least.copysign(curvature) } else { curvature }
    }

    /// How far a formula, given for this group alone, is from the function.
    pub fn errors(&self, formula: &Formula, nodes: &[(f64, f64)]) -> GroupErrors {
        let mut scratch = Vec::new();
        let mut error = |t: f64| {
            let x = self.mid + self.half * t;
            (formula.eval_with(&mut scratch, 0, x) - self.value(x)).abs()
        };
        let mut sums = GroupErrors { growth: error(-OUTSIDE).max(error(OUTSIDE)), ..GroupErrors::default() };
        for point in self.density(nodes) {
            let (value, error) = (self.value_at(point.t), error(point.t));
            sums.weight += point.weight;
            sums.square += point.weight * error * error;
            sums.value_square += point.weight * value * value;
            sums.max = sums.max.max(error);
        }
        sums.max = nodes.iter().map(|&(t, _)| t).chain([-1.0, 1.0]).fold(sums.max, |max, t| max.max(error(t)));
        sums.outside = self.outside();
        sums
    }

    /// Probability of a value outside the padded range: the fitted tails, or the share seen where the range cuts them.
    fn outside(&self) -> f64 {
        let (group, lo, hi) = (self.group, self.mid - self.half, self.mid + self.half);
        let share = |beyond: &dyn Fn(f64) -> bool| {
            group.bins.iter().filter(|b| beyond(b.x)).map(|b| b.count).sum::<f64>() / group.count.max(1.0)
        };
        let above = group.upper.exceedance(hi).unwrap_or_else(|| share(&|x| x > hi));
        let below = group.lower.exceedance(-lo).unwrap_or_else(|| share(&|x| x < lo));
        (above + below).min(1.0)
    }
}

/// Sums over one group's density.
#[derive(Clone, Copy, Debug, Default)]
pub struct GroupErrors {
    weight: f64,
    square: f64,
    value_square: f64,
    max: f64,
    growth: f64,
    outside: f64,
}

impl GroupErrors {
    /// Of all groups: means, and the largest of what is a maximum.
    pub fn summary(groups: &[GroupErrors], calibrated: bool) -> Errors {
        let sum = |part: fn(&GroupErrors) -> f64| groups.iter().map(part).sum::<f64>();
        let most = |part: fn(&GroupErrors) -> f64| groups.iter().map(part).fold(0.0, f64::max);
        let ratio = |a: f64, b: f64| if b > 0.0 { libm::sqrt(a / b) } else { 0.0 };
        let square = sum(|g| g.square);
        Errors {
            rms: ratio(square, sum(|g| g.weight)),
            relative: ratio(square, sum(|g| g.value_square)),
            max: most(|g| g.max),
            growth: most(|g| g.growth),
            outside: calibrated.then(|| sum(|g| g.outside) / groups.len().max(1) as f64),
        }
    }
}
