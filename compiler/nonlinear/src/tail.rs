//! How likely a value is that lies beyond everything seen.

/// A generalised Pareto tail above a threshold: P(X > u + y) = mass·(1 + ξy/σ)^(−1/ξ).
///
/// Fitted by probability-weighted moments (Hosking and Wallis 1987), which stay sensible for small samples. A sample of
/// the usual size leaves the shape uncertain, and what lies far outside hangs on it: the probability is averaged over the
/// shapes that the sample allows, so that no end of the tail is taken for certain.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tail {
    threshold: f64,
    mass: f64,
    /// Mean distance from the threshold.
    mean: f64,
    /// ξ, and its standard error.
    shape: f64,
    error: f64,
}

/// Shapes before any value is seen: this standard deviation about 0, an exponential tail.
const PRIOR: f64 = 0.2;

/// The variance of the estimated shape times the number of values in the tail.
const VARIANCE: f64 = 1.6;

/// Shapes outside these are not believed: thinner than −1/2 would be a hard end that a finite sample cannot vouch for.
const SHAPES: (f64, f64) = (-0.5, 0.9);

/// Nodes and weights that average over a standard normal number (Gauss–Hermite), one side.
const NORMAL: [(f64, f64); 4] = [
    (0.0, 0.457_142_857_142_857),
    (1.154_405_394_739_968, 0.240_123_178_605_013),
    (2.366_759_410_734_541, 0.030_757_123_967_586),
    (3.750_439_717_725_742, 0.000_548_268_855_972),
];

/// Share of the values that make the tail, and how many they must be at least.
const TAIL_SHARE: f64 = 0.02;
const TAIL_COUNT: f64 = 16.0;

impl Tail {
    /// From values with the number of times each was seen, ascending.
    pub fn fit(sorted: &[(f64, f64)]) -> Self {
        let total: f64 = sorted.iter().map(|(_, w)| w).sum();
        let wanted = (TAIL_SHARE * total).max(TAIL_COUNT).min(0.5 * total);
        let mut mass = 0.0;
        let mut first = sorted.len();
        while first > 0 && mass < wanted {
            first -= 1;
            mass += sorted[first].1;
        }
        if mass <= 0.0 {
            return Tail::default();
        }
        // The first value stands for some on both sides of the threshold.
        let threshold = sorted[first].0;
        mass -= 0.5 * sorted[first].1;
        let (mut mean, mut weighted, mut above) = (0.0, 0.0, mass);
        for (i, &(x, w)) in sorted[first..].iter().enumerate() {
            let w = if i == 0 { 0.5 * w } else { w };
            // 1 − F at the middle of the value's mass.
            let survival = (above - 0.5 * w) / mass;
            mean += w / mass * (x - threshold);
            weighted += w / mass * (x - threshold) * survival;
            above -= w;
        }
        let spread = mean - 2.0 * weighted;
        let estimate = if spread > 1e-9 * mean { (2.0 - mean / spread).clamp(SHAPES.0, SHAPES.1) } else { 0.0 };
        let precision = mass / VARIANCE;
        let certainty = precision + 1.0 / (PRIOR * PRIOR);
        let (shape, error) = (estimate * precision / certainty, libm::sqrt(1.0 / certainty));
        Tail { threshold, mass: mass / total, mean, shape, error }
    }

