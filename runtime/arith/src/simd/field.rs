//! Modular arithmetic on vectors, with the bounds that keep it exact.
//!
//! Write B for the magnitude of an operand in units of p, p < 2^50, and u = 2^-53 for half a unit in the last place.
//! A residue operation is exact if its quotient q is an integer of magnitude below 2^51, so that adding and subtracting
//! 1.5·2^52 rounds it, and its result an integer below 2^53: h − q·p + l is then computed without rounding, because
//! h − q·p is an integer within |l| ≤ 2^49 of the result.

use super::instructions::Simd;
use crate::Modulus;
use crate::modulus::ROUND;

/// A modulus in every lane.
#[derive(Clone, Copy)]
pub(crate) struct Field<V> {
    pub(super) p: V,
    pub(super) inverse: V,
    round: V,
}

/// A constant factor w, |w| ≤ p/2, and w/p.
#[derive(Clone, Copy)]
pub(crate) struct Factor<V> {
    w: V,
    quotient: V,
}

/// Modular arithmetic, for any instruction set.
pub(crate) trait Residues: Simd {
    #[inline(always)]
    fn field(self, m: Modulus) -> Field<Self::Vector> {
        Field { p: self.splat(m.p), inverse: self.splat(m.inverse), round: self.splat(ROUND) }
    }

    /// Takes |a| ≤ B·p < 2^53 with B < 2^51; gives (1/2 + B·2^-53)·p, as 1/p is within u of true.
    #[inline(always)]
    fn reduce(self, m: &Field<Self::Vector>, a: Self::Vector) -> Self::Vector {
        let q = self.sub(self.mul_add(a, m.inverse, m.round), m.round);
        self.neg_mul_add(q, m.p, a)
    }

    /// Prepares a factor. Its quotient is within u/2 (from 1/p) + u/4 (from the product) of w/p, as |w/p| < 1/2.
    #[inline(always)]
    fn factor(self, m: &Field<Self::Vector>, w: Self::Vector) -> Factor<Self::Vector> {
        Factor { w, quotient: self.mul(w, m.inverse) }
    }

    /// a·w. Takes |a| ≤ B·p with |a| < 2^52, that is B < 4 for every p < 2^50.
    /// Gives (1/2 + ε·B)·p, where ε = p·3u/4 < 3/32 is the error of the quotient times p.
    #[inline(always)]
    fn mul_factor(self, m: &Field<Self::Vector>, a: Self::Vector, f: Factor<Self::Vector>) -> Self::Vector {
        let q = self.sub(self.mul_add(a, f.quotient, m.round), m.round);
        let h = self.mul(a, f.w);
        let l = self.mul_sub(a, f.w, h);
        self.add(self.neg_mul_add(q, m.p, h), l)
    }

    /// a·w for a factor that serves one vector, without its quotient: a multiplication fewer, a longer chain.
    /// As `mul_factor`, with p·u < 1/8 for ε.
    #[inline(always)]
    fn mul_once(self, m: &Field<Self::Vector>, a: Self::Vector, f: Factor<Self::Vector>) -> Self::Vector {
        self.mul_mod(m, a, f.w)
    }

    /// a·b. Takes |a| ≤ A·p, |b| ≤ B·p with A·B < 2; gives (1/2 + A·B/4)·p, since a·b and 1/p are each within u of true.
    #[inline(always)]
    fn mul_mod(self, m: &Field<Self::Vector>, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        let h = self.mul(a, b);
        let l = self.mul_sub(a, b, h);
        let q = self.sub(self.mul_add(h, m.inverse, m.round), m.round);
        self.add(self.neg_mul_add(q, m.p, h), l)
    }
}
