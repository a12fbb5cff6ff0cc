//! The parameters of a bootstrap.

use super::BootstrapOptions;
use super::placement::{Placement, Problem};
use crate::height::Heights;
use crate::parameters::headroom_bits;
use crate::{PlanError, PlanOptions};
use hec_ir::circuit::Circuit;
use hec_ir::{BootstrapParameters, Depth, Level};
use hec_params::BootstrapLiteral;

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
    if ring != circuit.slots {
        return Err(PlanError::Slots { circuit: circuit.slots.0, ring: ring.0, log_n: options.log_n.0 });
    }
    let mut best: Option<(BootstrapParameters, Placement)> = None;
    let (mut found, mut refused) = (false, None);
    let levels = bootstrap.levels.map_or(LEVELS, |d| d.0..=d.0);
    for levels in levels.map(Depth) {
        let literal = BootstrapLiteral {
            scale_bits: options.scale_bits.unwrap_or(SCALE_BITS),
            insecure_toy: options.insecure_toy,
            ..BootstrapLiteral::new(options.log_n, circuit.slots, bootstrap.precision_bits, levels)
        };
        let parameters = match literal.search() {
            Ok(parameters) => parameters,
            Err(error) => {
                // More levels leave less room still.
                refused = Some(error);
                break;
            }
        };
        found = true;
        let Some(bottom) = bottom(&parameters, options.magnitude) else { continue };
        let Some(placement) = Problem::new(circuit, heights, bootstrap, &parameters, bottom).solve() else { continue };
        if best.as_ref().is_none_or(|(_, least)| placement.seconds < least.seconds) {
            best = Some((parameters, placement));
        }
    }
    best.ok_or(match refused {
        Some(error) if !found => PlanError::Parameters(error),
        _ => PlanError::NoPlacement,
    })
}

/// The lowest level that holds outputs of this size.
fn bottom(parameters: &BootstrapParameters, magnitude: f64) -> Option<Level> {
    let chain = parameters.parameters();
    let holds = |level: &Level| chain.log_q(*level) - chain.scale(*level).log2() >= headroom_bits(magnitude);
    (0..=parameters.output_level().0).map(Level).find(holds)
}
