//! CKKS parameters, and the level, scale and parts of a value.

use super::cursor::{Cursor, Parsed};
use crate::leveled::{Scheme, Type};
use crate::text::token::Token;
use crate::{Batch, Depth, Level, LogN, Parameters, ParametersLiteral, Scale, Slots};
use hec_params::{BootstrapChoice, Order, Sine};

/// `parameters { log_n 13 level 0 [p, …] … special [p, …] digit_size 1 top_scale 2e12 insecure_toy }`, and
/// `bootstrap { … }` if there is one, checked.
pub(super) fn scheme(c: &mut Cursor, batch: Batch) -> Parsed<Scheme> {
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
    let choice = if c.at_word("bootstrap") { Some(bootstrap(c, &literal)?) } else { None };
    Scheme::check(&literal, choice.as_ref(), batch).map_err(|e| c.ill_formed(span, "a valid set of parameters", e))
}

/// `batch 64`, or one input.
pub(super) fn batch(c: &mut Cursor) -> Parsed<Batch> {
    match c.eat_word("batch") {
        true => Ok(Batch(c.integer("a number of inputs")?)),
        false => Ok(Batch::ONE),
    }
}

/// `bootstrap { slots 128 order coeffs_first levels 9 … digit_size 9 }`; the rest follows from the parameters.
fn bootstrap(c: &mut Cursor, parameters: &ParametersLiteral) -> Parsed<BootstrapChoice> {
    c.word("bootstrap")?;
    c.expect(Token::BraceOpen, "the choice stands in braces")?;
    c.word("slots")?;
    let slots = Slots(c.integer("a number of slots")?);
    c.word("order")?;
    let order = match c.keyword("where slots-to-coeffs stands", &["coeffs_first", "coeffs_last"])? {
        "coeffs_first" => Order::CoeffsFirst,
        _ => Order::CoeffsLast,
    };
    c.word("levels")?;
    let levels = Depth(c.integer("a number of levels")?);
    let mut bits = |name: &str| {
        c.word(name)?;
        c.float()
    };
    let (scale_bits, base_bits) = (bits("scale_bits")?, bits("base_bits")?);
    let (eval_bits, boost_bits) = (bits("eval_bits")?, bits("boost_bits")?);
    let mut radices = |name: &str| {
        c.word(name)?;
        c.integers("log2 of a radix")
    };
    let (coeffs_to_slots, slots_to_coeffs) = (radices("coeffs_to_slots")?, radices("slots_to_coeffs")?);
    c.word("degree")?;
    let degree = c.integer("a degree")?;
    c.word("double_angles")?;
    let double_angles = c.integer("a number of levels")?;
    c.word("arcsine")?;
    let arcsine = c.integer("a degree")?;
    c.word("ratio_bits")?;
    let sine = Sine { degree, double_angles, arcsine, ratio_bits: c.float()? };
    c.word("weight")?;
    let weight = c.integer("a Hamming weight")?;
    c.word("log2_failure")?;
    let log2_failure = c.float()?;
    c.word("digit_size")?;
    let digit_size = c.integer("a number of primes")?;
    c.expect(Token::BraceClose, "the choice ends here")?;
    let ParametersLiteral { log_n, insecure_toy, .. } = *parameters;
    Ok(BootstrapChoice {
        log_n,
        slots,
        order,
        levels,
        scale_bits,
        base_bits,
        eval_bits,
        boost_bits,
        coeffs_to_slots,
        slots_to_coeffs,
        sine,
        weight,
        log2_failure,
        digit_size,
        insecure_toy,
    })
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
