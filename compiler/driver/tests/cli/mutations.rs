//! Damaged text of every level: an error that says where, or a program that is still one. Never a panic.

use crate::Folder;
use crate::networks::SQUARES;
use hec::rings::{self, RingOptions};
use hec::{How, Progress, pipeline};
use hec_ir::text::{AnyLevel, ExternalConstants, parse};
use std::ops::Range;

const HOW: &str = "--ring 6 --insecure-toy";
/// In the place of a number.
const NUMBERS: [&str; 9] =
    ["0", "1", "-1", "3", "0.5", "65536", "4294967295", "18446744073709551616", "179769313486231570000000000000e300"];
const MUTATIONS: usize = 400;

/// A sequence of numbers, of a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// Where the words of a text are, numbers or not.
fn words(text: &str, numbers: bool) -> Vec<Range<usize>> {
    let part = |c: char| c.is_alphanumeric() || "_.%@-".contains(c);
    let mut found = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (start, part(c)) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                found.push(from..at);
                start = None;
            }
            _ => {}
        }
    }
    found.retain(|range| !numbers || text[range.clone()].parse::<f64>().is_ok());
    found
}

/// The text with one thing changed: a number, a word, a line.
fn mutate(text: &str, numbers: &mut Numbers) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let line = numbers.below(lines.len());
    match numbers.below(5) {
        0 => drop(lines.remove(line)),
        1 => lines.insert(numbers.below(lines.len()), lines[line]),
        kind => {
            let places = words(text, kind > 2);
            let place = places[numbers.below(places.len())].clone();
            let with = match kind {
                2 => &text[places[numbers.below(places.len())].clone()],
                _ => NUMBERS[numbers.below(NUMBERS.len())],
            };
            return format!("{}{with}{}", &text[..place.start], &text[place.end..]);
        }
    }
    lines.join("\n")
}

/// What `hec opt` does with a text; whether a program came out.
fn compiles(text: &str, external: &ExternalConstants, options: &RingOptions, how: &How) -> bool {
    match parse(text, external) {
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
        Ok(AnyLevel::Tensor(graph)) => pipeline::compile(&graph, how, &mut Progress::new()).is_ok(),
        Ok(AnyLevel::Circuit(circuit)) => rings::from_circuit(&circuit, &[], options).is_ok(),
        Ok(AnyLevel::Leveled(circuit)) => rings::from_leveled(&circuit, options).is_ok(),
        Ok(AnyLevel::Program(program)) => rings::from_program(program, options).is_ok(),
    }
}

#[test]
fn no_change_of_a_text_causes_a_panic() {
    let folder = Folder::new("mutations");
    folder.write("squares.hel", SQUARES);
    let how = How { ring: Some(6), insecure_toy: true, ..How::default() };
    let options = pipeline::ring_options(&how).unwrap();
    for (seed, stage) in ["import", "optimize", "pack", "plan", "schedule"].iter().enumerate() {
        folder.hec(&format!("compile squares.hel {HOW} --emit {stage} -o {stage}.hel"));
        let text = folder.text(&format!("{stage}.hel"));
        let external: ExternalConstants = match hec_ir::array::load(&folder.path(&format!("{stage}.npz"))) {
            Ok(arrays) => arrays.into_iter().map(|(name, tensor)| (name, tensor.into())).collect(),
            Err(_) => ExternalConstants::new(),
        };
        assert!(compiles(&text, &external, &options, &how), "{stage}:\n{text}");
        let mut numbers = Numbers(seed as u64);
        let survived =
            (0..MUTATIONS).filter(|_| compiles(&mutate(&text, &mut numbers), &external, &options, &how)).count();
        assert!(survived < MUTATIONS, "{stage}: no change of the text was noticed");
    }
}
