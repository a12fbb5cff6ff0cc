//! A polynomial for each channel of a layer, and how good it is.

use crate::chebyshev::jackson;
use crate::domain;
use crate::kernel::{smoothed, smoothed_by};
use crate::minimax::{Target, minimax};
use crate::orthogonal::{Orthogonal, Point, chebyshev_coefficients, chebyshev_value};
use crate::quadrature::{hermite_coefficients, hermite_values, uniform_nodes};
use crate::smoothing::Kernel;
use crate::statistics::{Bin, Density, Statistics};
use crate::{Choice, Family, Robustness};
use hec_ir::tensor::Function;
use hec_poly::Parity;
use rayon::prelude::*;

/// How many values of the whole tensor's density a channel's own density is mixed with: it guards channels that were
/// seen a few times only.
const SHRINKAGE: f64 = 8.0;

/// Nodes that stand for the uniform measure; they average squares of polynomials of degree 31 exactly.
const UNIFORM_NODES: usize = 64;

/// Where the growth beyond the padded range is measured: a quarter of its width outside.
const OUTSIDE: f64 = 1.5;

/// By how much a padded range is nearer to a pole, relative to its padding: 1.2 to 2.2 times for the usual ones.
const NEARER: f64 = 4.0;

/// By how much the share of the uniform measure is raised at a time.
const SHARE_STEP: f64 = 1.5;

/// Least curvature of a quadratic relative to its slope, over the half width of the range. A quadratic is evaluated as
/// c(x + b/2c)² + r, which loses log2 of the vertex distance over the half width: at most seven bits with this bound.
const LEAST_CURVATURE: f64 = 1.0 / 256.0;

/// The polynomial of one channel: Chebyshev coefficients in t = (x − mid)/half.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelPolynomial {
    /// Middle of the padded range.
    pub mid: f64,
    /// Half its width, positive.
    pub half: f64,
    /// `degree + 1` coefficients.
    pub coefficients: Vec<f64>,
}

impl ChannelPolynomial {
    /// The value at `x`.
    pub fn eval(&self, x: f64) -> f64 {
        chebyshev_value(&self.coefficients, (x - self.mid) / self.half)
    }
}

/// How far a replacement is from its function.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Errors {
    /// Root mean square under the calibrated density.
    pub rms: f64,
    /// The same over the root mean square of the function's values.
    pub relative: f64,
    /// Largest on the padded range.
    pub max: f64,
    /// Largest where the input is outside the padded range by a quarter of its width.
    pub growth: f64,
    /// Estimated probability of a value outside its padded range; `None` without calibration data.
    pub outside: Option<f64>,
}

/// A replacement for one function at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// How it was made.
    pub choice: Choice,
    /// One polynomial for each channel.
    pub channels: Vec<ChannelPolynomial>,
    /// How good it is.
    pub errors: Errors,
}

/// What a channel sees: its density mixed with a little of the whole tensor's, on its padded range.
struct View<'a> {
    function: Function,
    channel: &'a Density,
    whole: &'a Density,
    /// Weight of the whole tensor's density.
    mix: f64,
    mid: f64,
    half: f64,
    /// Where the function is evaluated.
    reach: (f64, f64),
}

/// Fit a polynomial for each channel.
pub fn fit(function: Function, statistics: &Statistics, choice: Choice, robustness: Robustness) -> Fit {
    let nodes = uniform_nodes(UNIFORM_NODES);
    let fitted: Vec<(ChannelPolynomial, ChannelErrors)> = statistics
        .channels
        .par_iter()
        .map(|channel| {
            let view = View::new(function, channel, statistics, robustness.width);
            let coefficients = match choice.family {
                Family::Kernel => view.kernel(Kernel::Gaussian, robustness.bandwidth),
                Family::Epanechnikov => view.kernel(Kernel::Epanechnikov, robustness.bandwidth),
                Family::Box => view.kernel(Kernel::Box, robustness.bandwidth),
                Family::Logistic => view.kernel(Kernel::Logistic, robustness.bandwidth),
                Family::LeastSquares => view.tame_least_squares(choice.degree, robustness, &nodes),
                Family::Hermite => view.completed(view.hermite(choice.degree)),
                Family::Chebyshev => view.completed(chebyshev_coefficients(choice.degree, |t| view.value_at(t))),
                Family::Jackson => view.completed(jackson(choice.degree, &view.kinks(), |t| view.value_at(t))),
                Family::Minimax => view.completed(view.minimax(choice.degree)),
            };
            let polynomial = ChannelPolynomial { mid: view.mid, half: view.half, coefficients };
            let errors = view.errors(&polynomial, &nodes);
            (polynomial, errors)
        })
        .collect();
    let errors = summary(fitted.iter().map(|(_, e)| e), statistics.whole.count > 0.0);
    Fit { choice, channels: fitted.into_iter().map(|(p, _)| p).collect(), errors }
}

