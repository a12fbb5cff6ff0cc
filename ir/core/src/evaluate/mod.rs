//! One operation set, many evaluators.
//!
//! A circuit, a leveled circuit and a program all run on any [`Evaluator`]: clear slots, clear slots with a noise
//! model, cost only, real ciphertexts. No algorithm is written twice to count it and to run it.

pub mod clear;
pub mod cost;
mod layers;
mod machine;
pub mod noise;
mod tensors;

use crate::circuit::{self, MapId, PlainId};
use crate::entity::{Entity, EntityVec};
use crate::leveled;
use crate::program::{self, BabyGiant};
use crate::{Level, Origin, Plain, Rotation, SlotMap};

pub use machine::{Machine, run_program};
pub use tensors::{SimulateError, SlotVectors, pack_inputs, unpack_output};

/// What the operations mean. A value is a bundle of ciphertexts (or what stands for one).
pub trait Evaluator {
    /// A bundle.
    type Value: Clone;
    /// Why an operation fails.
    type Error;

    /// Told before each operation, for reports by layer, progress and error messages.
    fn enter(&mut self, _origin: &Origin, _op: &'static str) {}
    /// A linear map, rescaled. A slot circuit has no plan yet.
    fn linear(
        &mut self,
        x: &Self::Value,
        map: (MapId, &SlotMap),
        plan: Option<&BabyGiant>,
    ) -> Result<Self::Value, Self::Error>;
    /// x + p
    fn add_plain(&mut self, x: &Self::Value, plain: (PlainId, &Plain)) -> Result<Self::Value, Self::Error>;
    /// x ⊙ p
    fn mul_plain(&mut self, x: &Self::Value, plain: (PlainId, &Plain)) -> Result<Self::Value, Self::Error>;
    /// x + y
    fn add(&mut self, x: &Self::Value, y: &Self::Value) -> Result<Self::Value, Self::Error>;
    /// x − y
    fn sub(&mut self, x: &Self::Value, y: &Self::Value) -> Result<Self::Value, Self::Error>;
    /// −x
    fn negate(&mut self, x: &Self::Value) -> Result<Self::Value, Self::Error>;
    /// x ⊙ y
    fn mul(&mut self, x: &Self::Value, y: &Self::Value) -> Result<Self::Value, Self::Error>;
    /// x ⊙ x
    fn square(&mut self, x: &Self::Value) -> Result<Self::Value, Self::Error>;
    /// Rotation to the left.
    fn rotate(&mut self, x: &Self::Value, rotation: Rotation) -> Result<Self::Value, Self::Error>;
    /// Three parts → two.
    fn relinearize(&mut self, x: &Self::Value) -> Result<Self::Value, Self::Error>;
    /// Divide by the primes of the level.
    fn rescale(&mut self, x: &Self::Value) -> Result<Self::Value, Self::Error>;
    /// Both.
    fn relinearize_rescale(&mut self, x: &Self::Value) -> Result<Self::Value, Self::Error> {
        let whole = self.relinearize(x)?;
        self.rescale(&whole)
    }
    /// Exact drop to a lower level.
    fn adjust(&mut self, x: &Self::Value, level: Level) -> Result<Self::Value, Self::Error>;
    /// The same slots at a higher level.
    fn bootstrap(&mut self, x: &Self::Value, level: Level) -> Result<Self::Value, Self::Error>;
    /// Keep the raised digits with the value, for the rotations that follow.
    fn decompose(&mut self, _x: &mut Self::Value) -> Result<(), Self::Error> {
        Ok(())
    }
    /// Drop them.
    fn forget(&mut self, _x: &mut Self::Value) {}
}

/// The constants that operations refer to.
struct Constants<'a> {
    maps: &'a EntityVec<MapId, SlotMap>,
    plans: Option<&'a EntityVec<MapId, BabyGiant>>,
    plains: &'a EntityVec<PlainId, Plain>,
}

