//! Prints which share of labelled images networks in tensor text classify as labelled, in clear, and how many images go
//! astray: a polynomial gets what is far beyond its range.
//!
//! `cargo bench -p hec-tune --bench accuracy -- [--images FILE --labels FILE] NETWORK.hel..`. The images are those of
//! CIFAR-10 in the folder `HEC_SHARED`, or else in `shared` next to the workspace, if no others are given.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on stops")]

use hec_ir::array;
use hec_ir::samples::{InputFile, Samples, read_labels, wanted_by_graph};
use hec_ir::tensor::Graph;
use hec_ir::text::{AnyLevel, ExternalConstants, parse};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn load(path: &Path) -> Graph {
    let text = std::fs::read_to_string(path).unwrap();
    let numbers = path.with_extension("npz");
    let arrays = if numbers.exists() { array::load(&numbers).unwrap() } else { Vec::new() };
    let external: ExternalConstants = arrays.into_iter().map(|(name, tensor)| (name, Arc::new(tensor))).collect();
    match parse(&text, &external).unwrap() {
        AnyLevel::Tensor(graph) => graph,
        other => panic!("{} is text of the {} level", path.display(), other.name()),
    }
}

/// An image whose largest logit is this many times the median image's has left the ranges of the network.
const ASTRAY: f64 = 8.0;

fn class(logits: &[f64]) -> usize {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap()
}

/// One line for a network.
fn print(path: &Path, images: &Path, labels: &[usize]) {
    let graph = load(path);
    let file = InputFile { name: None, path: images.to_owned() };
    let inputs = Samples::read(&wanted_by_graph(&graph), &[file]).unwrap().all(labels.len());
    let logits: Vec<Vec<f64>> = inputs.par_iter().map(|x| graph.run(x).unwrap().remove(0).data).collect();
    let right = logits.iter().zip(labels).filter(|(l, label)| class(l) == **label).count();
    let size = |x: &f64| if x.is_finite() { x.abs() } else { f64::INFINITY };
    let mut sizes: Vec<f64> = logits.iter().map(|l| l.iter().map(size).fold(0.0, f64::max)).collect();
    sizes.sort_by(f64::total_cmp);
    let largest = sizes.last().copied().unwrap_or(0.0);
    let astray = sizes.iter().filter(|s| **s > ASTRAY * sizes[sizes.len() / 2]).count();
    println!(
        "{right:>5} of {:<5}  {:>5.1}%  {astray:>6}  {largest:>13.3e}  {}",
        logits.len(),
        share(right, logits.len()),
        path.display()
    );
}

fn share(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

fn main() {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let data = std::env::var_os("HEC_SHARED").map_or_else(beside, PathBuf::from).join("data");
    let mut images = data.join("cifar10_test_0_199_images.npy");
    let mut labels = data.join("cifar10_test_0_199_labels.npy");
    let mut networks = Vec::new();
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    while let Some(argument) = arguments.next() {
        match &argument[..] {
            "--images" => images = arguments.next().expect("--images takes a file").into(),
            "--labels" => labels = arguments.next().expect("--labels takes a file").into(),
            _ => networks.push(PathBuf::from(argument)),
        }
    }
    if networks.is_empty() || !images.exists() {
        println!("left out: give networks (.hel), and images with labels");
        return;
    }
    let labels = read_labels(&labels).unwrap();
    println!("        right          astray  largest logit  network");
    networks.iter().for_each(|network| print(network, &images, &labels));
}
