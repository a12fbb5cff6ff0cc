//! The level along the program, bootstraps marked.

use super::axis::{Axis, line, place};
use super::html::Html;
use crate::report::{Report, Step};

const HEIGHT: f64 = 260.0;
const LEFT: f64 = 34.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 34.0;
/// Width of a step, and of all of them.
const STEP: f64 = 10.0;
const WIDTHS: (f64, f64) = (560.0, 2400.0);
/// Width of a letter, about.
const LETTER: f64 = 6.2;

/// The section.
pub(super) fn section(h: &mut Html, r: &Report) {
    let steps = if r.levels.is_empty() { of_layers(r) } else { r.levels.clone() };
    if steps.is_empty() {
        return;
    }
    let top = steps.iter().map(|s| s.level).max().unwrap_or(0);
    let count = steps.iter().filter(|s| s.bootstrapped).count();
    let lifts = if count == 0 { String::new() } else { format!(" The {count} upward lines are bootstraps.") };
    let about = format!(
        "From the input at level {} down to the result. Each stripe is a layer; its number is that of the table of \
         layers.{lifts}",
        steps[0].level
    );
    super::section(h, "levels", "Levels along the network", &about, |h| {
        let scroll = [("class", "scroll"), ("role", "region"), ("tabindex", "0"), ("aria-label", "Levels, drawn")];
        h.element("div", &scroll, |h| Drawing::new(&steps, top).draw(h, r));
    });
}

/// Where a report has no levels of single values: those of its layers.
fn of_layers(r: &Report) -> Vec<Step> {
    let of_layer = |(i, layer): (usize, &crate::report::LayerReport)| {
        let step = |level, bootstrapped| Step { level, layer: Some(i), bootstrapped };
        let lifted = layer.bootstrapped_to.map(|level| step(level, true));
        [Some(step(layer.level_in, false)), lifted, Some(step(layer.level_out, false))].into_iter().flatten()
    };
    r.layers.iter().enumerate().flat_map(of_layer).collect()
}

struct Drawing<'a> {
    steps: &'a [Step],
    x: Axis,
    y: Axis,
    width: f64,
}

impl<'a> Drawing<'a> {
    fn new(steps: &'a [Step], top: u32) -> Self {
        let inner = (STEP * steps.len() as f64).clamp(WIDTHS.0, WIDTHS.1);
        Drawing {
            steps,
            x: Axis::new((0.0, steps.len() as f64), (LEFT, LEFT + inner)),
            y: Axis::new((0.0, f64::from(top.max(1))), (HEIGHT - BOTTOM, TOP)),
            width: LEFT + inner + RIGHT,
        }
    }

    fn draw(&self, h: &mut Html, r: &Report) {
        let (width, view) = (place(self.width), format!("0 0 {} {HEIGHT}", place(self.width)));
        h.element("svg", &[("viewBox", &view), ("width", &width), ("role", "img")], |h| {
            h.leaf("title", &[], "Level of every value in the order of the program");
            self.stripes(h, r);
            self.grid(h);
            self.path(h);
            self.lifts(h, r);
        });
    }

    /// Steps of one layer in a row: the layer, the first one and the one after the last.
    fn runs(&self) -> Vec<(Option<usize>, usize, usize)> {
        let mut runs: Vec<(Option<usize>, usize, usize)> = Vec::new();
        for (i, step) in self.steps.iter().enumerate() {
            match runs.last_mut() {
                Some((layer, _, end)) if *layer == step.layer => *end = i + 1,
                _ => runs.push((step.layer, i, i + 1)),
            }
        }
        runs
    }

