//! Why a network cannot be made polynomial.

use crate::Family;
use crate::network::RunError;
use hec_ir::tensor::{Domain, InterpretError, ShapeError};

/// Why a network cannot be made polynomial, where, and what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum NonlinearError {
    #[error(
        "layer `{layer}` ({function}): nothing is known about its inputs; give calibration data (a few dozen typical \
         inputs are enough), or the range of this layer's input, as in --range {layer}=-4,6"
    )]
    NoData { layer: String, function: &'static str },
    #[error(
        "layer `{layer}`: the original network gives a number that is not finite on calibration sample {sample}; \
             check the preprocessing of that sample"
    )]
    NotFinite { layer: String, sample: usize },
    #[error(
        "layer `{layer}`: every replacement that was tried made the network diverge on the calibration data; \
             pin more careful ones, as in --activation {layer}=lsq:15, or give more calibration samples"
    )]
    Diverged { layer: String },
    #[error(
        "layer `{layer}`: a maximum over a padded window has no polynomial form here; use average pooling in its \
             place and retrain, or export the network with windows that tile the input"
    )]
    PaddedMaxPool { layer: String },
    #[error("layer `{layer}`: max_pool is built on |x|, which is even, so {degree} is no degree for it; \
             use an even one, as in --activation {layer}=lsq:{}", degree + 1)]
    OddMaxPool { layer: String, degree: usize },
    #[error("no layer or function is called `{name}`; what can be replaced is: {}", listed(available))]
    UnknownTarget { name: String, available: Vec<String> },
    #[error(
        "`{name}`: {} has a {} from {} to {}, not {degree}",
        family.name(), family.counts(), family.degrees().start(), family.degrees().end()
    )]
    Degree { name: String, family: Family, degree: usize },
    #[error(
        "layer `{layer}`: {} is no way to replace {function}: composite is for functions of straight pieces (relu, \
         leaky_relu, abs, sign, clip, ...), goldschmidt for 1/x, newton for square roots; use lsq or minimax",
        family.name()
    )]
    Unsuitable { layer: String, function: &'static str, family: Family },
    #[error("layer `{layer}`: the range {lo}..{hi} is empty or not finite; give two numbers, the smaller one first")]
    Range { layer: String, lo: f64, hi: f64 },
    #[error(
        "layer `{layer}`: {function} is defined for {domain} only, but its input ranges from {lo:.3e} to {hi:.3e}; give \
         a range inside, as in --range {layer}={}, or more accurate polynomials before that layer",
        if *hi > 0.0 { "0.01,10" } else { "-10,-0.01" }
    )]
    Domain { layer: String, function: &'static str, domain: Domain, lo: f64, hi: f64 },
    #[error(
        "layer `{layer}`: {function} is defined for {domain} only, and gets something else on calibration sample \
         {sample}; leave that sample out, or add a small constant before that layer and export again"
    )]
    Undefined { layer: String, function: &'static str, domain: Domain, sample: usize },
    #[error("{option} is {value}: it must be {expected}")]
    Option { option: &'static str, value: f64, expected: &'static str },
    #[error("calibration sample {sample} does not fit the network: {reason}")]
    Sample { sample: usize, reason: InterpretError },
    #[error("layer `{layer}`: {reason}")]
    Interpret { layer: String, reason: InterpretError },
    #[error(
        "layer `{layer}`: a scratch file for the values of the calibration samples failed ({reason}); free space in the \
         folder for temporary files, or give fewer samples"
    )]
    Scratch { layer: String, reason: String },
    #[error("layer `{layer}`: {reason}")]
    Shape { layer: String, reason: ShapeError },
}

/// Names with commas, or that there are none.
fn listed(names: &[String]) -> String {
    if names.is_empty() { "nothing, the network is polynomial already".to_owned() } else { names.join(", ") }
}

impl NonlinearError {
    /// Why a layer could not be run over the samples.
    pub(crate) fn run(layer: &str, error: RunError) -> Self {
        let layer = layer.to_owned();
        match error {
            RunError::Interpret(reason) => NonlinearError::Interpret { layer, reason },
            RunError::Shape(reason) => NonlinearError::Shape { layer, reason },
            RunError::Scratch(reason) => NonlinearError::Scratch { layer, reason: reason.to_string() },
        }
    }

    /// A stable code, for documentation and scripts.
    pub fn code(&self) -> &'static str {
        match self {
            NonlinearError::NoData { .. } => "nonlinear::no_data",
            NonlinearError::NotFinite { .. } => "nonlinear::not_finite",
            NonlinearError::Diverged { .. } => "nonlinear::diverged",
            NonlinearError::PaddedMaxPool { .. } => "nonlinear::padded_max_pool",
            NonlinearError::OddMaxPool { .. } => "nonlinear::odd_max_pool",
            NonlinearError::UnknownTarget { .. } => "nonlinear::unknown_target",
            NonlinearError::Degree { .. } => "nonlinear::degree",
            NonlinearError::Unsuitable { .. } => "nonlinear::unsuitable",
            NonlinearError::Range { .. } => "nonlinear::range",
            NonlinearError::Domain { .. } => "nonlinear::domain",
            NonlinearError::Undefined { .. } => "nonlinear::undefined",
            NonlinearError::Option { .. } => "nonlinear::option",
            NonlinearError::Sample { .. } => "nonlinear::sample",
            NonlinearError::Interpret { .. } => "nonlinear::interpret",
            NonlinearError::Scratch { .. } => "nonlinear::scratch",
            NonlinearError::Shape { .. } => "nonlinear::shape",
        }
    }

    /// The layer it is about, if it is about one.
    pub fn layer(&self) -> Option<&str> {
        match self {
            NonlinearError::NoData { layer, .. }
            | NonlinearError::NotFinite { layer, .. }
            | NonlinearError::Diverged { layer }
            | NonlinearError::PaddedMaxPool { layer }
            | NonlinearError::OddMaxPool { layer, .. }
            | NonlinearError::Range { layer, .. }
            | NonlinearError::Unsuitable { layer, .. }
            | NonlinearError::Domain { layer, .. }
            | NonlinearError::Undefined { layer, .. }
            | NonlinearError::Interpret { layer, .. }
            | NonlinearError::Scratch { layer, .. }
            | NonlinearError::Shape { layer, .. } => Some(layer),
            _ => None,
        }
    }
}
