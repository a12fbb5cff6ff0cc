//! The parser: recursive descent over the tokens, one function for each rule of the grammar.

mod circuit;
mod constants;
mod cursor;
mod layout;
mod leveled;
mod operation;
mod parameters;
mod program;
mod symbols;
mod tensor;

use super::token::Token;
use super::{AnyLevel, ExternalConstants, TextError};
use cursor::Cursor;

/// Longest list of extents.
const MAX_RANK: usize = 32;

/// Read a text of any level, and verify it. `external` holds the numbers that the text leaves out; it may be empty
/// when there are none.
///
/// # Errors
/// The first thing that is wrong, with its place; among them what the level's `verify` says.
pub fn parse(text: &str, external: &ExternalConstants) -> Result<AnyLevel, TextError> {
    let c = &mut Cursor::new(text, external);
    let level = match c.keyword("a level", &["tensor", "circuit", "leveled", "program"])? {
        "tensor" => AnyLevel::Tensor(tensor::graph(c)?),
        "circuit" => AnyLevel::Circuit(circuit::circuit(c)?),
        "leveled" => AnyLevel::Leveled(leveled::circuit(c)?),
        _ => AnyLevel::Program(program::program(c)?),
    };
    c.expect(Token::End, "a text holds one network")?;
    Ok(level)
}
