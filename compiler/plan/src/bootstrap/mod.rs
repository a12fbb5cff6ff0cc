//! Which values are bootstrapped, and with which parameters.

mod choice;
mod placement;
mod seconds;

pub(crate) use choice::choose;
pub(crate) use placement::{Lift, Place, Places};

use crate::LayerMagnitude;
use hec_ir::Depth;
use hec_ir::circuit::{Circuit, ValueId};
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

    /// Layers with a value that is too large to be bootstrapped, the largest first.
    pub(crate) fn too_large(&self, circuit: &Circuit) -> Vec<LayerMagnitude> {
        let mut layers: Vec<LayerMagnitude> = Vec::new();
        for (id, node) in circuit.nodes.iter().filter(|(id, _)| self.shrink_bits(*id).is_none()) {
            let (layer, magnitude) = (node.origin.layer(), self.magnitudes.as_ref().map_or(1.0, |all| all[id]));
            match layers.iter_mut().find(|l| l.layer == layer) {
                Some(known) => known.magnitude = known.magnitude.max(magnitude),
                None => layers.push(LayerMagnitude { layer: layer.to_owned(), magnitude }),
            }
        }
        layers.sort_by(|a, b| b.magnitude.total_cmp(&a.magnitude));
        layers
    }
}

/// The largest magnitude on the samples of a value that can be bootstrapped.
pub(crate) const LARGEST_BOOTSTRAPPED: f64 = (1u32 << MOST_SHRINK_BITS) as f64 / MARGIN;
/// Values of other inputs may be this much larger than those of the samples.
const MARGIN: f64 = 2.0;
/// The error of a bootstrap grows with its value, so that beyond 2^8 too little is left.
const MOST_SHRINK_BITS: u32 = 8;
