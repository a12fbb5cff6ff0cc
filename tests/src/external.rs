//! Numbers for the constants that a text leaves out, so that a test by hand need not hold weights.

use crate::Numbers;
use hec_ir::tensor::{Shape, Tensor};
use hec_ir::text::ExternalConstants;
use std::sync::Arc;

/// For every constant and map of `text` that is `= external`: odd sixteenths in (−½, ½), which are short to read, exact
/// and never zero, and depend on its name alone.
///
/// # Panics
/// If the text is none.
pub fn external_constants(text: &str) -> ExternalConstants {
    let code: String = text.lines().map(|line| line.split('#').next().unwrap_or("")).collect::<Vec<_>>().join("\n");
    let mut external = ExternalConstants::new();
    for statement in code.split("const @").skip(1) {
        let (name, rest) = statement.split_once(" : f64").expect("a constant has a shape");
        let (shape, values) = rest.split_once(" = ").expect("a constant has values");
        if values.starts_with("external") {
            insert(&mut external, name.to_owned(), numbers_in(shape));
        }
    }
    for statement in code.split("map @").skip(1) {
        let (name, rest) = statement.split_once(" : ").expect("a map has counts");
        let body = rest.split_once('}').expect("a map has a body").0;
        if body.contains("= external") {
            let rotations = body.split("rotations").skip(1).map(|list| list.split(']').next().unwrap_or(""));
            let diagonals = rotations.map(|list| numbers_in(list).len()).sum();
            insert(&mut external, format!("map/{name}"), vec![diagonals, slots(&code)]);
        }
    }
    external
}

fn insert(external: &mut ExternalConstants, key: String, dims: Vec<usize>) {
    let mut numbers = Numbers::of_name(&key);
    let shape = Shape::new(dims);
    let data = (0..shape.elements()).map(|_| (2.0 * numbers.below(8) as f64 - 7.0) / 16.0).collect();
    let tensor = Tensor { shape, data };
    external.insert(key, Arc::new(tensor));
}

fn numbers_in(text: &str) -> Vec<usize> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// `slots 16` of a circuit, or half the degree of `log_n 5`.
fn slots(code: &str) -> usize {
    let after = |word: &str| numbers_in(code.split_once(word)?.1.lines().next()?).first().copied();
    after("slots ").or_else(|| Some(1 << (after("log_n ")? - 1))).expect("a text of slots says how many")
}
