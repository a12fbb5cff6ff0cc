//! Prints what equality saturation saves and how long it takes.
//!
//! `cargo bench -p hec-tests --bench saturation -- [speed] [table]`. `speed`: processor seconds to take a graph out of an
//! e-graph of 20,000 nodes, and to saturate and extract each model. `table`: depth, rotations, products, bootstraps, keys
//! and predicted time of each model without rewriting and with it, and the levels that each rule saves. Names of models after
//! these words leave out the others. The larger models are those of the folder `HEC_SHARED`, or of `shared` beside the
//! project.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on stops")]

use hec::{How, pipeline};
use hec_ir::Origin;
use hec_ir::samples::{InputFile, Samples, wanted_by_graph};
use hec_ir::tensor::{Graph, Op, Output, Shape, Tensor};
use hec_optimize::{Alternative, Options, optimize_among};
use hec_poly::Basis;
use hec_tests::{Model, Saved, polynomials};

/// Inputs on which polynomials are searched or fitted.
const SAMPLES: usize = 500;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let wants = |what: &str| arguments.is_empty() || arguments.iter().any(|a| a == what);
    if wants("speed") {
        chains();
    }
    if !wants("speed") && !wants("table") {
        return;
    }
    let models: Vec<Model> = Model::examples().into_iter().chain(Model::larger()).collect();
    let named: Vec<&Model> = models.iter().filter(|m| arguments.len() < 2 || wants(m.name)).collect();
    let networks: Vec<(&Model, Graph, String)> = named.into_iter().map(polynomial).collect();
    if wants("speed") {
        println!("\n{:<12}{:>8}{:>16}{:>12}  limit", "network", "nodes", "depth", "seconds");
        networks.iter().for_each(|(model, network, _)| speed(model, network));
    }
    if wants("table") {
        println!("\n{:<12}{}", "network", Saved::heading());
        networks.iter().for_each(|(model, network, polynomials)| table(model, network, polynomials));
    }
}

/// A model with polynomials, and which.
fn polynomial(model: &Model) -> (&Model, Graph, String) {
    let activation = model.low.iter().map(|&pin| pin.to_owned()).collect();
    let how = How { activation, max_samples: SAMPLES, ..model.how.clone() };
    let body = hec_import::split(&pipeline::import(&model.network, &how).unwrap()).unwrap().body;
    let files: Vec<InputFile> = how.calibrate.iter().map(|path| InputFile { name: None, path: path.clone() }).collect();
    let samples = Samples::read(&wanted_by_graph(&body), &files).unwrap().all(usize::MAX);
    let replaced = pipeline::nonlinear(&body, &samples, &how).unwrap();
    (model, replaced.graph, polynomials(&replaced.replacements))
}

fn speed(model: &Model, network: &Graph) {
    let (optimized, seconds) = timed(|| pipeline::rewrite(network, &model.how).unwrap());
    let depth = format!("{} → {}", optimized.depth_before, optimized.depth_least);
    let limit = optimized.limit.map_or("none".to_owned(), |limit| limit.to_string());
    println!("{:<12}{:>8}{depth:>16}{seconds:>12.2}  {limit}", model.name, network.nodes.len());
}

/// Where polynomials are given, they are fitted once; where they are searched, the programs decide about them.
fn table(model: &Model, network: &Graph, polynomials: &str) {
    let how = How { max_samples: SAMPLES, ..model.how.clone() };
    let searched = model.low.is_empty().then(|| pipeline::import(&model.network, &how).unwrap());
    let mut saved = Saved::of(searched.as_ref().unwrap_or(network), &how).unwrap();
    if searched.is_none() {
        saved.polynomials = polynomials.to_owned();
    }
    print!("{:<12}{saved}", model.name);
}

/// Graphs of 20,000 nodes as they stand, one with another choice for every second node.
fn chains() {
    let only_extract = Options { iteration_limit: 0, ..Options::default() };
    println!("{:<32}{:>8}{:>12}", "chain", "graphs", "seconds");
    for (what, with_choices) in [("squares and shifts", false), ("polynomials or squares", true)] {
        let (graph, alternatives) = chain(20_000, with_choices);
        let (front, seconds) = timed(|| optimize_among(&graph, &alternatives, &only_extract).unwrap());
        println!("{what:<32}{:>8}{seconds:>12.2}", front.candidates.len());
    }
}

fn chain(length: usize, with_choices: bool) -> (Graph, Vec<Alternative>) {
    let mut graph = Graph::new("chain");
    let shape = Shape::new([4]);
    let mut x = graph.input("x", shape.clone());
    let shift = graph.constants.add("shift", Tensor { shape: shape.clone(), data: vec![0.5; 4] });
    let row = Tensor { shape: Shape::new([1, 8]), data: (1..=8).map(f64::from).collect() };
    let coefficients = graph.constants.add("coefficients", row);
    let mut alternatives = Vec::new();
    for _ in 0..length / 2 {
        let square = graph.push(Op::Square, [x], Origin::default()).unwrap();
        let mut value = square;
        if with_choices {
            let polynomial = Op::Polynomial { basis: Basis::Chebyshev, coefficients };
            value = graph.push(polynomial, [x], Origin::default()).unwrap();
            alternatives.push(Alternative { value, instead: square, error: 0.5, sensitivity: 1.0 });
        }
        x = graph.push(Op::AddConstant(shift), [value], Origin::default()).unwrap();
    }
    graph.outputs.push(Output { name: "y".to_owned(), value: x, client: Vec::new() });
    (graph, alternatives)
}

/// A result, and the processor seconds that it took.
fn timed<T>(run: impl FnOnce() -> T) -> (T, f64) {
    let start = processor_seconds();
    let result = run();
    (result, processor_seconds() - start)
}

/// Of this process so far; other processes on the machine do not count.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("a Linux system");
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum();
    ticks / 100.0
}
