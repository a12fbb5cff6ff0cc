//! Random polynomials: secrets, errors and the uniform halves of keys and ciphertexts.
//!
//! Every sampler is a function of the generator's stream alone, so that a seed gives the same values on every machine.

use crate::{ArithError, Modulus};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;

/// `n` independent values, each −1, 0 or 1 with probability 1/3.
pub fn ternary(rng: &mut ChaCha20Rng, n: usize) -> Vec<i8> {
    let mut values = Vec::with_capacity(n);
    while values.len() < n {
        let mut word = rng.next_u64();
        for _ in 0..32 {
            let digit = (word & 3) as i8;
            word >>= 2;
            if digit < 3 && values.len() < n {
                values.push(digit - 1);
            }
        }
    }
    values
}

/// `n` independent values of the discrete Gaussian over the integers with standard deviation `sigma`, cut off at 6·`sigma`.
///
/// By inversion of the cumulative distribution, scanning the whole table, so that the time does not depend on the values.
///
/// # Errors
/// If `sigma` is not in (0, 1024].
pub fn gaussian(rng: &mut ChaCha20Rng, n: usize, sigma: f64) -> Result<Vec<i32>, ArithError> {
    if !(sigma > 0.0 && sigma <= 1024.0) {
        return Err(ArithError::StandardDeviation(sigma));
    }
    let cumulative = cumulative_gaussian(sigma);
    let bound = (cumulative.len() / 2) as i32;
    let sample = |_| {
        let u = rng.next_u64() >> 11;
        cumulative.iter().map(|&c| i32::from(c <= u)).sum::<i32>() - bound
    };
    Ok((0..n).map(sample).collect())
}

/// For k = −b..b−1, with b = ⌊6σ⌋ the largest magnitude: 2^53·P(X ≤ k).
fn cumulative_gaussian(sigma: f64) -> Vec<u64> {
    let bound = (6.0 * sigma).floor() as i64;
    let weight = |k: i64| (-((k * k) as f64) / (2.0 * sigma * sigma)).exp();
    let total: f64 = (-bound..=bound).map(weight).sum();
    let mut sum = 0.0;
    let cumulative = (-bound..bound).map(|k| {
        sum += weight(k);
        (sum / total * (1u64 << 53) as f64).round() as u64
    });
    cumulative.collect()
}

/// Fills a limb with independent, exactly uniform residues.
///
/// By multiplication with rejection (Lemire, ACM TOMACS 2019): unbiased, and nearly always one word a residue.
pub fn uniform(m: Modulus, rng: &mut ChaCha20Rng, limb: &mut [f64]) {
    let p = m.value();
    let rejected_below = p.wrapping_neg() % p;
    for r in limb {
        let product = loop {
            let product = rng.next_u64() as u128 * p as u128;
            if product as u64 >= rejected_below {
                break product;
            }
        };
        *r = m.balance((product >> 64) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::SeedableRng;

    #[test]
    fn ternary_values_are_equally_likely() {
        let values = ternary(&mut ChaCha20Rng::seed_from_u64(1), 30_000);
        assert_eq!(values.len(), 30_000);
        for v in -1..=1 {
            let count = values.iter().filter(|&&x| x == v).count() as f64;
            assert!((count - 10_000.0).abs() < 5.0 * (30_000.0f64 * 2.0 / 9.0).sqrt(), "{v}: {count}");
        }
    }

    #[test]
    fn gaussian_has_its_moments() {
        let n = 200_000;
        let sigma = 3.19;
        let values = gaussian(&mut ChaCha20Rng::seed_from_u64(2), n, sigma).unwrap();
        let mean = values.iter().map(|&x| x as f64).sum::<f64>() / n as f64;
        let variance = values.iter().map(|&x| (x as f64).powi(2)).sum::<f64>() / n as f64;
        assert!(mean.abs() < 5.0 * sigma / (n as f64).sqrt(), "mean {mean}");
        assert!((variance / (sigma * sigma) - 1.0).abs() < 5.0 * (2.0 / n as f64).sqrt(), "variance {variance}");
        assert!(values.iter().all(|x| x.abs() <= 19));
    }

    #[test]
    fn gaussian_refuses_bad_deviations() {
        for sigma in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert!(gaussian(&mut ChaCha20Rng::seed_from_u64(3), 1, sigma).is_err());
        }
    }

    #[test]
    fn uniform_is_a_function_of_the_seed() {
        let m = Modulus::new(1125899906826241);
        let mut limb = [0.0; 4];
        uniform(m, &mut ChaCha20Rng::from_seed([7; 32]), &mut limb);
        // Computed from the key stream of RFC 8439. Fixed for ever: stored keys hold seeds.
        assert_eq!(limb.map(|r| m.to_u64(r)), [290110702473674, 494672031173993, 385575728405659, 1010406359028001]);
    }

    #[test]
    fn uniform_hits_every_residue_of_a_small_modulus() {
        let m = Modulus::new(17);
        let mut limb = vec![0.0; 17 * 2000];
        uniform(m, &mut ChaCha20Rng::seed_from_u64(4), &mut limb);
        for v in -8..=8 {
            let count = limb.iter().filter(|&&r| r == v as f64).count() as f64;
            assert!((count - 2000.0).abs() < 5.0 * 2000f64.sqrt(), "{v}: {count}");
        }
    }
}
