//! Why a circuit cannot be planned.

use crate::bootstrap::LARGEST_BOOTSTRAPPED;
use hec_ir::circuit::CircuitError;
use hec_ir::leveled::LeveledError;
use hec_ir::{Depth, ParametersError};
use std::fmt;

/// Levels that a layer costs on a deepest path.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LayerDepth {
    /// The model's node.
    pub layer: String,
    /// Levels.
    pub depth: Depth,
}

/// How large the values of a layer are.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct LayerMagnitude {
    /// The model's node.
    pub layer: String,
    /// The largest magnitude of a slot.
    pub magnitude: f64,
}

/// Why a circuit cannot be planned.
#[derive(Clone, Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum PlanError {
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    #[error(transparent)]
    Leveled(#[from] LeveledError),
    #[error("the circuit has {circuit} slots, but N = 2^{log_n} has {ring}")]
    Slots { circuit: usize, ring: usize, log_n: u32 },
    #[error(
        "the network needs {needed} levels, but N = 2^{log_n} has room for {available} at scale 2^{scale_bits:.0} and \
         128-bit security. Levels by layer: {}. Use a larger ring, lower degrees (--activation), or fewer layers",
        Listed(.layers)
    )]
    TooDeep { needed: Depth, available: Depth, log_n: u32, scale_bits: f64, layers: Vec<LayerDepth> },
    #[error("no set of bootstraps leaves every value a level{}", TooLarge(.too_large))]
    NoPlacement { too_large: Vec<LayerMagnitude> },
    #[error("layer {layer}: {reason}")]
    Assign { layer: String, reason: String },
}

struct Listed<'a>(&'a [LayerDepth]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, layer) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{} {}", layer.layer, layer.depth)?;
        }
        Ok(())
    }
}

/// Layers named in a message.
const NAMED: usize = 5;

struct TooLarge<'a>(&'a [LayerMagnitude]);

impl fmt::Display for TooLarge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, ": beyond {:.0}, values are too large to be bootstrapped, and those of ", LARGEST_BOOTSTRAPPED)?;
        for (i, LayerMagnitude { layer, magnitude }) in self.0.iter().take(NAMED).enumerate() {
            let comma = if i == 0 { "" } else { ", of " };
            write!(f, "{comma}{layer} reach {magnitude:.3e}")?;
        }
        let more = self.0.len().saturating_sub(NAMED);
        if more > 0 { write!(f, ", and of {more} more layers are too large") } else { Ok(()) }
    }
}
