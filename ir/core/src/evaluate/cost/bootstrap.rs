//! What a bootstrap costs: its transforms, products and key switches, each at its level.
//!
//! The counts are those of `hec_ckks::Bootstrapper`: transforms by sparse factors of 2^r with at most 2·2^r − 1
//! diagonals, one for each level; polynomials by evaluation trees with one relinearization for each power and quotient.

use super::Counts;
use crate::cost::{CostTable, LinearShape, RingSize};
use crate::{Level, Parameters};
use hec_params::{BootstrapParameters, Order, baby_steps};
use hec_poly::{Basis, EvaluationTree, Parity, Part};
use std::ops::Range;

/// A bundle of `count` ciphertexts of real slots. Two ciphertexts go through one bootstrap as real and imaginary parts,
/// which share everything but eval-mod.
pub fn bootstrap(table: &CostTable, parameters: &BootstrapParameters, count: u32) -> Counts {
    let parts = Parts { table, bootstrap: parameters };
    let (shared, eval_mod) = (parts.shared(), parts.eval_mod());
    // A ciphertext alone has one real part if its coefficients are the message, otherwise two.
    let alone = if parameters.choice().order == Order::CoeffsFirst { 1 } else { 2 };
    let (pairs, single) = (count / 2, count % 2);
    let mut all = Counts { bootstraps: count as usize, ..Counts::default() };
    (0..pairs + single).for_each(|_| all.add(&shared));
    (0..2 * pairs + alone * single).for_each(|_| all.add(&eval_mod));
    all
}

/// A factor of a transform, as a linear map.
#[derive(Clone, Debug, PartialEq)]
pub struct Factor {
    /// The level of its input.
    pub level: Level,
    /// The baby steps have a key each, the giant steps one for all.
    pub shape: LinearShape,
    /// The stages of the transform that it does, those of the shortest butterflies first: factors of the same stages
    /// have the same rotations, and their diagonals repeat after 2^(last stage + 1) slots.
    pub stages: Range<u32>,
}

/// The factors of both transforms.
pub fn transforms(parameters: &BootstrapParameters) -> Vec<Factor> {
    let choice = parameters.choice();
    let all = choice.slots.0.trailing_zeros();
    // Opposite diagonals of the longest butterflies are one: they are in the first factor of one transform, and in the
    // last of the other.
    let last = choice.slots_to_coeffs.len().saturating_sub(1);
    let both = [
        (&choice.coeffs_to_slots, parameters.raised_level(), 0, true),
        (&choice.slots_to_coeffs, parameters.slots_to_coeffs_level(), last, false),
    ];
    let maps = both.into_iter().flat_map(|(radices, level, longest, is_from_slots)| {
        let mut done = 0;
        radices.iter().enumerate().map(move |(i, &radix)| {
            let diagonals = if i == longest { 1usize << radix } else { (2usize << radix) - 1 };
            let babies = baby_steps(diagonals);
            let giants = diagonals.div_ceil(babies) - 1;
            let shape = LinearShape { inputs: 1, outputs: 1, diagonals, babies: babies - 1, giants };
            let first = if is_from_slots { all - done - radix } else { done };
            done += radix;
            Factor { level: Level(level.0 - i as u32), shape, stages: first..first + radix }
        })
    });
    maps.collect()
}

struct Parts<'a> {
    table: &'a CostTable,
    bootstrap: &'a BootstrapParameters,
}

