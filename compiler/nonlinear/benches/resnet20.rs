//! Prints which share of 200 test images a ResNet-20 classifies as labelled when all its ReLUs are polynomials of one
//! degree, with and without re-fitted linear layers.
//!
//! `cargo bench -p hec-nonlinear --bench resnet20 -- [--images 500] [--development 500] [--without] [--caution N]
//! [--agreement SHARE] [DEGREE..]`. With a share, nothing is pinned: it prints the networks that the search finds, the one
//! that it takes marked by a star. The network and its images are looked for in the folder `HEC_SHARED`, or else in `shared` next to the workspace. Choices are
//! made on development images, training images that are not used for calibration; the test images only measure. A largest
//! logit is relative to that of the original network; the peak memory is that of the process so far.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on stops")]

use hec_import::ImportOptions;
use hec_ir::tensor::{Graph, Shape, Tensor};
use hec_nonlinear::{Calibration, Options, Pin, Replaced, front, replace};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

struct Network {
    graph: Graph,
    calibration: Calibration,
    development: Labelled,
    test: Labelled,
}

/// Images with their classes.
struct Labelled {
    images: Vec<Vec<Tensor>>,
    labels: Vec<usize>,
}

/// Development images are training images from this one on.
const DEVELOPMENT: usize = 1500;

impl Network {
    fn load(count: usize, development: usize) -> Option<Self> {
        let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
        let shared = std::env::var_os("HEC_SHARED").map_or_else(beside, PathBuf::from);
        let model = shared.join("models/resnet20_cifar10.onnx");
        if !model.exists() {
            println!("left out: {} is not there", model.display());
            return None;
        }
        let graph = hec_import::import(&model, &ImportOptions::default()).unwrap();
        let shape = graph.shape(graph.inputs().next().unwrap().0).clone();
        let part = |name: &str, first: usize, most: usize| {
            let file = |what: &str| shared.join(format!("data/cifar10_{name}_{what}.npy"));
            let labels = hec_ir::array::load(&file("labels")).unwrap().remove(0).1;
            Labelled {
                images: images(&file("images"), &shape, first, most),
                labels: labels.data.iter().skip(first).take(most).map(|&l| l as usize).collect(),
            }
        };
        Some(Network {
            calibration: Calibration { samples: part("train_0_4999", 0, count).images },
            development: part("train_0_4999", DEVELOPMENT.max(count), development),
            test: part("test_0_199", 0, usize::MAX),
            graph,
        })
    }

    /// One line of the table.
    fn print(&self, degree: &str, correct: bool, caution: usize) {
        let pins = vec![Pin::parse(&format!("relu=lsq:{degree}")).unwrap()];
        let max_samples = self.calibration.samples.len();
        let start = Instant::now();
        let options = Options { pins, correct, caution, max_samples, ..Options::default() };
        let replaced = replace(&self.graph, &self.calibration, &options).unwrap();
        let seconds = start.elapsed().as_secs_f64();
        let re_fit = if correct { "yes" } else { "no" };
        print!("{degree:>6}  {re_fit:>6}");
        for labelled in [&self.development, &self.test] {
            let [right, same, largest] = self.measure(&replaced.graph, labelled);
            print!("  {right:>5.1}%  {same:>9.1}%  {largest:>13.2e}");
        }
        println!("  {seconds:>5.0} s  {:>5} MiB", peak_memory());
    }

    /// The networks that the search finds.
    fn search(&self, min_agreement: f64) {
        let max_samples = self.calibration.samples.len();
        let options = Options { min_agreement, max_samples, ..Options::default() };
        let start = Instant::now();
        let found = front(&self.graph, &self.calibration, &options).unwrap();
        for (i, replaced) in found.networks.iter().enumerate() {
            let star = if i == found.chosen { "*" } else { " " };
            let kept = replaced.agreement.and_then(|a| a.classes).unwrap_or(0.0);
            print!("{star} {:>3} levels  {:>5.1}%", levels(replaced), 100.0 * kept);
            for labelled in [&self.development, &self.test] {
                let [right, same, largest] = self.measure(&replaced.graph, labelled);
                print!("  {right:>5.1}%  {same:>9.1}%  {largest:>13.2e}");
            }
            println!("  {}", degrees(replaced));
        }
        println!("{:.0} s, {} MiB", start.elapsed().as_secs_f64(), peak_memory());
    }

