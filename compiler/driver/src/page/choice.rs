//! What there was to choose from: networks, rings, and the rules that found the network.

use super::axis::{Axis, number, place};
use super::facts::seconds;
use super::html::Html;
use super::table::{self, Heading, cell, name, words};
use crate::report::{FrontPoint, Report};

const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 40.0;
const BOTTOM: f64 = 34.0;
const MARGIN: f64 = 12.0;

/// The networks among which the choice was made.
pub(super) fn networks(h: &mut Html, r: &Report) {
    if r.front.is_empty() {
        return;
    }
    let about = "Networks of which none is better than a cheaper one, as programs; the one that was taken is filled. Classes \
                 and errors are those of validation inputs, relative to the original network.";
    super::section(h, "front", "Networks compared", about, |h| {
        draw_front(h, &r.front);
        let columns = [
            Heading::Word("network"),
            Heading::Word("replacements"),
            Heading::Number("levels"),
            Heading::Number("one thread"),
            Heading::Number("MiB"),
            Heading::Number("classes kept"),
            Heading::Number("error"),
            Heading::Word("outcome"),
        ];
        table::table(h, "The networks", &columns, |h| table::body(h, |h| networks_rows(h, &r.front)));
    });
}

fn networks_rows(h: &mut Html, front: &[FrontPoint]) {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    for (i, point) in front.iter().enumerate() {
        h.element("tr", &[("class", if point.taken { "taken" } else { "" })], |h| {
            name(h, i + 1, "");
            words(h, &point.choices);
            cell(h, point.depth.map(|d| d.to_string()).unwrap_or_default());
            cell(h, point.seconds.map(seconds).unwrap_or_default());
            cell(h, point.memory.map(|bytes| format!("{:.0}", bytes as f64 / 1024.0 / 1024.0)).unwrap_or_default());
            cell(h, point.classes.map(percent).unwrap_or_default());
            cell(h, point.relative_error.map(percent).unwrap_or_default());
            words(h, point.refused.as_deref().unwrap_or(if point.taken { "taken" } else { "" }));
        });
    }
}

/// Predicted seconds over levels.
fn draw_front(h: &mut Html, front: &[FrontPoint]) {
    let dots: Vec<(f64, f64, bool)> =
        front.iter().filter_map(|p| Some((f64::from(p.depth?), p.seconds?, p.taken))).collect();
    let ends = |value: fn(&(f64, f64, bool)) -> f64| {
        dots.iter().map(value).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
    };
    if dots.len() < 2 {
        return;
    }
    let (low, high) = ends(|d| d.0);
    let x = Axis::new((low - 0.5, high + 0.5), (LEFT, WIDTH - MARGIN));
    let (low, high) = ends(|d| d.1);
    let room = 0.1 * (high - low).max(1e-3 * high);
    let y = Axis::new((low - room, high + room), (HEIGHT - BOTTOM, MARGIN));
    let view = format!("0 0 {WIDTH} {HEIGHT}");
    h.element("svg", &[("viewBox", &view), ("width", &place(WIDTH)), ("role", "img")], |h| {
        h.leaf("title", &[], "Levels and predicted seconds of each network");
        let bottom = place(HEIGHT - BOTTOM + 14.0);
        for tick in x.ticks(6).into_iter().filter(|t| t.fract() == 0.0) {
            h.leaf("text", &[("x", &place(x.at(tick))), ("y", &bottom), ("text-anchor", "middle")], number(tick));
        }
        for tick in y.ticks(5) {
            let (at, left, right) = (place(y.at(tick)), place(LEFT), place(WIDTH - MARGIN));
            h.empty("line", &[("class", "grid"), ("x1", &left), ("x2", &right), ("y1", &at), ("y2", &at)]);
            let (x, below) = (place(LEFT - 5.0), place(y.at(tick) + 4.0));
            h.leaf("text", &[("x", &x), ("y", &below), ("text-anchor", "end")], number(tick));
        }
        let (middle, below) = (place((LEFT + WIDTH) / 2.0), place(HEIGHT - 5.0));
        h.leaf("text", &[("x", &middle), ("y", &below), ("text-anchor", "middle")], "levels (upwards: seconds)");
        for (depth, time, taken) in dots {
            let (cx, cy) = (place(x.at(depth)), place(y.at(time)));
            let class = if taken { "dot" } else { "path" };
            h.element("circle", &[("class", class), ("cx", &cx), ("cy", &cy), ("r", "5")], |h| {
                h.leaf("title", &[], format!("{depth} levels, {}", seconds(time)));
            });
        }
    });
}

/// Rings that were tried.
pub(super) fn rings(h: &mut Html, r: &Report) {
    if r.alternatives.is_empty() {
        return;
    }
    let about =
        "Every ring that was tried, leveled or with bootstraps. The program of the least predicted time is taken.";
    super::section(h, "rings", "Rings compared", about, |h| {
        let columns = [
            Heading::Word("ring"),
            Heading::Word("bootstraps"),
            Heading::Number("one thread"),
            Heading::Word("outcome"),
        ];
        table::table(h, "Rings and their programs", &columns, |h| {
            table::body(h, |h| {
                for a in &r.alternatives {
                    h.element("tr", &[("class", if a.taken { "taken" } else { "" })], |h| {
                        name(h, format!("N = 2^{}", a.log_n), "");
                        let count = a.bootstraps.map_or("yes".to_owned(), |count| count.to_string());
                        words(h, if a.bootstrapped { count } else { "none".to_owned() });
                        cell(h, a.seconds.map(seconds).unwrap_or_default());
                        words(h, a.refused.as_deref().unwrap_or(if a.taken { "taken" } else { "slower" }));
                    });
                }
            });
        });
    });
}

/// Rules of the optimizer.
pub(super) fn rules(h: &mut Html, r: &Report) {
    if r.rules.is_empty() {
        return;
    }
    let (before, after) = (r.depth.before, r.depth.after);
    let mut about = format!("Equations by which the search rewrote the network, from {before} levels to {after}.");
    if !r.saved.is_empty() {
        about += " Levels saved are those that the network would take more without the rule.";
    }
    super::section(h, "rules", "Rules that fired", &about, |h| {
        let mut columns = vec![Heading::Word("rule"), Heading::Number("found something new")];
        if !r.saved.is_empty() {
            columns.push(Heading::Number("levels saved"));
        }
        table::table(h, "Rules of the optimizer", &columns, |h| {
            table::body(h, |h| {
                for (rule, times) in &r.rules {
                    h.element("tr", &[], |h| {
                        name(h, rule, "");
                        cell(h, format!("{times} ×"));
                        if !r.saved.is_empty() {
                            cell(h, r.saved_by(rule).map(|levels| levels.to_string()).unwrap_or_default());
                        }
                    });
                }
            });
        });
    });
}
