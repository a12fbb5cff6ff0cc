//! Functions that are not defined everywhere: what a calibrated range must not touch.

use crate::{NonlinearError, Statistics};
use hec_ir::tensor::{Domain, Function, Node, Op};

/// Check that a function is defined on all that its layer was seen to get, or is said to get.
///
/// # Errors
/// With the layer's name, the range and what to do.
pub fn check(layer: &str, function: Function, statistics: &Statistics) -> Result<(), NonlinearError> {
    let (lo, hi) = (statistics.whole.lo, statistics.whole.hi);
    if function.domain().contains(lo, hi) {
        return Ok(());
    }
    let (layer, function, domain) = (layer.to_owned(), function.name(), function.domain());
    Err(NonlinearError::Domain { layer, function, domain, lo, hi })
}

/// Why the original network gives a number that is not finite at this node, where it is finite before.
pub fn not_finite(node: &Node, sample: usize) -> NonlinearError {
    let layer = node.origin.layer().to_owned();
    match node.op {
        Op::Activation(function) if function.domain() != Domain::All => {
            NonlinearError::Undefined { layer, function: function.name(), domain: function.domain(), sample }
        }
        _ => NonlinearError::NotFinite { layer, sample },
    }
}

/// The interval on which a function is evaluated, given its padded range. Beyond it, a fit takes the function to be
/// constant.
pub fn reach(function: Function, (lo, hi): (f64, f64)) -> (f64, f64) {
    match function.domain() {
        Domain::All => (f64::NEG_INFINITY, f64::INFINITY),
        Domain::NonNegative => (0.0, f64::INFINITY),
        Domain::NonZero if hi < 0.0 => (f64::NEG_INFINITY, hi),
        Domain::Positive | Domain::NonZero => (lo, f64::INFINITY),
    }
}
