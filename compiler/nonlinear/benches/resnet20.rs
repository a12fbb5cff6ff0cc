//! Prints which share of 200 test images a ResNet-20 classifies as labelled when all its ReLUs are polynomials of one
//! degree, with and without re-fitted linear layers.
//!
//! `cargo bench -p hec-nonlinear --bench resnet20 -- [--images 500] [--without] [DEGREE..]`. The network and its images are
//! looked for in the folder `HEC_SHARED`, or else in `shared` next to the workspace.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on stops")]

use hec_import::ImportOptions;
use hec_ir::tensor::{Graph, Shape, Tensor};
use hec_nonlinear::{Calibration, Options, Pin, replace};
use std::path::{Path, PathBuf};
use std::time::Instant;

struct Network {
    graph: Graph,
    calibration: Calibration,
    test: Vec<Vec<Tensor>>,
    labels: Vec<usize>,
}

impl Network {
    fn load(count: usize) -> Option<Self> {
        let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
        let shared = std::env::var_os("HEC_SHARED").map_or_else(beside, PathBuf::from);
        let model = shared.join("models/resnet20_cifar10.onnx");
        if !model.exists() {
            println!("left out: {} is not there", model.display());
            return None;
        }
        let graph = hec_import::import(&model, &ImportOptions::default()).unwrap();
        let shape = graph.shape(graph.inputs().next().unwrap().0).clone();
        let images = |name: &str, most: usize| images(&shared.join("data").join(name), &shape, most);
        let labels = hec_ir::array::load(&shared.join("data/cifar10_test_0_199_labels.npy")).unwrap().remove(0).1;
        Some(Network {
            calibration: Calibration { samples: images("cifar10_train_0_4999_images.npy", count) },
            test: images("cifar10_test_0_199_images.npy", usize::MAX),
            labels: labels.data.iter().map(|&l| l as usize).collect(),
            graph,
        })
    }

    /// One line of the table.
    fn print(&self, degree: &str, correct: bool) {
        let pins = vec![Pin::parse(&format!("relu=lsq:{degree}")).unwrap()];
        let max_samples = self.calibration.samples.len();
        let start = Instant::now();
        let options = Options { pins, correct, max_samples, ..Options::default() };
        let replaced = replace(&self.graph, &self.calibration, &options).unwrap();
        let seconds = start.elapsed().as_secs_f64();
        let (mut right, mut same, mut largest) = (0, 0, 0.0f64);
        for (image, &label) in self.test.iter().zip(&self.labels) {
            let logits = replaced.graph.run(image).unwrap().remove(0).data;
            let size = |x: &f64| if x.is_finite() { x.abs() } else { f64::INFINITY };
            largest = logits.iter().map(size).fold(largest, f64::max);
            right += usize::from(class(&logits) == label);
            same += usize::from(class(&logits) == class(&self.graph.run(image).unwrap()[0].data));
        }
        let share = |n: usize| 100.0 * n as f64 / self.labels.len() as f64;
        let re_fit = if correct { "yes" } else { "no" };
        println!(
            "{degree:>6}  {re_fit:>6}  {:>4.1}%  {:>9.1}%  {largest:>13.3e}  {seconds:>5.0} s",
            share(right),
            share(same)
        );
    }
}

/// Normalised with the means and deviations that the network was trained with.
fn images(path: &Path, shape: &Shape, most: usize) -> Vec<Vec<Tensor>> {
    let all = hec_ir::array::load(path).unwrap().remove(0).1;
    let channels = [0.485, 0.456, 0.406].into_iter().zip([0.229, 0.224, 0.225]);
    let image = |data: &[f64]| {
        let planes = data.chunks_exact(32 * 32).zip(channels.clone());
        let data =
            planes.flat_map(|(plane, (mean, std))| plane.iter().map(move |x| (x / 255.0 - mean) / std)).collect();
        vec![Tensor::new(shape.clone(), data).unwrap()]
    };
    all.data.chunks_exact(shape.elements()).take(most).map(image).collect()
}

fn class(logits: &[f64]) -> usize {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap()
}

fn main() {
    let (mut count, mut without, mut degrees) = (500, false, Vec::new());
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    while let Some(argument) = arguments.next() {
        match &argument[..] {
            "--images" => count = arguments.next().and_then(|n| n.parse().ok()).expect("--images takes a number"),
            "--without" => without = true,
            _ => degrees.push(argument),
        }
    }
    if degrees.is_empty() {
        degrees = ["2", "4", "7"].map(str::to_owned).to_vec();
    }
    let Some(network) = Network::load(count) else { return };
    println!("degree  re-fit  right  same class  largest logit     time");
    for degree in &degrees {
        network.print(degree, true);
        if without {
            network.print(degree, false);
        }
    }
}
