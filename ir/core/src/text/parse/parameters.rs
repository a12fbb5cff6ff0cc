//! CKKS parameters, and the level, scale and parts of a value.

use super::cursor::{Cursor, Parsed};
use crate::leveled::Type;
use crate::text::token::Token;
use crate::{Level, LogN, Parameters, ParametersLiteral, Scale};

/// `parameters { log_n 13 level 0 [p, …] … special [p, …] digit_size 1 top_scale 2e12 insecure_toy }`, checked.
pub(super) fn parameters(c: &mut Cursor) -> Parsed<Parameters> {
    let span = c.span();
    if !c.eat_word("parameters") {
        return Err(c.fail("`parameters { … }`", "it stands first, as levels and scales follow from it"));
    }
    c.expect(Token::BraceOpen, "the parameters stand in braces")?;
    c.word("log_n")?;
    let log_n = LogN(c.integer("log2 of the ring degree")?);
    let mut levels = Vec::new();
    while c.eat_word("level") {
        let at = c.span();
        if c.integer::<usize>("the number of the level")? != levels.len() {
            return Err(c.refuse(at, &format!("level {}", levels.len()), "levels stand in order, from 0"));
        }
        levels.push(c.integers("a prime")?);
    }
    c.word("special")?;
    let special = c.integers("a prime")?;
    c.word("digit_size")?;
    let digit_size = c.integer("a number of primes")?;
    c.word("top_scale")?;
    let top_scale = Scale(c.float()?);
    let insecure_toy = c.eat_word("insecure_toy");
    c.expect(Token::BraceClose, "the parameters end here")?;
    let literal = ParametersLiteral { log_n, levels, special, digit_size, top_scale, insecure_toy };
    Parameters::check(literal).map_err(|e| c.ill_formed(span, "a valid set of parameters", e))
}

/// `: level 3 count 2 scale squared parts 3`; all of it may be left out, and what is there must be what is inferred.
pub(super) fn check_type(c: &mut Cursor, inferred: Type, parameters: &Parameters) -> Parsed<()> {
    if !c.eat(Token::Colon) {
        return Ok(());
    }
    let span = c.span();
    c.word("level")?;
    let level = Level(c.integer("a level")?);
    let count = if c.eat_word("count") { c.integer("a number of ciphertexts")? } else { 1 };
    let canonical = if level <= parameters.top_level() { parameters.scale(level).0 } else { 0.0 };
    let scale = match c.eat_word("scale") {
        false => canonical,
        true if c.eat_word("squared") => canonical * canonical,
        true => c.float()?,
    };
    let parts = if c.eat_word("parts") { c.integer("2 or 3")? } else { 2 };
    match (Type { count, level, scale: Scale(scale), parts }) == inferred {
        true => Ok(()),
        false => Err(c.refuse(span, &inferred.to_string(), "the declaration may be left out")),
    }
}
