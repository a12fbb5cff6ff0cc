//! Level 4: a straight list of instructions on numbered registers: what the runtime executes.
//!
//! Every instruction reads registers and writes one; a register holds a bundle of ciphertexts. `decompose` attaches to a
//! register the raised digits (mod_up) that all later rotations and linear maps of it share, until `forget` or `free`.

mod live;
mod verify;

use crate::circuit::{Input, MapId, Output, PlainId};
use crate::entity::EntityVec;
use crate::leveled::{self, Scheme, Type};
use crate::{Batch, Level, Origin, ParametersError, ParametersLiteral, Plain, Rotation, SlotMap};
use hec_params::BootstrapChoice;
pub use live::Held;
use std::collections::BTreeMap;
pub use verify::ProgramError;

crate::entity!(
    /// A register: a bundle of ciphertexts, with its decomposition if there is one.
    Register, "c"
);

/// How a linear map's rotations are split: r = giant + baby (mod n).
///
/// `out[o] = Σ_giant rotate( Σ_baby rotate(d(o,i,giant+baby), −giant) ⊙ rotate(in[i], baby), giant )`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BabyGiant {
    /// Each rotation of the map with its giant and baby part.
    pub split: BTreeMap<Rotation, (Rotation, Rotation)>,
}

impl BabyGiant {
    /// Distinct baby steps, in order; zero included if used.
    pub fn babies(&self) -> Vec<Rotation> {
        distinct(self.split.values().map(|s| s.1))
    }

    /// Distinct giant steps, in order; zero included if used.
    pub fn giants(&self) -> Vec<Rotation> {
        distinct(self.split.values().map(|s| s.0))
    }
}

fn distinct(rotations: impl Iterator<Item = Rotation>) -> Vec<Rotation> {
    let set: std::collections::BTreeSet<_> = rotations.collect();
    set.into_iter().collect()
}

/// What an instruction does. The level of each is that of its result, `Instruction::ty`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// The i-th input, as it came.
    Load(u32),
    /// mod_up of the argument, kept with it; writes no register of its own (the destination is the argument).
    Decompose,
    /// Drop the decomposition (the destination is the argument).
    Forget,
    /// Drop the register (the destination is the argument).
    Free,
    /// A linear map with its plan, rescaled.
    Linear(MapId),
    /// x + p
    AddPlain(PlainId),
    /// x ⊙ p, not rescaled
    MulPlain(PlainId),
    /// x + y
    Add,
    /// x − y
    Sub,
    /// −x
    Negate,
    /// x ⊙ y, three parts
    Mul,
    /// x ⊙ x, three parts
    Square,
    /// Rotation to the left.
    Rotate(Rotation),
    /// Three parts → two.
    Relinearize,
    /// Divide by the primes of the level.
    Rescale,
    /// Both, with one division.
    RelinearizeRescale,
    /// Exact drop to a lower level.
    Adjust(Level),
    /// The same slots at this level.
    Bootstrap(Level),
}

/// An instruction.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    /// What it does.
    pub op: Op,
    /// Where the result goes.
    pub destination: Register,
    /// What it reads.
    pub args: Vec<Register>,
    /// Level, scale, parts of the result (of the argument, for decompose, forget and free).
    pub ty: Type,
    /// The model's nodes.
    pub origin: Origin,
}

/// The evaluation keys that a program needs, each with the highest level at which it is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySet {
    /// For relinearization.
    pub relinearize: Option<Level>,
    /// For rotations.
    pub rotations: BTreeMap<Rotation, Level>,
    /// Those of the bootstrap that the parameters belong to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bootstrap: bool,
}

/// A program for the runtime.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// Name of the network.
    pub name: String,
    /// Parameters.
    pub parameters: ParametersLiteral,
    /// What a bootstrap chooses, if the program has one; the parameters are those that follow from it.
    pub bootstrap: Option<BootstrapChoice>,
    /// How many inputs share a ciphertext.
    pub batch: Batch,
    /// Encrypted inputs.
    pub inputs: Vec<Input>,
    /// Instructions, in order.
    pub instructions: Vec<Instruction>,
    /// Linear maps.
    pub maps: EntityVec<MapId, SlotMap>,
    /// How each linear map is evaluated.
    pub plans: EntityVec<MapId, BabyGiant>,
    /// Plaintext operands.
    pub plains: EntityVec<PlainId, Plain>,
    /// Results.
    pub outputs: Vec<Output<Register>>,
    /// Keys needed.
    pub keys: KeySet,
}

impl Program {
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
            Op::Load(_) => "load",
            Op::Decompose => "decompose",
            Op::Forget => "forget",
            Op::Free => "free",
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
            Op::RelinearizeRescale => "relinearize_rescale",
            Op::Adjust(_) => "adjust",
            Op::Bootstrap(_) => "bootstrap",
        }
    }
}

/// Every leveled operation is one of the machine.
impl From<leveled::Op> for Op {
    fn from(op: leveled::Op) -> Op {
        match op {
            leveled::Op::Input(i) => Op::Load(i),
            leveled::Op::Linear(m) => Op::Linear(m),
            leveled::Op::AddPlain(p) => Op::AddPlain(p),
            leveled::Op::MulPlain(p) => Op::MulPlain(p),
            leveled::Op::Add => Op::Add,
            leveled::Op::Sub => Op::Sub,
            leveled::Op::Negate => Op::Negate,
            leveled::Op::Mul => Op::Mul,
            leveled::Op::Square => Op::Square,
            leveled::Op::Rotate(r) => Op::Rotate(r),
            leveled::Op::Relinearize => Op::Relinearize,
            leveled::Op::Rescale => Op::Rescale,
            leveled::Op::Adjust(level) => Op::Adjust(level),
            leveled::Op::Bootstrap(level) => Op::Bootstrap(level),
        }
    }
}
