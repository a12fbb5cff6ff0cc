//! Rewriting of slot circuits: rotations and masks into the linear maps beside them, equal values once.
//!
//! What it is: packing places each layer by itself; this pass removes what two neighbours do twice. A rotation costs a key
//! switch and a mask a level, but both are free within a linear map.
//! Core concept: [`rules::RULES`], equations that are used from left to right. None makes the circuit deeper, and each
//! leaves fewer operations, or moves a rotation closer to the input.
//! Start at [`rewrite_slots`].
//! Invariant: the same function, up to the rounding of `f64`.
//! Non-goals: baby and giant steps, hoisting (hec-schedule), where to rescale and relinearize (hec-plan).

mod maps;
mod pass;
mod rules;

use hec_ir::circuit::{Circuit, CircuitError};
use pass::Pass;
use std::collections::BTreeMap;

/// A slot circuit and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct RewrittenSlots {
    /// The rewritten circuit.
    pub circuit: Circuit,
    /// How often each rule was used, by the rule's equation.
    pub fired: Vec<(String, usize)>,
}

/// Use the rules until none fits.
///
/// # Errors
/// When the circuit is not well-formed.
pub fn rewrite_slots(circuit: &Circuit) -> Result<RewrittenSlots, CircuitError> {
    circuit.verify()?;
    let mut fired: BTreeMap<&str, usize> = BTreeMap::new();
    let mut circuit = circuit.clone();
    loop {
        let mut pass = Pass::new(&circuit);
        pass.run()?;
        if pass.fired.is_empty() {
            break;
        }
        for (rule, times) in &pass.fired {
            *fired.entry(rule).or_default() += times;
        }
        circuit = pass.finish()?;
    }
    let in_order = rules::RULES.iter().map(|r| r.equation).chain([pass::EQUAL]);
    let fired = in_order.filter_map(|e| Some((e.to_owned(), *fired.get(e)?))).collect();
    Ok(RewrittenSlots { circuit, fired })
}
