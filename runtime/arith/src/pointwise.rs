//! Element-wise arithmetic on limbs of one prime. Slices of one call have one length; residues are reduced.
//!
//! Every function panics if its slices differ in length.

use crate::{Modulus, simd};

fn same_length(lengths: &[usize]) {
    assert!(lengths.windows(2).all(|w| w[0] == w[1]), "limbs of one length, not {lengths:?}");
}

/// dst = a + b.
pub fn add(m: Modulus, dst: &mut [f64], a: &[f64], b: &[f64]) {
    same_length(&[dst.len(), a.len(), b.len()]);
    simd::add(m, dst, a, b);
}

/// a += b.
pub fn add_assign(m: Modulus, a: &mut [f64], b: &[f64]) {
    same_length(&[a.len(), b.len()]);
    simd::add_assign(m, a, b);
}

/// dst = a − b.
pub fn sub(m: Modulus, dst: &mut [f64], a: &[f64], b: &[f64]) {
    same_length(&[dst.len(), a.len(), b.len()]);
    simd::sub(m, dst, a, b);
}

/// a −= b.
pub fn sub_assign(m: Modulus, a: &mut [f64], b: &[f64]) {
    same_length(&[a.len(), b.len()]);
    simd::sub_assign(m, a, b);
}

/// dst = −a. Needs no modulus: a balanced residue is negated by its sign.
pub fn neg(dst: &mut [f64], a: &[f64]) {
    same_length(&[dst.len(), a.len()]);
    for (d, &x) in dst.iter_mut().zip(a) {
        *d = 0.0 - x;
    }
}

/// a = −a.
pub fn neg_assign(a: &mut [f64]) {
    for x in a {
        *x = 0.0 - *x;
    }
}

/// dst = a·b.
pub fn mul(m: Modulus, dst: &mut [f64], a: &[f64], b: &[f64]) {
    same_length(&[dst.len(), a.len(), b.len()]);
    simd::mul(m, dst, a, b);
}

/// a *= b.
pub fn mul_assign(m: Modulus, a: &mut [f64], b: &[f64]) {
    same_length(&[a.len(), b.len()]);
    simd::mul_assign(m, a, b);
}

/// dst = Σ a·b over all pairs.
pub fn sum_of_products(m: Modulus, dst: &mut [f64], pairs: &[(&[f64], &[f64])]) {
    for (a, b) in pairs {
        same_length(&[dst.len(), a.len(), b.len()]);
    }
    match pairs {
        [(a, b)] => simd::mul(m, dst, a, b),
        _ => simd::sum_of_products(m, dst, pairs),
    }
}

/// dst\[i\] = Σ a·b\[i\] over all terms (a, b), plus limb·w for an addend (limb, w) with a reduced residue w: the two
/// halves of a key switch, which share the digits a.
pub fn inner_products(
    m: Modulus,
    dst: [&mut [f64]; 2],
    terms: &[(&[f64], [&[f64]; 2])],
    addends: [Option<(&[f64], f64)>; 2],
) {
    let n = dst[0].len();
    same_length(&[n, dst[1].len()]);
    for (a, [b, c]) in terms {
        same_length(&[n, a.len(), b.len(), c.len()]);
    }
    for (limb, _) in addends.iter().flatten() {
        same_length(&[n, limb.len()]);
    }
    simd::inner_products(m, dst, terms, addends);
}

/// acc\[i\] += Σ a·b\[i\] over all terms (a, b). An `a` that is shorter by a power of two r stands for one in which each
/// eight of its values are repeated r times: the transform of a polynomial in a power of X
/// ([`evaluation_exponents`](crate::evaluation_exponents)).
pub fn add_inner_products(m: Modulus, acc: [&mut [f64]; 2], terms: &[(&[f64], [&[f64]; 2])]) {
    let n = acc[0].len();
    same_length(&[n, acc[1].len()]);
    for (a, [b, c]) in terms {
        same_length(&[n, b.len(), c.len()]);
        let repeats = n / a.len().max(1);
        let is_short = a.len().is_multiple_of(8) && repeats * a.len() == n && repeats.is_power_of_two();
        assert!(a.len() == n || is_short, "{} values stand for {n}", a.len());
    }
    simd::add_inner_products(m, acc, terms);
}

/// a *= w, for one reduced residue w.
pub fn mul_scalar_assign(m: Modulus, a: &mut [f64], w: f64) {
    simd::mul_scalar_assign(m, a, w);
}

/// acc += a·w, for one reduced residue w.
pub fn mul_scalar_add_assign(m: Modulus, acc: &mut [f64], a: &[f64], w: f64) {
    same_length(&[acc.len(), a.len()]);
    simd::mul_scalar_add_assign(m, acc, a, w);
}

/// a = (a − b)·w, for one reduced residue w: the step of a rescale.
pub fn sub_mul_scalar_assign(m: Modulus, a: &mut [f64], b: &[f64], w: f64) {
    same_length(&[a.len(), b.len()]);
    simd::sub_mul_scalar_assign(m, a, b, w);
}

/// Reduces exact integers of magnitude at most 2^53, and below 2^51·p.
pub fn reduce_assign(m: Modulus, a: &mut [f64]) {
    simd::reduce_assign(m, a);
}