    /// Shares of images that are classified as labelled and as by the original network, and the largest logit.
    fn measure(&self, replaced: &Graph, labelled: &Labelled) -> [f64; 3] {
        let logits = |graph: &Graph, image: &Vec<Tensor>| graph.run(image).unwrap().remove(0).data;
        let pairs: Vec<[Vec<f64>; 2]> =
            labelled.images.par_iter().map(|image| [logits(replaced, image), logits(&self.graph, image)]).collect();
        let size = |x: &f64| if x.is_finite() { x.abs() } else { f64::INFINITY };
        let largest = |which: usize| pairs.iter().flat_map(|p| &p[which]).map(size).fold(0.0, f64::max);
        let right = pairs.iter().zip(&labelled.labels).filter(|(p, label)| class(&p[0]) == **label).count();
        let same = pairs.iter().filter(|[found, wanted]| class(found) == class(wanted)).count();
        let share = |n: usize| 100.0 * n as f64 / pairs.len() as f64;
        [share(right), share(same), largest(0) / largest(1)]
    }
}

/// Levels of all replacements.
fn levels(replaced: &Replaced) -> u32 {
    replaced.replacements.iter().map(|r| r.depth.0).sum()
}

/// How many layers have each degree.
fn degrees(replaced: &Replaced) -> String {
    let mut counts = BTreeMap::new();
    replaced.replacements.iter().for_each(|r| *counts.entry(r.choice.degree).or_insert(0) += 1);
    let each: Vec<String> = counts.iter().map(|(degree, count)| format!("{count} of degree {degree}")).collect();
    each.join(", ")
}

/// In MiB, where the system tells.
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<usize>().ok()).unwrap_or(0) / 1024
}

/// Normalised with the means and deviations that the network was trained with.
fn images(path: &Path, shape: &Shape, first: usize, most: usize) -> Vec<Vec<Tensor>> {
    let all = hec_ir::array::load(path).unwrap().remove(0).1;
    let channels = [0.485, 0.456, 0.406].into_iter().zip([0.229, 0.224, 0.225]);
    let image = |data: &[f64]| {
        let planes = data.chunks_exact(32 * 32).zip(channels.clone());
        let data =
            planes.flat_map(|(plane, (mean, std))| plane.iter().map(move |x| (x / 255.0 - mean) / std)).collect();
        vec![Tensor::new(shape.clone(), data).unwrap()]
    };
    all.data.chunks_exact(shape.elements()).skip(first).take(most).map(image).collect()
}

fn class(logits: &[f64]) -> usize {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap()
}

fn main() {
    let (mut count, mut development, mut without, mut degrees) = (500, 500, false, Vec::new());
    let (mut agreement, mut caution) = (None, 0);
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|n| n.parse().ok()).expect("a number of images");
        match &argument[..] {
            "--images" => count = number(),
            "--development" => development = number(),
            "--caution" => caution = number(),
            "--without" => without = true,
            "--agreement" => agreement = arguments.next().and_then(|n| n.parse::<f64>().ok()),
            _ => degrees.push(argument),
        }
    }
    if degrees.is_empty() && agreement.is_none() {
        degrees = ["2", "4", "7"].map(str::to_owned).to_vec();
    }
    let Some(network) = Network::load(count, development) else { return };
    if let Some(share) = agreement {
        println!("                        development images                   test images");
        println!("  levels  validation   right  same class  largest logit   right  same class  largest logit");
        return network.search(share);
    }
    println!("                development images                   test images");
    println!("degree  re-fit   right  same class  largest logit   right  same class  largest logit     time     peak");
    for degree in &degrees {
        network.print(degree, true, caution);
        if without {
            network.print(degree, false, caution);
        }
    }
}
