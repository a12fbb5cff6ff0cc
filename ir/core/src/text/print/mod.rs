//! The printer: one function for each rule of the grammar.

mod circuit;
mod constants;
mod leveled;
mod program;
mod tensor;

use super::token::{number, quote};
use super::{AnyLevel, ExternalConstants, MAX_INLINE};
use crate::tensor::{ClientOp, Shape, Tensor};
use crate::{Layout, Origin};
use std::fmt::{Arguments, Display};
use std::sync::Arc;

/// The text of a level.
pub trait Print {
    /// The text, and the numbers of its larger constants: what [`parse`](super::parse) takes.
    fn print(&self) -> (String, ExternalConstants);

    /// The text with all numbers in it.
    fn print_inline(&self) -> String;

    /// The text without the numbers of larger constants and with long lists cut, for people. It cannot be parsed.
    fn print_elided(&self) -> String;
}

/// A level that writes itself.
trait Body {
    fn write(&self, p: &mut Printer);
}

impl<T: Body> Print for T {
    fn print(&self) -> (String, ExternalConstants) {
        Printer::run(self, Values::External)
    }

    fn print_inline(&self) -> String {
        Printer::run(self, Values::Inline).0
    }

    fn print_elided(&self) -> String {
        Printer::run(self, Values::Elided).0
    }
}

impl Body for AnyLevel {
    fn write(&self, p: &mut Printer) {
        match self {
            AnyLevel::Tensor(graph) => graph.write(p),
            AnyLevel::Circuit(circuit) => circuit.write(p),
            AnyLevel::Leveled(circuit) => circuit.write(p),
            AnyLevel::Program(program) => program.write(p),
        }
    }
}

/// What becomes of the numbers of larger constants.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    External,
    Inline,
    Elided,
}

/// A text as it grows.
struct Printer {
    text: String,
    external: ExternalConstants,
    values: Values,
}

impl Printer {
    fn run(level: &impl Body, values: Values) -> (String, ExternalConstants) {
        let mut printer = Printer { text: String::new(), external: ExternalConstants::new(), values };
        level.write(&mut printer);
        (printer.text, printer.external)
    }

    /// A line at the outer margin.
    fn outer(&mut self, line: Arguments) {
        self.text.push_str(&line.to_string());
        self.text.push('\n');
    }

    /// A statement.
    fn line(&mut self, line: Arguments) {
        self.text.push_str("  ");
        self.outer(line);
    }

    /// Whether `count` numbers leave the text.
    fn outside(&self, count: usize) -> bool {
        count > MAX_INLINE && self.values != Values::Inline
    }

    /// Numbers that leave the text, as rows of the same length.
    fn store<'a>(&mut self, key: String, width: usize, rows: impl ExactSizeIterator<Item = &'a Arc<Vec<f64>>>) {
        let shape = Shape::new([rows.len(), width]);
        let data = rows.flat_map(|row| row.iter().copied()).collect();
        self.external.insert(key, Arc::new(Tensor { shape, data }));
    }

    /// A list that an elided print cuts.
    fn long_list<T: Display>(&self, items: &[T]) -> String {
        match self.values == Values::Elided && items.len() > MAX_INLINE {
            true => format!("[{}, ...]", join(&items[..MAX_INLINE / 2])),
            false => list(items),
        }
    }
}

fn join<T: Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

/// `[a, b]`
fn list<T: Display>(items: &[T]) -> String {
    format!("[{}]", join(items))
}

/// Extents and the like, without spaces: `[1,28,28]`
fn tight<T: Display>(items: &[T]) -> String {
    list(items).replace(", ", ",")
}

fn numbers(values: &[f64]) -> String {
    list(&values.iter().map(|&v| number(v)).collect::<Vec<_>>())
}

/// `  from "a", "b" note "…"`, empty for no origin
fn origin(origin: &Origin) -> String {
    let mut out = String::new();
    if !origin.nodes.is_empty() {
        let nodes: Vec<_> = origin.nodes.iter().map(|node| quote(node)).collect();
        out.push_str(&format!("  from {}", join(&nodes)));
    }
    if !origin.note.is_empty() {
        out.push_str(&format!("  note {}", quote(&origin.note)));
    }
    out
}

/// ` client softmax 1`, empty for nothing to do
fn client(ops: &[ClientOp]) -> String {
    let ops: Vec<_> = ops.iter().map(|ClientOp::Softmax { axis }| format!("softmax {axis}")).collect();
    if ops.is_empty() { String::new() } else { format!(" client {}", join(&ops)) }
}

/// `[1,4,4] at i1 mod 4 * 4 + i2 mod 4 * 1 period 16`
fn layout(layout: &Layout) -> String {
    let digits: Vec<_> = layout
        .digits
        .iter()
        .map(|d| {
            let divisor = if d.divisor == 1 { String::new() } else { format!(" / {}", d.divisor) };
            format!("i{}{divisor} mod {} * {}", d.axis, d.extent, d.stride)
        })
        .collect();
    let position = if digits.is_empty() { "0".to_owned() } else { digits.join(" + ") };
    let period = layout.period.map_or(String::new(), |p| format!(" period {p}"));
    format!("{} at {position}{period}", tight(layout.shape.dims()))
}
