//! Each fitted polynomial with its function, over the density of the values that it saw.

use super::axis::{Axis, line, number, place};
use super::html::Html;
use crate::report::Report;
use hec_nonlinear::{Curve, Menu};

const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 34.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 20.0;
/// Share of the height that the highest bar of a density takes.
const DENSITY: f64 = 0.45;

/// The section.
pub(super) fn section(h: &mut Html, r: &Report) {
    if r.menus.is_empty() {
        return;
    }
    let about = "Blue: the polynomials, each on the range for which it is fitted; where channels have polynomials of their \
                 own, those of some channels. Dashed: the function. Shaded: how often values occur in the calibration data.";
    super::section(h, "polynomials", "Fitted polynomials", about, |h| {
        h.element("div", &[("class", "curves")], |h| r.menus.iter().for_each(|menu| figure(h, r, menu)));
    });
}

fn figure(h: &mut Html, r: &Report, menu: &Menu) {
    let Some(taken) = menu.candidates.iter().find(|c| c.taken) else { return };
    let replaced = r.replacements.iter().find(|x| x.layer == menu.layer);
    h.element("figure", &[], |h| {
        let class = if menu.curve.pieces.len() > 1 { "many" } else { "one" };
        draw(h, class, &format!("{} of {} and its polynomials", menu.function, menu.layer), &menu.curve);
        h.element("figcaption", &[], |h| {
            h.leaf("strong", &[], &menu.layer);
            let what = taken.choice.family.counts().trim_start_matches("number of ");
            let levels = if taken.depth.0 == 1 { "level" } else { "levels" };
            h.text(format!(
                "{}: {} {what} {}, {} {levels}, error {:.2} % (rms)",
                menu.function,
                taken.choice.family.label(),
                taken.choice.degree,
                taken.depth.0,
                100.0 * taken.relative
            ));
            if let Some(x) = replaced.filter(|x| x.channels > 1) {
                h.text(format!(", {} of {} channels", menu.curve.pieces.len(), x.channels));
            }
            if let Some(outside) = taken.outside {
                h.text(format!(", P(outside) {}", number(outside)));
            }
        });
    });
}

fn draw(h: &mut Html, class: &str, title: &str, curve: &Curve) {
    let values = || curve.pieces.iter().flat_map(|p| &p.values).chain(&curve.exact).copied();
    let (low, high) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| (low.min(y), high.max(y)));
    let pad = 0.05 * (high - low);
    let x = Axis::new(curve.range, (LEFT, WIDTH - RIGHT));
    let y = Axis::new((low - pad, high + pad), (HEIGHT - BOTTOM, TOP));
    let view = format!("0 0 {WIDTH} {HEIGHT}");
    h.element("svg", &[("viewBox", &view), ("role", "img"), ("class", class)], |h| {
        h.leaf("title", &[], title);
        density(h, &curve.density);
        grid(h, &x, &y);
        h.empty("path", &[("class", "exact"), ("d", &polyline(&x, &y, curve.range, &curve.exact))]);
        for piece in &curve.pieces {
            h.empty("path", &[("class", "fitted"), ("d", &polyline(&x, &y, piece.range, &piece.values))]);
        }
    });
}

/// Bars from the bottom, the highest as high as they may be.
fn density(h: &mut Html, shares: &[f64]) {
    let most = shares.iter().copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return;
    }
    let x = Axis::new((0.0, shares.len() as f64), (LEFT, WIDTH - RIGHT));
    let top = HEIGHT - BOTTOM - DENSITY * (HEIGHT - BOTTOM - TOP);
    let y = Axis::new((0.0, most), (HEIGHT - BOTTOM, top));
    let bar = |(i, &share): (usize, &f64)| [(x.at(i as f64), y.at(share)), (x.at((i + 1) as f64), y.at(share))];
    let start = [(LEFT, HEIGHT - BOTTOM)];
    let end = [(WIDTH - RIGHT, HEIGHT - BOTTOM)];
    let outline = start.into_iter().chain(shares.iter().enumerate().flat_map(bar)).chain(end);
    h.empty("path", &[("class", "density"), ("d", &line(outline))]);
}

fn grid(h: &mut Html, x: &Axis, y: &Axis) {
    let (top, bottom) = (place(TOP), place(HEIGHT - BOTTOM));
    for tick in x.ticks(5) {
        let at = place(x.at(tick));
        h.empty("line", &[("class", "grid"), ("x1", &at), ("x2", &at), ("y1", &top), ("y2", &bottom)]);
        h.leaf("text", &[("x", &at), ("y", &place(HEIGHT - 6.0)), ("text-anchor", "middle")], number(tick));
    }
    for tick in y.ticks(4) {
        let at = y.at(tick);
        let (left, right, at_line) = (place(LEFT), place(WIDTH - RIGHT), place(at));
        h.empty("line", &[("class", "grid"), ("x1", &left), ("x2", &right), ("y1", &at_line), ("y2", &at_line)]);
        h.leaf("text", &[("x", &place(LEFT - 5.0)), ("y", &place(at + 4.0)), ("text-anchor", "end")], number(tick));
    }
}

/// Values at equally spaced points of a range.
fn polyline(x: &Axis, y: &Axis, (low, high): (f64, f64), values: &[f64]) -> String {
    let parts = values.len().saturating_sub(1).max(1) as f64;
    let point = |(i, &value): (usize, &f64)| (x.at(low + (high - low) * i as f64 / parts), y.at(value));
    line(values.iter().enumerate().map(point))
}
