//! Prints how predicted errors of polynomial networks compare with those on data that calibration never saw: in which
//! share of the layers the prediction is at least what is measured, and the median of their ratio. Inputs count at most
//! nine times as much as the median one; "wild" is how many have outputs that are off by more than their size, and the last
//! two columns have all inputs as they are.
//!
//! `cargo bench -p hec-nonlinear --bench sensitivity -- [--images 500] [--models digits,lenet5_mnist] [--each] [DEGREE..]`.
//! The networks of the developer data are looked for in the folder `HEC_SHARED`, or else in `shared` next to the
//! workspace; `--each` prints every layer.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on stops")]

use hec_import::ImportOptions;
use hec_ir::tensor::{Graph, Shape, Tensor};
use hec_nonlinear::{
    Calibration, Choice, MeasuredError, Options, Pin, PredictedErrors, Sensitivity, functions, local_errors,
    measured_errors, replace,
};
use std::path::{Path, PathBuf};
use std::time::Instant;

const MODELS: [&str; 6] = ["digits", "deep", "mlp_mnist", "lenet5_mnist", "resnet20_cifar10", "encoder_sst2_emb"];
const TEST_SAMPLES: usize = 200;

struct Network {
    name: &'static str,
    graph: Graph,
    calibration: Calibration,
    test: Vec<Vec<Tensor>>,
}

impl Network {
    fn load(name: &'static str, count: usize) -> Option<Self> {
        let workspace = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let examples = workspace().join("examples");
        let shared = std::env::var_os("HEC_SHARED").map_or_else(|| workspace().join("../shared"), PathBuf::from);
        let [model, train, test] = match name {
            "digits" | "deep" => {
                let data = examples.join("digits");
                [format!("{name}/{name}.onnx"), "calibration.npy".to_owned(), "test_images.npy".to_owned()]
                    .map(|f| if f.ends_with("onnx") { examples.join(f) } else { data.join(f) })
            }
            _ => {
                let data = match name {
                    "resnet20_cifar10" => ["cifar10_train_0_4999_images.npy", "cifar10_test_0_199_images.npy"],
                    "encoder_sst2_emb" => ["sst2_train_400_embeddings.npz", "sst2_dev_0_99_embeddings.npz"],
                    _ => ["mnist_train_0_1999_images.npy", "mnist_test_0_999_images.npy"],
                };
                let model = shared.join(format!("models/{name}.onnx"));
                [model, shared.join("data").join(data[0]), shared.join("data").join(data[1])]
            }
        };
        if !model.exists() {
            println!("left out: {} is not there", model.display());
            return None;
        }
        let graph = hec_import::import(&model, &ImportOptions::default())
            .map_err(|reason| println!("left out: {name}: {reason}"))
            .ok()?;
        let shape = graph.shape(graph.inputs().next().unwrap().0).clone();
        let calibration = Calibration { samples: samples(name, &train, &shape, count) };
        let test = samples(name, &test, &shape, TEST_SAMPLES);
        Some(Network { name, graph, calibration, test })
    }

    /// Pins of this degree for everything but maxima, which have even ones.
    fn options(&self, degree: usize, correct: bool) -> Options {
        let layers = functions(&self.graph).into_iter().map(|id| &self.graph.nodes[id]);
        let activations = layers.filter(|n| matches!(n.op, hec_ir::tensor::Op::Activation(_)));
        let pin = |layer: &str| Pin { target: layer.to_owned(), choice: Choice::least_squares(degree) };
        let pins = activations.map(|n| pin(n.origin.layer())).collect();
        Options { pins, correct, max_samples: self.calibration.samples.len(), ..Options::default() }
    }

    /// Lines of the table for one degree. `sensitivity` is of the float network.
    fn print(&self, degree: usize, sensitivity: &Sensitivity, each: bool, all: &mut [Ratios; 4]) {
        let local = local_errors(&self.graph, &self.calibration, &self.options(degree, false)).unwrap();
        let before = sensitivity.predict(&self.graph, &local);
        for correct in [false, true] {
            let start = Instant::now();
            let replaced = match replace(&self.graph, &self.calibration, &self.options(degree, correct)) {
                Ok(replaced) => replaced,
                Err(reason) => {
                    println!("{:<17} {degree:>6}  {reason}", self.name);
                    continue;
                }
            };
            let seconds = start.elapsed().as_secs_f64();
            let astray = |sample: &&Vec<Tensor>| {
                let one = std::slice::from_ref(*sample);
                measured_errors(&self.graph, &replaced, one).unwrap().last().is_some_and(|e| e.rms > 1.0)
            };
            let wild = self.test.iter().filter(astray).count();
            let built = replaced.errors.clone().unwrap_or_else(|| before.clone());
            let measured = measured_errors(&self.graph, &replaced, &self.test).unwrap();
            if each {
                for (((layer, m), p), b) in names(&built).zip(&measured).zip(before.points()).zip(built.points()) {
                    let MeasuredError { typical, rms } = *m;
                    println!("    {layer:<40} measured {typical:.4} (all {rms:.4e}), before {p:.4}, built {b:.4}");
                }
            }
            let (typical, rms): (Vec<f64>, Vec<f64>) = measured.iter().map(|m| (m.typical, m.rms)).unzip();
            let ratios = [(&before, &typical), (&built, &typical), (&before, &rms), (&built, &rms)];
            let ratios = ratios.map(|(predicted, measured)| Ratios::of(predicted, measured));
            println!(
                "{:<17} {degree:>6}  {:>6}  {:>6}  {:>6.4}  {:>16}  {:>16}  {wild:>4}  {:>16}  {:>16}  {seconds:>5.0} s",
                self.name,
                if correct { "yes" } else { "no" },
                ratios[0].0.len(),
                typical[typical.len() - 1],
                ratios[0].text(),
                ratios[1].text(),
                ratios[2].text(),
                ratios[3].text(),
            );
            all.iter_mut().zip(ratios).for_each(|(all, r)| all.0.extend(r.0));
        }
    }
}

