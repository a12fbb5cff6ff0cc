//! The rows of the report, by layer.

use super::LayerReport;
use crate::rings::Priced;
use std::collections::BTreeMap;

/// One row for each layer of the program, in its order.
pub(super) fn rows(back: &Priced) -> Vec<LayerReport> {
    let mut notes: BTreeMap<&str, &str> = BTreeMap::new();
    for instruction in &back.program.instructions {
        let origin = &instruction.origin;
        let note = notes.entry(origin.layer()).or_default();
        if note.is_empty() {
            *note = &origin.note;
        }
    }
    let noise: BTreeMap<&str, f64> = back.noise.iter().map(|(layer, std_dev)| (layer.as_str(), *std_dev)).collect();
    let row = |layer: &hec_ir::evaluate::cost::LayerCost| LayerReport {
        layer: layer.layer.clone(),
        note: notes.get(layer.layer.as_str()).copied().unwrap_or_default().to_owned(),
        level_in: layer.level_in,
        level_out: layer.level_out,
        bootstrapped_to: layer.bootstrapped_to,
        counts: layer.counts.clone(),
        log2_noise: noise.get(layer.layer.as_str()).filter(|&&s| s > 0.0).map(|&s| libm::log2(s)),
    };
    back.costs.layers.iter().map(row).collect()
}
