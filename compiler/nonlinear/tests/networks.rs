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

/// The network of the residual benchmark with calibration images, test images and their labels, if it is there.
fn resnet20(count: usize) -> Option<(Trained, Vec<usize>)> {
    let beside = || workspace().join("../shared");
    let shared = std::env::var_os("HEC_SHARED").map_or_else(beside, PathBuf::from);
    let model = shared.join("models/resnet20_cifar10.onnx");
    if !model.exists() {
        println!("left out: {} is not there", model.display());
        return None;
    }
    let graph = hec_import::import(&model, &ImportOptions::default()).unwrap();
    let shape = graph.shape(graph.inputs().next().unwrap().0).clone();
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let load = |name: &str, most: usize| {
        let mut samples = images(&shared.join("data").join(name), &shape, 1.0 / 255.0);
        samples.truncate(most);
        for image in &mut samples {
            let planes = image[0].data.chunks_exact_mut(32 * 32).zip(mean.iter().zip(std));
            planes.for_each(|(plane, (m, s))| plane.iter_mut().for_each(|x| *x = (*x - m) / s));
        }
        samples
    };
    let calibration = Calibration { samples: load("cifar10_train_0_4999_images.npy", count) };
    let test = load("cifar10_test_0_199_images.npy", 200);
    let labels = hec_ir::array::load(&shared.join("data/cifar10_test_0_199_labels.npy")).unwrap().remove(0).1;
    let labels = labels.data.iter().map(|&l| l as usize).collect();
    Some((Trained { graph, calibration, test }, labels))
}

/// Prints which share of 200 test images a ResNet-20 classifies as labelled when all its ReLUs are polynomials.
#[test]
#[ignore = "takes minutes in a release build; the figures are in docs/DESIGN.md"]
fn resnet20_with_polynomials_of_low_degree() {
    let number = |name: &str, default: usize| std::env::var(name).map_or(default, |v| v.parse().unwrap());
    let degrees = std::env::var("HEC_DEGREES").unwrap_or_else(|_| "2,3,4,5,7".to_owned());
    let Some((network, labels)) = resnet20(number("HEC_IMAGES", 1500)) else { return };
    println!("degree  re-fit  right  same class  largest logit  agreement on validation images");
    for degree in degrees.split(',') {
        for correct in [true, false] {
            if number("HEC_ONLY_CORRECTED", 0) == 1 && !correct {
                continue;
            }
            let pins = vec![Pin::parse(&format!("relu=lsq:{degree}")).unwrap()];
            let options = Options { pins, correct, max_samples: 1500, ..Options::default() };
            let start = std::time::Instant::now();
            let replaced = replace(&network.graph, &network.calibration, &options).unwrap();
            let seconds = start.elapsed().as_secs_f64();
            let (mut right, mut same, mut largest) = (0, 0, 0.0f64);
            for (image, &label) in network.test.iter().zip(&labels) {
                let logits = replaced.graph.run(image).unwrap().remove(0).data;
                largest =
                    logits.iter().fold(largest, |l, x| if x.is_finite() { l.max(x.abs()) } else { f64::INFINITY });
                let class = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
                right += usize::from(class == label);
                same += usize::from(class == self::class(&network.graph, image));
            }
            let share = |n: usize| 100.0 * n as f64 / labels.len() as f64;
            println!(
                "{degree:>6}  {correct:>6}  {:>4.1}%  {:>9.1}%  {largest:>13.3e}  {:?}  {seconds:.0} s",
                share(right),
                share(same),
                replaced.agreement.unwrap()
            );
            if number("HEC_VERBOSE", 0) == 1 {
                replaced.corrections.iter().for_each(|c| println!("  {c:?}"));
            }
        }
    }
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
