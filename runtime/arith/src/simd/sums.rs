//! Sums of products, at four operations a product.
//!
//! A sum of integers a·w is kept in two parts. The upper part H starts at C = 1.5·2^102 and, while |Σ a·w| < 2^101, stays
//! in [2^102, 2^103), where its unit in the last place is 2^50. H' = fma(a, w, H) is then H + a·w rounded to a multiple of
//! 2^50; H' − H is one too, below 2^102, so it is computed exactly, and so is what the rounding lost: the integer
//! l = fma(a, w, −(H' − H)), |l| ≤ 2^49. The lower part L adds up the l.
//!
//! In the end h = H − C is exact, a multiple of 2^50. Its quotient q = round(h·(1/p)) is within 1/2 + |h/p|·2^-52 of h/p, as
//! 1/p and the product are each within 2^-53 of true; with |h| < 2^101, r = h − q·p is an integer of at most p/2 + 2^49,
//! which one fused operation gives exactly. What is left is to reduce r + L, below 2^53 in magnitude for `MOST` products.

use super::field::{Field, Residues};
use crate::Modulus;

/// C.
const START: f64 = 1.5 * TWO_51 * TWO_51;

const TWO_51: f64 = (1u64 << 51) as f64;

/// Products of one sum at most: 12·2^49 from these, 2p/3 < 1.4·2^49 from what L started with and p/2 + 2^49 ≤ 2·2^49 from r
/// are below 16·2^49.
const MOST: f64 = 12.0;

/// How many products of magnitude up to `largest` one sum modulo p has room for; at least 4 if both factors are reduced.
pub(crate) fn products_in_a_sum(m: Modulus, largest: f64) -> usize {
    // The last place of the limit is more than all roundings of H.
    let limit = TWO_51 * (TWO_51 / 2.0) * (1.0 - 2f64.powi(-40));
    // The reduction in the end takes (k·2^49 + 2^49 + 2p) < 2^51·p, which matters for p = 3 only.
    (limit / largest).min(MOST).min(4.0 * m.p - 2.0) as usize
}

/// A sum in two parts.
#[derive(Clone, Copy)]
pub(crate) struct Sum<V> {
    pub(super) high: V,
    pub(super) low: V,
}

/// Sums of products, for any instruction set.
pub(crate) trait Sums: Residues {
    /// A sum that starts at a reduced residue.
    #[inline(always)]
    fn sum(self, start: Self::Vector) -> Sum<Self::Vector> {
        Sum { high: self.splat(START), low: start }
    }

    /// sum + a·w.
    #[inline(always)]
    fn add_product(self, sum: Sum<Self::Vector>, a: Self::Vector, w: Self::Vector) -> Sum<Self::Vector> {
        let high = self.mul_add(a, w, sum.high);
        let lost = self.mul_sub(a, w, self.sub(high, sum.high));
        Sum { high, low: self.add(sum.low, lost) }
    }

    /// The sum, reduced.
    #[inline(always)]
    fn total(self, m: &Field<Self::Vector>, sum: Sum<Self::Vector>) -> Self::Vector {
        let high = self.sub(sum.high, self.splat(START));
        let q = self.round(self.mul(high, m.inverse));
        self.reduce(m, self.add(self.neg_mul_add(q, m.p, high), sum.low))
    }
}