    /// Probability of a value above `x`; `None` below the threshold, where counting is better.
    pub fn exceedance(&self, x: f64) -> Option<f64> {
        let y = x - self.threshold;
        if y < 0.0 {
            return None;
        }
        if self.mean <= 0.0 {
            return Some(0.0);
        }
        let survival = |z: f64| {
            let shape = (self.shape + z * self.error).clamp(SHAPES.0, SHAPES.1);
            let distance = y / (self.mean * (1.0 - shape));
            let base = 1.0 + shape * distance;
            match base {
                _ if shape.abs() < 1e-6 => libm::exp(-distance),
                base if base <= 0.0 => 0.0,
                base => libm::pow(base, -1.0 / shape),
            }
        };
        let both = |z: f64| if z == 0.0 { survival(z) } else { survival(z) + survival(-z) };
        Some(self.mass * NORMAL.iter().map(|&(z, weight)| weight * both(z)).sum::<f64>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::{Bin, Density};

    /// Quantiles of a distribution stand for a large sample of it.
    fn sample(quantile: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        (0..20_000).map(|i| (quantile((f64::from(i) + 0.5) / 20_000.0), 1.0)).collect()
    }

    #[test]
    fn an_exponential_tail_is_found_and_extrapolated() {
        let tail = Tail::fit(&sample(|p| -libm::log(1.0 - p)));
        assert!(tail.shape.abs() < 0.05, "{tail:?}");
        // The further out, the more the uncertainty of the shape counts.
        for (x, bits) in [(6.0, 0.2), (11.0, 1.0), (14.0, 1.8)] {
            let ratio = libm::log2(tail.exceedance(x).unwrap() / libm::exp(-x));
            assert!(ratio.abs() < bits, "{x}: 2^{ratio}");
        }
    }

    #[test]
    fn a_heavy_tail_is_told_from_a_finite_one() {
        let pareto = Tail::fit(&sample(|p| libm::pow(1.0 - p, -1.0 / 3.0)));
        assert!((pareto.shape - 1.0 / 3.0).abs() < 0.1, "{pareto:?}");
        let uniform = Tail::fit(&sample(|p| p));
        assert_eq!(uniform.exceedance(1.2), Some(0.0));
        assert_eq!(uniform.exceedance(0.5), None);
        assert!((uniform.exceedance(0.99).unwrap() - 0.01).abs() < 2e-3);
    }

    /// Pseudo-random numbers in (0, 1) (splitmix64).
    fn random(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed;
        move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        }
    }

    /// A number of a distribution, from a source of uniform ones.
    type Draw = fn(&mut dyn FnMut() -> f64) -> f64;

    /// Predicted over true probabilities beyond the point of that probability, for several samples of `count`.
    fn ratios(draw: Draw, count: usize, point: f64, probability: f64) -> Vec<f64> {
        let ratio = |seed: u64| {
            let mut next = random(seed);
            let values: Vec<Bin> = (0..count).map(|_| Bin { count: 1.0, x: draw(&mut next), y: 0.0 }).collect();
            Density::of(&values).upper.exceedance(point).unwrap() / probability
        };
        let mut ratios: Vec<f64> = (1..=9).map(|seed| ratio(seed * 77)).collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    }

    fn normal(next: &mut dyn FnMut() -> f64) -> f64 {
        let (u, v) = (next(), next());
        libm::sqrt(-2.0 * libm::log(u)) * libm::cos(2.0 * std::f64::consts::PI * v)
    }

    fn laplace(next: &mut dyn FnMut() -> f64) -> f64 {
        let u = next();
        if u < 0.5 { libm::log(2.0 * u) } else { -libm::log(2.0 - 2.0 * u) }
    }

    /// Five degrees of freedom.
    fn student(next: &mut dyn FnMut() -> f64) -> f64 {
        let square: f64 = (0..5).map(|_| normal(next)).map(|z| z * z).sum();
        normal(next) / libm::sqrt(square / 5.0)
    }

    #[test]
    fn the_chance_of_leaving_a_range_is_that_of_the_distribution() {
        // Points of probability 10^-4 and 10^-5, by 20,000 samples: the last one lies beyond all of them as a rule.
        let cases: [(&str, Draw, [f64; 2]); 3] = [
            ("normal", normal, [3.719_016, 4.264_891]),
            ("Laplace", laplace, [8.517_193, 10.819_778]),
            ("Student t5", student, [9.677_566, 15.546_853]),
        ];
        for (name, draw, points) in cases {
            for (point, probability) in points.into_iter().zip([1e-4, 1e-5]) {
                let found = ratios(draw, 20_000, point, probability);
                println!("{name}: predicted over true P = {probability:e}: {found:.2?}");
                let median = found[found.len() / 2];
                assert!((1.0 / 2.5..2.5).contains(&median), "{name} {probability:e}: {found:?}");
                let within = found.iter().filter(|r| (1.0 / 3.0..3.0).contains(*r)).count();
                assert!(probability < 5e-5 || within >= 8, "{name} {probability:e}: {found:?}");
            }
        }
    }

    #[test]
    fn constants_and_nothing_have_no_tail() {
        assert_eq!(Tail::fit(&[(1.0, 5.0), (1.0, 5.0)]).exceedance(1.1), Some(0.0));
        assert_eq!(Tail::fit(&[]).exceedance(0.5), Some(0.0));
    }
}
