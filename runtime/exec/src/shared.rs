//! Slots of a program in those of a ciphertext.
//!
//! Each slot of a program stands for as many neighbours as inputs share the ciphertext, and a program whose bootstraps keep
//! fewer slots than a ciphertext has fills it with copies. Both rotate as if there were no others.

use std::borrow::Cow;

use hec_ir::{Batch, Slots};

/// Values that are the same for all inputs, as often as a ciphertext holds them.
pub(crate) fn repeated(values: Cow<'_, [f64]>, batch: Batch, slots: Slots) -> Cow<'_, [f64]> {
    match batch {
        _ if values.len() == slots.0 => values,
        Batch::ONE => values.iter().copied().cycle().take(slots.0).collect(),
        Batch(inputs) => {
            let each = values.iter().flat_map(|&value| std::iter::repeat_n(value, inputs));
            each.cycle().take(slots.0).collect()
        }
    }
}

/// The values of several inputs, at most a batch; slots of those that are missing hold 0.
pub(crate) fn interleaved(inputs: &[&[f64]], batch: Batch) -> Vec<f64> {
    let mut all = vec![0.0; inputs.first().map_or(0, |first| first.len()) * batch.0];
    for (i, values) in inputs.iter().enumerate() {
        all.iter_mut().skip(i).step_by(batch.0).zip(*values).for_each(|(slot, value)| *slot = *value);
    }
    all
}

/// The values of one input.
pub(crate) fn of_input(slots: &[f64], input: usize, batch: Batch) -> Vec<f64> {
    slots.iter().skip(input).step_by(batch.0).copied().collect()
}
