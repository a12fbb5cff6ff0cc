//! Sums of products of limbs. Operands are reduced, |r| ≤ 2p/3; results are.

use super::pointwise::{load_tail, store_tail};
use super::sums::{Sums, products_in_a_sum};
use crate::{Modulus, REDUCED};

/// Vectors summed together, to hide the latency of a sum: as many as have both parts in 16 registers.
const INTERLEAVED: usize = 4;

/// Two factors.
pub(crate) type Pair<'a> = (&'a [f64], &'a [f64]);

/// A factor of both of two inner products, and its other factor in each.
pub(crate) type Term<'a> = (&'a [f64], [&'a [f64]; 2]);

/// A limb and a residue to multiply it with.
pub(crate) type Multiple<'a> = (&'a [f64], f64);

fn at_once(m: Modulus) -> usize {
    products_in_a_sum(m, (REDUCED * m.p) * (REDUCED * m.p))
}

/// dst = Σ a·b.
#[inline(always)]
pub(crate) fn sum_of_products<S: Sums>(s: S, m: Modulus, dst: &mut [f64], pairs: &[Pair<'_>]) {
    let (first, rest) = pairs.split_at(pairs.len().min(at_once(m)));
    add_products::<S, false>(s, m, dst, first);
    for some in rest.chunks(at_once(m)) {
        add_products::<S, true>(s, m, dst, some);
    }
}

/// As many products as one sum holds, to what `out` has if `ADD`.
#[inline(always)]
fn add_products<S: Sums, const ADD: bool>(s: S, m: Modulus, out: &mut [f64], pairs: &[Pair<'_>]) {
    let field = s.field(m);
    let zero = s.splat(0.0);
    let width = INTERLEAVED * S::LANES;
    let whole = out.len() / width * width;
    for (start, out) in (0..whole).step_by(width).zip(out.chunks_exact_mut(width)) {
        let mut sums = [s.sum(zero); INTERLEAVED];
        if ADD {
            for (out, sum) in out.chunks_exact(S::LANES).zip(&mut sums) {
                *sum = s.sum(s.load(out));
            }
        }
        for (a, b) in pairs {
            let (a, b) = (&a[start..start + width], &b[start..start + width]);
            for ((a, b), sum) in a.chunks_exact(S::LANES).zip(b.chunks_exact(S::LANES)).zip(&mut sums) {
                *sum = s.add_product(*sum, s.load(a), s.load(b));
            }
        }
        for (out, sum) in out.chunks_exact_mut(S::LANES).zip(sums) {
            s.store(out, s.total(&field, sum));
        }
    }
    for start in (whole..out.len()).step_by(S::LANES) {
        let end = out.len().min(start + S::LANES);
        let mut sum = s.sum(if ADD { load_tail(s, &out[start..end]) } else { zero });
        for (a, b) in pairs {
            sum = s.add_product(sum, load_tail(s, &a[start..end]), load_tail(s, &b[start..end]));
        }
        store_tail(s, &mut out[start..end], s.total(&field, sum));
    }
}

/// Two inner products at a time: dst\[i\] = Σ a·b\[i\] + addend·w.
#[inline(always)]
pub(crate) fn inner_products<S: Sums>(
    s: S,
    m: Modulus,
    dst: [&mut [f64]; 2],
    terms: &[Term<'_>],
    addends: [Option<Multiple<'_>>; 2],
) {
    let [first, second] = dst;
    let room = at_once(m);
    // A sum starts with its addend.
    let (some, rest) = terms.split_at(terms.len().min(room - 1));
    add_terms::<S, false, false>(s, m, [&mut *first, &mut *second], some, addends);
    for some in rest.chunks(room) {
        add_terms::<S, true, false>(s, m, [&mut *first, &mut *second], some, [None; 2]);
    }
}

/// acc\[i\] += Σ a·b\[i\], where a shorter `a` stands for one that repeats each of its octets.
#[inline(always)]
pub(crate) fn add_inner_products<S: Sums>(s: S, m: Modulus, acc: [&mut [f64]; 2], terms: &[Term<'_>]) {
    let [first, second] = acc;
    for alike in terms.chunk_by(|(a, _), (b, _)| a.len() == b.len()) {
        for some in alike.chunks(at_once(m)) {
            if alike[0].0.len() == first.len() {
                add_terms::<S, true, false>(s, m, [&mut *first, &mut *second], some, [None; 2]);
            } else {
                add_terms::<S, true, true>(s, m, [&mut *first, &mut *second], some, [None; 2]);
            }
        }
    }
}

/// The octet of a short factor that element `at` is in, from that element on.
#[inline(always)]
fn short(a: &[f64], at: usize, span: u32) -> &[f64] {
    let start = at >> span << 3;
    &a[start + at % 8..start + 8]
}

/// As many products as one sum holds, to what `dst` has if `ADD`. If `SHORT`, the shared factors repeat each octet.
#[inline(always)]
fn add_terms<S: Sums, const ADD: bool, const SHORT: bool>(
    s: S,
    m: Modulus,
    [first, second]: [&mut [f64]; 2],
    terms: &[Term<'_>],
    addends: [Option<Multiple<'_>>; 2],
) {
    let field = s.field(m);
    let zero = s.splat(0.0);
    let width = INTERLEAVED / 2 * S::LANES;
    let whole = first.len() / width * width;
    // Element i of a short factor is that of its octet number i >> span.
    let span = terms.first().map_or(1, |(a, _)| 8 * first.len() / a.len().max(1)).trailing_zeros();
    let outs = first.chunks_exact_mut(width).zip(second.chunks_exact_mut(width));
    for (start, (first, second)) in (0..whole).step_by(width).zip(outs) {
        let range = start..start + width;
        let mut sums = [[s.sum(zero); 2]; INTERLEAVED / 2];
        for (part, out) in [&*first, &*second].into_iter().enumerate() {
            for (k, sums) in sums.iter_mut().enumerate() {
                if ADD {
                    sums[part] = s.sum(s.load(&out[k * S::LANES..]));
                } else if let Some((limb, w)) = addends[part] {
                    let addend = s.load(&limb[range.clone()][k * S::LANES..]);
                    sums[part] = s.add_product(sums[part], addend, s.splat(w));
                }
            }
        }
        for (a, [b, c]) in terms {
            let a = if SHORT { a } else { &a[range.clone()] };
            let (b, c) = (&b[range.clone()], &c[range.clone()]);
            for (k, sums) in sums.iter_mut().enumerate() {
                let at = k * S::LANES..(k + 1) * S::LANES;
                let a = if SHORT { s.load(short(a, range.start + at.start, span)) } else { s.load(&a[at.clone()]) };
                sums[0] = s.add_product(sums[0], a, s.load(&b[at.clone()]));
                sums[1] = s.add_product(sums[1], a, s.load(&c[at]));
            }
        }
        for (k, sums) in sums.iter().enumerate() {
            s.store(&mut first[k * S::LANES..], s.total(&field, sums[0]));
            s.store(&mut second[k * S::LANES..], s.total(&field, sums[1]));
        }
    }
    for start in (whole..first.len()).step_by(S::LANES) {
        let range = start..first.len().min(start + S::LANES);
        for (part, out) in [&mut *first, &mut *second].into_iter().enumerate() {
            let mut sum = s.sum(if ADD { load_tail(s, &out[range.clone()]) } else { zero });
            if let Some((limb, w)) = addends[part] {
                sum = s.add_product(sum, load_tail(s, &limb[range.clone()]), s.splat(w));
            }
            for (a, others) in terms {
                let a = if SHORT { s.load(short(a, range.start, span)) } else { load_tail(s, &a[range.clone()]) };
                sum = s.add_product(sum, a, load_tail(s, &others[part][range.clone()]));
            }
            store_tail(s, &mut out[range.clone()], s.total(&field, sum));
        }
    }
}
