//! Element-wise kernels. Operands are reduced, |r| ≤ 2p/3, unless said otherwise; results are.

use super::field::Residues;
use super::instructions::Simd;
use crate::Modulus;

/// The widest vector.
const WIDEST: usize = 8;

/// The first `LANES` elements of a slice that may be shorter, filled up with zeros.
#[inline(always)]
pub(super) fn load_tail<S: Simd>(s: S, src: &[f64]) -> S::Vector {
    let mut full = [0.0; WIDEST];
    full[..src.len()].copy_from_slice(src);
    s.load(&full)
}

#[inline(always)]
pub(super) fn store_tail<S: Simd>(s: S, dst: &mut [f64], v: S::Vector) {
    let mut full = [0.0; WIDEST];
    s.store(&mut full, v);
    dst.copy_from_slice(&full[..dst.len()]);
}

/// A slice in two: whole vectors, and a copy of the rest filled up with zeros to a vector.
struct Padded {
    rest: [f64; WIDEST],
    /// `LANES`, or 0 if nothing is left.
    len: usize,
}

impl Padded {
    #[inline(always)]
    fn new(rest: &[f64], lanes: usize) -> Self {
        let mut padded = [0.0; WIDEST];
        padded[..rest.len()].copy_from_slice(rest);
        Padded { rest: padded, len: rest.len().next_multiple_of(lanes) }
    }
}

// Below, `f` is called in one place only, in a loop over the whole part and the padded rest: a closure called twice may be
// left a function of its own, in which the instructions are not enabled and each would become a call.

/// a = f(a).
#[inline(always)]
fn update<S: Simd>(s: S, a: &mut [f64], f: impl Fn(S::Vector) -> S::Vector) {
    let (whole, rest) = a.split_at_mut(a.len() - a.len() % S::LANES);
    let mut last = Padded::new(rest, S::LANES);
    for a in [whole, &mut last.rest[..last.len]] {
        for x in a.chunks_exact_mut(S::LANES) {
            let v = f(s.load(x));
            s.store(x, v);
        }
    }
    rest.copy_from_slice(&last.rest[..rest.len()]);
}

/// a = f(a, b).
#[inline(always)]
fn update_with<S: Simd>(s: S, a: &mut [f64], b: &[f64], f: impl Fn(S::Vector, S::Vector) -> S::Vector) {
    let at = a.len() - a.len() % S::LANES;
    let ((whole, rest), (b, b_rest)) = (a.split_at_mut(at), b.split_at(at));
    let (mut last, b_last) = (Padded::new(rest, S::LANES), Padded::new(b_rest, S::LANES));
    for (a, b) in [(whole, b), (&mut last.rest[..last.len], &b_last.rest[..b_last.len])] {
        for (x, y) in a.chunks_exact_mut(S::LANES).zip(b.chunks_exact(S::LANES)) {
            let v = f(s.load(x), s.load(y));
            s.store(x, v);
        }
    }
    rest.copy_from_slice(&last.rest[..rest.len()]);
}

/// dst = f(a, b).
#[inline(always)]
fn combine<S: Simd>(s: S, dst: &mut [f64], a: &[f64], b: &[f64], f: impl Fn(S::Vector, S::Vector) -> S::Vector) {
    let at = a.len() - a.len() % S::LANES;
    let ((whole, rest), (a, a_rest), (b, b_rest)) = (dst.split_at_mut(at), a.split_at(at), b.split_at(at));
    let (a_last, b_last) = (Padded::new(a_rest, S::LANES), Padded::new(b_rest, S::LANES));
    let mut last = [0.0; WIDEST];
    let lasts = (&mut last[..a_last.len], &a_last.rest[..a_last.len], &b_last.rest[..b_last.len]);
    for (dst, a, b) in [(whole, a, b), lasts] {
        let operands = a.chunks_exact(S::LANES).zip(b.chunks_exact(S::LANES));
        for (d, (x, y)) in dst.chunks_exact_mut(S::LANES).zip(operands) {
            s.store(d, f(s.load(x), s.load(y)));
        }
    }
    rest.copy_from_slice(&last[..rest.len()]);
}

// Sums and differences: |a ± b| ≤ 4p/3 < 2^51, reduced to just above p/2.

#[inline(always)]
pub(crate) fn add<S: Residues>(s: S, m: Modulus, dst: &mut [f64], a: &[f64], b: &[f64]) {
    let m = s.field(m);
    combine(s, dst, a, b, |x, y| s.reduce(&m, s.add(x, y)));
}

#[inline(always)]
pub(crate) fn add_assign<S: Residues>(s: S, m: Modulus, a: &mut [f64], b: &[f64]) {
    let m = s.field(m);
    update_with(s, a, b, |x, y| s.reduce(&m, s.add(x, y)));
}

