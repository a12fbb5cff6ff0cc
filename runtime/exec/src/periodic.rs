//! Values that repeat: a program whose bootstraps keep fewer slots than a ciphertext has fills it with copies, which
//! rotate as if there were no others.

use std::borrow::Cow;

use hec_ir::Slots;

/// The slots of a value, as often as a ciphertext holds them.
pub(crate) fn repeated(values: Cow<'_, [f64]>, slots: Slots) -> Cow<'_, [f64]> {
    if values.len() == slots.0 { values } else { values.iter().copied().cycle().take(slots.0).collect() }
}
