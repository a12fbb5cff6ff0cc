//! `leveled name { parameters … input … map … plain … %x = op … : level 3 output … }`

use super::constants::{Constants, Tables};
use super::cursor::{Cursor, Parsed};
use super::layout::output;
use super::operation::{LEVEL_OPS, SLOT_OPS, leveled_op};
use super::parameters::{batch, check_type, scheme};
use super::symbols::Symbols;
use crate::entity::EntityVec;
use crate::leveled::{Circuit, Node, Op, Scheme, ValueId};
use crate::text::token::Token;

/// The circuit as it grows.
struct Reader {
    circuit: Circuit,
    scheme: Scheme,
    constants: Constants,
    values: Symbols<ValueId>,
}

/// A leveled circuit, after its keyword.
pub(super) fn circuit(c: &mut Cursor) -> Parsed<Circuit> {
    let span = c.span();
    let name = c.network_name()?;
    let batch = batch(c)?;
    c.expect(Token::BraceOpen, "the statements stand in braces")?;
    let mut reader = Reader::new(name, scheme(c, batch)?);
    while !c.eat(Token::BraceClose) {
        match c.token() {
            Token::Value => reader.node(c)?,
            _ => reader.statement(c)?,
        }
    }
    reader.circuit.verify().map_err(|e| c.ill_formed(span, "a well-formed leveled circuit", e))?;
    Ok(reader.circuit)
}

impl Reader {
    fn new(name: String, scheme: Scheme) -> Self {
        let circuit = Circuit {
            name,
            parameters: scheme.parameters().literal().clone(),
            bootstrap: scheme.bootstrap().map(|b| b.choice().clone()),
            batch: scheme.batch(),
            inputs: Vec::new(),
            nodes: EntityVec::new(),
            maps: EntityVec::new(),
            plains: EntityVec::new(),
            outputs: Vec::new(),
        };
        let constants = Constants::new(scheme.slots());
        Reader { circuit, scheme, constants, values: Symbols::new("value") }
    }

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

    /// `%x = op … : level 3 from "…"`
    fn node(&mut self, c: &mut Cursor) -> Parsed<()> {
        let name = self.values.fresh_value(c)?;
        c.expect(Token::Equals, "a value is defined by `%x = operation`")?;
        let span = c.span();
        let (op, args) = self.operation(c)?;
        let inferred = self.circuit.infer(op, &args, &self.scheme);
        let ty = inferred.map_err(|e| c.refuse(span, "an operation that fits its arguments", e))?;
        check_type(c, ty, self.scheme.parameters())?;
        let origin = c.origin()?;
        self.values.define(name, self.circuit.nodes.push(Node { op, args, ty, origin }));
        Ok(())
    }

    fn operation(&self, c: &mut Cursor) -> Parsed<(Op, Vec<ValueId>)> {
        if c.eat_word("input") {
            return Ok((Op::Input(c.integer("the number of an input")?), Vec::new()));
        }
        match c.eat_any(&SLOT_OPS).or_else(|| c.eat_any(&LEVEL_OPS)) {
            Some(name) => leveled_op(c, name, &self.constants, |c: &mut Cursor| self.values.value(c)),
            None => {
                let names = format!("one of input, {}, {}", SLOT_OPS.join(", "), LEVEL_OPS.join(", "));
                Err(c.fail("an operation", names))
            }
        }
    }
}
