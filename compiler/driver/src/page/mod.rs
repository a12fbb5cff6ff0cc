//! The report as a page: one HTML file without scripts, which loads nothing and reads well on paper, screen and phone.
//!
//! Drawings are SVG, made here. What a program's report does not hold is not shown: there is no number here that the
//! compiler has not measured or predicted. The same report gives the same bytes.

mod axis;
mod choice;
mod curves;
mod errors;
mod facts;
mod html;
mod layers;
mod levels;
mod sizes;
mod table;

pub(crate) use axis::number;

use crate::report::Report;
use hec_ir::artifact::Manifest;
use html::Html;

const STYLE: &str = include_str!("style.css");
/// Nothing is loaded and nothing runs, whatever a name in a model says.
const POLICY: &str = include_str!("policy.txt");

/// The page of a stored program.
pub fn page(report: &Report, manifest: &Manifest) -> String {
    let mut html = Html::new();
    html.element("html", &[("lang", "en")], |h| {
        head(h, report);
        h.element("body", &[], |h| {
            facts::header(h, report, manifest);
            h.element("main", &[], |h| body(h, report));
            footer(h, manifest);
        });
    });
    html.document()
}

fn head(h: &mut Html, report: &Report) {
    h.element("head", &[], |h| {
        h.empty("meta", &[("charset", "utf-8")]);
        h.empty("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
        h.empty("meta", &[("http-equiv", "Content-Security-Policy"), ("content", POLICY.trim_end())]);
        // An empty icon, so that browsers do not ask for one.
        h.empty("link", &[("rel", "icon"), ("href", "data:,")]);
        h.leaf("title", &[], format!("{}: encrypted inference", report.network));
        h.style(STYLE);
    });
}

fn body(h: &mut Html, report: &Report) {
    levels::section(h, report);
    errors::section(h, report);
    curves::section(h, report);
    choice::networks(h, report);
    choice::rings(h, report);
    choice::rules(h, report);
    layers::section(h, report);
    sizes::section(h, report);
    sizes::corrections(h, report);
}

fn footer(h: &mut Html, manifest: &Manifest) {
    h.element("footer", &[("class", "soft")], |h| {
        h.leaf(
            "p",
            &[],
            "A level is room for one product after another: each product uses one up, a bootstrap gives some back. Seconds \
             are predictions of a cost model, errors and noise are predictions for inputs like the calibration data.",
        );
        h.leaf("p", &[], format!("Made by hec {} of program {}.", manifest.hec, manifest.program_id));
    });
}

/// A part of the page: its heading, a sentence about it, and what it shows.
fn section(h: &mut Html, id: &str, title: &str, about: &str, content: impl FnOnce(&mut Html)) {
    h.element("section", &[("id", id)], |h| {
        h.leaf("h2", &[], title);
        h.leaf("p", &[("class", "soft")], about);
        content(h);
    });
}
