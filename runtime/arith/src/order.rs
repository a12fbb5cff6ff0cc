//! The evaluation order: which power of the root each element of a transformed limb belongs to.

use hec_params::LogN;

/// Element `i` of a transformed limb is the polynomial's value at ψ^e, with e = `evaluation_exponents(log_n)[i]` and
/// ψ the prime's primitive 2N-th root of unity. The e are all odd numbers below 2N.
///
/// The order is the same for every prime and backend: bit-reversed, with each 64 consecutive elements, seen as an
/// 8×8 matrix, transposed. The transposition is what eight-lane kernels leave behind; undoing it would cost a pass.
pub fn evaluation_exponents(log_n: LogN) -> Vec<u32> {
    let n = log_n.degree();
    let mut exponents = vec![0; n];
    for natural in 0..n {
        exponents[stored_position(natural, n)] = 2 * bit_reverse(natural, log_n.0) as u32 + 1;
    }
    exponents
}

/// Where the element that bit-reversed order has at `natural` is kept.
fn stored_position(natural: usize, n: usize) -> usize {
    if n < 64 {
        return natural;
    }
    let (block, row, column) = (natural & !63, natural >> 3 & 7, natural & 7);
    block | column << 3 | row
}

/// The lowest `bits` bits of `i` in reverse order.
pub(crate) fn bit_reverse(i: usize, bits: u32) -> usize {
    if bits == 0 { 0 } else { i.reverse_bits() >> (usize::BITS - bits) }
}
