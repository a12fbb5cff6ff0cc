//! What can go wrong, and what the user is told: a code, the layer or file, the reason, what to do.

use crate::Folder;
use crate::networks::{CONVOLUTION, SQUARES, unknown_operators};
use hec_ir::artifact::Artifact;
use std::io::Cursor;

/// A file of 64-bit floats.
pub fn npy(shape: &str, values: &[f64]) -> Vec<u8> {
    let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({shape}), }}");
    let padded = format!("{header:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((padded.len() as u16).to_le_bytes());
    bytes.extend(padded.as_bytes());
    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    bytes
}

#[test]
fn an_activation_of_which_nothing_is_known() {
    let folder = Folder::with_digits("no-calibration");
    folder.fails_with("compile digits.onnx", &["HEC-N001", "relu1", "calibration data", "--range relu1=-4,6"]);
    assert!(!folder.path("digits.hec").exists());
    // Ranges are enough.
    folder.hec("compile digits.onnx --range relu1=-6,8 --range relu2=-39,19");
}

#[test]
fn operators_that_are_not_known() {
    let folder = Folder::new("unknown-operator");
    folder.write("unknown.onnx", unknown_operators());
    folder.fails_with("compile unknown.onnx", &["HEC-I", "steps", "Floor", "help:"]);
}

#[test]
fn calibration_data_that_does_not_fit() {
    let folder = Folder::with_digits("calibration");
    let compile = "compile digits.onnx --calibrate";
    folder.fails_with(&format!("{compile} test_labels.npy"), &["HEC-C001", "[100]", "image", "[1, 1, 8, 8]"]);
    folder.write("nan.npy", npy("1, 1, 8, 8", &[f64::NAN; 64])).write("empty.npy", npy("0, 1, 8, 8", &[]));
    folder.write("short.npy", npy("1, 1, 8, 8", &[0.5; 60])).write("text.npy", "hello");
    for file in ["short.npy", "text.npy", "missing.npy"] {
        folder.fails_with(&format!("{compile} {file}"), &["HEC-C001", file]);
    }
    folder.fails_with(&format!("{compile} nan.npy"), &["HEC-N001", "not finite", "sample 0"]);
    folder.fails_with(&format!("{compile} empty.npy"), &["HEC-"]);
    std::fs::create_dir(folder.path("empty")).unwrap();
    folder.fails_with(&format!("{compile} empty"), &["HEC-C001", "empty"]);
}

#[test]
fn options_that_cannot_be_read() {
    let folder = Folder::with_digits("options");
    let compile = "compile digits.onnx --calibrate calibration.npy";
    folder.fails_with(&format!("{compile} --activation relu=foo"), &["HEC-C002", "relu=foo", "relu=kernel:2"]);
    folder.fails_with(&format!("{compile} --activation relu9=lsq:4"), &["relu9", "relu1"]);
    folder.fails_with(&format!("{compile} --range relu1=high"), &["HEC-C002", "relu1=high"]);
    folder.fails_with(&format!("{compile} --preprocess gamma=2"), &["HEC-C003", "gamma=2", "scale=1/255"]);
    folder.fails_with(&format!("{compile} --preprocess mean=0.1/0.2/0.3"), &["HEC-C003", "3 channels"]);
    folder.write("costs.json", "{}");
    folder.fails_with(&format!("{compile} --costs costs.json"), &["HEC-C001", "costs.json"]);
    folder.fails_with(&format!("{compile} --max-error 1e-12"), &["HEC-L004", "noise", "--max-error"]);
    // The argument parser's own errors have the exit code 2 and name the option.
    for (option, value) in [
        ("--ring", "3"),
        ("--ring", "18"),
        ("--scale", "200"),
        ("--batch", "0"),
        ("--batch", "100000"),
        ("--emit", "all"),
        ("--max-memory", "much"),
    ] {
        let ran = folder.run(&format!("{compile} {option} {value}"));
        assert_eq!(ran.code, 2, "{option} {value}");
        assert!(ran.stderr.contains(option) || ran.stderr.contains(value), "{}", ran.stderr);
    }
}

