//! Level 3: slot operations with a level and a scale on every value.
//!
//! Scales are exact. A rescaled value at level ℓ has the canonical scale Δ(ℓ) of the parameters; a product of two such
//! values, or of one with a plaintext encoded at Δ(ℓ), has Δ(ℓ)², and rescaling it gives exactly Δ(ℓ−1).
//! Sums take values of one level and one scale.

mod scheme;
mod verify;

use crate::circuit::{self, Input, MapId, Output, PlainId};
use crate::entity::EntityVec;
use crate::{Batch, Level, Origin, ParametersError, ParametersLiteral, Plain, Rotation, Scale, SlotMap};
use hec_params::BootstrapChoice;
pub use scheme::Scheme;
pub use verify::LeveledError;

crate::entity!(
    /// A value with a level and a scale.
    ValueId, "%"
);

/// What a node computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// The i-th input.
    Input(u32),
    /// A linear map by its diagonals, rescaled: level ℓ → ℓ−1.
    Linear(MapId),
    /// x + p, the plaintext encoded at the level and scale of x.
    AddPlain(PlainId),
    /// x ⊙ p, the plaintext encoded at Δ(ℓ): the scale becomes Δ(ℓ)².
    MulPlain(PlainId),
    /// x + y
    Add,
    /// x − y
    Sub,
    /// −x
    Negate,
    /// x ⊙ y: three parts, scale Δ(ℓ)².
    Mul,
    /// x ⊙ x: three parts, scale Δ(ℓ)².
    Square,
    /// Rotation of each ciphertext to the left.
    Rotate(Rotation),
    /// Three parts → two.
    Relinearize,
    /// Scale Δ(ℓ)² at level ℓ → Δ(ℓ−1) at level ℓ−1.
    Rescale,
    /// Scale Δ(ℓ) at level ℓ → Δ(k) at level k < ℓ, exactly: drop to level k+1, multiply by the integer nearest to
    /// Δ(k)·q(k+1)/Δ(ℓ), rescale.
    Adjust(Level),
    /// The same slots, from the level at which a bootstrap starts to this one, at most that at which it ends.
    Bootstrap(Level),
}

/// What is known of a value before it runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Type {
    /// Ciphertexts in the bundle.
    pub count: u32,
    /// Level.
    pub level: Level,
    /// Scale, one of the canonical Δ(ℓ) or its square.
    pub scale: Scale,
    /// Polynomials of each ciphertext: 2, or 3 before relinearization.
    pub parts: u8,
}

/// A node and the value it makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it computes.
    pub op: Op,
    /// From which values.
    pub args: Vec<ValueId>,
    /// Level, scale, parts of the result.
    pub ty: Type,
    /// The model's nodes.
    pub origin: Origin,
}

/// A network on ciphertexts of known levels, in topological order.
#[derive(Clone, Debug, PartialEq)]
pub struct Circuit {
    /// Name of the network.
    pub name: String,
    /// The parameters that its levels and scales belong to.
    pub parameters: ParametersLiteral,
    /// What a bootstrap chooses, if the circuit has one; the parameters are those that follow from it.
    pub bootstrap: Option<BootstrapChoice>,
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
    /// The checked parameters.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn scheme(&self) -> Result<Scheme, ParametersError> {
        Scheme::check(&self.parameters, self.bootstrap.as_ref(), self.batch)
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
            Op::Relinearize => "relinearize",
            Op::Rescale => "rescale",
            Op::Adjust(_) => "adjust",
            Op::Bootstrap(_) => "bootstrap",
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
}

/// Every slot operation has a leveled one of the same meaning.
impl From<circuit::Op> for Op {
    fn from(op: circuit::Op) -> Op {
        match op {
            circuit::Op::Input(i) => Op::Input(i),
            circuit::Op::Linear(m) => Op::Linear(m),
            circuit::Op::AddPlain(p) => Op::AddPlain(p),
            circuit::Op::MulPlain(p) => Op::MulPlain(p),
            circuit::Op::Add => Op::Add,
            circuit::Op::Sub => Op::Sub,
            circuit::Op::Negate => Op::Negate,
            circuit::Op::Mul => Op::Mul,
            circuit::Op::Square => Op::Square,
            circuit::Op::Rotate(r) => Op::Rotate(r),
        }
    }
}
