//! The rotation keys that linear maps need so far, and what one more is worth.

use crate::memory::stored_key_bytes;
use hec_ir::program::BabyGiant;
use hec_ir::{Level, Parameters, Rotation};
use std::collections::BTreeMap;

/// Keys of the maps that were split already.
pub(crate) struct Keys<'a> {
    pub(crate) parameters: &'a Parameters,
    /// Seconds that a byte is worth.
    price: f64,
    /// Bytes of a key up to each level.
    bytes: Vec<usize>,
    known: BTreeMap<Rotation, Level>,
}

impl<'a> Keys<'a> {
    /// Those of `known`, which there are anyway.
    pub(crate) fn new(parameters: &'a Parameters, price: f64, known: BTreeMap<Rotation, Level>) -> Self {
        let bytes = (0..=parameters.top_level().0).map(|level| stored_key_bytes(parameters, Level(level))).collect();
        Keys { parameters, price, bytes, known }
    }

    /// What it is worth not to need a rotation at this level: nothing if there is a key for it.
    pub(crate) fn price(&self, rotation: Rotation, level: Level) -> f64 {
        if self.price == 0.0 || rotation.is_zero() {
            return 0.0;
        }
        let bytes = |level: Level| self.bytes[level.0 as usize];
        let known = self.known.get(&rotation).copied();
        let more = bytes(level).saturating_sub(known.map_or(0, bytes));
        self.price * more as f64
    }

    /// A map has been split.
    pub(crate) fn add(&mut self, plan: &BabyGiant, level: Level) {
        for rotation in plan.babies().into_iter().chain(plan.giants()) {
            let known = self.known.entry(rotation).or_insert(level);
            *known = (*known).max(level);
        }
    }
}
