//! The rows of the report, by layer.

use super::LayerReport;
use crate::rings::Priced;
use hec_ir::evaluate::noise::LayerNoise;
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
    let noise: BTreeMap<&str, &LayerNoise> = back.noise.iter().map(|n| (n.layer.as_str(), n)).collect();
    let noise = |layer: &str| noise.get(layer).filter(|n| n.std_dev > 0.0);
    let row = |layer: &hec_ir::evaluate::cost::LayerCost| LayerReport {
        layer: layer.layer.clone(),
        note: notes.get(layer.layer.as_str()).copied().unwrap_or_default().to_owned(),
        level_in: layer.level_in,
        level_out: layer.level_out,
        bootstrapped_to: layer.bootstrapped_to,
        counts: layer.counts.clone(),
        log2_noise: noise(&layer.layer).map(|n| libm::log2(n.std_dev)),
        range: noise(&layer.layer).map(|n| n.range).filter(|&range| range > 0.0),
    };
    back.costs.layers.iter().map(row).collect()
}