fn names(errors: &PredictedErrors) -> impl Iterator<Item = &str> {
    errors.layers.iter().map(|l| l.layer.as_str()).chain(["(outputs)"])
}

/// Predicted over measured, for all points where there is an error.
struct Ratios(Vec<f64>);

impl Ratios {
    fn of(predicted: &PredictedErrors, measured: &[f64]) -> Self {
        let there = predicted.points().zip(measured).filter(|&(_, &m)| m > 1e-12);
        Ratios(there.map(|(p, m)| p / m).collect())
    }

    fn text(&self) -> String {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let held = sorted.iter().filter(|&&r| r >= 1.0).count();
        match sorted.get(sorted.len() / 2) {
            Some(median) => format!("{:.1} %, {median:.2}", 100.0 * held as f64 / sorted.len() as f64),
            None => "exact".to_owned(),
        }
    }
}

/// As the network was trained: pixels of CIFAR normalised, those of MNIST in 0..1, all else as it is.
fn samples(name: &str, path: &Path, shape: &Shape, most: usize) -> Vec<Vec<Tensor>> {
    let arrays = hec_ir::array::load(path).unwrap();
    let all = arrays.into_iter().map(|a| a.1).find(|a| a.data.len() % shape.elements() == 0).unwrap();
    let plane = 32 * 32;
    let (means, deviations) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let value = |(i, &x): (usize, &f64)| match name {
        "resnet20_cifar10" => (x / 255.0 - means[i / plane]) / deviations[i / plane],
        "mlp_mnist" | "lenet5_mnist" => x / 255.0,
        _ => x,
    };
    let sample = |data: &[f64]| Tensor::new(shape.clone(), data.iter().enumerate().map(value).collect()).unwrap();
    all.data.chunks_exact(shape.elements()).take(most).map(|data| vec![sample(data)]).collect()
}

fn main() {
    let (mut count, mut each, mut models, mut degrees) = (500, false, MODELS.to_vec(), Vec::new());
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    while let Some(argument) = arguments.next() {
        match &argument[..] {
            "--images" => count = arguments.next().and_then(|n| n.parse().ok()).expect("--images takes a number"),
            "--models" => {
                let wanted = arguments.next().expect("--models takes names");
                models.retain(|m| wanted.split(',').any(|w| w == *m));
            }
            "--each" => each = true,
            _ => degrees.push(argument.parse().expect("a degree is a number")),
        }
    }
    if degrees.is_empty() {
        degrees = vec![2, 3, 5, 7, 11, 15];
    }
    println!(
        "share of layers where predicted ≥ measured, and the median of predicted/measured, on {TEST_SAMPLES} new inputs:"
    );
    println!(
        "model             degree  re-fit  layers   error      before built             built  wild  before, all as is   built, all as is"
    );
    let mut all = [const { Ratios(Vec::new()) }; 4];
    for network in models.into_iter().filter_map(|name| Network::load(name, count)) {
        let start = Instant::now();
        let sensitivity = match Sensitivity::measure(&network.graph, &network.calibration, &network.options(3, false)) {
            Ok(sensitivity) => sensitivity,
            Err(reason) => {
                println!("{:<17} {reason}", network.name);
                continue;
            }
        };
        println!("{:<17} sensitivities: {:.1} s", network.name, start.elapsed().as_secs_f64());
        for &degree in &degrees {
            network.print(degree, &sensitivity, each, &mut all);
        }
    }
    println!(
        "all: {} layers, before {}, built {}; with all inputs as they are: before {}, built {}",
        all[0].0.len(),
        all[0].text(),
        all[1].text(),
        all[2].text(),
        all[3].text()
    );
}
