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
}

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
        for term in &self.terms {
            request.rotation(term.baby, level);
            request.rotation(term.giant, level);
        }
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
    pub(crate) fn baby_steps(&self) -> Vec<(usize, Rotation)> {
        let set: BTreeSet<_> = self.terms.iter().map(|term| (term.input, term.baby)).collect();
        set.into_iter().collect()
    }

    /// All giant steps in order, their terms pointing into `babies`.
    pub(crate) fn giant_steps(&self, babies: &[(usize, Rotation)]) -> Vec<GiantStep> {
        let position: BTreeMap<_, _> = babies.iter().enumerate().map(|(i, &baby)| (baby, i)).collect();
        let mut steps: BTreeMap<(usize, Rotation), Vec<(usize, usize)>> = BTreeMap::new();
        for term in &self.terms {
            let terms = steps.entry((term.output, term.giant)).or_default();
            terms.push((position[&(term.input, term.baby)], term.diagonal));
        }
        steps.into_iter().map(|((output, giant), terms)| GiantStep { output, giant, terms }).collect()
    }
}
