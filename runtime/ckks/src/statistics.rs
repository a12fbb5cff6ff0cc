//! How precise a result is.

use std::fmt;

/// log2 of the absolute errors between two vectors of slots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrecisionStats {
    /// Smallest error (−∞ when some slot is exact).
    pub log2_min: f64,
    /// Mean error.
    pub log2_mean: f64,
    /// Root of the mean squared error.
    pub log2_std: f64,
    /// Largest error.
    pub log2_max: f64,
}

impl PrecisionStats {
    /// Compare as many values as both vectors have; NaN counts as an infinite error.
    pub fn of(actual: &[f64], expected: &[f64]) -> Self {
        let error = |(a, e): (&f64, &f64)| if a.is_nan() || e.is_nan() { f64::INFINITY } else { (a - e).abs() };
        let errors: Vec<f64> = actual.iter().zip(expected).map(error).collect();
        let count = errors.len().max(1) as f64;
        PrecisionStats {
            log2_min: errors.iter().fold(f64::INFINITY, |m, &e| m.min(e)).log2(),
            log2_mean: (errors.iter().sum::<f64>() / count).log2(),
            log2_std: (errors.iter().map(|e| e * e).sum::<f64>() / count).log2() / 2.0,
            log2_max: errors.iter().fold(0.0f64, |m, &e| m.max(e)).log2(),
        }
    }
}

impl fmt::Display for PrecisionStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PrecisionStats { log2_min, log2_mean, log2_std, log2_max } = self;
        write!(f, "log2 error: min {log2_min:.1}, mean {log2_mean:.1}, rms {log2_std:.1}, max {log2_max:.1}")
    }
}
