//! Tokens, and how strings and names are written.

use logos::Logos;

/// A token. White space and comments (`#` to the end of the line) separate tokens and mean nothing else.
#[derive(Logos, Clone, Copy, Debug, PartialEq, Eq)]
#[logos(skip r"[ \t\r\n]+")]
#[logos(skip(r"#[^\n]*", allow_greedy = true))]
pub(super) enum Token {
    /// A keyword, an operation, an axis (`i0`), a register (`c0`).
    #[regex(r"[A-Za-z_][A-Za-z0-9_]*")]
    Word,
    /// `%x`
    #[regex(r"%[A-Za-z0-9_.]+")]
    Value,
    /// `@x`
    #[regex(r"@[A-Za-z0-9_./-]+")]
    Name,
    /// `@"any text"`
    #[regex(r#"@"([^"\\\n]|\\[^\n])*""#)]
    QuotedName,
    /// `"any text"`
    #[regex(r#""([^"\\\n]|\\[^\n])*""#)]
    Text,
    /// `-1.5e3`
    #[regex(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")]
    Number,
    #[token("{")]
    BraceOpen,
    #[token("}")]
    BraceClose,
    #[token("[")]
    BracketOpen,
    #[token("]")]
    BracketClose,
    #[token(",")]
    Comma,
    #[token(":")]
    Colon,
    #[token(";")]
    Semicolon,
    #[token("=")]
    Equals,
    #[token("+")]
    Plus,
    #[token("*")]
    Star,
    #[token("/")]
    Slash,
    #[token("->")]
    Arrow,
    #[token("<-")]
    BackArrow,
    /// Stands for what an elided print leaves out; no text with it can be parsed.
    #[token("...")]
    Ellipsis,
    /// The end of the text.
    End,
    /// What is no token.
    Unknown,
}

impl Token {
    /// What an error calls it when it is missing.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Token::Word => "a word",
            Token::Value => "a value such as `%0`",
            Token::Name | Token::QuotedName => "a name such as `@weight`",
            Token::Text => "a string in double quotes",
            Token::Number => "a number",
            Token::BraceOpen => "`{`",
            Token::BraceClose => "`}`",
            Token::BracketOpen => "`[`",
            Token::BracketClose => "`]`",
            Token::Comma => "`,`",
            Token::Colon => "`:`",
            Token::Semicolon => "`;`",
            Token::Equals => "`=`",
            Token::Plus => "`+`",
            Token::Star => "`*`",
            Token::Slash => "`/`",
            Token::Arrow => "`->`",
            Token::BackArrow => "`<-`",
            Token::Ellipsis => "`...`",
            Token::End => "the end of the text",
            Token::Unknown => "something else",
        }
    }
}

/// A string in double quotes. Control characters are escaped, everything else stands for itself.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// What [`quote`] wrote, given with its quotes; `None` if an escape is unknown.
pub(super) fn unquote(quoted: &str) -> Option<String> {
    let mut rest = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = String::with_capacity(rest.len());
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let escape = after.chars().next()?;
        rest = &after[escape.len_utf8()..];
        match escape {
            '"' | '\\' => out.push(escape),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'u' => {
                let (digits, after) = rest.strip_prefix('{')?.split_once('}')?;
                out.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
                rest = after;
            }
            _ => return None,
        }
    }
    out.push_str(rest);
    Some(out)
}

/// A name after `@`: bare if it may be, in quotes else.
pub(super) fn at_name(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    if !name.is_empty() && name.chars().all(bare) { format!("@{name}") } else { format!("@{}", quote(name)) }
}

/// The name of a network: a word if it is one, in quotes else.
pub(super) fn word_or_quote(name: &str) -> String {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') { name.to_owned() } else { quote(name) }
}

/// The shortest decimal that reads back as the same bits.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:?}");
    match text.strip_suffix(".0") {
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_survive_quoting() {
        for text in ["", "plain", "a \"b\" \\ c", "line\nbreak\ttab\r", "\u{1}\u{7f}\u{85}", "Привет 网络 🦀"]
        {
            assert_eq!(unquote(&quote(text)).as_deref(), Some(text));
        }
        for bad in [r#""\q""#, r#""\u{110000}""#, r#""\u{""#, r#""\u""#, "\"open"] {
            assert_eq!(unquote(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_are_short_and_exact() {
        let cases = [(1.0, "1"), (-0.0, "-0"), (0.1, "0.1"), (1e300, "1e300"), (5e-324, "5e-324"), (1e16, "1e16")];
        for (value, text) in cases {
            assert_eq!(number(value), text);
            assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(value.to_bits()));
        }
    }

    #[test]
    fn names_are_bare_where_possible() {
        assert_eq!(at_name("conv1.weight"), "@conv1.weight");
        assert_eq!(at_name("conv1:0"), "@\"conv1:0\"");
        assert_eq!(word_or_quote("lenet"), "lenet");
        assert_eq!(word_or_quote("le net"), "\"le net\"");
        assert_eq!(word_or_quote("5"), "\"5\"");
    }
}
