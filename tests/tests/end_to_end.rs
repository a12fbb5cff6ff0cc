//! Networks from their files to decrypted answers, by the files of the three parties, at 128-bit security.
#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

mod parties;

use hec::{Comparison, How};
use hec_ir::array::{ElementType, write_npy};
use hec_ir::tensor::{Shape, Tensor};
use onnx_protobuf::{Message, ModelProto};
use parties::Parties;
use std::fs;
use std::path::{Path, PathBuf};

fn digits(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/digits").join(file)
}

/// A new file for the compiler.
fn written(name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn encrypted_digits_are_read_as_clear_ones() {
    let how = How { calibrate: vec![digits("calibration.npy")], ..How::default() };
    let digits_read = Parties::compile("digits", &digits("digits.onnx"), &how);
    assert!(digits_read.report.security.is_secure(), "{}", digits_read.report.security);

    // The polynomials change few classes, over all hundred images.
    let images = digits_read.samples(&digits("test_images.npy"), 100);
    let clear = digits_read.clear(&images);
    let against_float = Comparison::of(&clear, &digits_read.float(&images));
    assert_eq!(against_float.samples, 100);
    assert!(against_float.same_class >= Some(97), "{against_float:?}");

    // Encryption changes none, and its error is what the noise model says.
    let encrypted = Comparison::of(&digits_read.encrypted(&images[..3]), &clear[..3]);
    let predicted = digits_read.report.log2_noise;
    println!(
        "error of the encrypted logits: rms 2^{:.1}, max 2^{:.1}, predicted 2^{predicted:.1} of the range {:.1}",
        encrypted.log2_rms, encrypted.log2_max, encrypted.range
    );
    assert_eq!(encrypted.same_class, Some(3));
    // At most what --max-error allows by default.
    assert!(encrypted.log2_max <= -10.0, "{encrypted:?}");
    assert!((encrypted.log2_rms - predicted).abs() <= 3.0, "{encrypted:?}, predicted 2^{predicted:.1}");
    // Six standard deviations hold for every image.
    assert!(encrypted.log2_max <= predicted + 6f64.log2(), "{encrypted:?}, predicted 2^{predicted:.1}");
}

#[test]
fn digits_that_share_ciphertexts_are_read_as_each_alone() {
    let how = How { calibrate: vec![digits("calibration.npy")], batch: 16, ..How::default() };
    let digits_read = Parties::compile("digits-batch", &digits("digits.onnx"), &how);
    let images = digits_read.samples(&digits("test_images.npy"), 13);
    let clear = digits_read.clear(&images);
    let encrypted = Comparison::of(&digits_read.encrypted_at_once(&images), &clear);
    assert_eq!(encrypted.same_class, Some(13));
    assert!(encrypted.log2_max <= -10.0, "{encrypted:?}");
}

#[test]
fn squares_in_the_place_of_relu_need_no_data_and_follow_the_float_network() {
    let mut model = ModelProto::parse_from_bytes(&fs::read(digits("digits.onnx")).unwrap()).unwrap();
    for node in model.graph.as_mut().unwrap().node.iter_mut().filter(|node| node.op_type == "Relu") {
        node.op_type = "Mul".to_owned();
        node.input = vec![node.input[0].clone(); 2];
    }
    let squares = written("squares.onnx", model.write_to_bytes().unwrap());
    let squares = Parties::compile("squares-onnx", &squares, &How::default());
    assert!(squares.report.replacements.is_empty());
    let images = squares.samples(&digits("test_images.npy"), 2);
    let error = Comparison::of(&squares.encrypted(&images), &squares.float(&images));
    assert_eq!(error.same_class, Some(2));
    assert!(error.log2_max <= -10.0, "{error:?}");
}

#[test]
fn a_network_written_by_hand() {
    let text = r#"
        # Two branches of a matrix, multiplied and squared.
        tensor gate {
          const @a : f64[4,4] = [0.5, -0.25, 1, 0.75, 0.5, -0.5, 0.25, 1, 0.5, -1, 0.25, 0.75, -0.5, 0.5, 0.5, 0.25]
          const @b : f64[4,4] = [0.25, 0.5, -1, 0.5, 0.75, 0.5, 0.25, -0.5, 1, 0.5, 0.5, -0.25, 0.25, -0.75, 1, 0.5]
          const @c : f64[4,3] = [1, -0.5, 0.5, 0.75, -0.25, 1, 0.5, 0.5, -1, -0.75, 0.25, 0.5]
          const @bias : f64[3] = [0.125, -0.25, 0.5]
          %x = input "x" : [1,4]
          %f = matmul %x, @a from "left"
          %g = matmul %x, @b from "right"
          %h = mul %f, %g from "gate"
          %s = mul %h, %h from "square"
          %y = matmul %s, @c from "last"
          %z = add_constant %y, @bias from "last"
          output "z" %z
        }"#;
    let gate = Parties::compile("gate-text", &written("gate.hel", text), &How::default());
    assert_eq!(gate.report.depth.packed, 4);
    let sample = |data: [f64; 4]| vec![Tensor { shape: Shape::new([1, 4]), data: data.to_vec() }];
    let samples = [sample([0.5, -1.0, 0.75, 0.25]), sample([-0.75, 0.5, 1.0, -0.25])];
    let error = Comparison::of(&gate.encrypted(&samples), &gate.float(&samples));
    assert!(error.log2_max <= -10.0, "{error:?}");
}

#[test]
fn the_client_looks_up_token_ids_and_normalises_the_answer() {
    let table: Vec<String> = (0..24).map(|i| format!("{}", f64::from(i * i % 11) / 8.0 - 0.5)).collect();
    let text = format!(
        r#"
        tensor words {{
          const @embeddings : f64[6,4] = [{}]
          const @w : f64[8,3] = [{}]
          %ids = input "ids" : [1,2]
          %e = lookup %ids, @embeddings from "embed"
          %n = layer_norm %e axes [2] epsilon 0.001 from "norm0"
          %f = reshape %n [1,8] from "flatten"
          %h = matmul %f, @w from "fc"
          %s = square %h from "square"
          %y = rms_norm %s axes [1] epsilon 0.001 from "norm1"
          output "y" %y
        }}
        "#,
        table.join(", "),
        table.join(", "),
    );
    // Calibration data are token ids too, and go through the client's part first.
    let data = (0..12).map(|i| f64::from(i * 5 % 6)).collect();
    let ids = write_npy(&Tensor { shape: Shape::new([6, 2]), data }, ElementType::I64).unwrap();
    let how = How { calibrate: vec![written("words.npy", ids)], ..How::default() };
    let words = Parties::compile("words", &written("words.hel", text), &how);
    let client = words.report.client.clone().unwrap();
    assert_eq!((client.before.first().unwrap().as_str(), client.weights), ("lookup", 24));
    assert_eq!(client.after, ["rms_norm"]);
    // The server has nothing of the table.
    assert!(words.artifact.program().inputs.iter().all(|i| i.name != "ids"));
    let samples: Vec<Vec<Tensor>> =
        [[0.0, 5.0], [3.0, 3.0]].map(|ids| vec![Tensor { shape: Shape::new([1, 2]), data: ids.to_vec() }]).to_vec();
    let error = Comparison::of(&words.answers(&samples), &words.float(&samples));
    assert!(error.log2_max <= -14.0, "{error:?}");
}
