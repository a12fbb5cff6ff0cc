//! A key switch from mod_up to the division, group by group.
//!
//! The tail that the division needs comes first. Then every group of kept limbs goes all the way from digits to
//! results while it is in cache: no digit and no limb of the inner product is ever written to memory.

use crate::Context;
use crate::basis::{TailDivider, map_tasks};
use crate::digits::DigitSource;
use crate::keys::EvaluationKey;
use crate::limb::Limb;
use crate::poly::Poly;

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
        let tail = by_part(map_tasks(all - kept, residues, |g| self.tail_group(kept + g)));
        let parts = by_part(map_tasks(kept, residues, |g| self.kept_group(divider, g, &tail)));
        parts.into_iter().map(|limbs| Poly::from_limbs(divider.basis(), limbs)).collect()
    }

    /// One group of the tail, in coefficient order.
    fn tail_group(&self, g: usize) -> [Vec<Limb>; 2] {
        let basis = self.context.extended_basis(self.source.level);
        let start = self.context.groups(self.source.level)[g].start;
        let mut sums = self.sums(g);
        for part in &mut sums {
            part.iter_mut().enumerate().for_each(|(i, limb)| self.context.table(basis, start + i).inverse(limb));
        }
        sums
    }

    /// One group of the result.
    fn kept_group(&self, divider: &TailDivider, g: usize, tail: &[Vec<Limb>; 2]) -> [Vec<Limb>; 2] {
        let [first, second] = self.sums(g);
        [(first, &tail[0]), (second, &tail[1])].map(|(sums, tail)| {
            let divided = divider.divide_group(self.context, g, tail, &sums);
            divided.into_iter().map(|limb| self.key.image(self.context, limb)).collect()
        })
    }

    /// One group of the inner product, in evaluation order.
    fn sums(&self, g: usize) -> [Vec<Limb>; 2] {
        let basis = self.context.extended_basis(self.source.level);
        let digits = self.source.group(self.context, g);
        let limb = |k: usize| {
            let mut sums = self.addends.map(|part| self.context.times_special_product(part, k));
            self.key.switching.accumulate(self.context, basis, k, &digits.limb(k), &mut sums);
            sums
        };
        by_part(digits.range().map(|k| limb(k).map(|limb| vec![limb])).collect())
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
