//! The parameter sets that libraries are compared at.

use hec_params::{ChainRequest, Depth, LogN};

/// A parameter set with the name that it has in comparisons.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceSet {
    /// Ring, depth and, where it is not 40, the bits of the scale.
    pub name: &'static str,
    /// What it asks for: the digits are the fastest that 128-bit security leaves room for.
    pub request: ChainRequest,
}

/// One set for each ring from 2^13 to 2^16, with about as many levels as 128-bit security allows.
pub const REFERENCE_SETS: [ReferenceSet; 4] = [
    set("n13_d2", 13, 2, 40.0, 1),
    set("n14_d7", 14, 7, 40.0, 2),
    set("n15_d14_s45", 15, 14, 45.0, 4),
    set("n16_d28_s45", 16, 28, 45.0, 8),
];

const fn set(name: &'static str, log_n: u32, depth: u32, scale_bits: f64, digit_size: usize) -> ReferenceSet {
    // The largest that is one prime.
    let base_bits = 49.0;
    let (log_n, depth) = (LogN(log_n), Depth(depth));
    ReferenceSet {
        name,
        request: ChainRequest { log_n, depth, scale_bits, base_bits, digit_size, insecure_toy: false },
    }
}
