//! Damaged files give errors: no panic, no hang, no allocation that the file does not justify.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use hec_import::{ImportOptions, check, import};
use std::path::{Path, PathBuf};

fn scratch(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("malformed");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// A small deterministic generator (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

/// Small models with every kind of operator.
fn models() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "onnx"));
    paths.sort();
    paths
}

#[test]
fn truncated_models_are_refused() {
    let bytes = std::fs::read(&models()[0]).unwrap();
    let path = scratch("truncated.onnx");
    let mut refused = 0;
    for length in 0..bytes.len() {
        std::fs::write(&path, &bytes[..length]).unwrap();
        refused += usize::from(import(&path, &ImportOptions::default()).is_err());
    }
    // Cut between two fields, the rest can be a model.
    assert!(refused + 4 >= bytes.len(), "{refused} of {}", bytes.len());
}

#[test]
fn flipped_bits_never_panic() {
    let path = scratch("flipped.onnx");
    let mut random = Random(1);
    let mut accepted = 0;
    for model in models() {
        let original = std::fs::read(model).unwrap();
        for _ in 0..6 {
            let mut bytes = original.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
            std::fs::write(&path, &bytes).unwrap();
            accepted += usize::from(import(&path, &ImportOptions::default()).is_ok());
            if let Ok(report) = check(&path, &ImportOptions::default()) {
                assert!(report.problems().all(|p| !p.reason.is_empty() && !p.advice.is_empty()));
            }
        }
    }
    println!("{accepted} damaged models are still models");
}