impl<'a> View<'a> {
    fn new(function: Function, channel: &'a Density, statistics: &'a Statistics, width: f64) -> Self {
        let whole = &statistics.whole;
        let mix = if channel.count > 0.0 { SHRINKAGE / (channel.count + SHRINKAGE) } else { 0.0 };
        let (mut lo, mut hi) = (channel.lo, channel.hi);
        if !statistics.given_range {
            (lo, hi) = (lo + mix * (whole.lo - lo), hi + mix * (whole.hi - hi));
            (lo, hi) = function.domain().widen((lo, hi), width * (hi - lo), NEARER * width);
        }
        let reach = domain::reach(function, (lo, hi));
        // A constant channel still needs a range to live on.
        let least = 1e-3 * (whole.hi - whole.lo).max(1e-3 * (1.0 + lo.abs().max(hi.abs())));
        View { function, channel, whole, mix, mid: 0.5 * (lo + hi), half: (0.5 * (hi - lo)).max(least), reach }
    }

    /// The mixed density on the padded range, as points with masses of sum about 1.
    fn density(&self, nodes: &[(f64, f64)]) -> Vec<Point> {
        if self.channel.count <= 0.0 {
            return self.uniform(1.0, nodes);
        }
        let part = |density: &Density, share: f64| {
            let scale = share / density.count;
            let point = move |b: &Bin| Point { t: (b.x - self.mid) / self.half, weight: b.count * scale, y: b.y };
            density.bins.iter().map(point).filter(|p| p.t.abs() <= 1.0).collect::<Vec<_>>()
        };
        let mut points = part(self.channel, 1.0 - self.mix);
        if self.mix > 1e-3 {
            points.extend(part(self.whole, self.mix));
        }
        points
    }

    fn uniform(&self, share: f64, nodes: &[(f64, f64)]) -> Vec<Point> {
        nodes.iter().map(|&(t, w)| Point { t, weight: share * w, y: self.value_at(t) }).collect()
    }

    /// The function, taken as constant beyond where it is evaluated.
    fn value(&self, x: f64) -> f64 {
        self.function.eval(x.max(self.reach.0).min(self.reach.1))
    }

    fn value_at(&self, t: f64) -> f64 {
        self.value(self.mid + self.half * t)
    }

    /// Where the function is not smooth, in t.
    fn kinks(&self) -> Vec<f64> {
        let ends = [self.reach.0, self.reach.1].into_iter().filter(|x| x.is_finite());
        self.function.kinks().into_iter().chain(ends).map(|x| (x - self.mid) / self.half).collect()
    }

    /// A quadratic with enough curvature; other polynomials as they are.
    fn completed(&self, mut coefficients: Vec<f64>) -> Vec<f64> {
        if let [constant, slope, square] = coefficients.as_mut_slice() {
            // The coefficient of t² is 2·square; the value in the middle stays.
            let enough = 0.5 * self.curvature(2.0 * *square, *slope);
            *constant += enough - *square;
            *square = enough;
        }
        coefficients
    }

    /// Mean and standard deviation of the mixed density.
    fn moments(&self) -> (f64, f64) {
        let (channel, whole, mix) = (self.channel, self.whole, self.mix);
        let mean = channel.mean + mix * (whole.mean - channel.mean);
        let second = |d: &Density| d.std * d.std + (d.mean - mean) * (d.mean - mean);
        let variance = (1.0 - mix) * second(channel) + mix * second(whole);
        (mean, libm::sqrt(variance).max(0.02 * self.half))
    }

    /// The projection under the normal density of the channel's moments.
    fn hermite(&self, degree: usize) -> Vec<f64> {
        let (mean, std) = self.moments();
        let kinks: Vec<f64> = self.kinks().iter().map(|t| self.mid + self.half * t).collect();
        let series = hermite_coefficients(degree, (mean, std), &kinks, |x| self.value(x));
        chebyshev_coefficients(degree, |t| {
            let values = hermite_values(degree, (self.mid + self.half * t - mean) / std);
            series.iter().zip(values).map(|(c, h)| c * h).sum()
        })
    }

