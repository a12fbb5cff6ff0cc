//! Predicted costs that layouts are chosen by.

use hec_ir::Slots;
use hec_ir::cost::{CostTable, LinearShape, RingSize};
use hec_params::{LogN, MAX_LOG_N, MIN_LOG_N, max_log_qp};

/// log2 of a prime that is assumed before parameters are known.
const ASSUMED_PRIME_BITS: f64 = 42.0;

/// How a ciphertext in the middle of a program is expected to look, before levels are known: half of the primes that
/// 128-bit security leaves at this ring degree.
pub fn assumed_ring(slots: Slots) -> RingSize {
    let log_n = slots.0.max(1).ilog2() + 1;
    let secure = LogN(log_n.clamp(MIN_LOG_N.0, MAX_LOG_N.0));
    let primes = (max_log_qp(secure).unwrap_or(ASSUMED_PRIME_BITS) / ASSUMED_PRIME_BITS) as usize;
    let special = (primes / 5).max(1);
    RingSize { log_n, primes: (primes.saturating_sub(special) / 2).max(1), special, digit_size: special }
}

/// The prices of operations on one ciphertext, in seconds of one thread.
#[derive(Clone, Debug)]
pub(crate) struct Prices<'a> {
    pub(crate) costs: &'a CostTable,
    pub(crate) ring: RingSize,
}

impl Prices<'_> {
    /// A linear map, split into baby and giant steps in the cheapest of several ways.
    pub(crate) fn linear(&self, splits: &[LinearShape]) -> f64 {
        let encode = self.costs.encode(&self.ring, self.ring.primes + self.ring.special);
        let cost = |shape: &LinearShape| self.costs.linear_shape(&self.ring, shape) + shape.diagonals as f64 * encode;
        splits.iter().map(cost).fold(f64::INFINITY, f64::min)
    }

    /// A rotation and an addition, one level down.
    pub(crate) fn rotate_and_add(&self) -> f64 {
        let ring = RingSize { primes: self.ring.primes.max(2) - 1, ..self.ring };
        self.costs.key_switch(&ring) + self.costs.addition(&ring)
    }

    /// A product of two ciphertexts.
    pub(crate) fn product(&self) -> f64 {
        self.costs.multiply(&self.ring) + self.costs.key_switch(&self.ring) + self.costs.rescale(&self.ring)
    }

    /// A product with a plaintext and its share of a sum.
    pub(crate) fn term(&self) -> f64 {
        self.costs.encode(&self.ring, self.ring.primes)
            + self.costs.multiply_plain(&self.ring)
            + self.costs.rescale(&self.ring)
            + self.costs.addition(&self.ring)
    }

    /// An addition of a plaintext or a ciphertext.
    pub(crate) fn addition(&self) -> f64 {
        self.costs.encode(&self.ring, self.ring.primes) + self.costs.addition(&self.ring)
    }
}
