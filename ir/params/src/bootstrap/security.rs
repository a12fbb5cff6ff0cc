//! How hard the sparse secret is to find.

use crate::{ERROR_STD_DEV, LogN};
use serde::{Deserialize, Serialize};
use std::f64::consts::{E, PI};
use std::fmt;

/// The security of the switch to the sparse secret, which no table for dense secrets covers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EncapsulationReport {
    /// Ring.
    pub log_n: LogN,
    /// Hamming weight of the sparse secret.
    pub weight: usize,
    /// log2 of q(0)·p, the modulus of everything that is encrypted under it.
    pub log_modulus: f64,
    /// log2 of the operations of the best attack of the estimate.
    pub bits: f64,
}

impl EncapsulationReport {
    /// Estimate the hybrid attack (Howgrave-Graham 2007; Albrecht 2017): guess that k coefficients of the secret hold at
    /// most w of its h ±1, search them by a meet in the middle, and solve for the rest by primal lattice reduction with
    /// BKZ at 2^(0.292β + 16.4)·8d operations (Becker, Ducas, Gama, Laarhoven 2016), divided by the probability that
    /// the guess is right. Rotations of the secret are not counted as further secrets.
    ///
    /// For dense secrets the same estimate gives 130 bits at the bounds of the table for 128. For h = 32 and N = 2^16 it
    /// gives 165 bits at log2(q) = 121, the modulus that Bossuat et al. (2022) use.
    pub fn new(log_n: LogN, weight: usize, log_modulus: f64) -> Self {
        let n = log_n.degree();
        let bits =
            (0..100).map(|i| n * i / 100).map(|k| attack(n, k, weight, log_modulus)).fold(f64::INFINITY, f64::min);
        EncapsulationReport { log_n, weight, log_modulus, bits }
    }

    /// Whether the estimate is above 128 bits, with as much in reserve as the estimate may be too coarse.
    pub fn is_secure(&self) -> bool {
        self.bits >= 128.0 + RESERVE
    }
}

/// Refinements of the attack that the estimate leaves out may save about so many bits.
const RESERVE: f64 = 10.0;

impl fmt::Display for EncapsulationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EncapsulationReport { log_n, weight, log_modulus, bits } = self;
        write!(f, "sparse secret of weight {weight} at N = 2^{log_n}, log2(q) = {log_modulus:.1}: ", log_n = log_n.0)?;
        write!(f, "2^{bits:.0} operations by the estimate of the hybrid attack")?;
        if self.is_secure() { Ok(()) } else { write!(f, ": INSECURE") }
    }
}

/// log2 of the cost when k coefficients are guessed.
fn attack(n: usize, k: usize, h: usize, log_q: f64) -> f64 {
    let rest = n - k;
    let (beta, dimension) = reduction(rest as f64, log_q, h as f64 / n as f64);
    let reduce = 0.292 * beta + 16.4 + libm::log2(8.0 * dimension);
    let (mut probability, mut space, mut best) = (0.0f64, 0.0f64, f64::INFINITY);
    for w in 0..=h.min(k) {
        probability += libm::exp2(log2_choose(k, w) + log2_choose(rest, h - w) - log2_choose(n, h));
        // Both in logarithms: the number of guesses overflows.
        let guesses = log2_choose(k, w) + w as f64;
        space =
            if w == 0 { guesses } else { space.max(guesses) + libm::log2(1.0 + libm::exp2(-(space - guesses).abs())) };
        let search = if w == 0 { 0.0 } else { space / 2.0 + 2.0 * libm::log2(dimension) - 1.0 };
        let both = reduce.max(search) + libm::log2(1.0 + libm::exp2(-(reduce - search).abs()));
        if probability > 0.0 {
            best = best.min(both - libm::log2(probability.min(1.0)));
        }
    }
    best
}

fn log2_choose(n: usize, k: usize) -> f64 {
    if k > n {
        return f64::NEG_INFINITY;
    }
    let ln_factorial = |x: usize| libm::lgamma(x as f64 + 1.0);
    (ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)) / std::f64::consts::LN_2
}

/// The least block size, and the dimension, for which BKZ finds a secret in `n` unknowns of variance `density`
/// (Alkim, Ducas, Pöppelmann, Schwabe 2016, section 6.3, the secret's part scaled to the size of the error).
fn reduction(n: f64, log_q: f64, density: f64) -> (f64, f64) {
    let log_ratio = libm::log2(ERROR_STD_DEV / density.sqrt());
    let at = |beta: f64| {
        let log_delta = libm::log2(libm::pow(PI * beta, 1.0 / beta) * beta / (2.0 * PI * E)) / (2.0 * (beta - 1.0));
        let best = libm::sqrt(n * (log_q - log_ratio) / log_delta);
        let d = best.clamp(n + 2.0, 2.0 * n + 1.0);
        let log_volume = (log_q * (d - n - 1.0) + log_ratio * n) / d;
        let is_found =
            libm::log2(beta) / 2.0 + libm::log2(ERROR_STD_DEV) <= (2.0 * beta - d - 1.0) * log_delta + log_volume;
        (is_found, d)
    };
    let (mut low, mut high) = (50.0, 20000.0);
    while high - low > 1.0 {
        let middle = ((low + high) / 2.0f64).floor();
        if at(middle).0 {
            high = middle;
        } else {
            low = middle;
        }
    }
    (high, at(high).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_table_for_dense_secrets() {
        for (log_n, log_q) in [(15, 868.0), (16, 1747.0)] {
            let n = 1usize << log_n;
            let (beta, d) = reduction(n as f64, log_q, 2.0 / 3.0);
            let bits = 0.292 * beta + 16.4 + libm::log2(8.0 * d);
            assert!((128.0..133.0).contains(&bits), "2^{log_n}: {bits}");
        }
    }

    #[test]
    fn a_larger_modulus_or_a_smaller_weight_is_weaker() {
        let bits = |log_n, h, q| EncapsulationReport::new(LogN(log_n), h, q).bits;
        assert!(bits(16, 32, 100.0) > bits(16, 32, 121.0) && bits(16, 32, 121.0) > 160.0);
        assert!(bits(15, 32, 100.0) > bits(15, 16, 100.0) && bits(15, 32, 100.0) > bits(14, 32, 100.0));
        assert!(!EncapsulationReport::new(LogN(10), 32, 100.0).is_secure());
    }
}
