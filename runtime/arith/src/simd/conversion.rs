//! The kernel of base conversion.

use super::field::Field;
use super::pointwise::load_tail;
use super::sums::Sums;
use crate::conversion::{Source, Target};
use std::ops::Range;

/// Coefficients converted at a time: with a dozen source primes they fit in the first-level cache.
pub(crate) const CONVERSION_BLOCK: usize = 256;

/// Elements of a line of the cache.
const LINE: usize = 8;

/// Vectors converted together, to hide the latency of a sum: as many as have both parts in 16 registers.
const INTERLEAVED: usize = 4;

/// Converts block by block. `scratch` holds y_i for each source prime, then v: (sources + 1) blocks, side by side
/// whatever the limbs' places in memory.
#[inline(always)]
pub(crate) fn convert<S: Sums>(
    s: S,
    sources: &[Source],
    targets: &[Target],
    scaled: &[&[f64]],
    dst: &mut [&mut [f64]],
    scratch: &mut [f64],
) {
    let n = scaled[0].len();
    for start in (0..n).step_by(CONVERSION_BLOCK) {
        let end = n.min(start + CONVERSION_BLOCK);
        let len = (end - start).next_multiple_of(INTERLEAVED * S::LANES);
        gather(s, sources, scaled, start..end, scratch);
        for (target, limb) in targets.iter().zip(dst.iter_mut()) {
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

/// The y_i of a block, |y_i| ≤ 2p_i/3, and v = round(Σ y_i/p_i), |v| ≤ 2/3·sources + 1.
#[inline(always)]
fn gather<S: Sums>(s: S, sources: &[Source], scaled: &[&[f64]], range: Range<usize>, scratch: &mut [f64]) {
    let width = INTERLEAVED * S::LANES;
    let whole = range.start + range.len() / width * width;
    for start in (range.start..whole).step_by(width) {
        gather_at::<S, INTERLEAVED>(s, sources, scaled, start..start + width, &mut scratch[start - range.start..]);
    }
    for start in (whole..range.end).step_by(S::LANES) {
        let part = start..range.end.min(start + S::LANES);
        gather_at::<S, 1>(s, sources, scaled, part, &mut scratch[start - range.start..]);
    }
}

/// `K` vectors, the only one of which may be filled up with zeros. What the next block needs of these sources is fetched.
#[inline(always)]
fn gather_at<S: Sums, const K: usize>(
    s: S,
    sources: &[Source],
    scaled: &[&[f64]],
    range: Range<usize>,
    scratch: &mut [f64],
) {
    let mut sums = [s.splat(0.0); K];
    let mut blocks = scratch.chunks_mut(CONVERSION_BLOCK);
    for ((source, limb), y) in sources.iter().zip(scaled).zip(&mut blocks) {
        let inverse = s.splat(source.modulus.inverse);
        for next in
            limb.get(range.start + CONVERSION_BLOCK..range.end + CONVERSION_BLOCK).unwrap_or_default().chunks(LINE)
        {
            s.prefetch(next);
        }
        let limb = &limb[range.clone()];
        for (k, sum) in sums.iter_mut().enumerate() {
            let residue = if K == 1 { load_tail(s, limb) } else { s.load(&limb[k * S::LANES..]) };
            s.store(&mut y[k * S::LANES..], residue);
            *sum = s.mul_add(residue, inverse, *sum);
        }
    }
    for (v, sum) in blocks.next().into_iter().flat_map(|v| v.chunks_exact_mut(S::LANES)).zip(sums) {
        s.store(v, s.round(sum));
    }
}

/// Σ y_i·(P/p_i) − v·P mod q.
#[inline(always)]
fn recombine<S: Sums>(s: S, target: &Target, scratch: &[f64], out: &mut [f64]) {
    let m = s.field(target.modulus);
    let (first, rest) = target.factors.split_at(target.terms.min(target.factors.len()));
    let (y, ys) = scratch.split_at(first.len() * CONVERSION_BLOCK);
    add_terms::<S, false>(s, &m, y, first, out);
    for (y, some) in ys.chunks(target.terms * CONVERSION_BLOCK).zip(rest.chunks(target.terms)) {
        add_terms::<S, true>(s, &m, y, some, out);
    }
}

/// Σ y_i·w_i, as many as one sum holds, added to what `out` has if `ADD`.
#[inline(always)]
fn add_terms<S: Sums, const ADD: bool>(s: S, m: &Field<S::Vector>, ys: &[f64], ws: &[f64], out: &mut [f64]) {
    let width = INTERLEAVED * S::LANES;
    for (start, out) in (0..out.len()).step_by(width).zip(out.chunks_exact_mut(width)) {
        let mut sums = [s.sum(s.splat(0.0)); INTERLEAVED];
        if ADD {
            for (out, sum) in out.chunks_exact(S::LANES).zip(&mut sums) {
                *sum = s.sum(s.load(out));
            }
        }
        for (y, &w) in ys.chunks_exact(CONVERSION_BLOCK).zip(ws) {
            let w = s.splat(w);
            let y = &y[start..start + width];
            for (k, sum) in sums.iter_mut().enumerate() {
                *sum = s.add_product(*sum, s.load(&y[k * S::LANES..]), w);
            }
        }
        for (out, sum) in out.chunks_exact_mut(S::LANES).zip(sums) {
            s.store(out, s.total(m, sum));
        }
    }
}