    fn minimax(&self, degree: usize) -> Vec<f64> {
        let value = |t: f64| self.value_at(t);
        let target = Target { value: &value, weight: &|_| 1.0, interval: (-1.0, 1.0), kinks: &self.kinks() };
        minimax(&target, degree, Parity::General).coefficients
    }

    /// The size of the function's values, below which a curvature does not matter.
    fn value_scale(&self) -> f64 {
        let at = |x: f64| self.value(x).abs();
        at(self.whole.lo).max(at(self.whole.hi)).max(1e-3 * self.half)
    }

    /// A curvature (coefficient of t²) that is large enough to complete the square.
    fn curvature(&self, curvature: f64, slope: f64) -> f64 {
        let least = LEAST_CURVATURE * slope.abs().max(LEAST_CURVATURE * self.value_scale());
        if curvature.abs() < least { least.copysign(curvature) } else { curvature }
    }

    /// Smoothing with a bandwidth in standard deviations, then projection under the normal density of the channel's
    /// moments.
    fn kernel(&self, kernel: Kernel, bandwidth: f64) -> Vec<f64> {
        let (mean, std) = self.moments();
        let everywhere = self.reach == (f64::NEG_INFINITY, f64::INFINITY);
        let kinks: Vec<f64> = self.kinks().iter().map(|t| self.mid + self.half * t).collect();
        let f = match (kernel, everywhere) {
            (Kernel::Gaussian, true) => smoothed(self.function, mean, std * libm::sqrt(1.0 + bandwidth * bandwidth)),
            (_, true) => kernel.smoothed(bandwidth * std, |shift| smoothed(self.function, mean + shift, std)),
            (_, false) => {
                kernel.smoothed(bandwidth * std, |shift| smoothed_by(mean + shift, std, &kinks, |x| self.value(x)))
            }
        };
        let (slope, square) = (f.slope * self.half, 0.5 * f.curvature * self.half * self.half);
        let (square, center, spread) = (self.curvature(square, slope), (mean - self.mid) / self.half, std / self.half);
        let value = |t: f64| f.value + slope * (t - center) + square * ((t - center) * (t - center) - spread * spread);
        chebyshev_coefficients(2, value)
    }

    /// Least squares with the smallest share of the uniform measure that keeps the growth outside in bounds.
    fn tame_least_squares(&self, degree: usize, robustness: Robustness, nodes: &[(f64, f64)]) -> Vec<f64> {
        let growth = |coefficients: &[f64]| {
            let at = |t: f64| (chebyshev_value(coefficients, t) - self.value_at(t)).abs();
            at(-OUTSIDE).max(at(OUTSIDE))
        };
        let most = robustness.growth * growth(&self.least_squares(degree, 1.0, nodes));
        let mut share = robustness.share;
        loop {
            let coefficients = self.least_squares(degree, share, nodes);
            if share >= 1.0 || growth(&coefficients) <= most {
                return coefficients;
            }
            share = (SHARE_STEP * share).min(1.0);
        }
    }

    fn least_squares(&self, degree: usize, share: f64, nodes: &[(f64, f64)]) -> Vec<f64> {
        let mut points = self.density(nodes);
        for point in &mut points {
            point.weight *= 1.0 - share;
        }
        points.extend(self.uniform(share, nodes));
        let mut fit = Orthogonal::fit(&points, degree);
        if degree == 2
            && let [_, slope, square] = fit.coefficients.as_mut_slice()
        {
            *square = self.curvature(*square, *slope);
        }
        fit.to_chebyshev(degree)
    }

    fn errors(&self, polynomial: &ChannelPolynomial, nodes: &[(f64, f64)]) -> ChannelErrors {
        let error = |t: f64| {
            let x = self.mid + self.half * t;
            (polynomial.eval(x) - self.value(x)).abs()
        };
        let mut sums = ChannelErrors { growth: error(-OUTSIDE).max(error(OUTSIDE)), ..ChannelErrors::default() };
        for point in self.density(nodes) {
            let value = self.value_at(point.t);
            sums.weight += point.weight;
            sums.square += point.weight * error(point.t) * error(point.t);
            sums.value_square += point.weight * value * value;
            sums.max = sums.max.max(error(point.t));
        }
        sums.max = nodes.iter().map(|&(t, _)| t).chain([-1.0, 1.0]).fold(sums.max, |max, t| max.max(error(t)));
        sums.outside = self.outside();
        sums
    }

