//! `circuit name slots 4096 { input … map … plain … %x = op … output … }`

use super::constants::{Constants, Tables};
use super::cursor::{Cursor, Parsed};
use super::layout::output;
use super::operation::{SLOT_OPS, slot_op};
use super::parameters::batch;
use super::symbols::Symbols;
use crate::Slots;
use crate::circuit::{Circuit, Node, Op, ValueId};
use crate::text::token::Token;
use hec_params::MAX_LOG_N;

/// The circuit as it grows.
struct Reader {
    circuit: Circuit,
    constants: Constants,
    values: Symbols<ValueId>,
}

/// A slot circuit, after its keyword.
pub(super) fn circuit(c: &mut Cursor) -> Parsed<Circuit> {
    let span = c.span();
    let name = c.network_name()?;
    c.word("slots")?;
    let slots = slots(c)?;
    let batch = batch(c)?;
    let (constants, values) = (Constants::new(slots), Symbols::new("value"));
    let mut reader = Reader { circuit: Circuit::new(name, slots).with_batch(batch), constants, values };
    c.expect(Token::BraceOpen, "the statements stand in braces")?;
    while !c.eat(Token::BraceClose) {
        match c.token() {
            Token::Value => reader.node(c)?,
            _ => reader.statement(c)?,
        }
    }
    reader.circuit.verify().map_err(|e| c.ill_formed(span, "a well-formed circuit", e))?;
    Ok(reader.circuit)
}

/// The slots of a ciphertext.
fn slots(c: &mut Cursor) -> Parsed<Slots> {
    let (span, max) = (c.span(), MAX_LOG_N.slots());
    let slots = Slots(c.integer("a number of slots")?);
    match slots.0.is_power_of_two() && slots <= max {
        true => Ok(slots),
        false => Err(c.refuse(span, &format!("a power of two, at most {max}"), "it is half the ring degree")),
    }
}

impl Reader {
    fn statement(&mut self, c: &mut Cursor) -> Parsed<()> {
        let keyword = c.statement("%x =", &["input", "map", "plain", "output"])?;
        let Circuit { inputs, maps, plains, outputs, .. } = &mut self.circuit;
        if keyword != "output" {
            return self.constants.statement(c, keyword, Tables { inputs, maps, plains });
        }
        let name = c.string("the name of the output")?;
        let value = self.values.value(c)?;
        outputs.push(output(c, self.constants.slots, name, value)?);
        Ok(())
    }

    /// `%x = op … : count 2 from "…"`
    fn node(&mut self, c: &mut Cursor) -> Parsed<()> {
        let name = self.values.fresh_value(c)?;
        c.expect(Token::Equals, "a value is defined by `%x = operation`")?;
        let span = c.span();
        let (op, args) = self.operation(c)?;
        let inferred = self.circuit.count_of(op, &args);
        let count = inferred.map_err(|e| c.refuse(span, "an operation that fits its arguments", e))?;
        if c.eat(Token::Colon) {
            c.word("count")?;
            let declared_at = c.span();
            if c.integer::<u32>("a number of ciphertexts")? != count {
                return Err(c.refuse(declared_at, &format!("the count {count}"), "it may be left out"));
            }
        }
        let origin = c.origin()?;
        self.values.define(name, self.circuit.nodes.push(Node { op, args, count, origin }));
        Ok(())
    }

    fn operation(&self, c: &mut Cursor) -> Parsed<(Op, Vec<ValueId>)> {
        if c.eat_word("input") {
            return Ok((Op::Input(c.integer("the number of an input")?), Vec::new()));
        }
        match c.eat_any(&SLOT_OPS) {
            Some(name) => slot_op(c, name, &self.constants, |c: &mut Cursor| self.values.value(c)),
            None => Err(c.fail("an operation", format!("one of input, {}", SLOT_OPS.join(", ")))),
        }
    }
}
