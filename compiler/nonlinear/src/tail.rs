//! How likely a value is that lies beyond everything seen.

/// A generalised Pareto tail above a threshold: P(X > u + y) = mass·(1 + ξy/σ)^(−1/ξ).
///
/// Fitted by probability-weighted moments (Hosking and Wallis 1987), which stay sensible for small samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tail {
    threshold: f64,
    mass: f64,
    scale: f64,
    shape: f64,
}

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
        let threshold = sorted[first].0;
        let (mut mean, mut weighted, mut above) = (0.0, 0.0, mass);
        for &(x, w) in &sorted[first..] {
            // 1 − F at the middle of the value's mass.
            let survival = (above - 0.5 * w) / mass;
            mean += w / mass * (x - threshold);
            weighted += w / mass * (x - threshold) * survival;
            above -= w;
        }
        let spread = mean - 2.0 * weighted;
        // Thinner than shape −1/2 would be a hard end that a finite sample cannot vouch for.
        let shape = if spread > 1e-9 * mean { (2.0 - mean / spread).clamp(-0.5, 0.9) } else { 0.0 };
        let scale = mean * (1.0 - shape);
        Tail { threshold, mass: mass / total, scale, shape }
    }

    /// Probability of a value above `x`; `None` below the threshold, where counting is better.
    pub fn exceedance(&self, x: f64) -> Option<f64> {
        let y = x - self.threshold;
        if y < 0.0 {
            return None;
        }
        if self.scale <= 0.0 {
            return Some(0.0);
        }
        let survival = if self.shape.abs() < 1e-6 {
            libm::exp(-y / self.scale)
        } else {
            let base = 1.0 + self.shape * y / self.scale;
            if base <= 0.0 { 0.0 } else { libm::pow(base, -1.0 / self.shape) }
        };
        Some(self.mass * survival)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quantiles of a distribution stand for a large sample of it.
    fn sample(quantile: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        (0..20_000).map(|i| (quantile((f64::from(i) + 0.5) / 20_000.0), 1.0)).collect()
    }

    #[test]
    fn an_exponential_tail_is_found_and_extrapolated() {
        let tail = Tail::fit(&sample(|p| -libm::log(1.0 - p)));
        assert!(tail.shape.abs() < 0.05, "{tail:?}");
        let ratio = libm::log2(tail.exceedance(14.0).unwrap() / libm::exp(-14.0));
        assert!(ratio.abs() < 1.0, "2^{ratio}");
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

    #[test]
    fn constants_and_nothing_have_no_tail() {
        assert_eq!(Tail::fit(&[(1.0, 5.0), (1.0, 5.0)]).exceedance(1.1), Some(0.0));
        assert_eq!(Tail::fit(&[]).exceedance(0.5), Some(0.0));
    }
}
