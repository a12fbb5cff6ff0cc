//! What can go wrong.

use hec_ir::tensor::{InterpretError, ShapeError};

/// Why a network cannot be tuned.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum TuneError {
    #[error("layer {layer}: {op} cannot be trained")]
    Unsupported { layer: String, op: String },
    #[error("layer {layer}: {source}")]
    Shape { layer: String, source: ShapeError },
    #[error("{count} calibration inputs are too few: at least {least} are needed, a tenth of them for validation")]
    Samples { count: usize, least: usize },
    #[error("calibration input {sample}: {source}")]
    Input { sample: usize, source: InterpretError },
    #[error("the networks have different outputs or inputs, or none")]
    Different,
    #[error(
        "the polynomial network gives no finite outputs on calibration input {sample}; give it more of them, or a \
             higher degree"
    )]
    NotFinite { sample: usize },
    #[error("training diverged at step {step}: the loss is not finite; lower the learning rate")]
    Diverged { step: usize },
    #[error("the checkpoint cannot be used: {0}")]
    Checkpoint(String),
}