impl Parts<'_> {
    fn ring(&self, level: Level) -> RingSize {
        RingSize::at(self.bootstrap.parameters(), level)
    }

    /// Everything but eval-mod.
    fn shared(&self) -> Counts {
        let (p, choice) = (self.bootstrap, self.bootstrap.choice());
        let raised = p.raised_level();
        let mut all = Counts::default();
        // To the sparse secret at level 0, and back.
        let encapsulation: &Parameters = p.encapsulation();
        all.add(&switch(self.table, &RingSize::at(encapsulation, encapsulation.top_level())));
        all.add(&switch(self.table, &self.ring(raised)));
        for level in [Level(0), p.slots_to_coeffs_level(), p.eval_mod_level()] {
            all.add(&switch(self.table, &self.ring(level)));
        }
        if choice.order == Order::CoeffsLast {
            all.add(&switch(self.table, &self.ring(p.output_level())));
        }
        // The trace into the ring of slots that repeat.
        let doublings = (p.parameters().slots().0 / choice.slots.0).trailing_zeros();
        (0..doublings).for_each(|_| all.add(&switch(self.table, &self.ring(raised))));
        transforms(p).iter().for_each(|factor| all.add(&self.map(&self.ring(factor.level), &factor.shape)));
        all
    }

    /// A map, whose diagonals are kept with their residues.
    fn map(&self, ring: &RingSize, shape: &LinearShape) -> Counts {
        Counts {
            seconds: self.table.linear_shape(ring, shape),
            diagonals: shape.diagonals,
            baby_steps: shape.babies,
            giant_steps: shape.giants,
            key_switches: shape.babies + shape.giants,
            decompositions: shape.giants + 1,
            ..Counts::default()
        }
    }

    /// Cosine, double angles, arcsine.
    fn eval_mod(&self) -> Counts {
        let sine = self.bootstrap.choice().sine;
        let mut all = Counts::default();
        let mut level = self.bootstrap.eval_mod_level();
        level = self.polynomial(&mut all, sine.degree, Parity::Even, level);
        for _ in 0..sine.double_angles {
            all.add(&self.product(level));
            level = Level(level.0 - 1);
        }
        if sine.arcsine > 1 {
            self.polynomial(&mut all, sine.arcsine, Parity::Odd, level);
        }
        all
    }

    /// A polynomial at a value of this level; the level of the result.
    fn polynomial(&self, all: &mut Counts, degree: usize, parity: Parity, level: Level) -> Level {
        // The degrees have been checked, and have trees.
        let Ok(tree) = EvaluationTree::new(Basis::Chebyshev, degree, parity) else { return level };
        for power in tree.powers() {
            // T_i lies ⌈log2 i⌉ levels down.
            let down = power.index.next_power_of_two().trailing_zeros() - 1;
            all.add(&self.product(Level(level.0 - down)));
        }
        let below = Level(level.0 - tree.depth());
        self.part(all, &tree, tree.parts().len() - 1, Level(below.0 + 1), true);
        below
    }

    /// A part of the tree as a product at `level`; one that is `finished` is relinearized.
    fn part(&self, all: &mut Counts, tree: &EvaluationTree, part: usize, level: Level, finished: bool) {
        let ring = self.ring(level);
        match &tree.parts()[part] {
            Part::Leaf { powers } => {
                let seconds = powers.len() as f64 * self.table.multiply_plain(&ring) + self.table.rescale(&ring);
                all.add(&Counts { seconds, plaintext_products: powers.len(), ..Counts::default() });
            }
            Part::Division { quotient, remainder, .. } => {
                let product =
                    Counts { seconds: self.table.multiply(&ring), ciphertext_products: 1, ..Counts::default() };
                all.add(&if finished { self.product(level) } else { product });
                self.part(all, tree, *quotient, Level(level.0 + 1), true);
                self.part(all, tree, *remainder, level, false);
            }
        }
    }

    /// A product, relinearized and rescaled.
    fn product(&self, level: Level) -> Counts {
        let ring = self.ring(level);
        let mut counts = switch(self.table, &ring);
        counts.seconds += self.table.multiply(&ring);
        counts.ciphertext_products += 1;
        counts.rescales += 1;
        counts
    }
}

fn switch(table: &CostTable, ring: &RingSize) -> Counts {
    Counts { seconds: table.key_switch(ring), key_switches: 1, decompositions: 1, ..Counts::default() }
}