/// One operation on values; `None` for those that are not (inputs, and what is done to a register in place).
fn apply<'v, E: Evaluator>(
    e: &mut E,
    op: program::Op,
    x: impl Fn(usize) -> &'v E::Value,
    c: &Constants,
) -> Result<Option<E::Value>, E::Error>
where
    E::Value: 'v,
{
    use program::Op;
    Ok(Some(match op {
        Op::Load(_) | Op::Decompose | Op::Forget | Op::Free => return Ok(None),
        Op::Linear(m) => e.linear(x(0), (m, &c.maps[m]), c.plans.map(|plans| &plans[m]))?,
        Op::AddPlain(p) => e.add_plain(x(0), (p, &c.plains[p]))?,
        Op::MulPlain(p) => e.mul_plain(x(0), (p, &c.plains[p]))?,
        Op::Add => e.add(x(0), x(1))?,
        Op::Sub => e.sub(x(0), x(1))?,
        Op::Negate => e.negate(x(0))?,
        Op::Mul => e.mul(x(0), x(1))?,
        Op::Square => e.square(x(0))?,
        Op::Rotate(r) => e.rotate(x(0), r)?,
        Op::Relinearize => e.relinearize(x(0))?,
        Op::Rescale => e.rescale(x(0))?,
        Op::RelinearizeRescale => e.relinearize_rescale(x(0))?,
        Op::Adjust(level) => e.adjust(x(0), level)?,
        Op::Bootstrap(level) => e.bootstrap(x(0), level)?,
    }))
}

/// Run a slot circuit. `inputs` are the bundles of `circuit.inputs`, in order; the result are the outputs' bundles.
///
/// # Errors
/// The evaluator's.
///
/// # Panics
/// If `circuit` does not verify or the number of inputs differs.
pub fn run_circuit<E: Evaluator>(
    c: &circuit::Circuit,
    e: &mut E,
    inputs: &[E::Value],
) -> Result<Vec<E::Value>, E::Error> {
    visit_circuit(c, e, inputs, |_, _| ())
}

/// As [`run_circuit`], showing every value. A value is dropped after its last use.
fn visit_circuit<E: Evaluator>(
    c: &circuit::Circuit,
    e: &mut E,
    inputs: &[E::Value],
    mut see: impl FnMut(circuit::ValueId, &E::Value),
) -> Result<Vec<E::Value>, E::Error> {
    let constants = Constants { maps: &c.maps, plans: None, plains: &c.plains };
    let mut last_use: EntityVec<circuit::ValueId, Option<circuit::ValueId>> = c.nodes.keys().map(|_| None).collect();
    for (id, node) in c.nodes.iter() {
        node.args.iter().for_each(|&arg| last_use[arg] = Some(id));
    }
    let is_output = |id| c.outputs.iter().any(|o| o.value == id);
    let mut values: Vec<Option<E::Value>> = Vec::with_capacity(c.nodes.len());
    for (id, node) in c.nodes.iter() {
        e.enter(&node.origin, node.op.name());
        let value = match node.op {
            circuit::Op::Input(i) => inputs[i as usize].clone(),
            op => {
                let x = |i: usize| values[node.args[i].index()].as_ref().expect("kept to its last use");
                apply(e, leveled::Op::from(op).into(), x, &constants)?.expect("only inputs are not applied")
            }
        };
        see(id, &value);
        let is_used = last_use[id].is_some() || is_output(id);
        values.push(is_used.then_some(value));
        for &arg in node.args.iter().filter(|&&arg| last_use[arg] == Some(id) && !is_output(arg)) {
            values[arg.index()] = None;
        }
    }
    Ok(c.outputs.iter().map(|o| values[o.value.index()].clone().expect("outputs are kept")).collect())
}

/// Run a leveled circuit, as [`run_circuit`] does.
///
/// # Errors
/// The evaluator's.
///
/// # Panics
/// If `circuit` does not verify or the number of inputs differs.
pub fn run_leveled<E: Evaluator>(
    c: &leveled::Circuit,
    e: &mut E,
    inputs: &[E::Value],
) -> Result<Vec<E::Value>, E::Error> {
    let constants = Constants { maps: &c.maps, plans: None, plains: &c.plains };
    let mut values: Vec<E::Value> = Vec::with_capacity(c.nodes.len());
    for node in c.nodes.values() {
        e.enter(&node.origin, node.op.name());
        let value = match node.op {
            leveled::Op::Input(i) => inputs[i as usize].clone(),
            op => {
                let x = |i: usize| &values[node.args[i].index()];
                apply(e, op.into(), x, &constants)?.expect("only inputs are not applied")
            }
        };
        values.push(value);
    }
    Ok(c.outputs.iter().map(|o| values[o.value.index()].clone()).collect())
}
