//! A key switch from mod_up to the division, group by group.
//!
//! The tail that the division needs comes first. Then every group of kept limbs goes all the way from digits to
//! results while it is in cache: no digit and no limb of the inner product is ever written to memory.

use std::ops::Deref;

use crate::Context;
use crate::basis::{TailDivider, map_tasks};
use crate::digits::DigitSource;
use crate::keys::EvaluationKey;
use crate::limb::Limb;
use crate::poly::{Basis, Poly, each_limb, is_worth_threads};

/// φ(round((digits·key + P·addends) / T)), for the automorphism φ of the key.
pub(crate) struct KeySwitch<'a> {
    pub context: &'a Context,
    pub source: DigitSource<'a>,
    pub key: &'a EvaluationKey,
    /// Added to either part after a division by P alone.
    pub addends: [Addend<'a>; 2],
}

/// What is added to a part of a key switch.
pub(crate) enum Addend<'a> {
    Zero,
    Poly(&'a Poly),
    /// Σ a·b, computed when it is added: it is never written to memory as a whole.
    Products(&'a [(&'a Poly, &'a Poly)]),
}

enum AddendLimb<'a> {
    Read(&'a [f64]),
    Made(Limb),
}

impl Deref for AddendLimb<'_> {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        match self {
            AddendLimb::Read(limb) => limb,
            AddendLimb::Made(limb) => limb,
        }
    }
}

impl Addend<'_> {
    /// Limb `k` of `basis`; P times it is 0 modulo the special primes.
    fn limb(&self, context: &Context, basis: Basis, k: usize) -> Option<AddendLimb<'_>> {
        match self {
            Addend::Poly(poly) if k < basis.q => Some(AddendLimb::Read(poly.limb(k))),
            Addend::Products(pairs) if k < basis.q => {
                let mut limb = context.pool().any();
                let pairs: Vec<_> = pairs.iter().map(|(a, b)| (a.limb(k), b.limb(k))).collect();
                hec_arith::sum_of_products(context.table(basis, k).modulus(), &mut limb, &pairs);
                Some(AddendLimb::Made(limb))
            }
            _ => None,
        }
    }
}

impl KeySwitch<'_> {
    /// Both parts.
    pub fn divide(&self, divider: &TailDivider) -> Vec<Poly> {
        let (kept, all) = (divider.groups(), self.context.groups(self.source.level).len());
        let residues = 4 * self.context.degree();
        let tail = by_part(map_tasks(all - kept, residues, |g| self.tail_group(divider, kept + g)));
        let parts = by_part(map_tasks(kept, residues, |g| self.kept_group(divider, g, &tail)));
        parts.into_iter().map(|limbs| Poly::from_limbs(divider.basis(), limbs)).collect()
    }

    /// One group of the tail, as the division takes it.
    fn tail_group(&self, divider: &TailDivider, g: usize) -> [Vec<Limb>; 2] {
        let basis = self.context.extended_basis(self.source.level);
        let start = self.context.groups(self.source.level)[g].start;
        let mut sums = self.sums(g);
        let scale = |i, limb: &mut [f64]| divider.scale_tail(self.context, basis, start + i, limb);
        sums.iter_mut().for_each(|part| each_limb(part, scale));
        sums
    }

    /// One group of the result.
    fn kept_group(&self, divider: &TailDivider, g: usize, tail: &[Vec<Limb>; 2]) -> [Vec<Limb>; 2] {
        let sums = self.sums(g);
        let part = |i: usize| divider.divide_group(self.context, g, &tail[i], &sums[i], self.key.automorphism.as_ref());
        if is_worth_threads(&sums[0]) { rayon::join(|| part(0), || part(1)).into() } else { [part(0), part(1)] }
    }

    /// One group of the inner product, in evaluation order.
    fn sums(&self, g: usize) -> [Vec<Limb>; 2] {
        let basis = self.context.extended_basis(self.source.level);
        let digits = self.source.group(self.context, g);
        let limb = |k: usize| {
            let addends = self.addends.each_ref().map(|addend| addend.limb(self.context, basis, k));
            let times_p = |limb| (limb, self.context.special_product(k));
            let addends = addends.each_ref().map(|limb| limb.as_deref().map(times_p));
            let sums = self.key.switching.inner_products(self.context, basis, k, &digits.limb(k), addends);
            sums.map(|limb| vec![limb])
        };
        let start = digits.range().start;
        by_part(map_tasks(digits.range().len(), self.context.degree(), |i| limb(start + i)))
    }
}

/// The limbs of both parts, one after the other.
fn by_part(groups: Vec<[Vec<Limb>; 2]>) -> [Vec<Limb>; 2] {
    let mut parts = [Vec::new(), Vec::new()];
    for group in groups {
        for (part, limbs) in parts.iter_mut().zip(group) {
            part.extend(limbs);
        }
    }
    parts
}
