//! A circuit under construction: equal operations on equal values are made once.

use crate::PackError;
use crate::diagonals::Place;
use hec_ir::circuit::{Circuit, MapId, Node, Op, PlainId, ValueId};
use hec_ir::entity::{Entity, EntityVec};
use hec_ir::tensor::Tensor;
use hec_ir::{Origin, Plain, SlotMap};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What tells operations apart: name, parameter, arguments.
type Key = (&'static str, u32, Vec<ValueId>);

/// A circuit and what is known of it.
pub(crate) struct Builder {
    pub(crate) circuit: Circuit,
    known: BTreeMap<Key, ValueId>,
    scalars: BTreeMap<u64, PlainId>,
}

impl Builder {
    pub(crate) fn new(circuit: Circuit) -> Self {
        Builder { circuit, known: BTreeMap::new(), scalars: BTreeMap::new() }
    }

    /// Add a node, or find the same one.
    pub(crate) fn push(&mut self, op: Op, args: &[ValueId], origin: &Origin) -> Result<ValueId, PackError> {
        let parameter = match op {
            Op::Input(i) => i,
            Op::Linear(map) => map.0,
            Op::AddPlain(plain) | Op::MulPlain(plain) => plain.0,
            Op::Rotate(rotation) => rotation.0,
            _ => 0,
        };
        let key = (op.name(), parameter, args.to_vec());
        if let Some(&value) = self.known.get(&key) {
            return Ok(value);
        }
        let value = self.circuit.push(op, args, origin.clone())?;
        self.known.insert(key, value);
        Ok(value)
    }

    /// Add a linear map.
    pub(crate) fn map(&mut self, map: SlotMap) -> MapId {
        self.circuit.maps.push(map)
    }

    /// A number as plaintext.
    pub(crate) fn scalar(&mut self, value: f64) -> PlainId {
        let plains = &mut self.circuit.plains;
        *self.scalars.entry(value.to_bits()).or_insert_with(|| plains.push(Plain::Scalar(value)))
    }

    /// A tensor that broadcasts to the place's shape, as plaintext.
    ///
    /// If all elements are equal this is a number, which also reaches slots without an element. Nothing reads those:
    /// linear maps have zeros there, and clients unpack by the layout.
    pub(crate) fn plain(&mut self, tensor: &Tensor, place: &Place) -> Result<PlainId, PackError> {
        if let Some(value) = uniform(tensor) {
            return Ok(self.scalar(value));
        }
        let shape = &place.layout.shape;
        let whole = tensor.broadcast_to(shape).ok_or_else(|| PackError::Constant {
            constant: tensor.shape.dims().to_vec(),
            value: shape.dims().to_vec(),
        })?;
        let vectors = place.pack(&whole.data).into_iter().map(Arc::new).collect();
        Ok(self.circuit.plains.push(Plain::Slots(vectors)))
    }

    /// The circuit without what no output needs. Inputs stay: clients send them.
    pub(crate) fn finish(self) -> Circuit {
        let old = self.circuit;
        let mut needed = vec![false; old.nodes.len()];
        for output in &old.outputs {
            needed[output.value.index()] = true;
        }
        for (id, node) in old.nodes.iter().rev() {
            needed[id.index()] |= matches!(node.op, Op::Input(_));
            if needed[id.index()] {
                node.args.iter().for_each(|a| needed[a.index()] = true);
            }
        }
        let mut values: BTreeMap<ValueId, ValueId> = BTreeMap::new();
        let (mut maps, mut plains) = (Renamed::new(old.maps), Renamed::new(old.plains));
        let mut nodes = EntityVec::new();
        for (id, node) in old.nodes.iter().filter(|(id, _)| needed[id.index()]) {
            let op = match node.op {
                Op::Linear(map) => Op::Linear(maps.rename(map)),
                Op::AddPlain(plain) => Op::AddPlain(plains.rename(plain)),
                Op::MulPlain(plain) => Op::MulPlain(plains.rename(plain)),
                op => op,
            };
            let args = node.args.iter().map(|a| values[a]).collect();
            values.insert(id, nodes.push(Node { op, args, ..node.clone() }));
        }
        let mut outputs = old.outputs;
        outputs.iter_mut().for_each(|o| o.value = values[&o.value]);
        let (name, slots, batch, inputs) = (old.name, old.slots, old.batch, old.inputs);
        Circuit { name, slots, batch, inputs, nodes, maps: maps.kept, plains: plains.kept, outputs }
    }
}

/// Constants that are used, in the order of their first use.
struct Renamed<K, V> {
    old: EntityVec<K, V>,
    names: BTreeMap<K, K>,
    kept: EntityVec<K, V>,
}

impl<K: Entity, V: Clone> Renamed<K, V> {
    fn new(old: EntityVec<K, V>) -> Self {
        Renamed { old, names: BTreeMap::new(), kept: EntityVec::new() }
    }

    fn rename(&mut self, id: K) -> K {
        let (old, kept) = (&self.old, &mut self.kept);
        *self.names.entry(id).or_insert_with(|| kept.push(old[id].clone()))
    }
}

/// The value of all elements, if they are equal.
pub(crate) fn uniform(tensor: &Tensor) -> Option<f64> {
    let (first, rest) = tensor.data.split_first()?;
    rest.iter().all(|v| v == first).then_some(*first)
}
