//! What makes a circuit well-formed.

use super::{Circuit, MapId, Op, PlainId, ValueId};
use crate::entity::Entity;
use crate::tensor::ClientOp;
use crate::{Layout, LayoutError, Plain};
use hec_params::MAX_LOG_N;
use std::collections::BTreeSet;

/// The most ciphertexts in a bundle, as for a [`Layout`].
const MAX_COUNT: u32 = 1 << 12;

/// Why a circuit is ill-formed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum CircuitError {
    #[error("{op} takes {expected} arguments, not {found}")]
    Arity { op: &'static str, expected: usize, found: usize },
    #[error(
        "a batch of {batch} inputs of {slots} slots each: it must be a power of two that a ciphertext has room for"
    )]
    Batch { batch: usize, slots: usize },
    #[error("{0} slots: their number must be a power of two, at most {max}", max = MAX_LOG_N.slots())]
    Slots(usize),
    #[error("two maps have the name @{0}")]
    RepeatedMap(String),
    #[error("{map} is from {inputs} to {outputs} ciphertexts, of at most {MAX_COUNT}")]
    MapSize { map: MapId, inputs: u32, outputs: u32 },
    #[error("output {name}: the client's operations name an axis that the tensor does not have")]
    ClientAxis { name: String },
    #[error("{0} is used before it is defined")]
    Undefined(ValueId),
    #[error("{0} does not exist")]
    UnknownMap(MapId),
    #[error("{0} does not exist")]
    UnknownPlain(PlainId),
    #[error("input {0} does not exist, or has more than one node")]
    Input(u32),
    #[error("{op}: bundles of {left} and {right} ciphertexts do not fit")]
    Count { op: &'static str, left: u32, right: u32 },
    #[error("{map}: a diagonal lies outside the map, or has not one value for each of the {slots} slots")]
    Diagonal { map: MapId, slots: usize },
    #[error("{plain} has not one value for each of the {slots} slots")]
    Plain { plain: PlainId, slots: usize },
    #[error("rotation by {0} is not below the number of slots")]
    Rotation(u32),
    #[error("{value} is declared with {declared} ciphertexts, but has {inferred}")]
    Declared { value: ValueId, declared: u32, inferred: u32 },
    #[error("layout of {name}: {source}")]
    Layout { name: String, source: LayoutError },
    #[error("layout of {name} is for {layout} slots and {ciphertexts} ciphertexts; the value has {slots} and {count}")]
    LayoutSize { name: String, layout: usize, ciphertexts: usize, slots: usize, count: u32 },
}

impl Circuit {
    /// Ciphertexts in the result of `op` on `args`.
    ///
    /// # Errors
    /// When they do not fit.
    pub fn count_of(&self, op: Op, args: &[ValueId]) -> Result<u32, CircuitError> {
        let name = op.name();
        if args.len() != op.arity() {
            return Err(CircuitError::Arity { op: name, expected: op.arity(), found: args.len() });
        }
        let counts: Vec<u32> = args
            .iter()
            .map(|&a| self.nodes.get(a).map(|n| n.count).ok_or(CircuitError::Undefined(a)))
            .collect::<Result<_, _>>()?;
        let fits = |right: u32| {
            let left = counts.first().copied().unwrap_or(0);
            if left == right { Ok(left) } else { Err(CircuitError::Count { op: name, left, right }) }
        };
        match op {
            Op::Input(i) => {
                let input = self.inputs.get(i as usize).ok_or(CircuitError::Input(i))?;
                Ok(input.layout.ciphertexts() as u32)
            }
            Op::Linear(map) => {
                let map = self.maps.get(map).ok_or(CircuitError::UnknownMap(map))?;
                fits(map.inputs).map(|_| map.outputs)
            }
            Op::AddPlain(plain) | Op::MulPlain(plain) => {
                match self.plains.get(plain).ok_or(CircuitError::UnknownPlain(plain))? {
                    Plain::Scalar(_) => fits(counts[0]),
                    Plain::Slots(vectors) => fits(vectors.len() as u32),
                }
            }
            Op::Rotate(r) if r.0 as usize >= self.slots.0 => Err(CircuitError::Rotation(r.0)),
            Op::Add | Op::Sub | Op::Mul => fits(counts[1]),
            Op::Square | Op::Negate | Op::Rotate(_) => fits(counts[0]),
        }
    }

