//! The choice of the prime chain.

use crate::height::{self, Heights};
use crate::{LayerDepth, PlanError};
use hec_ir::{Depth, LogN, ParametersError, ParametersLiteral, circuit::Circuit};
use hec_params::ChainRequest;

/// The largest scale that is chosen: precision beyond it is lost in `f64` messages and leaves no headroom in a prime.
const MAX_SCALE_BITS: f64 = 42.0;
/// The least useful scale: below it the rounding of a single rescale shows in the result.
const MIN_SCALE_BITS: f64 = 26.0;
/// The largest base modulus that is still one prime.
const ONE_PRIME_BITS: f64 = 49.5;

/// What is asked of the planner.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanOptions {
    /// Ring; its slots are those of the circuit. With bootstraps it may have more: then slots repeat.
    pub log_n: LogN,
    /// log2 of the scale; `None` for the largest that security leaves room for, since precision then costs nothing.
    pub scale_bits: Option<f64>,
    /// The largest absolute value in any slot of an output, or of what is rescaled to level 0.
    pub magnitude: f64,
    /// Primes a key-switching digit: more mean fewer, larger keys and more special primes.
    pub digit_size: usize,
    /// Accept less than 128-bit security, for tests.
    pub insecure_toy: bool,
}

/// Choose primes for `depth` levels.
pub(crate) fn choose(
    circuit: &Circuit,
    heights: &Heights,
    depth: Depth,
    options: &PlanOptions,
) -> Result<ParametersLiteral, PlanError> {
    let ring = options.log_n.slots();
    let slots = circuit.ciphertext_slots();
    if ring != slots {
        return Err(PlanError::Slots { circuit: slots.0, ring: ring.0, log_n: options.log_n.0 });
    }
    let Some(bits) = options.scale_bits else {
        return largest_scale(depth, options).map_err(|e| too_deep(e, circuit, heights, depth, options));
    };
    ParametersLiteral::new(&request(depth, bits, options)).map_err(|e| too_deep(e, circuit, heights, depth, options))
}

/// The chain at one scale.
fn request(depth: Depth, scale_bits: f64, options: &PlanOptions) -> ChainRequest {
    ChainRequest {
        log_n: options.log_n,
        depth,
        scale_bits,
        base_bits: scale_bits + headroom_bits(options.magnitude),
        digit_size: options.digit_size,
        insecure_toy: options.insecure_toy,
    }
}

/// Room above the scale for values of this size: one more bit is for the sign and one is spare.
pub(crate) fn headroom_bits(magnitude: f64) -> f64 {
    libm::log2(magnitude.max(1.0)) + 2.0
}

/// The chain with the largest whole number of scale bits that fits.
fn largest_scale(depth: Depth, options: &PlanOptions) -> Result<ParametersLiteral, ParametersError> {
    // A base of one prime is worth more than the last bits of the scale.
    let one_prime = (ONE_PRIME_BITS - headroom_bits(options.magnitude)).floor().max(MIN_SCALE_BITS);
    let mut bits = MAX_SCALE_BITS.min(one_prime);
    loop {
        match ParametersLiteral::new(&request(depth, bits, options)) {
            Err(ParametersError::TooDeep { .. }) if bits > MIN_SCALE_BITS => bits -= 1.0,
            result => return result,
        }
    }
}

/// Whether the ring has room for `depth` levels at any scale that may be chosen.
///
/// # Errors
/// [`PlanError::TooDeep`], without the layers, when it has not.
pub fn check_room(depth: Depth, options: &PlanOptions) -> Result<(), PlanError> {
    let found = match options.scale_bits {
        Some(bits) => ParametersLiteral::new(&request(depth, bits, options)),
        None => largest_scale(depth, options),
    };
    match found {
        Err(ParametersError::TooDeep { .. }) => Err(no_room(depth, options, Vec::new())),
        _ => Ok(()),
    }
}

/// Say which layers cost the depth, instead of only that it does not fit.
fn too_deep(
    error: ParametersError,
    circuit: &Circuit,
    heights: &Heights,
    needed: Depth,
    options: &PlanOptions,
) -> PlanError {
    if !matches!(error, ParametersError::TooDeep { .. }) {
        return PlanError::Parameters(error);
    }
    no_room(needed, options, height::depth_by_layer(circuit, heights))
}

fn no_room(needed: Depth, options: &PlanOptions, layers: Vec<LayerDepth>) -> PlanError {
    let scale_bits = options.scale_bits.unwrap_or(MIN_SCALE_BITS);
    let fits = |d: u32| ParametersLiteral::new(&request(Depth(d), scale_bits, options)).is_ok();
    let available = Depth((0..needed.0).rev().find(|&d| fits(d)).unwrap_or(0));
    PlanError::TooDeep { needed, available, log_n: options.log_n.0, scale_bits, layers }
}
