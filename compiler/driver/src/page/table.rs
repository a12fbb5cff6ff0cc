//! Tables that scroll sideways where the screen is narrower than they are.

use super::axis::{Axis, number, place};
use super::html::Html;
use std::fmt::Display;

/// Size of a drawing in a cell.
pub(super) const WIDTH: f64 = 176.0;
const HEIGHT: f64 = 16.0;
/// Left and right of what is drawn, room for half a number.
pub(super) const MARGIN: f64 = 14.0;

/// What stands on top of a column.
pub(super) enum Heading<'a> {
    /// Of numbers.
    Number(&'a str),
    /// Of words.
    Word(&'a str),
    /// Of drawings along an axis, with what its numbers are.
    Axis(&'a str, Axis),
}

/// A table: its caption, the columns, then the rows (see [`body`] and [`total`]).
pub(super) fn table(h: &mut Html, caption: &str, columns: &[Heading<'_>], rows: impl FnOnce(&mut Html)) {
    let scroll = [("class", "scroll"), ("role", "region"), ("tabindex", "0"), ("aria-label", caption)];
    h.element("div", &scroll, |h| {
        h.element("table", &[], |h| {
            h.leaf("caption", &[], caption);
            h.element("thead", &[], |h| h.element("tr", &[], |h| columns.iter().for_each(|c| heading(h, c))));
            rows(h);
        });
    });
}

/// The rows of a table.
pub(super) fn body(h: &mut Html, rows: impl FnOnce(&mut Html)) {
    h.element("tbody", &[], rows);
}

/// The last row of a table.
pub(super) fn total(h: &mut Html, cells: impl FnOnce(&mut Html)) {
    h.element("tfoot", &[], |h| h.element("tr", &[], cells));
}

fn heading(h: &mut Html, column: &Heading<'_>) {
    match column {
        Heading::Number(title) => h.leaf("th", &[("scope", "col")], title),
        Heading::Word(title) => h.leaf("th", &[("scope", "col"), ("class", "word")], title),
        Heading::Axis(title, axis) => h.element("th", &[("scope", "col"), ("class", "word")], |h| {
            h.text(title);
            drawing(h, title, |h| {
                for tick in axis.ticks(4) {
                    let at = place(axis.at(tick));
                    h.leaf("text", &[("x", &at), ("y", "12"), ("text-anchor", "middle")], number(tick));
                }
            });
        }),
    }
}

/// The row's name, with a note below it.
pub(super) fn name(h: &mut Html, name: impl Display, note: &str) {
    h.element("th", &[("scope", "row")], |h| {
        h.text(name);
        if !note.is_empty() {
            h.leaf("small", &[], note);
        }
    });
}

/// A number.
pub(super) fn cell(h: &mut Html, value: impl Display) {
    h.leaf("td", &[], value);
}

/// Words.
pub(super) fn words(h: &mut Html, value: impl Display) {
    h.leaf("td", &[("class", "word")], value);
}

/// A drawing of one row, with grid lines at the ticks of the heading's axis.
pub(super) fn drawn(h: &mut Html, title: &str, axis: &Axis, content: impl FnOnce(&mut Html)) {
    h.element("td", &[("class", "word")], |h| {
        drawing(h, title, |h| {
            for tick in axis.ticks(4) {
                let at = place(axis.at(tick));
                let bottom = place(HEIGHT);
                h.empty("line", &[("class", "grid"), ("x1", &at), ("x2", &at), ("y1", "0"), ("y2", &bottom)]);
            }
            content(h);
        });
    });
}

fn drawing(h: &mut Html, title: &str, content: impl FnOnce(&mut Html)) {
    let view = format!("0 0 {WIDTH} {HEIGHT}");
    h.element("svg", &[("viewBox", &view), ("role", "img")], |h| {
        h.leaf("title", &[], title);
        content(h);
    });
}
