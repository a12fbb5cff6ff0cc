//! A place in the text, and the smallest rules: words, numbers, strings, lists.

use super::super::token::{Token, unquote};
use super::super::{ExternalConstants, TextError};
use super::MAX_RANK;
use crate::Origin;
use crate::tensor::{ClientOp, Shape, Tensor};
use logos::{Lexer, Logos};
use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;

/// Byte range of a token.
pub(super) type Span = Range<usize>;

/// The result of a rule.
pub(super) type Parsed<T> = Result<T, TextError>;

/// Where the parser stands: one token ahead.
pub(super) struct Cursor<'t> {
    text: &'t str,
    external: &'t ExternalConstants,
    lexer: Lexer<'t, Token>,
    token: Token,
    span: Span,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str, external: &'t ExternalConstants) -> Self {
        let mut cursor = Cursor { text, external, lexer: Token::lexer(text), token: Token::End, span: 0..0 };
        cursor.advance();
        cursor
    }

    /// Read the next token.
    fn advance(&mut self) {
        self.token = match self.lexer.next() {
            Some(token) => token.unwrap_or(Token::Unknown),
            None => Token::End,
        };
        self.span = self.lexer.span();
    }

    /// The token ahead.
    pub(super) fn token(&self) -> Token {
        self.token
    }

    /// Where the token ahead is.
    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// The token ahead as it is written.
    pub(super) fn slice(&self) -> &'t str {
        &self.text[self.span.clone()]
    }

    /// An error at the token ahead.
    pub(super) fn fail(&self, expected: impl Into<String>, help: impl Into<String>) -> TextError {
        let found = match self.token {
            Token::End => "the end of the text".to_owned(),
            _ => shorten(self.slice()),
        };
        let help: String = match self.token {
            Token::Ellipsis => {
                "an elided print leaves numbers out; print the network again with its numbers".to_owned()
            }
            Token::Unknown if self.slice().starts_with(['"', '@']) => "a string ends on its line, with `\"`".to_owned(),
            _ => help.into(),
        };
        self.error(self.span(), expected, found, help)
    }

    /// An error somewhere else.
    pub(super) fn error(
        &self,
        span: Span,
        expected: impl Into<String>,
        found: impl Into<String>,
        help: impl Into<String>,
    ) -> TextError {
        TextError::new(self.text, span, expected, found, help)
    }

    /// What is wrong with what is written at `span`, and why.
    pub(super) fn refuse(&self, span: Span, expected: &str, reason: impl Display) -> TextError {
        let written = shorten(self.text.get(span.clone()).unwrap_or_default());
        self.error(span, expected, written, reason.to_string())
    }

    /// What a verifier says of what starts at `span`.
    pub(super) fn ill_formed(&self, span: Span, what: &str, reason: impl Display) -> TextError {
        self.error(span, what, format!("one that is not: {reason}"), "")
    }

    /// Read the token ahead if it is this one.
    pub(super) fn eat(&mut self, token: Token) -> bool {
        let found = self.token == token;
        if found {
            self.advance();
        }
        found
    }

    /// Read this token and return how it is written.
    pub(super) fn expect(&mut self, token: Token, help: &str) -> Parsed<&'t str> {
        if self.token != token {
            return Err(self.fail(token.describe(), help));
        }
        let slice = self.slice();
        self.advance();
        Ok(slice)
    }

    /// Whether the token ahead is this word.
    pub(super) fn at_word(&self, word: &str) -> bool {
        self.token == Token::Word && self.slice() == word
    }

    /// Read the token ahead if it is this word.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.advance();
        }
        found
    }

    /// Read this word.
    pub(super) fn word(&mut self, word: &str) -> Parsed<()> {
        if self.eat_word(word) { Ok(()) } else { Err(self.fail(format!("`{word}`"), "")) }
    }

    /// Read one of these words.
    pub(super) fn keyword(&mut self, what: &str, words: &[&'static str]) -> Parsed<&'static str> {
        match words.iter().find(|word| self.at_word(word)) {
            Some(word) => {
                self.advance();
                Ok(word)
            }
            None => Err(self.fail(what, format!("one of {}", words.join(", ")))),
        }
    }

    /// Read the keyword of a statement; `definition` is what the other statements start with.
    pub(super) fn statement(&mut self, definition: &str, keywords: &[&'static str]) -> Parsed<&'static str> {
        self.eat_any(keywords).ok_or_else(|| {
            let help = format!("a statement starts with `{definition}` or with {}", keywords.join(", "));
            self.fail("a statement or `}`", help)
        })
    }

    /// Read one of these words if one is ahead.
    pub(super) fn eat_any(&mut self, words: &[&'static str]) -> Option<&'static str> {
        let word = words.iter().find(|word| self.at_word(word))?;
        self.advance();
        Some(word)
    }

    /// Read a number that is not negative, of at most `T`'s range.
    pub(super) fn integer<T: TryFrom<u64>>(&mut self, what: &str) -> Parsed<T> {
        let value = match self.token {
            Token::Number => self.slice().parse::<u64>().ok().and_then(|n| T::try_from(n).ok()),
            _ => None,
        };
        let value = value.ok_or_else(|| self.fail(what, "it is a whole number that is not negative nor too large"))?;
        self.advance();
        Ok(value)
    }

    /// Read a whole number with a sign.
    pub(super) fn signed(&mut self, what: &str) -> Parsed<i64> {
        let value = if self.token == Token::Number { self.slice().parse().ok() } else { None };
        let value = value.ok_or_else(|| self.fail(what, "it is a whole number of at most 63 bits"))?;
        self.advance();
        Ok(value)
    }

    /// Read a finite number.
    pub(super) fn float(&mut self) -> Parsed<f64> {
        let value = if self.token == Token::Number { self.slice().parse::<f64>().ok() } else { None };
        let value = value.filter(|v| v.is_finite());
        let value = value.ok_or_else(|| self.fail("a finite number", "infinities and NaN cannot be encrypted"))?;
        self.advance();
        Ok(value)
    }

    /// Read a string.
    pub(super) fn string(&mut self, what: &str) -> Parsed<String> {
        if self.token != Token::Text {
            return Err(self.fail(what, "write it in double quotes"));
        }
        let text = unquote(self.slice()).ok_or_else(|| self.bad_escape())?;
        self.advance();
        Ok(text)
    }

    /// Read a name after `@`, without it.
    pub(super) fn name(&mut self) -> Parsed<String> {
        let name = match self.token {
            Token::Name => self.slice()[1..].to_owned(),
            Token::QuotedName => unquote(&self.slice()[1..]).ok_or_else(|| self.bad_escape())?,
            _ => return Err(self.fail(Token::Name.describe(), "")),
        };
        self.advance();
        Ok(name)
    }

    fn bad_escape(&self) -> TextError {
        self.fail("a string", "its escapes are \\\" \\\\ \\n \\r \\t \\u{hex}")
    }

    /// Read the name of the network: a word or a string.
    pub(super) fn network_name(&mut self) -> Parsed<String> {
        match self.token {
            Token::Word => Ok(self.expect(Token::Word, "")?.to_owned()),
            _ => self.string("the name of the network"),
        }
    }

    /// Read `[a, b, …]`.
    pub(super) fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.expect(Token::BracketOpen, "a list is written [a, b]")?;
        let mut items = Vec::new();
        while !self.eat(Token::BracketClose) {
            if !items.is_empty() {
                self.expect(Token::Comma, "entries of a list are separated by commas")?;
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Read a list of whole numbers.
    pub(super) fn integers<T: TryFrom<u64>>(&mut self, what: &str) -> Parsed<Vec<T>> {
        self.list(|c| c.integer(what))
    }

    /// Read a list of exactly `N` whole numbers.
    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Parsed<[usize; N]> {
        let span = self.span();
        let numbers: Vec<usize> = self.integers(what)?;
        let found = format!("{} numbers", numbers.len());
        numbers.try_into().map_err(|_| self.error(span, format!("{N} numbers"), found, ""))
    }

    /// Read extents.
    pub(super) fn shape(&mut self) -> Parsed<Shape> {
        let span = self.span();
        let dims: Vec<usize> = self.integers("an extent")?;
        if dims.len() > MAX_RANK {
            return Err(self.error(span, format!("at most {MAX_RANK} extents"), format!("{}", dims.len()), ""));
        }
        Ok(Shape::new(dims))
    }

    /// Read `from "a", "b" note "…"`; nothing is an origin too.
    pub(super) fn origin(&mut self) -> Parsed<Origin> {
        let mut origin = Origin::default();
        if self.eat_word("from") {
            loop {
                origin.nodes.push(self.string("the name of a node of the model")?);
                if !self.eat(Token::Comma) {
                    break;
                }
            }
        }
        if self.eat_word("note") {
            origin.note = self.string("a note")?;
        }
        Ok(origin)
    }

    /// Read `client softmax 1, …`; nothing is a list too.
    pub(super) fn client(&mut self) -> Parsed<Vec<ClientOp>> {
        let mut ops = Vec::new();
        if !self.eat_word("client") {
            return Ok(ops);
        }
        loop {
            self.keyword("what the client does", &["softmax"])?;
            ops.push(ClientOp::Softmax { axis: self.integer("an axis")? });
            if !self.eat(Token::Comma) {
                return Ok(ops);
            }
        }
    }

    /// The external numbers of a constant, if there are as many as `shape` says and all are finite.
    pub(super) fn external(&self, span: Span, key: &str, shape: &Shape) -> Parsed<Arc<Tensor>> {
        let expected = format!("external numbers {key:?} of shape {:?}", shape.dims());
        let fail = |found: String, help: &str| self.error(span.clone(), &expected, found, help);
        let tensor = self.external.get(key).ok_or_else(|| {
            fail("none of that name".to_owned(), "give the file of constants that belongs to the text")
        })?;
        let count = shape.dims().iter().try_fold(1usize, |n, &extent| n.checked_mul(extent));
        if tensor.shape != *shape || count != Some(tensor.data.len()) {
            let found = format!("{} numbers of shape {:?}", tensor.data.len(), tensor.shape.dims());
            return Err(fail(found, "the file of constants belongs to another text"));
        }
        match tensor.data.iter().position(|v| !v.is_finite()) {
            Some(at) => Err(fail(format!("{} at {at}", tensor.data[at]), "infinities and NaN cannot be encrypted")),
            None => Ok(tensor.clone()),
        }
    }
}

/// A piece of the text for an error: its first line, not too much of it.
fn shorten(slice: &str) -> String {
    const MOST: usize = 40;
    let line = slice.lines().next().unwrap_or_default();
    match line.char_indices().nth(MOST) {
        Some((at, _)) => format!("`{}…`", &line[..at]),
        None => format!("`{line}`"),
    }
}
