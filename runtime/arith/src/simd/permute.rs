//! The kernels of automorphisms, block by block.

use super::field::Residues;
use super::instructions::Simd;
use crate::Modulus;
use crate::automorphism::{BLOCK, Permutation};

/// How many blocks ahead sources are fetched: they come in no order that a processor foresees.
const AHEAD: usize = 4;

/// Elements of a line of the cache.
const LINE: usize = 8;

/// dst = φ(a), of whole blocks.
#[inline(always)]
pub(crate) fn permute<S: Simd>(s: S, permutation: &Permutation, dst: &mut [f64], a: &[f64]) {
    let a = a.as_chunks::<BLOCK>().0;
    let mut table = TABLE;
    for (i, dst) in dst.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
        fetch(s, permutation, i + AHEAD, a);
        table[..BLOCK].copy_from_slice(&a[permutation.source(i)]);
        rearrange(permutation.pattern(i), dst, &table);
    }
}

/// dst = φ((a − b)·w), of whole blocks. The difference is at most 4p/3, the result at most (1/2 + ε·4/3)p < 0.63p.
#[inline(always)]
pub(crate) fn sub_mul_scalar_permute<S: Residues>(
    s: S,
    m: Modulus,
    permutation: &Permutation,
    dst: &mut [f64],
    (a, b, w): (&[f64], &[f64], f64),
) {
    let (w, m) = (s.splat(m.balanced(w)), s.field(m));
    let w = s.factor(&m, w);
    let (a, b) = (a.as_chunks::<BLOCK>().0, b.as_chunks::<BLOCK>().0);
    let mut table = TABLE;
    for (i, dst) in dst.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
        fetch(s, permutation, i + AHEAD, a);
        fetch(s, permutation, i + AHEAD, b);
        let (a, b) = (&a[permutation.source(i)], &b[permutation.source(i)]);
        let operands = a.chunks_exact(S::LANES).zip(b.chunks_exact(S::LANES));
        for (product, (x, y)) in table[..BLOCK].chunks_exact_mut(S::LANES).zip(operands) {
            s.store(product, s.mul_factor(&m, s.sub(s.load(x), s.load(y)), w));
        }
        rearrange(permutation.pattern(i), dst, &table);
    }
}

/// A block that any byte is an index of, which spares the check of every index.
const TABLE: [f64; 256] = [0.0; 256];

/// Asks for what block `i` comes from.
#[inline(always)]
fn fetch<S: Simd>(s: S, permutation: &Permutation, i: usize, src: &[[f64; BLOCK]]) {
    if i < src.len() {
        src[permutation.source(i)].chunks(LINE).for_each(|line| s.prefetch(line));
    }
}

#[inline(always)]
fn rearrange(pattern: &[u8; BLOCK], dst: &mut [f64; BLOCK], table: &[f64; 256]) {
    for (d, &i) in dst.iter_mut().zip(pattern) {
        *d = table[usize::from(i)];
    }
}