    /// Check nodes, constants, inputs and outputs.
    ///
    /// # Errors
    /// The first reason found.
    pub fn verify(&self) -> Result<(), CircuitError> {
        if !self.slots.0.is_power_of_two() || self.slots > MAX_LOG_N.slots() {
            return Err(CircuitError::Slots(self.slots.0));
        }
        if !self.batch.0.is_power_of_two() || self.ciphertext_slots() > MAX_LOG_N.slots() {
            return Err(CircuitError::Batch { batch: self.batch.0, slots: self.slots.0 });
        }
        self.verify_constants()?;
        for input in &self.inputs {
            self.verify_layout(&input.name, &input.layout, MAX_COUNT)?;
        }
        let mut seen = vec![false; self.inputs.len()];
        for (id, node) in self.nodes.iter() {
            if let Some(&late) = node.args.iter().find(|a| a.index() >= id.index()) {
                return Err(CircuitError::Undefined(late));
            }
            let inferred = self.count_of(node.op, &node.args)?;
            if inferred != node.count {
                return Err(CircuitError::Declared { value: id, declared: node.count, inferred });
            }
            if let Op::Input(i) = node.op
                && std::mem::replace(&mut seen[i as usize], true)
            {
                return Err(CircuitError::Input(i));
            }
        }
        for output in &self.outputs {
            let node = self.nodes.get(output.value).ok_or(CircuitError::Undefined(output.value))?;
            self.verify_layout(&output.name, &output.layout, node.count)?;
            verify_client(&output.name, &output.layout, &output.client)?;
        }
        Ok(())
    }

    fn verify_constants(&self) -> Result<(), CircuitError> {
        let slots = self.slots.0;
        let mut names = BTreeSet::new();
        for (map, m) in self.maps.iter() {
            let ok = m
                .diagonals
                .iter()
                .all(|(&(o, i, r), d)| o < m.outputs && i < m.inputs && (r.0 as usize) < slots && d.len() == slots);
            if !ok || m.slots != self.slots {
                return Err(CircuitError::Diagonal { map, slots });
            }
            if m.inputs > MAX_COUNT || m.outputs > MAX_COUNT {
                return Err(CircuitError::MapSize { map, inputs: m.inputs, outputs: m.outputs });
            }
            if !names.insert(m.name.as_str()) {
                return Err(CircuitError::RepeatedMap(m.name.clone()));
            }
        }
        for (plain, p) in self.plains.iter() {
            if let Plain::Slots(vectors) = p
                && vectors.iter().any(|v| v.len() != slots)
            {
                return Err(CircuitError::Plain { plain, slots });
            }
        }
        Ok(())
    }

    fn verify_layout(&self, name: &str, layout: &Layout, count: u32) -> Result<(), CircuitError> {
        layout.verify().map_err(|source| CircuitError::Layout { name: name.to_owned(), source })?;
        if layout.slots != self.slots || layout.ciphertexts() as u32 > count {
            return Err(CircuitError::LayoutSize {
                name: name.to_owned(),
                layout: layout.slots.0,
                ciphertexts: layout.ciphertexts(),
                slots: self.slots.0,
                count,
            });
        }
        Ok(())
    }
}

/// Check that what the client does after decryption fits the tensor that it unpacks.
pub(crate) fn verify_client(name: &str, layout: &Layout, client: &[ClientOp]) -> Result<(), CircuitError> {
    match client.iter().all(|op| op.fits(layout.shape.rank())) {
        true => Ok(()),
        false => Err(CircuitError::ClientAxis { name: name.to_owned() }),
    }
}
