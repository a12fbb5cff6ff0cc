//! Trained networks: which share of real test images keeps its class when every ReLU becomes a polynomial.
//!
//! The bundled network is always tested. The others are developer data: they are looked for in the folder `HEC_SHARED`,
//! or else in `shared` next to the workspace, and left out where they are not there.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use hec_import::ImportOptions;
use hec_ir::tensor::{Graph, Shape, Tensor};
use hec_nonlinear::{Calibration, Options, Pin, Replaced, replace};
use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A network with images to calibrate it and images to test it.
struct Trained {
    graph: Graph,
    calibration: Calibration,
    test: Vec<Vec<Tensor>>,
}

impl Trained {
    fn load(model: &Path, calibration: &Path, test: &Path, scale: f64) -> Self {
        let graph = hec_import::import(model, &ImportOptions::default()).unwrap();
        let (input, _) = graph.inputs().next().unwrap();
        let shape = graph.shape(input).clone();
        let calibration = Calibration { samples: images(calibration, &shape, scale) };
        let mut test = images(test, &shape, scale);
        test.truncate(100);
        Trained { graph, calibration, test }
    }

    fn digits() -> Self {
        let folder = workspace().join("examples/digits");
        let [model, train, test] = ["digits.onnx", "calibration.npy", "test_images.npy"].map(|f| folder.join(f));
        Trained::load(&model, &train, &test, 1.0)
    }

    /// An MNIST network from the developer data, if it is there.
    fn mnist(model: &str) -> Option<Self> {
        let beside = || workspace().join("../shared");
        let shared = std::env::var_os("HEC_SHARED").map_or_else(beside, PathBuf::from);
        let model = shared.join("models").join(model);
        if !model.exists() {
            println!("left out: {} is not there", model.display());
            return None;
        }
        let [train, test] = ["train_0_1999", "test_0_999"].map(|f| shared.join(format!("data/mnist_{f}_images.npy")));
        Some(Trained::load(&model, &train, &test, 1.0 / 255.0))
    }

    fn replace(&self, pins: &[&str]) -> Replaced {
        let pins = pins.iter().map(|p| Pin::parse(p).unwrap()).collect();
        replace(&self.graph, &self.calibration, &Options { pins, ..Options::default() }).unwrap()
    }

    /// How many test images keep their class.
    fn kept(&self, replaced: &Replaced) -> usize {
        self.test.iter().filter(|image| class(&self.graph, image) == class(&replaced.graph, image)).count()
    }

    /// The default must keep 97 of 100 images at depth 1 for each function; a higher degree must come closer.
    fn check(&self, name: &str) {
        let default = self.replace(&[]);
        let depths: Vec<u32> = default.replacements.iter().map(|r| r.depth.0).collect();
        let kept = self.kept(&default);
        println!("{name}: default {} keeps {kept} of {}", default.replacements[0].choice, self.test.len());
        assert!(kept >= 97 && default.warnings.is_empty(), "{name}: {kept} of 100, {:?}", default.warnings);
        assert!(depths.iter().all(|&d| d == 1), "{name}: {depths:?}");

        let mut last = f64::INFINITY;
        for degree in [3, 5, 7] {
            let replaced = self.replace(&[&format!("relu=lsq:{degree}")]);
            let (kept, error) = (self.kept(&replaced), replaced.agreement.unwrap().relative_error);
            println!("{name}: lsq:{degree} keeps {kept}, validation error 2^{:.1}", error.log2());
            assert!(kept >= 97 && error < last, "{name} degree {degree}: {kept} of 100, error {error} after {last}");
            last = error;
        }
    }
}

fn images(path: &Path, shape: &Shape, scale: f64) -> Vec<Vec<Tensor>> {
    let all = hec_ir::array::load(path).unwrap().remove(0).1;
    let image = |data: &[f64]| Tensor::new(shape.clone(), data.iter().map(|x| x * scale).collect()).unwrap();
    all.data.chunks_exact(shape.elements()).map(|data| vec![image(data)]).collect()
}

fn class(graph: &Graph, image: &[Tensor]) -> usize {
    let logits = graph.run(image).unwrap().remove(0).data;
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap()
}

#[test]
fn digits_keeps_its_classes() {
    Trained::digits().check("digits");
}

#[test]
fn mlp_keeps_its_classes() {
    if let Some(network) = Trained::mnist("mlp_mnist.onnx") {
        network.check("mlp_mnist");
    }
}

#[test]
fn lenet_keeps_its_classes() {
    if let Some(network) = Trained::mnist("lenet5_mnist.onnx") {
        network.check("lenet5_mnist");
    }
}