#[test]
fn a_network_too_deep_for_the_ring() {
    let folder = Folder::with_digits("too-deep");
    folder.fails_with(
        "compile digits.onnx --calibrate calibration.npy --ring 12",
        &["HEC-L001", "needs 5 levels", "N = 2^12", "room for", "conv1 1, relu1 1", "larger ring", "--activation"],
    );
}

#[test]
fn a_batch_that_leaves_no_slots() {
    let folder = Folder::with_digits("large-batch");
    folder.fails_with(
        "compile digits.onnx --calibrate calibration.npy --ring 13 --batch 4096",
        &["HEC-L009", "N = 2^13", "4096 inputs share 4096 slots", "smaller --batch"],
    );
}

#[test]
fn keys_larger_than_allowed() {
    let folder = Folder::with_digits("large-keys");
    let compile = "compile digits.onnx --calibrate calibration.npy --ring 13 --max-error 0.01";
    folder.fails_with(&format!("{compile} --max-key-size 1M"), &["HEC-S001", "evaluation keys", "1 MiB", "allowed"]);
    assert!(folder.hec(&format!("{compile} --max-key-size 0.5G")).contains("N = 2^13"));
}

#[test]
fn a_network_too_noisy_for_the_ring() {
    let folder = Folder::with_digits("too-noisy");
    let compile = "compile digits.onnx --calibrate calibration.npy --activation relu=lsq:2 --ring 13";
    let strict = format!("{compile} --max-error 0.00001");
    folder.fails_with(&strict, &["HEC-L004", "N = 2^13", "noise", "larger ring", "--max-error"]);
    assert!(folder.hec(&format!("{compile} --max-error 0.01")).contains("N = 2^13"));
}

/// Larger digits of fewer keys are tried before a program is refused.
#[test]
fn a_program_of_too_much_memory() {
    let folder = Folder::with_digits("too-large");
    let compile = "compile digits.onnx --calibrate calibration.npy --ring 13";
    folder.fails_with(&format!("{compile} --max-memory 1M"), &["HEC-L008", "N = 2^13", "GiB", "--max-memory"]);
    assert!(folder.hec(&format!("{compile} --max-memory 2G")).contains("N = 2^13"));
}

#[test]
fn files_that_are_missing_or_something_else() {
    let folder = Folder::with_digits("missing");
    folder.write("squares.hel", SQUARES).write("word.hel", "hello").write("net.hel", CONVOLUTION);
    folder.fails_with("compile missing.onnx", &["HEC-I001", "missing.onnx", "No such file"]);
    folder.fails_with("compile missing.hel", &["HEC-C001", "missing.hel", "No such file"]);
    folder.fails_with("check missing.onnx", &["HEC-I001", "missing.onnx"]);
    folder.fails_with("check squares.hel", &["HEC-C008", "squares.hel", "ONNX"]);
    folder.fails_with("check calibration.npy", &["HEC-I002", "not an ONNX model"]);
    folder.fails_with("compile calibration.npy", &["HEC-I002", "not an ONNX model"]);
    folder.fails_with("report missing.hec", &["HEC-C001", "missing.hec"]);
    folder.fails_with("report digits.onnx", &["HEC-C001", "digits.onnx"]);
    folder.fails_with("simulate missing.hec --input calibration.npy", &["HEC-C001", "missing.hec"]);
    folder.fails_with("opt missing.hel", &["HEC-C001", "missing.hel"]);
    folder.fails_with("opt digits.onnx", &["HEC-", "digits.onnx"]);
    folder.fails_with("compile word.hel", &["HEC-T001", "word.hel", "line 1, column 1"]);
    // Its constants should stand in net.npz.
    folder.fails_with("compile net.hel", &["HEC-T001", "line 3", "external numbers \"k\"", "[2, 1, 3, 3]"]);
}

