//! Leveled circuits to programs.
//!
//! What it is: the last stage. It splits the rotations of every linear map into baby and giant steps, shares one
//! decomposition between all rotations of a value, gives values registers and frees them after their last use, and
//! lists the keys that the program needs, each with the highest level at which it is used.
//! Core concepts: [`BabyGiant`](hec_ir::program::BabyGiant) plans, liveness.
//! Start at [`schedule`].
//! Invariants: the result verifies; the order is that of the circuit, so it is deterministic.
//! Non-goals: levels and scales (hec-plan), threads (the runtime).
#![forbid(unsafe_code)]

mod baby_giant;
mod memory;
mod registers;

use hec_ir::cost::{CostTable, RingSize};
use hec_ir::entity::EntityVec;
use hec_ir::leveled::{self, LeveledError};
use hec_ir::program::{Program, ProgramError};
use hec_ir::{Level, ParametersError};
pub use memory::{MemoryEstimate, memory};

/// Why a circuit cannot be scheduled.
#[derive(Clone, Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ScheduleError {
    #[error(transparent)]
    Leveled(#[from] LeveledError),
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    #[error("the scheduled program is ill-formed: {0}")]
    Program(#[from] ProgramError),
}

/// Turn a leveled circuit into a program.
///
/// # Errors
/// When the circuit is not well-formed.
pub fn schedule(circuit: &leveled::Circuit, costs: &CostTable) -> Result<Program, ScheduleError> {
    circuit.verify()?;
    let scheme = circuit.scheme()?;
    let plans = circuit
        .maps
        .iter()
        .map(|(id, map)| {
            let user = circuit.nodes.values().find(|n| n.op == leveled::Op::Linear(id));
            let level = user.map_or(Level(0), |n| Level(n.ty.level.0 + 1));
            baby_giant::split(map, &RingSize::at(scheme.parameters(), level), costs)
        })
        .collect::<EntityVec<_, _>>();
    let (instructions, outputs) = registers::allocate(circuit);
    let mut program = Program {
        name: circuit.name.clone(),
        parameters: circuit.parameters.clone(),
        bootstrap: circuit.bootstrap.clone(),
        inputs: circuit.inputs.clone(),
        instructions,
        maps: circuit.maps.clone(),
        plans,
        plains: circuit.plains.clone(),
        outputs,
        keys: Default::default(),
    };
    program.keys = program.required_keys();
    program.verify()?;
    Ok(program)
}
