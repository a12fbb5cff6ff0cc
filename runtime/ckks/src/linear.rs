//! Linear maps between ciphertexts by their diagonals: what is to be computed.

use std::collections::{BTreeMap, BTreeSet};

use hec_params::{Level, Rotation};

use crate::{CkksError, KeyRequest};

/// One product: diagonal ⊙ rot_baby(in\[input\]), summed into the giant step `giant` of out\[output\].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinearTerm {
    /// Output ciphertext.
    pub output: usize,
    /// Input ciphertext.
    pub input: usize,
    /// Rotation of the sum.
    pub giant: Rotation,
    /// Rotation of the input.
    pub baby: Rotation,
    /// Which diagonal.
    pub diagonal: usize,
}

/// A block matrix as a baby-step giant-step plan (Halevi, Shoup 2018):
/// out\[o\] = Σ_giant rot_giant( Σ_terms diagonal ⊙ rot_baby(in\[i\]) ).
///
/// Diagonals are those of the matrix rotated by minus the giant step. An output without terms is an encryption of 0
/// that hides nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinearPlan {
    /// Number of input ciphertexts.
    pub inputs: usize,
    /// Number of output ciphertexts.
    pub outputs: usize,
    /// All products, in any order.
    pub terms: Vec<LinearTerm>,
    /// How many keys there are for its rotations.
    pub keys: RotationKeys,
}

/// How many keys the rotations of a plan have: fewer keys take more key switches, one after another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RotationKeys {
    /// One for every rotation: the fastest.
    #[default]
    Each,
    /// One for all giant steps, by Horner's rule: rot_g( rot_g(S_2) + S_1 ) + S_0 for their greatest common divisor g.
    /// As many key switches as before when the giant steps are all multiples of g up to the largest; the noise is the
    /// same, since giant steps act before the division.
    OneForGiants,
    /// As before, and one for all baby steps: each is made from the one before, by multiples of their greatest common
    /// divisor. No baby step shares a decomposition, all of them are in memory at once, and the i-th one has the noise
    /// of i rotations.
    TwoInAll,
}

/// An input and its rotation.
pub(crate) type BabyName = (usize, Rotation);

/// A giant step: the terms that are summed before one rotation.
pub(crate) struct GiantStep {
    pub output: usize,
    pub giant: Rotation,
    /// Position of the baby step, and diagonal.
    pub terms: Vec<(usize, usize)>,
}

impl LinearPlan {
    /// The rotation keys that the plan needs, at the level of its inputs.
    pub fn request_keys(&self, level: Level, request: &mut KeyRequest) {
        let babies = self.terms.iter().map(|term| term.baby);
        let giants = self.terms.iter().map(|term| term.giant);
        match self.keys {
            RotationKeys::Each => babies.chain(giants).for_each(|r| request.rotation(r, level)),
            RotationKeys::OneForGiants => {
                babies.chain([self.giant_turn()]).for_each(|r| request.rotation(r, level));
            }
            RotationKeys::TwoInAll => {
                [self.baby_turn(), self.giant_turn()].iter().for_each(|&r| request.rotation(r, level));
            }
        }
    }

    /// The rotation that all giant steps are multiples of.
    pub(crate) fn giant_turn(&self) -> Rotation {
        common_divisor(self.terms.iter().map(|term| term.giant))
    }

    /// The rotation that all baby steps are multiples of.
    pub(crate) fn baby_turn(&self) -> Rotation {
        common_divisor(self.terms.iter().map(|term| term.baby))
    }

    /// The same plan for inputs that are rotated already: `babies` says which input and rotation each of them is.
    pub(crate) fn over_babies(&self, babies: &[BabyName]) -> LinearPlan {
        let position: BTreeMap<_, _> = babies.iter().enumerate().map(|(i, &baby)| (baby, i)).collect();
        let over = |term: &LinearTerm| {
            let input = position[&(term.input, term.baby)];
            LinearTerm { input, baby: Rotation(0), ..*term }
        };
        let terms = self.terms.iter().map(over).collect();
        LinearPlan { inputs: babies.len(), outputs: self.outputs, terms, keys: RotationKeys::OneForGiants }
    }

    pub(crate) fn check(&self) -> Result<(), CkksError> {
        let check = |what, index, count| {
            if index < count { Ok(()) } else { Err(CkksError::PlanOutOfRange { what, index, count }) }
        };
        self.terms.iter().try_for_each(|term| {
            check("input", term.input, self.inputs)?;
            check("output", term.output, self.outputs)
        })
    }

    /// The inputs that are rotated, so that they must be decomposed.
    pub(crate) fn rotated_inputs(&self) -> BTreeSet<usize> {
        self.terms.iter().filter(|term| !term.baby.is_zero()).map(|term| term.input).collect()
    }

    /// All baby steps in order.
    pub(crate) fn baby_steps(&self) -> Vec<BabyName> {
        let set: BTreeSet<_> = self.terms.iter().map(|term| (term.input, term.baby)).collect();
        set.into_iter().collect()
    }

    /// All giant steps in order, their terms pointing into `babies`.
    pub(crate) fn giant_steps(&self, babies: &[BabyName]) -> Vec<GiantStep> {
        let position: BTreeMap<_, _> = babies.iter().enumerate().map(|(i, &baby)| (baby, i)).collect();
        let mut steps: BTreeMap<(usize, Rotation), Vec<(usize, usize)>> = BTreeMap::new();
        for term in &self.terms {
            let terms = steps.entry((term.output, term.giant)).or_default();
            terms.push((position[&(term.input, term.baby)], term.diagonal));
        }
        steps.into_iter().map(|((output, giant), terms)| GiantStep { output, giant, terms }).collect()
    }
}

/// The greatest common divisor; 0 if all are 0.
fn common_divisor(rotations: impl Iterator<Item = Rotation>) -> Rotation {
    let gcd = |mut a: u32, mut b: u32| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    Rotation(rotations.fold(0, |divisor, rotation| gcd(divisor, rotation.0)))
}