#[inline(always)]
pub(crate) fn sub<S: Residues>(s: S, m: Modulus, dst: &mut [f64], a: &[f64], b: &[f64]) {
    let m = s.field(m);
    combine(s, dst, a, b, |x, y| s.reduce(&m, s.sub(x, y)));
}

#[inline(always)]
pub(crate) fn sub_assign<S: Residues>(s: S, m: Modulus, a: &mut [f64], b: &[f64]) {
    let m = s.field(m);
    update_with(s, a, b, |x, y| s.reduce(&m, s.sub(x, y)));
}

// Products: A·B ≤ 4/9, so at most (1/2 + 1/9)p < 2p/3.

#[inline(always)]
pub(crate) fn mul<S: Residues>(s: S, m: Modulus, dst: &mut [f64], a: &[f64], b: &[f64]) {
    let m = s.field(m);
    combine(s, dst, a, b, |x, y| s.mul_mod(&m, x, y));
}

#[inline(always)]
pub(crate) fn mul_assign<S: Residues>(s: S, m: Modulus, a: &mut [f64], b: &[f64]) {
    let m = s.field(m);
    update_with(s, a, b, |x, y| s.mul_mod(&m, x, y));
}

/// By a balanced scalar: at most (1/2 + ε·2/3)p < 0.57p.
#[inline(always)]
pub(crate) fn mul_scalar_assign<S: Residues>(s: S, m: Modulus, a: &mut [f64], w: f64) {
    let (w, m) = (s.splat(m.balanced(w)), s.field(m));
    let w = s.factor(&m, w);
    update(s, a, |x| s.mul_factor(&m, x, w));
}

/// The sum before its reduction is at most (2/3 + 0.57)p.
#[inline(always)]
pub(crate) fn mul_scalar_add_assign<S: Residues>(s: S, m: Modulus, acc: &mut [f64], a: &[f64], w: f64) {
    let (w, m) = (s.splat(m.balanced(w)), s.field(m));
    let w = s.factor(&m, w);
    update_with(s, acc, a, |sum, x| s.reduce(&m, s.add(sum, s.mul_factor(&m, x, w))));
}

/// The difference is at most 4p/3, the result at most (1/2 + ε·4/3)p < 0.63p.
#[inline(always)]
pub(crate) fn sub_mul_scalar_assign<S: Residues>(s: S, m: Modulus, a: &mut [f64], b: &[f64], w: f64) {
    let (w, m) = (s.splat(m.balanced(w)), s.field(m));
    let w = s.factor(&m, w);
    update_with(s, a, b, |x, y| s.mul_factor(&m, s.sub(x, y), w));
}

/// Any |a| ≤ 2^53 with |a| < 2^51·p.
#[inline(always)]
pub(crate) fn reduce_assign<S: Residues>(s: S, m: Modulus, a: &mut [f64]) {
    let m = s.field(m);
    update(s, a, |x| s.reduce(&m, x));
}

/// One division step for an integer of any magnitude. The quotient q is an integer with 53 bits, within 2u·|q| + 1/2 of a/p,
/// so a − q·p has magnitude at most p/2 + 2u·|a|; it is a multiple of q's last place, so the fused operation is exact.
#[inline(always)]
pub(crate) fn embed_reduce<S: Simd>(s: S, m: Modulus, a: &mut [f64]) {
    let (p, inverse) = (s.splat(m.p), s.splat(m.inverse));
    update(s, a, |x| s.neg_mul_add(s.round(s.mul(x, inverse)), p, x));
}

/// What `embed_f64` must know of its input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Survey {
    /// The largest |a|.
    pub(crate) magnitude: f64,
    /// 0 if every value is a finite integer; otherwise positive or NaN.
    pub(crate) defect: f64,
}

#[inline(always)]
pub(crate) fn survey<S: Simd>(s: S, a: &[f64]) -> Survey {
    let (mut magnitude, mut defect) = (s.splat(0.0), s.splat(0.0));
    let chunks = a.chunks_exact(S::LANES);
    let tail = load_tail(s, chunks.remainder());
    // The tail is looked at last, in the same way.
    for i in 0..=chunks.len() {
        let x = if i < chunks.len() { s.load(&a[i * S::LANES..]) } else { tail };
        magnitude = s.max(magnitude, s.abs(x));
        // Infinity minus itself is NaN, which stays in the sum.
        defect = s.add(defect, s.abs(s.sub(x, s.round(x))));
    }
    let (mut magnitudes, mut defects) = ([0.0; WIDEST], [0.0; WIDEST]);
    s.store(&mut magnitudes, magnitude);
    s.store(&mut defects, defect);
    Survey { magnitude: magnitudes.into_iter().fold(0.0, f64::max), defect: defects.into_iter().sum() }
}
