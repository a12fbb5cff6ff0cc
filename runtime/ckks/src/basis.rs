//! Moving between bases: digits up to QP, and division by the last primes.
//!
//! All three divisions of the scheme are one operation, x ↦ round(x / T) for the product T of the last limbs:
//! rescale (T = the primes of the level), mod_down (T = P) and both merged (T = primes of the level times P), which
//! rounds once instead of twice.
//!
//! Limbs are computed in *groups*: a group reads its sources once, and what it makes on the way stays in cache.

use std::ops::{Deref, Range};

use hec_arith::{ArithError, Automorphism, BaseConverter, Modulus};
use rayon::prelude::*;

use crate::Context;
use crate::limb::Limb;
use crate::poly::{Basis, PARALLEL_RESIDUES, Poly, each_limb, is_worth_threads};

/// Limbs of a group at most, for digits of `digit_size` limbs: more of them share the reading of a digit, fewer stay in
/// cache.
pub(crate) fn group_size(digit_size: usize) -> usize {
    (2 * digit_size).max(4)
}

/// Consecutive groups of nearly equal length that end at every bound.
pub(crate) fn groups(bounds: &[usize], at_most: usize) -> Vec<Range<usize>> {
    let between = bounds.windows(2).map(|bounds| (bounds[0], bounds[1] - bounds[0]));
    let split = |(start, len): (usize, usize)| {
        let count = len.div_ceil(at_most);
        (0..count).map(move |i| start + i * len / count..start + (i + 1) * len / count)
    };
    between.flat_map(split).collect()
}

/// The results of `task` for 0..count, each of which works on `residues`: in parallel where that pays.
pub(crate) fn map_tasks<T: Send>(count: usize, residues: usize, task: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
    if count * residues >= PARALLEL_RESIDUES {
        (0..count).into_par_iter().map(task).collect()
    } else {
        (0..count).map(task).collect()
    }
}

/// Divides by the product of the last limbs and rounds.
#[derive(Debug)]
pub(crate) struct TailDivider {
    keep: usize,
    /// The groups of the kept limbs.
    groups: Vec<Range<usize>>,
    /// From the tail to the kept limbs.
    converter: BaseConverter,
    /// Minus the inverse of the tail's product modulo each kept prime.
    minus_inverses: Vec<f64>,
}

impl TailDivider {
    /// For the kept limbs of the first of `groups`.
    pub fn new(kept: &[u64], tail: &[u64], groups: &[Range<usize>]) -> Result<Self, ArithError> {
        let minus_inverse = |&q: &u64| {
            let m = Modulus::new(q);
            -m.inv(tail.iter().fold(m.reduce_u64(1), |product, &p| m.mul(product, m.reduce_u64(p))))
        };
        Ok(TailDivider {
            keep: kept.len(),
            groups: groups.iter().filter(|group| group.end <= kept.len()).cloned().collect(),
            converter: BaseConverter::new(tail, kept)?,
            minus_inverses: kept.iter().map(minus_inverse).collect(),
        })
    }

    /// Number of groups of kept limbs.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// The basis of results.
    pub fn basis(&self) -> Basis {
        Basis { q: self.keep, special: false }
    }

    /// round(x / T) from limbs in evaluation order, `basis` naming the primes of all of them.
    pub fn divide<L>(&self, context: &Context, basis: Basis, limbs: &[L]) -> Poly
    where
        L: Deref<Target = [f64]> + Sync,
    {
        let mut tail: Vec<Limb> = limbs[self.keep..].iter().map(|_| context.pool().any()).collect();
        each_limb(&mut tail, |k, limb| {
            limb.copy_from_slice(&limbs[self.keep + k]);
            self.scale_tail(context, basis, self.keep + k, limb);
        });
        let divided = map_tasks(self.groups.len(), self.keep * context.degree(), |g| {
            self.divide_group(context, g, &tail, &limbs[self.groups[g].clone()], None)
        });
        Poly::from_limbs(self.basis(), divided.into_iter().flatten().collect())
    }

    /// Limb `k` of `basis`, one of the tail, from evaluation order to the coefficients that `divide_group` takes.
    pub fn scale_tail(&self, context: &Context, basis: Basis, k: usize, limb: &mut [f64]) {
        context.table(basis, k).inverse_times(limb, self.converter.source_factor(k - self.keep));
    }

    /// One group of the result, from the scaled tail and the group's limbs in evaluation order; its image, if an automorphism
    /// is given.
    pub fn divide_group<L: Deref<Target = [f64]> + Sync>(
        &self,
        context: &Context,
        g: usize,
        tail: &[Limb],
        limbs: &[L],
        automorphism: Option<&Automorphism>,
    ) -> Vec<Limb> {
        let group = &self.groups[g];
        let mut out = convert(context, &self.converter, group.clone(), tail);
        let finish = |(i, out): (usize, &mut Limb)| {
            let table = context.table(self.basis(), group.start + i);
            table.forward(out);
            let (m, limb, w) = (table.modulus(), &limbs[i][..], self.minus_inverses[group.start + i]);
            match automorphism {
                None => hec_arith::sub_mul_scalar_assign(m, out, limb, w),
                Some(automorphism) => {
                    let mut image = context.pool().any();
                    automorphism.apply_sub_mul_scalar(m, &mut image, (out, limb, w));
                    *out = image;
                }
            }
        };
        if is_worth_threads(&out) {
            out.par_iter_mut().enumerate().for_each(finish);
        } else {
            out.iter_mut().enumerate().for_each(finish);
        }
        out
    }
}

