//! What the three slot levels share: inputs, linear maps and plaintexts.

use super::cursor::{Cursor, Parsed, Span};
use super::layout::layout;
use super::symbols::Symbols;
use crate::circuit::{Input, MapId, PlainId};
use crate::entity::EntityVec;
use crate::tensor::Shape;
use crate::text::token::Token;
use crate::{Plain, Rotation, SlotMap, Slots};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a level keeps its inputs, maps and plaintexts.
pub(super) struct Tables<'a> {
    pub(super) inputs: &'a mut Vec<Input>,
    pub(super) maps: &'a mut EntityVec<MapId, SlotMap>,
    pub(super) plains: &'a mut EntityVec<PlainId, Plain>,
}

/// Names of maps and plaintexts, and the number of slots that all of them have.
pub(super) struct Constants {
    pub(super) slots: Slots,
    map_names: Symbols<MapId>,
    plain_names: Symbols<PlainId>,
}

/// A diagonal's place in a map.
type Place = (u32, u32, Rotation);

impl Constants {
    pub(super) fn new(slots: Slots) -> Self {
        Constants { slots, map_names: Symbols::new("map"), plain_names: Symbols::new("plaintext") }
    }

    /// The rest of a statement that starts with `input`, `map` or `plain`.
    pub(super) fn statement(&mut self, c: &mut Cursor, keyword: &str, tables: Tables) -> Parsed<()> {
        match keyword {
            "input" => tables.inputs.push(self.input(c)?),
            "map" => {
                let map = self.map(c)?;
                self.map_names.define(map.name.clone(), tables.maps.push(map));
            }
            _ => {
                let name = self.plain_names.fresh_name(c)?;
                let plain = self.plain(c, tables.plains.len())?;
                self.plain_names.define(name, tables.plains.push(plain));
            }
        }
        Ok(())
    }

    /// A map that is defined.
    pub(super) fn map_name(&self, c: &mut Cursor) -> Parsed<MapId> {
        self.map_names.name(c)
    }

    /// `, @map`
    pub(super) fn map_operand(&self, c: &mut Cursor) -> Parsed<MapId> {
        c.expect(Token::Comma, "then the map")?;
        self.map_names.name(c)
    }

    /// `, @plain0`
    pub(super) fn plain_operand(&self, c: &mut Cursor) -> Parsed<PlainId> {
        c.expect(Token::Comma, "then the plaintext")?;
        self.plain_names.name(c)
    }

    /// `input "x" : layout`
    fn input(&self, c: &mut Cursor) -> Parsed<Input> {
        let name = c.string("the name of the input")?;
        c.expect(Token::Colon, "then the layout of the input")?;
        Ok(Input { name, layout: layout(c, self.slots)? })
    }

    /// `map @m : 1 -> 1 { 0 <- 0 rotation 3 = [1, …] }`, or `= external { 0 <- 0 rotations [0, 3] }`
    fn map(&self, c: &mut Cursor) -> Parsed<SlotMap> {
        let name = self.map_names.fresh_name(c)?;
        c.expect(Token::Colon, "then `: inputs -> outputs`")?;
        let inputs = c.integer("a number of ciphertexts")?;
        c.expect(Token::Arrow, "a map is written `: inputs -> outputs`")?;
        let outputs = c.integer("a number of ciphertexts")?;
        let values = c.span();
        let diagonals = if c.eat(Token::Equals) {
            c.word("external")?;
            let places = self.places(c)?;
            let rows = self.rows(c, values, &format!("map/{name}"), places.len())?;
            places.into_keys().zip(rows).collect()
        } else {
            self.inline_diagonals(c)?
        };
        Ok(SlotMap { name, slots: self.slots, outputs, inputs, diagonals })
    }

