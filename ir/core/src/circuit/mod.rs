//! Level 2: operations on slot vectors, before levels exist.
//!
//! A value is a *bundle* of `count` ciphertexts of the same number of slots: a tensor that needs several ciphertexts is
//! one value. Element-wise operations act on each ciphertext of the bundle.

mod verify;

use crate::entity::EntityVec;
use crate::tensor::ClientOp;
use crate::{Batch, Layout, Origin, Plain, Rotation, SlotMap, Slots};
pub use verify::CircuitError;
pub(crate) use verify::verify_client;

crate::entity!(
    /// A slot value.
    ValueId, "%"
);
crate::entity!(
    /// A linear map.
    MapId, "@map"
);
crate::entity!(
    /// A plaintext operand.
    PlainId, "@plain"
);

/// An encrypted input and how the client must pack it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The model's name for it.
    pub name: String,
    /// Where its elements go.
    pub layout: Layout,
}

/// A result and how the client must unpack it.
#[derive(Clone, Debug, PartialEq)]
pub struct Output<V> {
    /// The model's name for it.
    pub name: String,
    /// The encrypted value.
    pub value: V,
    /// Where its elements are.
    pub layout: Layout,
    /// What the client does after decryption, in order.
    pub client: Vec<ClientOp>,
}

/// What a node computes, with its depth in brackets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// The i-th input.
    Input(u32),
    /// A linear map by its diagonals [1].
    Linear(MapId),
    /// x + p [0]
    AddPlain(PlainId),
    /// x ⊙ p [1]
    MulPlain(PlainId),
    /// x + y [0]
    Add,
    /// x − y [0]
    Sub,
    /// −x [0]
    Negate,
    /// x ⊙ y [1]
    Mul,
    /// x ⊙ x [1]
    Square,
    /// Rotation of each ciphertext to the left [0].
    Rotate(Rotation),
}

/// A node and the value it makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it computes.
    pub op: Op,
    /// From which values.
    pub args: Vec<ValueId>,
    /// Ciphertexts in the result.
    pub count: u32,
    /// The model's nodes.
    pub origin: Origin,
}

/// A network on slot vectors, in topological order.
#[derive(Clone, Debug, PartialEq)]
pub struct Circuit {
    /// Name of the network.
    pub name: String,
    /// Slots of a ciphertext that are one input's.
    pub slots: Slots,
    /// How many inputs share a ciphertext.
    pub batch: Batch,
    /// Encrypted inputs.
    pub inputs: Vec<Input>,
    /// Nodes; a node's arguments precede it.
    pub nodes: EntityVec<ValueId, Node>,
    /// Linear maps.
    pub maps: EntityVec<MapId, SlotMap>,
    /// Plaintext operands.
    pub plains: EntityVec<PlainId, Plain>,
    /// Results.
    pub outputs: Vec<Output<ValueId>>,
}

impl Circuit {
    /// An empty circuit.
    pub fn new(name: impl Into<String>, slots: Slots) -> Self {
        Circuit {
            name: name.into(),
            slots,
            batch: Batch::ONE,
            inputs: Vec::new(),
            nodes: EntityVec::new(),
            maps: EntityVec::new(),
            plains: EntityVec::new(),
            outputs: Vec::new(),
        }
    }

    /// The same for so many inputs at once: a ciphertext has as many slots for each of them as it had for one.
    pub fn with_batch(self, batch: Batch) -> Self {
        Circuit { batch, ..self }
    }

    /// The slots of a ciphertext, those of all inputs.
    pub fn ciphertext_slots(&self) -> Slots {
        Slots(self.slots.0.saturating_mul(self.batch.0))
    }

    /// Add an input with its layout.
    pub fn input(&mut self, name: impl Into<String>, layout: Layout, origin: Origin) -> ValueId {
        let count = layout.ciphertexts() as u32;
        self.inputs.push(Input { name: name.into(), layout });
        let op = Op::Input(self.inputs.len() as u32 - 1);
        self.nodes.push(Node { op, args: Vec::new(), count, origin })
    }

    /// Add a node.
    ///
    /// # Errors
    /// When the arguments do not fit the operation.
    pub fn push(&mut self, op: Op, args: impl Into<Vec<ValueId>>, origin: Origin) -> Result<ValueId, CircuitError> {
        let args = args.into();
        let count = self.count_of(op, &args)?;
        Ok(self.nodes.push(Node { op, args, count, origin }))
    }
}

impl Op {
    /// Its name in text.
    pub fn name(self) -> &'static str {
        match self {
            Op::Input(_) => "input",
            Op::Linear(_) => "linear",
            Op::AddPlain(_) => "add_plain",
            Op::MulPlain(_) => "mul_plain",
            Op::Add => "add",
            Op::Sub => "sub",
            Op::Negate => "negate",
            Op::Mul => "mul",
            Op::Square => "square",
            Op::Rotate(_) => "rotate",
        }
    }

    /// How many arguments it takes.
    pub fn arity(self) -> usize {
        match self {
            Op::Input(_) => 0,
            Op::Add | Op::Sub | Op::Mul => 2,
            _ => 1,
        }
    }

    /// How many levels it uses.
    pub fn depth(self) -> u32 {
        matches!(self, Op::Linear(_) | Op::MulPlain(_) | Op::Mul | Op::Square) as u32
    }
}
