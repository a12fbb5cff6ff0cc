//! e^z as p(z)^(2^k), where it matters.
//!
//! What is to be small is the error of the attention, not that of p: Σ (p^K − e^z)² over the values that flow, each
//! relative to the sum of its row. That is a weighted least-squares problem for p with the weights
//! ((p^K − e^z)/(p − e^(z/K)))², which follow p in a few rounds. Very negative values thus only need a small p.

use super::local::{Local, Target};

/// Rounds of re-weighting.
const ROUNDS: usize = 12;

/// Bins of the values.
const BINS: usize = 384;

/// Nodes that stand for the uniform measure.
const NODES: usize = 48;

/// How much further up p follows e^z than what was seen, for each degree: a larger score must not make a row explode, and
/// degrees that cannot follow that far do better with a smaller range.
const BEYOND: f64 = 0.125;

/// Values with masses on a range.
#[derive(Clone, Debug)]
pub struct Histogram {
    range: (f64, f64),
    /// Mass and mass times value.
    bins: Vec<(f64, f64)>,
}

impl Histogram {
    /// Empty, on a range.
    pub fn new(range: (f64, f64)) -> Self {
        Histogram { range, bins: vec![(0.0, 0.0); BINS] }
    }

    /// Count a value.
    pub fn add(&mut self, z: f64, mass: f64) {
        let (lo, hi) = self.range;
        let at = if hi > lo { (z - lo) / (hi - lo) * BINS as f64 } else { 0.0 };
        let bin = &mut self.bins[(at.max(0.0) as usize).min(BINS - 1)];
        bin.0 += mass;
        bin.1 += mass * z;
    }
}

/// p with p(z)^K ≈ e^z, K = 2^squarings, on the range of the histogram padded by `pad` of its width, and more at its upper
/// end; `share` of the measure is uniform there.
pub fn exponential(seen: &Histogram, (degree, squarings): (usize, u32), (pad, share): (f64, f64)) -> Local {
    let (lo, hi) = seen.range;
    let width = (hi - lo).max(1e-3);
    let range = (lo - pad * width, hi + pad * width + BEYOND * degree as f64);
    let total: f64 = seen.bins.iter().map(|b| b.0).sum();
    let scale = (1.0 - share) / total.max(f64::MIN_POSITIVE);
    let mut masses: Vec<(f64, f64)> =
        seen.bins.iter().filter(|b| b.0 > 0.0).map(|&(mass, moment)| (moment / mass, mass * scale)).collect();
    masses.extend((0..NODES).map(|i| {
        let z = range.0 + (range.1 - range.0) * (i as f64 + 0.5) / NODES as f64;
        // Beyond the row's own sum an error counts in proportion.
        (z, share / NODES as f64 / raised(libm::exp(z).max(1.0), 1))
    }));
    let power = f64::from(1u32 << squarings);
    let mut fitted: Option<Local> = None;
    for _ in 0..ROUNDS {
        let target = |&(z, mass): &(f64, f64)| {
            let root = libm::exp(z / power);
            let p = fitted.as_ref().map_or(root, |f| f.eval(z));
            // Where p = −r the error vanishes for a moment only.
            let slope = geometric(p, root, squarings).abs().max(1e-3);
            Target { x: z, y: root, weight: mass * slope * slope }
        };
        let targets: Vec<Target> = masses.iter().map(target).collect();
        let next = Local::fit(&targets, range, degree);
        let error = |f: &Local| -> f64 {
            let miss = |z: f64| raised(f.eval(z), squarings) - libm::exp(z);
            masses.iter().map(|&(z, mass)| mass * miss(z) * miss(z)).sum()
        };
        match &fitted {
            Some(best) if error(&next) >= error(best) => break,
            _ => fitted = Some(next),
        }
    }
    fitted.unwrap_or_else(|| Local::zero(degree))
}

/// x squared so many times.
pub fn raised(x: f64, squarings: u32) -> f64 {
    (0..squarings).fold(x, |x, _| x * x)
}

/// (p^K − r^K)/(p − r) for K = 2^squarings: the product of p^j + r^j for j = 1, 2, 4, …
fn geometric(p: f64, r: f64, squarings: u32) -> f64 {
    (0..squarings).map(|k| raised(p, k) + raised(r, k)).product()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(degree: usize, squarings: u32, lo: f64) -> f64 {
        let mut seen = Histogram::new((lo, 0.5));
        let values: Vec<f64> = (0..1000).map(|i| lo + (0.5 - lo) * f64::from(i) / 999.0).collect();
        values.iter().for_each(|&z| seen.add(z, 1.0));
        let p = exponential(&seen, (degree, squarings), (0.05, 0.01));
        let each = |&z: &f64| (p.eval(z).powi(1 << squarings) - libm::exp(z)).powi(2);
        (values.iter().map(each).sum::<f64>() / 1000.0).sqrt()
    }

    #[test]
    fn degrees_and_squarings_reach_further() {
        for lo in [-4.0, -12.0] {
            let errors = [(2, 0), (2, 1), (2, 2), (4, 2), (8, 2)].map(|(d, k)| error(d, k, lo));
            assert!(errors.is_sorted_by(|a, b| a > b), "{lo}: {errors:?}");
        }
        assert!(error(4, 2, -4.0) < 2e-3 && error(8, 2, -12.0) < 5e-3, "{} {}", error(4, 2, -4.0), error(8, 2, -12.0));
    }

    #[test]
    fn the_slope_is_a_geometric_sum() {
        let (p, r) = (1.5f64, 0.7f64);
        for k in 0..4 {
            assert!((geometric(p, r, k) - (raised(p, k) - raised(r, k)) / (p - r)).abs() < 1e-12);
        }
    }
}