    /// `{ 0 <- 0 rotations [0, 1, 3] … }`: ascending, as the external rows are.
    fn places(&self, c: &mut Cursor) -> Parsed<BTreeMap<Place, ()>> {
        let mut places = BTreeMap::new();
        c.expect(Token::BraceOpen, "the diagonals stand in braces")?;
        while !c.eat(Token::BraceClose) {
            let (output, input) = block(c)?;
            c.word("rotations")?;
            for rotation in c.list(|c| self.rotation(c))? {
                let place = (output, input, rotation);
                if places.last_key_value().is_some_and(|(&last, ())| last >= place) {
                    let found = format!("rotation {rotation} of {output} <- {input} late or again");
                    return Err(c.error(c.span(), "diagonals in ascending order", found, "external rows are in it"));
                }
                places.insert(place, ());
            }
        }
        Ok(places)
    }

    /// `{ 0 <- 0 rotation 3 = [1, 2, 3, 4] … }`
    fn inline_diagonals(&self, c: &mut Cursor) -> Parsed<BTreeMap<Place, Arc<Vec<f64>>>> {
        let mut diagonals = BTreeMap::new();
        c.expect(Token::BraceOpen, "the diagonals stand in braces, after `= external` if their numbers do not")?;
        while !c.eat(Token::BraceClose) {
            let span = c.span();
            let (output, input) = block(c)?;
            c.word("rotation")?;
            let rotation = self.rotation(c)?;
            c.expect(Token::Equals, "then the numbers of the diagonal")?;
            let numbers = self.vector(c)?;
            if diagonals.insert((output, input, rotation), numbers).is_some() {
                return Err(c.refuse(span, "a new diagonal", "it has been given above"));
            }
        }
        Ok(diagonals)
    }

    /// One number for each slot.
    fn vector(&self, c: &mut Cursor) -> Parsed<Arc<Vec<f64>>> {
        let span = c.span();
        let numbers = c.list(Cursor::float)?;
        let found = format!("{} numbers", numbers.len());
        match numbers.len() == self.slots.0 {
            true => Ok(Arc::new(numbers)),
            false => Err(c.error(span, format!("one number for each of the {} slots", self.slots), found, "")),
        }
    }

    /// A rotation below the number of slots.
    pub(super) fn rotation(&self, c: &mut Cursor) -> Parsed<Rotation> {
        let span = c.span();
        let steps: u32 = c.integer("a rotation")?;
        match (steps as usize) < self.slots.0 {
            true => Ok(Rotation(steps)),
            false => Err(c.refuse(span, &format!("a rotation below {}", self.slots), "rotations are cyclic")),
        }
    }

    /// What follows `plain @plain0`: `= 0.5`, `= [[…], …]` with a vector for each ciphertext, or `: 2 = external`.
    fn plain(&self, c: &mut Cursor, index: usize) -> Parsed<Plain> {
        let values = c.span();
        if c.eat(Token::Colon) {
            let count = c.integer("a number of ciphertexts")?;
            c.expect(Token::Equals, "then `external`")?;
            c.word("external")?;
            return Ok(Plain::Slots(self.rows(c, values, &format!("plain/{index}"), count)?));
        }
        c.expect(Token::Equals, "then its numbers")?;
        match c.token() {
            Token::BracketOpen => Ok(Plain::Slots(c.list(|c| self.vector(c))?)),
            _ => Ok(Plain::Scalar(c.float()?)),
        }
    }

    /// The rows of external numbers, one number for each slot.
    fn rows(&self, c: &Cursor, span: Span, key: &str, count: usize) -> Parsed<Vec<Arc<Vec<f64>>>> {
        let tensor = c.external(span, key, &Shape::new([count, self.slots.0]))?;
        Ok(tensor.data.chunks(self.slots.0).map(|row| Arc::new(row.to_vec())).collect())
    }
}

/// `output <- input`
fn block(c: &mut Cursor) -> Parsed<(u32, u32)> {
    let output = c.integer("`}`, or an output of the map")?;
    c.expect(Token::BackArrow, "a block of diagonals is written `output <- input`")?;
    Ok((output, c.integer("an input of the map")?))
}
