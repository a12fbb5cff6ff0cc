//! How far a raised ciphertext overflows: the distribution behind the failure probability of a bootstrap.
//!
//! Raising a ciphertext (c0, c1) from q to a larger modulus leaves m + q·I, where a coefficient of I is the rounded
//! sum of c0/q and of h coefficients of ±c1/q, for a secret with h coefficients ±1. Those are uniform in [−1/2, 1/2],
//! so that the sum of n = h + 1 of them has the Irwin–Hall distribution (Bossuat, Troncoso-Pastoriza, Hubaux 2022,
//! section 3.2).

/// The density at `x` of the sum of `n` uniform variables in [0, 1].
///
/// By the recurrence of B-splines, (n−1)·f_n(x) = x·f_{n−1}(x) + (n−x)·f_{n−1}(x−1) (de Boor 1972): all terms are
/// positive, so that tails of 2^-1000 are as exact as the middle.
fn irwin_hall_density(n: usize, x: f64) -> f64 {
    if !(0.0..n as f64).contains(&x) {
        return 0.0;
    }
    // f_1 at x, x − 1, …, of which only one is not zero.
    let mut density: Vec<f64> = (0..n).map(|k| f64::from(u8::from((0.0..1.0).contains(&(x - k as f64))))).collect();
    for m in 2..=n {
        for k in 0..=n - m {
            let y = x - k as f64;
            density[k] = (y * density[k] + (m as f64 - y) * density[k + 1]) / (m - 1) as f64;
        }
    }
    density[0]
}

/// The probability that a coefficient of I is `overflow`, for a secret of Hamming weight `weight`.
pub fn overflow_probability(weight: usize, overflow: i64) -> f64 {
    // Rounding adds one more uniform variable.
    let n = weight + 2;
    irwin_hall_density(n, n as f64 / 2.0 - overflow.unsigned_abs() as f64)
}

/// log2 of a bound on the probability that any of `coefficients` coefficients of I exceeds `bound` in magnitude: the
/// sum over the coefficients, which need not be independent.
pub fn log2_failure(weight: usize, bound: u32, coefficients: usize) -> f64 {
    let beyond = i64::from(bound) + 1..=weight as i64;
    let tail: f64 = beyond.map(|i| overflow_probability(weight, i)).sum();
    libm::log2(2.0 * coefficients as f64 * tail)
}

/// The least bound whose failure probability is at most 2^`log2_failure`.
pub fn overflow_bound(weight: usize, coefficients: usize, log2_at_most: f64) -> u32 {
    (1..weight as u32).find(|&bound| log2_failure(weight, bound, coefficients) <= log2_at_most).unwrap_or(weight as u32)
}

/// The distribution of an overflow up to the bound that is corrected.
#[derive(Clone, Debug)]
pub(super) struct Overflow {
    pub bound: u32,
    /// Of 0, 1, …, the bound, of either sign.
    probabilities: Vec<f64>,
}

impl Overflow {
    pub fn new(weight: usize, coefficients: usize, log2_at_most: f64) -> Self {
        let bound = overflow_bound(weight, coefficients, log2_at_most);
        let probabilities = (0..=i64::from(bound)).map(|i| overflow_probability(weight, i)).collect();
        Overflow { bound, probabilities }
    }

    /// The expected value of a function of the overflow.
    pub fn mean(&self, f: impl Fn(f64) -> f64) -> f64 {
        let both = |(i, p): (usize, &f64)| if i == 0 { p * f(0.0) } else { p * (f(i as f64) + f(-(i as f64))) };
        self.probabilities.iter().enumerate().map(both).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probability() {
        for weight in [1, 2, 32, 64] {
            let all: f64 = (-(weight as i64) - 1..=weight as i64 + 1).map(|i| overflow_probability(weight, i)).sum();
            assert!((all - 1.0).abs() < 1e-12, "{weight}: {all}");
        }
        // Two uniform variables, rounded: the triangle on [−1, 1] has 3/4 within 1/2.
        assert!((overflow_probability(1, 0) - 0.75).abs() < 1e-15);
    }

    #[test]
    fn the_tail_is_that_of_the_closed_formula() {
        // At the outermost unit, the Irwin–Hall distribution of 33 variables is x^33/33!.
        let log2_factorial: f64 = (1..=33).map(|k| f64::from(k).log2()).sum();
        assert!((log2_failure(32, 15, 1 << 16) - (17.0 - log2_factorial)).abs() < 1e-9);
        assert_eq!(overflow_bound(32, 1 << 16, -100.0), 15);
    }
}
