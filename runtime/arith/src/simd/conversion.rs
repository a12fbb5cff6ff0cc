//! The kernel of base conversion.

use super::field::Residues;
use crate::conversion::{BaseConverter, Target};

/// Coefficients converted at a time: the scratch of 20 source primes then fits in the first-level cache.
pub(crate) const CONVERSION_BLOCK: usize = 128;

/// Vectors converted together, to hide the latency of a product.
const INTERLEAVED: usize = 8;

/// Residues added between two reductions: at most 8·0.6q + 0.6q < 2^53.
const LAZY_TERMS: usize = 8;

/// Converts block by block. `scratch` holds y_i for each source prime, then v: (sources + 1) blocks.
#[inline(always)]
pub(crate) fn convert<S: Residues>(
    s: S,
    c: &BaseConverter,
    src: &[&[f64]],
    dst: &mut [&mut [f64]],
    scratch: &mut [f64],
) {
    let n = src[0].len();
    for start in (0..n).step_by(CONVERSION_BLOCK) {
        let end = n.min(start + CONVERSION_BLOCK);
        let len = (end - start).next_multiple_of(INTERLEAVED * S::LANES);
        decompose(s, c, src, start..end, scratch);
        for (target, limb) in c.to.iter().zip(dst.iter_mut()) {
            // Only the last block of an odd-sized limb needs padding.
            let out = &mut limb[start..end];
            if out.len() == len {
                recombine(s, target, scratch, out);
            } else {
                let mut padded = [0.0; CONVERSION_BLOCK];
                recombine(s, target, scratch, &mut padded[..len]);
                out.copy_from_slice(&padded[..end - start]);
            }
        }
    }
}

/// y_i = x_i·(P/p_i)^-1 mod p_i, |y_i| ≤ 0.57p_i, and v = round(Σ y_i/p_i), |v| ≤ 0.57·sources + 1.
#[inline(always)]
fn decompose<S: Residues>(s: S, c: &BaseConverter, src: &[&[f64]], range: std::ops::Range<usize>, scratch: &mut [f64]) {
    let (y, v) = scratch.split_at_mut(src.len() * CONVERSION_BLOCK);
    v.fill(0.0);
    for ((source, limb), y) in c.from.iter().zip(src).zip(y.chunks_exact_mut(CONVERSION_BLOCK)) {
        let m = s.field(source.modulus);
        let w = s.factor(&m, s.splat(source.inverse_cofactor));
        let inverse = s.splat(source.modulus.inverse);
        y[..range.len()].copy_from_slice(&limb[range.clone()]);
        for (y, v) in y.chunks_exact_mut(S::LANES).zip(v.chunks_exact_mut(S::LANES)) {
            let residue = s.mul_factor(&m, s.load(y), w);
            s.store(y, residue);
            let sum = s.mul_add(residue, inverse, s.load(v));
            s.store(v, sum);
        }
    }
    for v in v.chunks_exact_mut(S::LANES) {
        let rounded = s.round(s.load(v));
        s.store(v, rounded);
    }
}

/// Σ y_i·(P/p_i) − v·P mod q.
///
/// Here |y_i| < 2^50 may exceed q, yet the quotient |y_i·w/q| ≤ |y_i|/2 < 2^51 and its error, |y_i|·3u/4 < 1/16, are
/// as if it did not: each term is at most 0.6q.
#[inline(always)]
fn recombine<S: Residues>(s: S, target: &Target, scratch: &[f64], out: &mut [f64]) {
    let m = s.field(target.modulus);
    let (y, v) = scratch.split_at(target.cofactors.len() * CONVERSION_BLOCK);
    let width = INTERLEAVED * S::LANES;
    for (start, out) in (0..out.len()).step_by(width).zip(out.chunks_exact_mut(width)) {
        let w = s.factor(&m, s.splat(target.minus_product));
        let mut sums = [s.splat(0.0); INTERLEAVED];
        for (v, sum) in v[start..].chunks_exact(S::LANES).zip(&mut sums) {
            *sum = s.mul_factor(&m, s.load(v), w);
        }
        for (ys, ws) in y.chunks(LAZY_TERMS * CONVERSION_BLOCK).zip(target.cofactors.chunks(LAZY_TERMS)) {
            for (y, &w) in ys.chunks_exact(CONVERSION_BLOCK).zip(ws) {
                let w = s.factor(&m, s.splat(w));
                for (y, sum) in y[start..start + width].chunks_exact(S::LANES).zip(&mut sums) {
                    *sum = s.add(*sum, s.mul_factor(&m, s.load(y), w));
                }
            }
            for sum in &mut sums {
                *sum = s.reduce(&m, *sum);
            }
        }
        for (out, sum) in out.chunks_exact_mut(S::LANES).zip(sums) {
            s.store(out, sum);
        }
    }
}
