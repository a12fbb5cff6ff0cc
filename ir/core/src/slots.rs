//! Constants of the slot levels: linear maps by their diagonals, and plaintext vectors.

use crate::{Rotation, Slots};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A linear map from a bundle of slot vectors to another, by its non-zero diagonals (Halevi and Shoup 2014):
/// `out[o] = Σ_{i,r} d(o,i,r) ⊙ rotate(in[i], r)`, that is `d(o,i,r)[s] = M[(o,s), (i, s+r mod n)]`.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotMap {
    /// Name in text, without `@`.
    pub name: String,
    /// Slots of a vector.
    pub slots: Slots,
    /// Vectors out.
    pub outputs: u32,
    /// Vectors in.
    pub inputs: u32,
    /// Non-zero diagonals by (output, input, rotation), each with one value a slot.
    pub diagonals: BTreeMap<(u32, u32, Rotation), Arc<Vec<f64>>>,
}

impl SlotMap {
    /// Rotations that some diagonal needs, in order.
    pub fn rotations(&self) -> Vec<Rotation> {
        let mut all: Vec<_> = self.diagonals.keys().map(|k| k.2).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// How many diagonals have the same value in every slot.
    pub fn numbers(&self) -> usize {
        self.diagonals.values().filter(|diagonal| is_number(diagonal)).count()
    }

    /// Apply to clear slot vectors: the definition.
    pub fn apply(&self, input: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let n = self.slots.0;
        let mut out = vec![vec![0.0; n]; self.outputs as usize];
        for (&(o, i, r), diagonal) in &self.diagonals {
            let (x, y, r) = (&input[i as usize], &mut out[o as usize], r.0 as usize);
            // Two contiguous runs instead of an index modulo n.
            let (head, tail) = diagonal.split_at(n - r);
            for ((y, d), x) in y.iter_mut().zip(head).zip(&x[r..]) {
                *y += d * x;
            }
            for ((y, d), x) in y[n - r..].iter_mut().zip(tail).zip(x) {
                *y += d * x;
            }
        }
        out
    }
}

/// Whether slots are all the same.
fn is_number(slots: &[f64]) -> bool {
    slots.split_first().is_some_and(|(first, rest)| rest.iter().all(|value| value == first))
}

/// A plaintext operand of a bundle.
#[derive(Clone, Debug, PartialEq)]
pub enum Plain {
    /// The same number in every slot of every vector.
    Scalar(f64),
    /// One vector for each ciphertext of the bundle.
    Slots(Vec<Arc<Vec<f64>>>),
}
