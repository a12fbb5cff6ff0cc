//! What an evaluator finds out, by layer.

use super::SimulateError;
use crate::Origin;
use crate::leveled::{Op, Scheme, Type};
use std::collections::BTreeMap;

/// One entry for each layer, in the order in which the program first meets them, and where the program is now.
#[derive(Clone, Debug)]
pub(super) struct ByLayer<T> {
    entries: Vec<(String, T)>,
    index: BTreeMap<String, usize>,
    current: usize,
    op: &'static str,
}

impl<T: Default> ByLayer<T> {
    pub(super) fn new() -> Self {
        ByLayer { entries: Vec::new(), index: BTreeMap::new(), current: 0, op: "input" }
    }

    /// The program comes to an operation of that origin.
    pub(super) fn enter(&mut self, origin: &Origin, op: &'static str) {
        let layer = origin.layer();
        self.op = op;
        self.current = match self.index.get(layer) {
            Some(&index) => index,
            None => {
                self.entries.push((layer.to_owned(), T::default()));
                self.index.insert(layer.to_owned(), self.entries.len() - 1);
                self.entries.len() - 1
            }
        };
    }

    /// The entry of the layer that the program is in; `None` before the first.
    pub(super) fn current(&mut self) -> Option<&mut T> {
        self.entries.get_mut(self.current).map(|e| &mut e.1)
    }

    pub(super) fn into_entries(self) -> Vec<(String, T)> {
        self.entries
    }

    /// The type of the result by the rules of the leveled circuit.
    pub(super) fn infer(&self, op: Op, args: &[Type], count: u32, scheme: &Scheme) -> Result<Type, SimulateError> {
        op.infer(args, count, scheme).map_err(|reason| {
            let layer = self.entries.get(self.current).map_or("(compiler)", |e| e.0.as_str()).to_owned();
            SimulateError::Operation { layer, op: self.op, reason }
        })
    }
}