/// Coefficients that a task converts: enough to be worth one, and of so few limbs that there are several.
const CONVERTED: usize = 8192;

fn convert(context: &Context, converter: &BaseConverter, targets: Range<usize>, from: &[Limb]) -> Vec<Limb> {
    let mut to: Vec<Limb> = targets.clone().map(|_| context.pool().any()).collect();
    let mut pieces: Vec<Vec<&mut [f64]>> = Vec::new();
    for limb in &mut to {
        for (i, piece) in limb.chunks_mut(CONVERTED).enumerate() {
            if pieces.len() == i {
                pieces.push(Vec::with_capacity(targets.len()));
            }
            pieces[i].push(piece);
        }
    }
    pieces.into_par_iter().enumerate().for_each(|(i, mut to)| {
        let start = i * CONVERTED;
        let from: Vec<&[f64]> = from.iter().map(|limb| &limb[start..limb.len().min(start + CONVERTED)]).collect();
        converter.convert(targets.clone(), &from, &mut to);
    });
    to
}

/// One digit at one level: which limbs are its own, and the way up to all the others.
#[derive(Debug)]
pub(crate) struct DigitUp {
    own: Range<usize>,
    converter: BaseConverter,
}

impl DigitUp {
    /// The digit of the limbs `own` among all `primes` of QP.
    pub fn new(primes: &[u64], own: Range<usize>) -> Result<Self, ArithError> {
        let others: Vec<u64> = [&primes[..own.start], &primes[own.end..]].concat();
        Ok(DigitUp { converter: BaseConverter::new(&primes[own.clone()], &others)?, own })
    }

    /// Which of the others the limbs of a group are, its own left out.
    fn others(&self, group: &Range<usize>) -> Range<usize> {
        let before = |k: usize| k - self.own.len().min(k.saturating_sub(self.own.start));
        before(group.start)..before(group.end)
    }
}

/// The limbs of one prime of every digit, in evaluation order. A digit's own limbs are those of the polynomial itself
/// and are not stored again.
pub(crate) type DigitLimbs = Vec<Option<Limb>>;

/// A polynomial on its way up to QP, digit by digit (Han, Ki 2020): a group of limbs at a time, so that digits that
/// are used once are never all in memory.
#[derive(Debug)]
pub(crate) struct Lift<'a> {
    basis: Basis,
    /// In coefficient order, each scaled as the conversion of its digit takes it.
    scaled: Poly,
    groups: &'a [Range<usize>],
    ups: &'a [DigitUp],
}

impl<'a> Lift<'a> {
    /// `poly` is in evaluation order, the tables are those of its level.
    pub fn new(context: &Context, poly: &Poly, (groups, ups): (&'a [Range<usize>], &'a [DigitUp])) -> Self {
        let mut scaled = Poly::any(context, poly.basis());
        let factors: Vec<f64> =
            ups.iter().flat_map(|up| (0..up.own.len()).map(|i| up.converter.source_factor(i))).collect();
        scaled.for_each_limb(context, |k, table, limb| {
            limb.copy_from_slice(poly.limb(k));
            table.inverse_times(limb, factors[k]);
        });
        Lift { basis: Basis { q: poly.basis().q, special: true }, scaled, groups, ups }
    }

    /// mod_up to the primes of one group.
    pub fn group(&self, context: &Context, g: usize) -> Vec<DigitLimbs> {
        let group = self.groups[g].clone();
        let lift = |j: usize| -> Vec<Option<Limb>> {
            let up = &self.ups[j];
            let own = &self.scaled.limbs()[up.own.clone()];
            let mut lifted = convert(context, &up.converter, up.others(&group), own);
            let others: Vec<usize> = group.clone().filter(|k| !up.own.contains(k)).collect();
            each_limb(&mut lifted, |i, limb| context.table(self.basis, others[i]).forward(limb));
            let mut lifted = lifted.into_iter();
            group.clone().map(|k| if up.own.contains(&k) { None } else { lifted.next() }).collect()
        };
        let mut limbs: Vec<DigitLimbs> = group.clone().map(|_| Vec::with_capacity(self.ups.len())).collect();
        for digit in map_tasks(self.ups.len(), group.len() * context.degree(), lift) {
            limbs.iter_mut().zip(digit).for_each(|(limbs, limb)| limbs.push(limb));
        }
        limbs
    }

    /// All groups, to be kept.
    pub fn all(&self, context: &Context) -> Vec<DigitLimbs> {
        let residues = self.ups.len() * context.degree();
        map_tasks(self.groups.len(), residues, |g| self.group(context, g)).into_iter().flatten().collect()
    }
}
