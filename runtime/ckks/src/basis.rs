//! Moving between bases: digits up to QP, and division by the last primes.
//!
//! All three divisions of the scheme are one operation, x ↦ round(x / T) for the product T of the last limbs:
//! rescale (T = the primes of the level), mod_down (T = P) and both merged (T = primes of the level times P), which
//! rounds once instead of twice.

use hec_arith::{ArithError, BaseConverter};
use rayon::prelude::*;

use crate::Context;
use crate::limb::Limb;
use crate::poly::{Basis, Poly, each_limb, is_worth_threads};

/// Coefficients that one task converts: small enough that a column of limbs stays in cache.
const COLUMN: usize = 2048;

/// Divides by the product of the last limbs and rounds.
#[derive(Debug)]
pub(crate) struct TailDivider {
    keep: usize,
    converter: BaseConverter,
    /// Minus the inverse of the tail's product modulo each kept prime.
    minus_inverses: Vec<f64>,
}

impl TailDivider {
    pub fn new(kept: &[u64], tail: &[u64]) -> Result<Self, ArithError> {
        let minus_inverses = kept
            .iter()
            .map(|&q| {
                let m = hec_arith::Modulus::new(q);
                -m.inv(tail.iter().fold(m.reduce_u64(1), |product, &p| m.mul(product, m.reduce_u64(p))))
            })
            .collect();
        Ok(TailDivider { keep: kept.len(), converter: BaseConverter::new(tail, kept)?, minus_inverses })
    }

    /// round(x / T) from limbs in evaluation order, `tables` naming the primes of all of them.
    pub fn divide(&self, context: &Context, basis: Basis, limbs: &[&[f64]]) -> Poly {
        let mut tail: Vec<Limb> = limbs[self.keep..].iter().map(|limb| context.pool().copy(limb)).collect();
        each_limb(&mut tail, |k, limb| context.table(basis, self.keep + k).inverse(limb));
        let mut out = Poly::any(context, Basis { q: self.keep, special: false });
        let tail: Vec<&[f64]> = tail.iter().map(|limb| &limb[..]).collect();
        convert(&self.converter, &tail, out.limbs_mut());
        out.for_each_limb(context, |k, table, limb| {
            table.forward(limb);
            hec_arith::sub_mul_scalar_assign(table.modulus(), limb, limbs[k], self.minus_inverses[k]);
        });
        out
    }
}

/// Base conversion by columns of coefficients, in parallel where that pays.
pub(crate) fn convert(converter: &BaseConverter, from: &[&[f64]], to: &mut [Limb]) {
    let n = from.first().map_or(0, |limb| limb.len());
    let width = COLUMN.min(n);
    let is_worth_threads = is_worth_threads(to);
    let mut columns: Vec<Vec<&mut [f64]>> = (0..n / width.max(1)).map(|_| Vec::with_capacity(to.len())).collect();
    for limb in to {
        for (column, part) in columns.iter_mut().zip(limb.chunks_exact_mut(width)) {
            column.push(part);
        }
    }
    let run = |(i, mut column): (usize, Vec<&mut [f64]>)| {
        let source: Vec<&[f64]> = from.iter().map(|limb| &limb[i * width..(i + 1) * width]).collect();
        converter.convert(&source, &mut column);
    };
    if is_worth_threads {
        columns.into_par_iter().enumerate().for_each(run);
    } else {
        columns.into_iter().enumerate().for_each(run);
    }
}

/// One digit at one level: which limbs are its own, and the way up to all the others.
#[derive(Debug)]
pub(crate) struct DigitUp {
    start: usize,
    end: usize,
    converter: BaseConverter,
}

impl DigitUp {
    pub fn new(q: &[u64], special: &[u64], start: usize, end: usize) -> Result<Self, ArithError> {
        let others: Vec<u64> = q[..start].iter().chain(&q[end..]).chain(special).copied().collect();
        Ok(DigitUp { start, end, converter: BaseConverter::new(&q[start..end], &others)? })
    }
}

/// A polynomial decomposed into digits, each lifted to QP (Han, Ki 2020). A digit's own limbs are those of the
/// polynomial itself and are not stored again.
#[derive(Clone, Debug)]
pub(crate) struct Digits {
    basis: Basis,
    digits: Vec<Digit>,
}

#[derive(Clone, Debug)]
struct Digit {
    start: usize,
    end: usize,
    others: Vec<Limb>,
}

impl Digits {
    /// mod_up: `poly` is at the level of `ups`, in evaluation order.
    pub fn of(context: &Context, poly: &Poly, ups: &[DigitUp]) -> Self {
        let q = poly.basis().q;
        let basis = Basis { q, special: true };
        let mut coefficients = poly.clone();
        coefficients.inverse(context);
        let lift = |up: &DigitUp| {
            let own = up.end - up.start;
            let mut others: Vec<Limb> = (own..context.limb_count(basis)).map(|_| context.pool().any()).collect();
            let from: Vec<&[f64]> = (up.start..up.end).map(|k| coefficients.limb(k)).collect();
            convert(&up.converter, &from, &mut others);
            each_limb(&mut others, |i, limb| {
                let k = if i < up.start { i } else { i + own };
                context.table(basis, k).forward(limb);
            });
            Digit { start: up.start, end: up.end, others }
        };
        Digits { basis, digits: ups.par_iter().map(lift).collect() }
    }

    pub fn basis(&self) -> Basis {
        self.basis
    }

    pub fn bytes(&self) -> usize {
        self.digits.iter().flat_map(|digit| &digit.others).map(|limb| size_of_val(&limb[..])).sum()
    }

    /// Limb `k` of every digit; `poly` is what was decomposed.
    pub fn limbs<'a>(&'a self, poly: &'a Poly, k: usize) -> impl Iterator<Item = &'a [f64]> {
        self.digits.iter().map(move |digit| {
            let i = match k {
                k if k < digit.start => k,
                k if k < digit.end => return poly.limb(k),
                k => k - (digit.end - digit.start),
            };
            &digit.others[i][..]
        })
    }
}