    fn stripes(&self, h: &mut Html, r: &Report) {
        for (n, (layer, first, end)) in self.runs().into_iter().enumerate() {
            let (left, right) = (self.x.at(first as f64), self.x.at(end as f64));
            let row = layer.and_then(|i| Some((i, r.layers.get(i)?)));
            let title = row.map_or("(compiler)".to_owned(), |(i, l)| {
                format!("{}. {}: level {} to {}", i + 1, l.layer, l.level_in, l.level_out)
            });
            h.element("g", &[], |h| {
                h.leaf("title", &[], &title);
                let (x, width) = (place(left), place(right - left));
                let (y, height) = (place(TOP), place(HEIGHT - BOTTOM - TOP));
                // Every other stripe is to be seen; the others only tell their name.
                let opacity = if n % 2 == 0 { "0" } else { "1" };
                let shape = [
                    ("class", "band"),
                    ("x", &x),
                    ("y", &y),
                    ("width", &width),
                    ("height", &height),
                    ("opacity", opacity),
                ];
                h.empty("rect", &shape);
                if let Some((i, l)) = row {
                    label(h, (left + right) / 2.0, right - left, i + 1, &l.layer);
                }
            });
        }
    }

    fn grid(&self, h: &mut Html) {
        for level in self.y.ticks(8).into_iter().filter(|l| l.fract() == 0.0) {
            let y = place(self.y.at(level));
            let (left, right) = (place(LEFT), place(self.width - RIGHT));
            h.empty("line", &[("class", "grid"), ("x1", &left), ("x2", &right), ("y1", &y), ("y2", &y)]);
            let (x, below) = (place(LEFT - 6.0), place(self.y.at(level) + 4.0));
            h.leaf("text", &[("x", &x), ("y", &below), ("text-anchor", "end")], level);
        }
    }

    fn path(&self, h: &mut Html) {
        let mut parts: Vec<Vec<(f64, f64)>> = Vec::new();
        for (i, step) in self.steps.iter().enumerate() {
            let y = self.y.at(f64::from(step.level));
            if step.bootstrapped || parts.is_empty() {
                parts.push(Vec::new());
            }
            if let Some(part) = parts.last_mut() {
                part.extend([(self.x.at(i as f64), y), (self.x.at((i + 1) as f64), y)]);
            }
        }
        let d: String = parts.into_iter().map(line).collect();
        h.empty("path", &[("class", "path"), ("d", &d)]);
    }

    fn lifts(&self, h: &mut Html, r: &Report) {
        for (i, step) in self.steps.iter().enumerate().filter(|(_, s)| s.bootstrapped) {
            let before = i.checked_sub(1).map_or(0, |b| self.steps[b].level);
            let (x, y) = (self.x.at(i as f64), self.y.at(f64::from(step.level)));
            let layer = step.layer.and_then(|l| r.layers.get(l)).map_or("(compiler)", |l| &l.layer);
            h.element("g", &[], |h| {
                h.leaf("title", &[], format!("bootstrap in {layer}: level {before} to {}", step.level));
                let d = line([(x, self.y.at(f64::from(before))), (x, y)]);
                h.empty("path", &[("class", "lift"), ("d", &d)]);
                h.empty("circle", &[("class", "dot"), ("cx", &place(x)), ("cy", &place(y)), ("r", "3.5")]);
            });
        }
    }
}

/// The layer's number below its stripe, and its name where there is room for it.
fn label(h: &mut Html, middle: f64, width: f64, number: usize, name: &str) {
    let letters = (width / LETTER) as usize;
    let x = place(middle);
    let (first, second) = (place(HEIGHT - BOTTOM + 14.0), place(HEIGHT - BOTTOM + 27.0));
    if letters >= number.to_string().len() {
        h.leaf("text", &[("x", &x), ("y", &first), ("text-anchor", "middle")], number);
    }
    if letters >= 4 {
        let count = name.chars().count();
        let start: String = name.chars().take(letters.min(count)).collect();
        let shown = if count > letters { format!("{}…", &start[..start.len() - last(&start)]) } else { start };
        h.leaf("text", &[("x", &x), ("y", &second), ("text-anchor", "middle")], shown);
    }
}

/// Bytes of the last character.
fn last(text: &str) -> usize {
    text.chars().next_back().map_or(0, char::len_utf8)
}
