//! Slot circuits to leveled circuits.
//!
//! What it is: the stage that chooses the parameters and gives every value a level and an exact scale.
//! Core concepts: the *height* of a value is the number of levels that the longest path from it to an output uses;
//! every operation runs at the lowest level that its height allows, where it is cheapest; with bootstraps, at the lowest
//! from which the next bootstrap or output can be reached. Products stay unrescaled and
//! unrelinearized while they are only added, so that a sum of products is relinearized and rescaled once.
//! Start at [`plan`], or at [`plan_with_bootstraps`].
//! Invariants: scales are the canonical ones of the parameters, exactly; the result verifies; nothing below 128-bit
//! security is made unless it is asked for.
//! Non-goals: layouts (hec-pack), order and keys (hec-schedule).
#![forbid(unsafe_code)]

mod assign;
mod bootstrap;
mod error;
mod height;
mod parameters;

pub use bootstrap::BootstrapOptions;
pub use error::{LayerDepth, LayerMagnitude, PlanError};
pub use parameters::{PlanOptions, check_room};

use bootstrap::Place;
use hec_ir::leveled::Scheme;
use hec_ir::{Level, Parameters, circuit, leveled};

/// Give every value of `circuit` a level and a scale.
///
/// # Errors
/// [`PlanError::TooDeep`] when the ring cannot hold the depth at the least useful scale, with the layers that cost it.
pub fn plan(circuit: &circuit::Circuit, options: &PlanOptions) -> Result<leveled::Circuit, PlanError> {
    circuit.verify()?;
    let heights = height::heights(circuit);
    let depth = height::depth(circuit, &heights);
    let literal = parameters::choose(circuit, &heights, depth, options)?;
    let scheme = Scheme::from(Parameters::check(literal)?).with_batch(circuit.batch);
    let at = |height: Option<u32>| height.map(|h| Place { level: Level(h), bootstrap: None });
    let places = heights.values().map(|&height| at(height)).collect();
    let leveled = assign::assign(circuit, &places, &scheme, Level(0))?;
    debug_assert_eq!(leveled.verify(), Ok(()));
    Ok(leveled)
}

/// Give every value of `circuit` a level and a scale, with bootstraps where they are predicted to cost least.
///
/// # Errors
/// When no parameters of the ring have a bootstrap that is precise enough, or values are too large for it.
pub fn plan_with_bootstraps(
    circuit: &circuit::Circuit,
    options: &PlanOptions,
    bootstrap: &BootstrapOptions,
) -> Result<leveled::Circuit, PlanError> {
    circuit.verify()?;
    let heights = height::heights(circuit);
    let (parameters, placement) = bootstrap::choose(circuit, &heights, options, bootstrap)?;
    let scheme = Scheme::from(parameters).with_batch(circuit.batch);
    let leveled = assign::assign(circuit, &placement.places, &scheme, placement.bottom)?;
    debug_assert_eq!(leveled.verify(), Ok(()));
    Ok(leveled)
}

/// Levels that the circuit uses from its inputs to its outputs.
pub fn depth(circuit: &circuit::Circuit) -> hec_ir::Depth {
    height::depth(circuit, &height::heights(circuit))
}
