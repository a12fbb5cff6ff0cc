//! Which values are bootstrapped, and with which parameters.

mod choice;
mod placement;
mod seconds;

pub(crate) use choice::choose;
pub(crate) use placement::{Lift, Place, Places};

use hec_ir::Depth;
use hec_ir::circuit::ValueId;
use hec_ir::cost::CostTable;
use hec_ir::entity::EntityVec;

/// What is asked of a plan with bootstraps.
#[derive(Clone, Debug)]
pub struct BootstrapOptions {
    /// −log2 of the mean error of a bootstrap of slots in [−1, 1], at least.
    pub precision_bits: f64,
    /// Levels for the program between two bootstraps; `None` for those whose program is predicted to be fastest.
    pub levels: Option<Depth>,
    /// The largest magnitude of a slot of every value; `None` if all are within 1.
    pub magnitudes: Option<EntityVec<ValueId, f64>>,
    /// Costs of the machine.
    pub costs: CostTable,
}

impl BootstrapOptions {
    /// log2 of the power of two by which a value is divided before its bootstrap; `None` if it is too large.
    pub(crate) fn shrink_bits(&self, value: ValueId) -> Option<u32> {
        let magnitude = self.magnitudes.as_ref().map_or(1.0, |all| MARGIN * all[value]);
        (0..=MOST_SHRINK_BITS).find(|&bits| magnitude <= f64::from(1u32 << bits))
    }
}

/// Values of other inputs may be this much larger than those of the samples.
const MARGIN: f64 = 2.0;
/// The error of a bootstrap grows with its value, so that beyond 2^8 too little is left.
const MOST_SHRINK_BITS: u32 = 8;
