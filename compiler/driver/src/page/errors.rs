//! How far off each layer is: by the polynomials in it, and by the noise of the scheme.

use super::axis::{Axis, place};
use super::html::Html;
use super::table::{self, Heading, MARGIN, WIDTH, cell, drawn, name};
use crate::report::Report;
use hec_nonlinear::LayerError;

/// A layer's errors, as far as they are known.
struct Row<'a> {
    layer: &'a str,
    polynomial: Option<&'a LayerError>,
    /// log2 of the noise relative to the layer's largest value.
    noise: Option<f64>,
}

/// The section.
pub(super) fn section(h: &mut Html, r: &Report) {
    let rows = rows(r);
    if rows.is_empty() {
        return;
    }
    let mut about =
        "Noise is the standard deviation that the scheme gives a layer's result, relative to its largest value."
            .to_owned();
    if let Some(e) = &r.errors {
        about = format!(
            "Approximation is what a layer's polynomials add to the error of the outputs (rms, relative to theirs, \
             predicted for new inputs from {} validation inputs). {about}",
            e.samples
        );
    }
    if let Some(a) = &r.agreement {
        let measured = 100.0 * a.relative_error;
        about =
            format!("{about} Measured on {} validation inputs, the outputs are {measured:.2} % off (rms).", a.samples);
    }
    super::section(h, "errors", "Errors by layer", &about, |h| {
        h.element("p", &[("class", "soft")], |h| {
            if r.errors.is_some() {
                h.empty("span", &[("class", "key approximation")]);
                h.text("approximation");
            }
            h.empty("span", &[("class", "key noise")]);
            h.text("noise of the scheme");
        });
        draw(h, r, &rows);
    });
}

/// Layers of the program with their noise, replaced layers with their approximation; layers that are both once.
fn rows(r: &Report) -> Vec<Row<'_>> {
    let polynomial = |layer: &str| r.errors.iter().flat_map(|e| &e.layers).find(|e| e.layer == layer);
    let of_layer = |l: &'_ crate::report::LayerReport| {
        let noise = l.log2_noise.zip(l.range).map(|(noise, range)| noise - libm::log2(range));
        (noise, polynomial(&l.layer))
    };
    let mut rows: Vec<Row<'_>> = Vec::new();
    for l in &r.layers {
        let (noise, polynomial) = of_layer(l);
        if noise.is_some() || polynomial.is_some() {
            rows.push(Row { layer: &l.layer, polynomial, noise });
        }
    }
    let others = r.errors.iter().flat_map(|e| &e.layers).filter(|e| r.layers.iter().all(|l| l.layer != e.layer));
    rows.extend(others.map(|e| Row { layer: &e.layer, polynomial: Some(e), noise: None }));
    rows
}

fn draw(h: &mut Html, r: &Report, rows: &[Row<'_>]) {
    let log2 = |share: f64| (share > 0.0).then(|| libm::log2(share));
    let noise = rows.iter().filter_map(|row| row.noise);
    let known = rows.iter().filter_map(|row| log2(row.polynomial?.adds)).chain(noise);
    let (low, high) = known.fold((0.0f64, 0.0f64), |(low, high), x| (low.min(x), high.max(x)));
    let axis = Axis::new((low.floor(), high.ceil()), (MARGIN, WIDTH - MARGIN));
    let mut columns = vec![Heading::Word("layer"), Heading::Axis("log2 of the error", axis)];
    if r.errors.is_some() {
        columns.extend([Heading::Number("approximation"), Heading::Number("its input")]);
    }
    columns.push(Heading::Number("noise"));
    let percent = |share: Option<f64>| share.map_or(String::new(), |s| format!("{:.2} %", 100.0 * s));
    let power = |noise: Option<f64>| noise.map_or(String::new(), |n| format!("2^{n:.1}"));
    table::table(h, "Errors by layer, relative", &columns, |h| {
        table::body(h, |h| {
            for row in rows {
                h.element("tr", &[], |h| {
                    name(h, row.layer, "");
                    let adds = row.polynomial.map(|p| p.adds);
                    drawn(h, &format!("errors of {}", row.layer), &axis, |h| {
                        dot(h, &axis, "approximation", adds.and_then(log2));
                        dot(h, &axis, "noise", row.noise);
                    });
                    if r.errors.is_some() {
                        cell(h, percent(adds));
                        cell(h, percent(row.polynomial.map(|p| p.input)));
                    }
                    cell(h, power(row.noise));
                });
            }
        });
        table::total(h, |h| {
            name(h, "outputs", "");
            drawn(h, "errors of the outputs", &axis, |h| {
                dot(h, &axis, "approximation", r.errors.as_ref().and_then(|e| log2(e.outputs)));
                dot(h, &axis, "noise", Some(r.log2_noise));
            });
            if let Some(e) = &r.errors {
                cell(h, percent(Some(e.outputs)));
                cell(h, "");
            }
            cell(h, power(Some(r.log2_noise)));
        });
    });
}

fn dot(h: &mut Html, axis: &Axis, class: &str, error: Option<f64>) {
    if let Some(error) = error {
        let x = place(axis.at(error.clamp(axis.ends.0, axis.ends.1)));
        h.empty("circle", &[("class", class), ("cx", &x), ("cy", "8"), ("r", "4")]);
    }
}
