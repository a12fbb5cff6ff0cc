//! `hec tune`: training without labels, interrupted and resumed, and what comes after it.

use crate::Folder;

const HOW: &str = "--calibrate calibration.npy --activation relu1=lsq:1 --activation relu2=lsq:2 --epochs 12";

/// The divergence of the network that a line tells of.
fn divergence(shown: &str, line: &str) -> f64 {
    let line = shown.lines().find(|l| l.starts_with(line)).unwrap();
    let number = line.split("divergence ").nth(1).unwrap();
    number.split([' ', ',']).next().unwrap().parse().unwrap()
}

#[test]
fn the_network_gets_better_and_an_interruption_changes_nothing() {
    let folder = Folder::with_digits("tune");
    let shown = folder.hec(&format!("tune digits.onnx {HOW} -o whole.hel"));
    assert!(divergence(&shown, "best") < 0.9 * divergence(&shown, "start"), "{shown}");
    assert!(shown.contains("450 for training, 50 for validation; 2 layers compared"), "{shown}");

    let stopped = folder.hec(&format!("tune digits.onnx {HOW} -o parts.hel --minutes 0 --threads 1"));
    assert!(stopped.contains("stopped    after 0 of 84 steps"), "{stopped}");
    assert!(folder.read("whole.checkpoint") != folder.read("parts.checkpoint"));
    let resumed = folder.hec(&format!("tune digits.onnx {HOW} -o parts.hel --resume --threads 2"));
    assert!(resumed.contains("resumed    after 0 of 84 steps"), "{resumed}");
    assert_eq!(folder.text("whole.hel"), folder.text("parts.hel"));
    assert!(
        ["npz", "checkpoint"].iter().all(|e| folder.read(&format!("whole.{e}")) == folder.read(&format!("parts.{e}")))
    );

    // Polynomials are all that is left of the activations: nothing is fitted again.
    let nonlinear = folder.hec("compile whole.hel --calibrate calibration.npy --emit nonlinear");
    assert!(nonlinear.contains("polynomial") && !nonlinear.contains("relu %"), "{nonlinear}");
}

#[test]
fn what_cannot_go_on_is_refused() {
    let folder = Folder::with_digits("tune-refused");
    folder.fails_with(&format!("tune digits.onnx {HOW} -o none.hel --resume"), &["HEC-C001", "none.checkpoint"]);
    folder.hec(&format!("tune digits.onnx {HOW} -o net.hel --minutes 0"));
    folder.fails_with(&format!("tune digits.onnx {HOW} -o net.hel --resume --seed 2"), &["HEC-U001", "other"]);
    folder.write("net.checkpoint", "HECTUNE1 and nothing else that would make sense here");
    folder.fails_with(&format!("tune digits.onnx {HOW} -o net.hel --resume"), &["HEC-U001", "damaged"]);
}
