//! Why a text is refused, and where.

use std::ops::Range;

/// What the parser expected, what it found, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: expected {expected}, found {found}{}{help}", if help.is_empty() { "" } else { "; " })]
pub struct TextError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Where it is, in bytes of the text.
    pub span: Range<usize>,
    /// What would have been right.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// What to do; may be empty.
    pub help: String,
}

impl TextError {
    /// At a place of `text`.
    pub(super) fn new(
        text: &str,
        span: Range<usize>,
        expected: impl Into<String>,
        found: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        TextError {
            line: 1 + before.matches('\n').count(),
            column: 1 + before[line_start..].chars().count(),
            span,
            expected: expected.into(),
            found: found.into(),
            help: help.into(),
        }
    }
}
