//! The text form of the four levels: one grammar, a printer and a parser.
//!
//! `parse(print(x)) = x` at every level, bit for bit. The grammar is written down in `docs/ir.md`; in short, a text is
//! `tensor | circuit | leveled | program`, a name, and statements in braces; `#` starts a comment; what can be
//! inferred (shapes, counts, levels, scales, keys) may be left out by hand and is checked where it is given.
//!
//! Start at [`Print`] and [`parse`].
//! Invariants: what [`parse`] returns has passed the level's `verify`; the parser never allocates by a size that is
//! only declared.

mod error;
mod parse;
mod print;
mod token;

pub use error::TextError;
pub use parse::parse;
pub use print::Print;

use crate::tensor::{Graph, Tensor};
use crate::{circuit, leveled, program};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The numbers that a text leaves out (`= external`), by key.
///
/// | in the text | key | shape |
/// |---|---|---|
/// | `const @NAME : f64[…]` | `NAME` | that of the constant |
/// | `map @NAME : …` with D diagonals | `map/NAME` | `[D, slots]`, in the order of the text |
/// | `plain @plainI : [k, slots]` | `plain/I` | `[k, slots]` |
///
/// Whoever stores a text stores this table with it, each entry as one array.
pub type ExternalConstants = BTreeMap<String, Arc<Tensor>>;

/// Constants with at most this many numbers are printed where they stand.
pub const MAX_INLINE: usize = 16;

/// A text of any level.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyLevel {
    /// `tensor`
    Tensor(Graph),
    /// `circuit`
    Circuit(circuit::Circuit),
    /// `leveled`
    Leveled(leveled::Circuit),
    /// `program`
    Program(program::Program),
}

impl AnyLevel {
    /// The keyword that a text of this level starts with.
    pub fn name(&self) -> &'static str {
        match self {
            AnyLevel::Tensor(_) => "tensor",
            AnyLevel::Circuit(_) => "circuit",
            AnyLevel::Leveled(_) => "leveled",
            AnyLevel::Program(_) => "program",
        }
    }
}

/// The text of a tensor graph and the numbers that it leaves out.
pub fn print_tensor(graph: &Graph) -> (String, ExternalConstants) {
    graph.print()
}

/// The text of a slot circuit and the numbers that it leaves out.
pub fn print_circuit(circuit: &circuit::Circuit) -> (String, ExternalConstants) {
    circuit.print()
}

/// The text of a leveled circuit and the numbers that it leaves out.
pub fn print_leveled(circuit: &leveled::Circuit) -> (String, ExternalConstants) {
    circuit.print()
}

/// The text of a program and the numbers that it leaves out.
pub fn print_program(program: &program::Program) -> (String, ExternalConstants) {
    program.print()
}
