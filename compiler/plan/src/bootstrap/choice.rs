//! The parameters of a bootstrap.

use super::BootstrapOptions;
use super::placement::{Placement, Problem};
use crate::height::Heights;
use crate::parameters::headroom_bits;
use crate::{PlanError, PlanOptions};
use hec_ir::circuit::Circuit;
use hec_ir::{BootstrapParameters, Depth, Level, ParametersError};
use hec_params::{BootstrapLiteral, PreciseChoices};
use rayon::prelude::*;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Levels between two bootstraps that are tried. Fewer than three leave no room for an operation between the level of a
/// product and that of the bootstrap; more than sixteen fit no ring.
const LEVELS: std::ops::RangeInclusive<u32> = 3..=16;
/// Scale of the program's levels.
const SCALE_BITS: f64 = 40.0;

/// The bootstrap whose program is predicted to be fastest, and where it is used.
pub(crate) fn choose(
    circuit: &Circuit,
    heights: &Heights,
    options: &PlanOptions,
    bootstrap: &BootstrapOptions,
) -> Result<(BootstrapParameters, Placement), PlanError> {
    let ring = options.log_n.slots();
    // Fewer slots than the ring has repeat in a ciphertext.
    let slots = circuit.ciphertext_slots();
    if slots > ring {
        return Err(PlanError::Slots { circuit: slots.0, ring: ring.0, log_n: options.log_n.0 });
    }
    let range: Vec<Depth> = bootstrap.levels.map_or(LEVELS, |d| d.0..=d.0).map(Depth).collect();
    let literal = BootstrapLiteral {
        scale_bits: options.scale_bits.unwrap_or(SCALE_BITS),
        insecure_toy: options.insecure_toy,
        ..BootstrapLiteral::new(options.log_n, slots, bootstrap.precision_bits, Depth(0))
    };
    let precise = OnceLock::new();
    let with_levels = |&levels: &Depth| {
        let parameters = search(BootstrapLiteral { levels, ..literal.clone() }, &precise)?;
        let place = |bottom| Problem::new(circuit, heights, bootstrap, &parameters, bottom).solve();
        let placement = bottom(&parameters, options.magnitude).and_then(place);
        Ok(placement.map(|placement| (parameters, placement)))
    };
    let all: Vec<Result<_, ParametersError>> = range.par_iter().map(with_levels).collect();
    let refused = all.iter().find_map(|one| one.as_ref().err().cloned());
    let found = all.iter().any(Result::is_ok);
    // Of equals the one with the fewest levels.
    let best = all.into_iter().flatten().flatten().min_by(|(_, a), (_, b)| a.seconds.total_cmp(&b.seconds));
    best.ok_or_else(|| match refused {
        Some(error) if !found => PlanError::Parameters(error),
        _ => PlanError::NoPlacement { too_large: bootstrap.too_large(circuit) },
    })
}

/// A question and its answer.
type Known = (BootstrapLiteral, Result<BootstrapParameters, ParametersError>);

/// The cheapest bootstrap, among the precise ones. Every circuit that is tried asks the same: answers are kept.
fn search(
    literal: BootstrapLiteral,
    precise: &OnceLock<PreciseChoices>,
) -> Result<BootstrapParameters, ParametersError> {
    static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, found)) = known().iter().find(|(asked, _)| *asked == literal) {
        return found.clone();
    }
    let found = literal.search_among(precise.get_or_init(|| literal.precise()));
    known().push((literal, found.clone()));
    found
}

/// The lowest level that holds outputs of this size.
fn bottom(parameters: &BootstrapParameters, magnitude: f64) -> Option<Level> {
    let chain = parameters.parameters();
    let holds = |level: &Level| chain.log_q(*level) - chain.scale(*level).log2() >= headroom_bits(magnitude);
    (0..=parameters.output_level().0).map(Level).find(holds)
}