    /// Probability of a value outside the padded range: the fitted tails, or the share seen where the range cuts them.
    fn outside(&self) -> f64 {
        let (channel, lo, hi) = (self.channel, self.mid - self.half, self.mid + self.half);
        let share = |beyond: &dyn Fn(f64) -> bool| {
            channel.bins.iter().filter(|b| beyond(b.x)).map(|b| b.count).sum::<f64>() / channel.count.max(1.0)
        };
        let above = channel.upper.exceedance(hi).unwrap_or_else(|| share(&|x| x > hi));
        let below = channel.lower.exceedance(-lo).unwrap_or_else(|| share(&|x| x < lo));
        (above + below).min(1.0)
    }
}

/// Sums over one channel's density.
#[derive(Clone, Copy, Debug, Default)]
struct ChannelErrors {
    weight: f64,
    square: f64,
    value_square: f64,
    max: f64,
    growth: f64,
    outside: f64,
}

fn summary<'a>(channels: impl Iterator<Item = &'a ChannelErrors>, calibrated: bool) -> Errors {
    let mut sums = ChannelErrors::default();
    let mut count = 0.0;
    for c in channels {
        count += 1.0;
        sums.weight += c.weight;
        sums.square += c.square;
        sums.value_square += c.value_square;
        sums.max = sums.max.max(c.max);
        sums.growth = sums.growth.max(c.growth);
        sums.outside += c.outside;
    }
    let ratio = |a: f64, b: f64| if b > 0.0 { libm::sqrt(a / b) } else { 0.0 };
    Errors {
        rms: ratio(sums.square, sums.weight),
        relative: ratio(sums.square, sums.value_square),
        max: sums.max,
        growth: sums.growth,
        outside: calibrated.then(|| sums.outside / f64::max(count, 1.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ROBUSTNESS;
    use crate::statistics::Observed;
    use hec_ir::tensor::{Shape, Tensor};

    /// Pseudo-random numbers in (0, 1).
    fn random(count: usize, seed: u64) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        };
        (0..count).map(|_| next()).collect()
    }

    fn normal(count: usize, seed: u64) -> Vec<f64> {
        let pairs = random(2 * count, seed);
        let polar = |p: &[f64]| libm::sqrt(-2.0 * libm::log(p[0])) * libm::cos(2.0 * std::f64::consts::PI * p[1]);
        pairs.chunks(2).map(polar).collect()
    }

    fn statistics(function: Function, data: Vec<f64>, channels: usize) -> Statistics {
        let target: Vec<f32> = data.iter().map(|&x| function.eval(x) as f32).collect();
        let x = Tensor::new(Shape::new([1, channels, 1, data.len() / channels]), data).unwrap();
        Statistics::measure(&x.shape, &[Observed { input: &x, target: &target }], false)
    }

    /// Coefficient of determination on `data`.
    fn r_squared(p: impl Fn(f64) -> f64, data: &[f64]) -> f64 {
        let relu = |x: f64| x.max(0.0);
        let mean = data.iter().map(|&x| relu(x)).sum::<f64>() / data.len() as f64;
        let square = |f: &dyn Fn(f64) -> f64| data.iter().map(|&x| f(x) * f(x)).sum::<f64>();
        1.0 - square(&|x| p(x) - relu(x)) / square(&|x| relu(x) - mean)
    }

    /// The degree-2 surrogates of ReLU, fitted on 20,000 samples and tested on 20,000 others, as the literature's
    /// table has them.
    #[test]
    fn degree_two_relu_has_the_known_r_squared() {
        let uniform = |seed| random(20_000, seed).into_iter().map(|u| 6.0 * u - 3.0).collect::<Vec<_>>();
        let near = Robustness { share: 1e-4, growth: f64::INFINITY, ..ROBUSTNESS[0] };
        let half = Robustness { bandwidth: 0.5, ..ROBUSTNESS[1] };
        let rows = [(normal(20_000, 1), normal(20_000, 2), [-4.80, 0.933, 0.965, 0.958, 0.965, 0.983]), {
            (uniform(3), uniform(4), [-10.8, 0.982, 0.970, 0.964, 0.987, 0.997])
        }];
        for (train, test, expected) in rows {
            let radius = train.iter().fold(0.0f64, |r, x| r.max(x.abs()));
            let seen = statistics(Function::Relu, train, 1);
            let found = |choice, robustness| {
                let fit = fit(Function::Relu, &seen, choice, robustness);
                r_squared(|x| fit.channels[0].eval(x), &test)
            };
            let surrogates = [
                r_squared(|x| x * x, &test),
                r_squared(|x| radius / 16.0 + x / 2.0 + x * x / (2.0 * radius), &test),
                found(Choice::KERNEL, near),
                found(Choice::KERNEL, half),
                found(Choice::least_squares(2), near),
                found(Choice::least_squares(4), near),
            ];
            for (found, expected) in surrogates.iter().zip(expected) {
                // x² is so bad that its score depends on the sample.
                let tolerance = if expected < 0.0 { 0.5 } else { 0.006 };
                assert!((found - expected).abs() < tolerance, "{surrogates:?}, not {expected:?}");
            }
        }
    }

    #[test]
    fn a_higher_degree_is_closer_on_the_density() {
        for function in [Function::Relu, Function::Gelu, Function::Tanh] {
            let seen = statistics(function, normal(20_000, 5), 1);
            let mut last = f64::INFINITY;
            for degree in [2, 4, 8, 16, 31] {
                let errors = fit(function, &seen, Choice::least_squares(degree), ROBUSTNESS[0]).errors;
                assert!(errors.rms < last && errors.max.is_finite(), "{function:?} degree {degree}: {errors:?}");
                last = errors.rms;
            }
            assert!(libm::log2(last) < -5.0, "{function:?}: 2^{}", libm::log2(last));
        }
    }

    #[test]
    fn the_chance_of_leaving_the_range_falls_with_the_padding() {
        let seen = statistics(Function::Relu, normal(2_000, 6), 1);
        let outside = |robustness| fit(Function::Relu, &seen, Choice::KERNEL, robustness).errors.outside.unwrap();
        let chances = ROBUSTNESS.map(outside);
        assert!(chances[0] < 2e-3 && chances[0] > 0.0, "{chances:?}");
        assert!(chances[0] > chances[1] && chances[1] >= chances[2], "{chances:?}");
    }

    #[test]
    fn odd_channels_give_finite_polynomials_that_complete_to_squares() {
        // Constant, dead, always positive, alternating between two values, tiny, all zero.
        let columns: [&dyn Fn(usize) -> f64; 6] = [
            &|_| 3.0,
            &|i| -5.0 - (i % 7) as f64,
            &|i| 100.0 + (i % 5) as f64,
            &|i| if i % 2 == 0 { -1.0 } else { 1.0 },
            &|i| 1e-9 * i as f64,
            &|_| 0.0,
        ];
        let data: Vec<f64> = columns.iter().flat_map(|f| (0..50).map(f)).collect();
        let alone: Vec<Vec<f64>> = columns.iter().map(|f| (0..50).map(f).collect()).collect();
        for function in [Function::Relu, Function::Gelu, Function::Sigmoid, Function::Silu] {
            let together = (statistics(function, data.clone(), columns.len()), "together");
            let each = alone.iter().map(|data| (statistics(function, data.clone(), 1), "alone"));
            for (seen, how) in each.chain([together]) {
                for degree in [1, 2, 3, 7, 31] {
                    check_sane(function, &seen, Choice::least_squares(degree), how);
                }
                check_sane(function, &seen, Choice::KERNEL, how);
            }
        }
    }

    fn check_sane(function: Function, seen: &Statistics, choice: Choice, how: &str) {
        for robustness in ROBUSTNESS {
            let fit = fit(function, seen, choice, robustness);
            let what = format!("{function:?} {choice} {how}: {fit:?}");
            assert!(fit.errors.max.is_finite() && fit.errors.growth.is_finite(), "{what}");
            for channel in &fit.channels {
                assert!(channel.half > 0.0 && channel.coefficients.iter().all(|c| c.is_finite()), "{what}");
                if let [_, slope, square] = channel.coefficients[..] {
                    assert!(square != 0.0 && (slope / square).abs() < 1e4, "{what}");
                }
            }
        }
    }

    #[test]
    fn a_range_alone_is_fitted_uniformly() {
        let seen = Statistics::of_range(-2.0, 2.0);
        let fit = fit(Function::Relu, &seen, Choice::least_squares(2), ROBUSTNESS[1]);
        // (3/32)R + x/2 + (15/32)x²/R
        for x in [-2.0, -0.5, 0.0, 1.5] {
            assert!((fit.channels[0].eval(x) - (3.0 / 16.0 + x / 2.0 + 15.0 / 64.0 * x * x)).abs() < 1e-3);
        }
        assert_eq!(fit.errors.outside, None);
    }
}
