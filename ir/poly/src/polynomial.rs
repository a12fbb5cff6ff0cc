//! Bases, and evaluation in clear.

use serde::{Deserialize, Serialize};

/// A basis of the polynomials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// 1, x, x², …
    Monomial,
    /// T₀, T₁, T₂, …: T_k(cos θ) = cos kθ, for arguments in [−1, 1].
    Chebyshev,
}

/// The value at `x` of the polynomial with these coefficients, constant term first: Horner, or Clenshaw's recurrence for Chebyshev.
pub fn evaluate(basis: Basis, coefficients: &[f64], x: f64) -> f64 {
    match basis {
        Basis::Monomial => coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c),
        Basis::Chebyshev => {
            let (mut b1, mut b2) = (0.0, 0.0);
            for &c in coefficients.iter().skip(1).rev() {
                (b1, b2) = (2.0 * x * b1 - b2 + c, b1);
            }
            x * b1 - b2 + coefficients.first().copied().unwrap_or(0.0)
        }
    }
}
