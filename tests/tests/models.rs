//! Larger networks on real images, where they are at hand: in the folder `HEC_SHARED`, or in `shared` beside the project.
#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

mod parties;

use hec::{Comparison, How};
use parties::Parties;
use std::path::{Path, PathBuf};

fn shared() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = std::env::var_os("HEC_SHARED").map_or_else(beside, PathBuf::from);
    let found = folder.join("models").is_dir();
    if !found {
        println!("skipped: there are no models in {}", folder.display());
    }
    found.then_some(folder)
}

/// A network for the handwritten digits of MNIST keeps its classes as polynomials and under encryption.
fn reads_mnist(model: &str) {
    let Some(shared) = shared() else { return };
    let how = How {
        calibrate: vec![shared.join("data/mnist_train_0_1999_images.npy")],
        preprocess: Some("scale=1/255".to_owned()),
        ..How::default()
    };
    let parties = Parties::compile(model, &shared.join("models").join(model).with_extension("onnx"), &how);
    assert!(parties.report.security.is_secure(), "{}", parties.report.security);

    let images = parties.samples(&shared.join("data/mnist_test_0_999_images.npy"), 100);
    let clear = parties.clear(&images);
    let against_float = Comparison::of(&clear, &parties.float(&images));
    assert_eq!(against_float.samples, 100);
    assert!(against_float.same_class >= Some(97), "{against_float:?}");

    let encrypted = Comparison::of(&parties.encrypted(&images[..2]), &clear[..2]);
    let predicted = parties.report.log2_noise;
    println!(
        "{model}: error of the encrypted logits: rms 2^{:.1}, max 2^{:.1}, predicted 2^{predicted:.1}",
        encrypted.log2_rms, encrypted.log2_max
    );
    assert_eq!(encrypted.same_class, Some(2));
    // At most what --max-error allows by default.
    assert!(encrypted.log2_max <= -10.0, "{encrypted:?}");
    assert!((encrypted.log2_rms - predicted).abs() <= 3.0, "{encrypted:?}, predicted 2^{predicted:.1}");
    // Six standard deviations hold for every image.
    assert!(encrypted.log2_max <= predicted + 6f64.log2(), "{encrypted:?}, predicted 2^{predicted:.1}");
}

#[test]
fn a_multilayer_perceptron() {
    reads_mnist("mlp_mnist");
}

#[test]
fn a_convolutional_network() {
    reads_mnist("lenet5_mnist");
}