#[test]
fn text_of_another_level() {
    let folder = Folder::new("wrong-level");
    folder.write("squares.hel", SQUARES);
    folder.hec("compile squares.hel --emit pack -o circuit.hel");
    folder.fails_with("compile circuit.hel", &["HEC-T002", "circuit level", "hec opt"]);
    folder.hec("compile squares.hel");
    folder.write("x.npy", npy("1, 4", &[0.5; 4]));
    folder.fails_with("simulate squares.hec --input x.npy --against circuit.hel", &["HEC-T002", "circuit level"]);
}

#[test]
fn networks_that_do_nothing() {
    let folder = Folder::new("do-nothing");
    folder.write("none.hel", r#"tensor none { %x = input "x" : [1,4] }"#);
    folder.fails_with("compile none.hel", &["HEC-C009", "no output"]);
    folder.write("empty.hel", r#"tensor empty { %x = input "x" : [1,0] output "y" %x }"#);
    let zero = r#"
        tensor zero {
          const @v : f64[4,2] = [1, 2, 3, 4, 5, 6, 7, 8]
          const @w : f64[2,2] = [0, 0, 0, 0]
          %x = input "x" : [1,4]
          %h = matmul %x, @v
          %r = relu %h from "relu1"
          %y = matmul %r, @w
          output "y" %y
        }"#;
    folder.write("zero.hel", zero);
    folder.write("x.npy", npy("2, 4", &[0.5, -0.25, 1.0, -1.0, 0.75, 0.0, -0.5, 0.25]));
    for network in ["empty.hel", "zero.hel --range relu1=-1,1", "zero.hel --calibrate x.npy"] {
        folder.fails_with(&format!("compile {network}"), &["HEC-N003", "zero"]);
    }
    folder.write("same.hel", r#"tensor same { %x = input "x" : [1,4] output "y" %x }"#);
    folder.hec("compile same.hel");
    folder.hec("simulate same.hec --input x.npy --against same.hel");
}

#[test]
fn rings_that_do_not_exist() {
    let folder = Folder::new("slots");
    for slots in ["0", "1", "2", "3", "12", "131072", "4294967296", "9223372036854775808"] {
        let text = format!(
            r#"circuit c slots {slots} {{
                 input "x" : [2] at i0 mod 2 * 1
                 %0 = input 0
                 output "y" %0 : [2] at i0 mod 2 * 1
               }}"#
        );
        folder.write("c.hel", text);
        folder.fails_with("opt c.hel --insecure-toy", &["HEC-", "ring"]);
    }
}

#[test]
fn damaged_programs() {
    let folder = Folder::new("damaged");
    folder.write("squares.hel", SQUARES);
    folder.hec("compile squares.hel --ring 8 --insecure-toy");
    let whole = folder.read("squares.hec");
    let fails = |bytes: &[u8], what: &str| {
        folder.write("damaged.hec", bytes);
        let message = folder.fails("report damaged.hec");
        assert!(message.contains("HEC-C001") && message.contains("damaged.hec"), "{what}: {message}");
    };
    for part in [0, 1, 2, 3] {
        fails(&whole[..whole.len() * part / 4], "truncated");
    }
    fails(&whole[..whole.len() - 1], "the last byte is missing");
    fails(&[b"x", &whole[..]].concat(), "a byte in front");
    fails(&[&whole[..], b"x"].concat(), "a byte behind");
    // Through the library, a bit in every seventh byte: an error, or a byte that no reader looks at.
    let original = Artifact::read_from(Cursor::new(&whole)).unwrap();
    let mut refused = 0;
    let places: Vec<usize> = (0..whole.len()).step_by(7).collect();
    for &at in &places {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        match Artifact::read_from(Cursor::new(&flipped)) {
            Ok(artifact) => assert!(artifact.program() == original.program() && artifact.report() == original.report()),
            Err(_) => refused += 1,
        }
    }
    assert!(10 * refused > 9 * places.len(), "only {refused} of {} flips were refused", places.len());
}
