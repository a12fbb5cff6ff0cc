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
mod keys;
mod memory;
mod registers;

use hec_ir::cost::CostTable;
use hec_ir::entity::EntityVec;
use hec_ir::evaluate::cost::CostReport;
use hec_ir::leveled::{self, LeveledError, Scheme};
use hec_ir::program::{Program, ProgramError};
use hec_ir::{Level, ParametersError};
use keys::Keys;
pub use memory::{MemoryEstimate, memory, stored_keys};

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
    #[error("the evaluation keys take {needed} MiB in a file at least, more than the {limit} MiB that are allowed")]
    Keys { needed: usize, limit: usize },
}

/// Turn a leveled circuit into a program: the fastest, or, where evaluation keys get large, one with smaller keys that
/// is predicted to be hardly slower.
///
/// # Errors
/// When the circuit is not well-formed.
pub fn schedule(circuit: &leveled::Circuit, costs: &CostTable) -> Result<Program, ScheduleError> {
    let scheme = verified(circuit)?;
    let fastest = program(circuit, &scheme, costs, 0.0)?;
    let mut least = memory::keys_in_a_file(&fastest, &scheme);
    if least <= LARGE_KEYS {
        return Ok(fastest);
    }
    let seconds = |p: &Program| CostReport::of_program(p, costs).map_or(f64::INFINITY, |r| r.total.seconds);
    let most = WORTH * seconds(&fastest);
    let mut best = fastest;
    for price in SMALL_PRICES {
        let other = program(circuit, &scheme, costs, price)?;
        let stored = memory::keys_in_a_file(&other, &scheme);
        if stored < least && seconds(&other) <= most {
            (best, least) = (other, stored);
        }
    }
    Ok(best)
}

/// Evaluation keys beyond this many bytes in a file are large.
const LARGE_KEYS: usize = 1 << 30;
/// How much slower a program may be for smaller keys, where they are large.
const WORTH: f64 = 1.01;

/// The same with evaluation keys of at most so many bytes in a file: where the fastest splits need more, linear maps
/// share rotations.
///
/// # Errors
/// When the circuit is not well-formed; [`ScheduleError::Keys`] when sharing does not save enough.
pub fn schedule_within(
    circuit: &leveled::Circuit,
    costs: &CostTable,
    key_bytes: usize,
) -> Result<Program, ScheduleError> {
    const MIB: usize = 1 << 20;
    let scheme = verified(circuit)?;
    let mut needed = usize::MAX;
    for price in KEY_PRICES {
        let program = program(circuit, &scheme, costs, price)?;
        let stored = memory::keys_in_a_file(&program, &scheme);
        if stored <= key_bytes {
            return Ok(program);
        }
        needed = needed.min(stored);
    }
    Err(ScheduleError::Keys { needed: needed.div_ceil(MIB), limit: key_bytes / MIB })
}

/// Seconds that a byte of a key is worth: nothing, then more and more until no split saves another key.
const KEY_PRICES: [f64; 6] = [0.0, 1e-10, 3e-10, 1e-9, 3e-9, 1e-7];
/// Those that cost little.
const SMALL_PRICES: [f64; 2] = [1e-10, 1e-9];

fn verified(circuit: &leveled::Circuit) -> Result<Scheme, ScheduleError> {
    circuit.verify()?;
    Ok(circuit.scheme()?)
}

fn program(
    circuit: &leveled::Circuit,
    scheme: &Scheme,
    costs: &CostTable,
    key_price: f64,
) -> Result<Program, ScheduleError> {
    let of_bootstrap = memory::shared_rotations(scheme);
    let mut keys = Keys::new(scheme.parameters(), key_price, of_bootstrap);
    let plans = circuit
        .maps
        .iter()
        .map(|(id, map)| {
            let user = circuit.nodes.values().find(|n| n.op == leveled::Op::Linear(id));
            let level = user.map_or(Level(0), |n| Level(n.ty.level.0 + 1));
            let plan = baby_giant::split(map, level, &keys, costs);
            keys.add(&plan, level);
            plan
        })
        .collect::<EntityVec<_, _>>();
    let (instructions, outputs) = registers::allocate(circuit);
    let mut program = Program {
        name: circuit.name.clone(),
        parameters: circuit.parameters.clone(),
        bootstrap: circuit.bootstrap.clone(),
        batch: circuit.batch,
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
