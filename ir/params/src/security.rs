//! The security table.

use crate::{LogN, Scale};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Standard deviation of the error distribution.
pub const ERROR_STD_DEV: f64 = 3.19;
/// The smallest ring that is offered.
pub const MIN_LOG_N: LogN = LogN(12);
/// The largest ring that is offered.
pub const MAX_LOG_N: LogN = LogN(17);

/// The largest log2(QP) at 128-bit classical security for a uniform ternary secret and σ = 3.19.
///
/// Source: Security Guidelines for Implementing Homomorphic Encryption (Bossuat et al., 2024), table for ternary
/// secrets. `None` for rings that the table does not hold.
pub fn max_log_qp(log_n: LogN) -> Option<f64> {
    match log_n.0 {
        10 => Some(26.0),
        11 => Some(53.0),
        12 => Some(106.0),
        13 => Some(214.0),
        14 => Some(430.0),
        15 => Some(868.0),
        16 => Some(1747.0),
        17 => Some(3523.0),
        _ => None,
    }
}

/// What the security of a parameter set rests on; its text form is the security line of every report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityReport {
    /// Ring.
    pub log_n: LogN,
    /// log2 of the product of all primes, special ones included.
    pub log_qp: f64,
    /// The table's bound at 128 bits; `None` when the ring is not in the table.
    pub max_log_qp: Option<f64>,
    /// Whether the set was asked for with `insecure_toy`, so that the bound was not enforced.
    pub insecure_toy: bool,
}

impl SecurityReport {
    /// Whether the set meets the 128-bit bound.
    pub fn is_secure(&self) -> bool {
        self.max_log_qp.is_some_and(|max| self.log_qp <= max)
    }
}

impl fmt::Display for SecurityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = self.max_log_qp.map_or("no table entry".to_owned(), |m| format!("at most {m} for 128 bits"));
        write!(
            f,
            "N = 2^{}, log2(QP) = {:.1} ({bound}), uniform ternary secret, sigma = {ERROR_STD_DEV}",
            self.log_n.0, self.log_qp
        )?;
        if self.insecure_toy {
            write!(f, ": INSECURE (toy parameters)")
        } else {
            write!(f, ": 128-bit classical security")
        }
    }
}

/// log2 of a product of primes.
pub(crate) fn log2_product<'a>(primes: impl IntoIterator<Item = &'a u64>) -> f64 {
    primes.into_iter().map(|&p| Scale(p as f64).log2()).sum()
}
