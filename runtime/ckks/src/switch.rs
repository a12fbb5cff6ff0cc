//! A key switch from mod_up to the division, group by group.
//!
//! The tail that the division needs comes first. Then every group of kept limbs goes all the way from digits to
//! results while it is in cache: no digit and no limb of the inner product is ever written to memory.

use crate::Context;
use crate::basis::{TailDivider, map_tasks};
use crate::digits::DigitSource;
use crate::keys::EvaluationKey;
use crate::limb::Limb;
use crate::poly::{Poly, each_limb, is_worth_threads};

/// φ(round((digits·key + P·addends) / T)), for the automorphism φ of the key.
pub(crate) struct KeySwitch<'a> {
    pub context: &'a Context,
    pub source: DigitSource<'a>,
    pub key: &'a EvaluationKey,
    /// Added to either part after a division by P alone.
    pub addends: [Option<&'a Poly>; 2],
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
            let addends = self.addends.map(|part| part.and_then(|part| self.context.times_special_product(part, k)));
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
