//! What registers hold between two instructions.

use super::{Op, Program, Register};
use crate::leveled::Type;
use std::collections::BTreeMap;

/// A register that is full.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Held {
    /// Level, scale, parts, ciphertexts.
    pub ty: Type,
    /// Whether the decomposition is kept with it.
    pub decomposed: bool,
}

impl Program {
    /// The full registers after the first `done` instructions of a program that verifies.
    pub fn held_after(&self, done: usize) -> BTreeMap<Register, Held> {
        let mut held = BTreeMap::new();
        for i in self.instructions.iter().take(done) {
            match i.op {
                Op::Free => drop(held.remove(&i.destination)),
                op => drop(held.insert(i.destination, Held { ty: i.ty, decomposed: op == Op::Decompose })),
            }
        }
        held
    }
}
