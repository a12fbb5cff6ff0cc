//! Operations of the three slot levels. Each level has those of the one above, and its own.

use super::constants::Constants;
use super::cursor::{Cursor, Parsed};
use crate::text::token::Token;
use crate::{Level, circuit, leveled, program};

/// Operations of every slot level, inputs apart.
pub(super) const SLOT_OPS: [&str; 9] =
    ["linear", "add_plain", "mul_plain", "add", "sub", "negate", "mul", "square", "rotate"];

/// Operations that come with levels.
pub(super) const LEVEL_OPS: [&str; 4] = ["relinearize", "rescale", "adjust", "bootstrap"];

/// How a level reads an argument.
pub(super) trait Argument<A>: FnMut(&mut Cursor) -> Parsed<A> {}
impl<A, F: FnMut(&mut Cursor) -> Parsed<A>> Argument<A> for F {}

/// The operands of one of [`SLOT_OPS`].
pub(super) fn slot_op<A>(
    c: &mut Cursor,
    name: &str,
    constants: &Constants,
    mut argument: impl Argument<A>,
) -> Parsed<(circuit::Op, Vec<A>)> {
    use circuit::Op;
    let x = argument(c)?;
    let op = match name {
        "linear" => Op::Linear(constants.map_operand(c)?),
        "add_plain" => Op::AddPlain(constants.plain_operand(c)?),
        "mul_plain" => Op::MulPlain(constants.plain_operand(c)?),
        "negate" => Op::Negate,
        "square" => Op::Square,
        "rotate" => {
            c.expect(Token::Comma, "then the rotation")?;
            Op::Rotate(constants.rotation(c)?)
        }
        _ => {
            c.expect(Token::Comma, "it takes two values")?;
            let op = match name {
                "add" => Op::Add,
                "sub" => Op::Sub,
                _ => Op::Mul,
            };
            return Ok((op, vec![x, argument(c)?]));
        }
    };
    Ok((op, vec![x]))
}

/// The operands of one of [`SLOT_OPS`] or [`LEVEL_OPS`].
pub(super) fn leveled_op<A>(
    c: &mut Cursor,
    name: &str,
    constants: &Constants,
    mut argument: impl Argument<A>,
) -> Parsed<(leveled::Op, Vec<A>)> {
    use leveled::Op;
    match name {
        "relinearize" => Ok((Op::Relinearize, vec![argument(c)?])),
        "rescale" => Ok((Op::Rescale, vec![argument(c)?])),
        "adjust" | "bootstrap" => {
            let x = argument(c)?;
            c.expect(Token::Comma, "then the level")?;
            let level = Level(c.integer("a level")?);
            Ok((if name == "adjust" { Op::Adjust(level) } else { Op::Bootstrap(level) }, vec![x]))
        }
        _ => {
            let (op, args) = slot_op(c, name, constants, argument)?;
            Ok((with_levels(op), args))
        }
    }
}

/// The operands of one of [`SLOT_OPS`], [`LEVEL_OPS`] or `relinearize_rescale`.
pub(super) fn program_op<A>(
    c: &mut Cursor,
    name: &str,
    constants: &Constants,
    mut argument: impl Argument<A>,
) -> Parsed<(program::Op, Vec<A>)> {
    match name {
        "relinearize_rescale" => Ok((program::Op::RelinearizeRescale, vec![argument(c)?])),
        _ => {
            let (op, args) = leveled_op(c, name, constants, argument)?;
            Ok((op.into(), args))
        }
    }
}

fn with_levels(op: circuit::Op) -> leveled::Op {
    use leveled::Op;
    match op {
        circuit::Op::Input(i) => Op::Input(i),
        circuit::Op::Linear(map) => Op::Linear(map),
        circuit::Op::AddPlain(plain) => Op::AddPlain(plain),
        circuit::Op::MulPlain(plain) => Op::MulPlain(plain),
        circuit::Op::Add => Op::Add,
        circuit::Op::Sub => Op::Sub,
        circuit::Op::Negate => Op::Negate,
        circuit::Op::Mul => Op::Mul,
        circuit::Op::Square => Op::Square,
        circuit::Op::Rotate(r) => Op::Rotate(r),
    }
}
