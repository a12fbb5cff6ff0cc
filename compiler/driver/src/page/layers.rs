//! What each layer does and how long that is predicted to take.

use super::axis::{Axis, place};
use super::facts::seconds;
use super::html::Html;
use super::table::{self, Heading, MARGIN, WIDTH, cell, drawn, name};
use crate::report::{LayerReport, Report, rotations};
use hec_ir::evaluate::cost::Counts;

/// The section.
pub(super) fn section(h: &mut Html, r: &Report) {
    if r.layers.is_empty() {
        return;
    }
    let about = "Operations on ciphertexts, and predicted milliseconds of one thread. Rotations are of all kinds; products \
                 are of two ciphertexts, or with a plaintext outside linear maps.";
    super::section(h, "layers", "Layers and predicted time", about, |h| {
        let most = r.layers.iter().map(|l| 1000.0 * l.counts.seconds).fold(0.0, f64::max);
        let axis = Axis::new((0.0, most), (MARGIN, WIDTH - MARGIN));
        let columns = [
            Heading::Word("layer"),
            Heading::Axis("milliseconds", axis),
            Heading::Number("time"),
            Heading::Number("levels"),
            Heading::Number("diagonals"),
            Heading::Number("rotations"),
            Heading::Number("products"),
            Heading::Number("key switches"),
        ];
        table::table(h, "Operations by layer", &columns, |h| {
            table::body(h, |h| {
                r.layers.iter().enumerate().for_each(|(i, layer)| row(h, &axis, i + 1, layer));
            });
            table::total(h, |h| {
                name(h, "total", "");
                cell(h, "");
                cell(h, seconds(r.total.seconds));
                cell(h, format!("{} → 0", r.parameters.levels));
                counts(h, &r.total);
            });
        });
    });
}

fn row(h: &mut Html, axis: &Axis, number: usize, layer: &LayerReport) {
    h.element("tr", &[], |h| {
        name(h, format!("{number}. {}", layer.layer), &layer.note);
        let took = seconds(layer.counts.seconds);
        drawn(h, &format!("{}: {took}", layer.layer), axis, |h| {
            let width = place(axis.at(1000.0 * layer.counts.seconds) - axis.at(0.0));
            let left = place(axis.at(0.0));
            h.empty("rect", &[("class", "bar"), ("x", &left), ("y", "3"), ("width", &width), ("height", "10")]);
        });
        cell(h, &took);
        let lifted = layer.bootstrapped_to.map_or(String::new(), |level| format!(" ↑ {level}"));
        cell(h, format!("{} → {}{lifted}", layer.level_in, layer.level_out));
        counts(h, &layer.counts);
    });
}

fn counts(h: &mut Html, c: &Counts) {
    cell(h, c.diagonals);
    cell(h, rotations(c));
    cell(h, c.ciphertext_products + c.plaintext_products);
    cell(h, c.key_switches);
}
