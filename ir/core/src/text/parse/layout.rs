//! Where inputs and outputs sit in slots: `[1,8,4,4] at i1 mod 8 * 64 + i2 mod 4 * 8 + i3 mod 4 * 1 period 512`

use super::cursor::{Cursor, Parsed};
use crate::circuit::Output;
use crate::text::token::Token;
use crate::{Digit, Layout, LayoutError, Slots};

/// A layout of a ciphertext of `slots`, checked.
pub(super) fn layout(c: &mut Cursor, slots: Slots) -> Parsed<Layout> {
    let span = c.span();
    let shape = c.shape()?;
    c.word("at")?;
    let digits = digits(c)?;
    let period = if c.eat_word("period") { Some(c.integer("a number of slots")?) } else { None };
    let layout = Layout { shape, slots, digits, period };
    layout.verify().map_err(|e: LayoutError| c.ill_formed(span, "a valid layout", e))?;
    Ok(layout)
}

/// A sum of digits; `0` when there are none.
fn digits(c: &mut Cursor) -> Parsed<Vec<Digit>> {
    if c.token() == Token::Number && c.slice() == "0" {
        c.expect(Token::Number, "")?;
        return Ok(Vec::new());
    }
    let mut digits = vec![digit(c)?];
    while c.eat(Token::Plus) {
        digits.push(digit(c)?);
    }
    Ok(digits)
}

/// `i2 / 4 mod 7 * 32`: the index of axis 2, divided by 4, modulo 7, placed 32 slots apart.
fn digit(c: &mut Cursor) -> Parsed<Digit> {
    let axis = match c.token() {
        Token::Word => c.slice().strip_prefix('i').and_then(|axis| axis.parse().ok()),
        _ => None,
    };
    let axis = axis.ok_or_else(|| c.fail("the index of an axis such as `i0`", "or 0, for a single element"))?;
    c.expect(Token::Word, "")?;
    let divisor = if c.eat(Token::Slash) { c.integer("a divisor")? } else { 1 };
    c.word("mod")?;
    let extent = c.integer("how many values the digit has")?;
    c.expect(Token::Star, "then the distance in slots")?;
    Ok(Digit { axis, divisor, extent, stride: c.integer("a number of slots")? })
}

/// The rest of `output "y" %x : layout client …`, after its name and value.
pub(super) fn output<V>(c: &mut Cursor, slots: Slots, name: String, value: V) -> Parsed<Output<V>> {
    c.expect(Token::Colon, "then the layout of the output")?;
    let layout = layout(c, slots)?;
    Ok(Output { name, value, layout, client: c.client()? })
}
