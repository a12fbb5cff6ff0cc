//! Polynomials in a basis.

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

/// A polynomial by its coefficients, constant term first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Polynomial {
    /// The basis.
    pub basis: Basis,
    /// The coefficients; never empty.
    pub coefficients: Vec<f64>,
}

impl Polynomial {
    /// From coefficients, constant term first.
    pub fn new(basis: Basis, coefficients: Vec<f64>) -> Self {
        Polynomial { basis, coefficients }
    }

    /// Number of coefficients minus one.
    pub fn degree(&self) -> usize {
        self.coefficients.len().saturating_sub(1)
    }

    /// The value at `x`.
    pub fn eval(&self, x: f64) -> f64 {
        evaluate(self.basis, &self.coefficients, x)
    }
}

/// The value at `x`: Horner, or Clenshaw's recurrence for Chebyshev.
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
