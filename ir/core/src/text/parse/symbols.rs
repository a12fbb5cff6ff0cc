//! Names in a text and the ids that they stand for.

use super::cursor::{Cursor, Parsed};
use crate::entity::Entity;
use std::collections::BTreeMap;

/// The values, constants or maps defined so far.
pub(super) struct Symbols<K> {
    ids: BTreeMap<String, K>,
    /// `value`, `map` …, for errors.
    what: &'static str,
}

impl<K: Entity> Symbols<K> {
    pub(super) fn new(what: &'static str) -> Self {
        Symbols { ids: BTreeMap::new(), what }
    }

    /// Read a name after `@` and check that it is new.
    pub(super) fn fresh_name(&self, c: &mut Cursor) -> Parsed<String> {
        let (span, written) = (c.span(), c.slice());
        let name = c.name()?;
        match self.ids.contains_key(&name) {
            true => {
                Err(c.error(span, format!("a new {}", self.what), format!("`{written}` again"), "names are unique"))
            }
            false => Ok(name),
        }
    }

    /// Read `%name` and check that it is new.
    pub(super) fn fresh_value(&self, c: &mut Cursor) -> Parsed<String> {
        let (span, written) = (c.span(), value_name(c)?);
        match self.ids.contains_key(written) {
            true => Err(c.error(span, "a new value", format!("`%{written}` again"), "a value is defined once")),
            false => Ok(written.to_owned()),
        }
    }

    pub(super) fn define(&mut self, name: String, id: K) {
        self.ids.insert(name, id);
    }

    /// Read the name of something that is defined, after `@`.
    pub(super) fn name(&self, c: &mut Cursor) -> Parsed<K> {
        let (span, written) = (c.span(), c.slice());
        let name = c.name()?;
        self.ids.get(&name).copied().ok_or_else(|| {
            c.error(span, format!("a {} that is defined", self.what), format!("`{written}`"), "define it above its use")
        })
    }

    /// Read a value that is defined.
    pub(super) fn value(&self, c: &mut Cursor) -> Parsed<K> {
        let (span, written) = (c.span(), value_name(c)?);
        self.ids
            .get(written)
            .copied()
            .ok_or_else(|| c.error(span, "a value that is defined", format!("`%{written}`"), "define it above its use"))
    }
}

fn value_name<'t>(c: &mut Cursor<'t>) -> Parsed<&'t str> {
    Ok(&c.expect(super::Token::Value, "")?[1..])
}
