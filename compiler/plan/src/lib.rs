//! Slot circuits to leveled circuits.
//!
//! What it is: the stage that chooses the parameters and gives every value a level and an exact scale.
//! Core concepts: the *height* of a value is the number of levels that the longest path from it to an output uses;
//! every operation runs at the lowest level that its height allows, where it is cheapest. Products stay unrescaled and
//! unrelinearized while they are only added, so that a sum of products is relinearized and rescaled once.
//! Start at [`plan`].
//! Invariants: scales are the canonical ones of the parameters, exactly; the result verifies; nothing below 128-bit
//! security is made unless it is asked for.
//! Non-goals: layouts (hec-pack), order and keys (hec-schedule).
#![forbid(unsafe_code)]

mod assign;
mod error;
mod height;
mod parameters;

pub use error::{LayerDepth, PlanError};
pub use parameters::PlanOptions;

use hec_ir::{Parameters, circuit, leveled};

/// Give every value of `circuit` a level and a scale.
///
/// # Errors
/// [`PlanError::TooDeep`] when the ring cannot hold the depth at the least useful scale, with the layers that cost it.
pub fn plan(circuit: &circuit::Circuit, options: &PlanOptions) -> Result<leveled::Circuit, PlanError> {
    circuit.verify()?;
    let heights = height::heights(circuit);
    let depth = height::depth(circuit, &heights);
    let literal = parameters::choose(circuit, &heights, depth, options)?;
    let parameters = Parameters::check(literal)?;
    let leveled = assign::assign(circuit, &heights, &parameters)?;
    debug_assert_eq!(leveled.verify(), Ok(()));
    Ok(leveled)
}

/// Levels that the circuit uses from its inputs to its outputs.
pub fn depth(circuit: &circuit::Circuit) -> hec_ir::Depth {
    height::depth(circuit, &height::heights(circuit))
}
