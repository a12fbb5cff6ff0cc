//! Runs single operations of transformers encrypted, each compiled as a network of its own, and prints a table: products of two
//! encrypted matrices, softmax and LayerNorm.
//!
//! `cargo bench -p hec-tests --bench encrypted -- [NAME ...]`, of `product64`, `product128`, `softmax32`, `softmax128`,
//! `softmax512`, `layernorm384`. Rotations and levels are those of the program; beside a product stand the published ones of
//! Jiang, Kim, Lauter and Song 2018 for d×d matrices: 3 levels (a product of ciphertexts, two with plaintexts) and
//! 3d + 5√d rotations. Errors are relative to the largest output: of the decrypted outputs against the exact function, and
//! against the same program in clear. Rows for softmax and LayerNorm are seeded normal numbers, each row with a mean and a
//! deviation of its own; those that are run were not calibrated with.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on stops")]

use hec::rings::Scheduled;
use hec::{Comparison, How, pipeline};
use hec_ir::artifact::Artifact;
use hec_ir::evaluate::clear::simulate_clear;
use hec_ir::tensor::{Graph, Shape, Tensor};
use hec_ir::text::{AnyLevel, ExternalConstants, parse};
use hec_nonlinear::{Calibration, Options, Replaced, replace};
use hec_run::{Decryption, Session, bytes};
use hec_tests::Numbers;
use std::time::Instant;

/// Rows that polynomials are fitted to, and times that each program is run.
const CALIBRATION: usize = 1000;
const RUNS: usize = 5;

/// Largest relative error that the polynomials of a row may have on validation rows.
const ROW_ERROR: f64 = 0.005;

/// One operation.
struct Case {
    name: &'static str,
    network: String,
    inputs: fn(&Graph, &mut Numbers) -> Vec<Tensor>,
    /// Rotations of Jiang et al.
    published: Option<usize>,
}

fn product(name: &'static str, d: usize) -> Case {
    let network = format!(
        "tensor {name} {{ %a = input \"a\" : [{d},{d}]  %b = input \"b\" : [{d},{d}]
           %c = batch_matmul %a, %b from \"product\"  output \"c\" %c }}"
    );
    let published = 3 * d + (5.0 * (d as f64).sqrt()).round() as usize;
    Case { name, network, inputs: |graph, numbers| numbers.inputs_of(graph), published: Some(published) }
}

fn row(name: &'static str, operation: &str, extent: usize, inputs: fn(&Graph, &mut Numbers) -> Vec<Tensor>) -> Case {
    let network = format!(
        "tensor {name} {{ %x = input \"x\" : [1,{extent}]  %y = {operation} from \"{name}\"  output \"y\" %y }}"
    );
    Case { name, network, inputs, published: None }
}

fn cases() -> Vec<Case> {
    // Scores of an attention: most rows are nearly uniform, some have a few large entries.
    let scores = |graph: &Graph, numbers: &mut Numbers| normal_rows(graph, numbers, [0.5, 1.5]);
    let tokens = |graph: &Graph, numbers: &mut Numbers| normal_rows(graph, numbers, [0.5, 2.0]);
    vec![
        product("product64", 64),
        product("product128", 128),
        row("softmax32", "softmax %x axis 1", 32, scores),
        row("softmax128", "softmax %x axis 1", 128, scores),
        row("softmax512", "softmax %x axis 1", 512, scores),
        row("layernorm384", "layer_norm %x axes [1] epsilon 0.000001", 384, tokens),
    ]
}

/// A row for each input: normal numbers of a mean in [−1, 1) and a deviation between two bounds.
fn normal_rows(graph: &Graph, numbers: &mut Numbers, [low, high]: [f64; 2]) -> Vec<Tensor> {
    let mut row = |shape: &Shape| {
        let (mean, deviation) = (numbers.real(), low + (high - low) * (numbers.real() + 1.0) / 2.0);
        // Twelve uniform numbers in [−1/2, 1/2) have variance 1.
        let data = (0..shape.elements()).map(|_| {
            let normal: f64 = (0..12).map(|_| numbers.real() / 2.0).sum();
            mean + deviation * normal
        });
        Tensor { shape: shape.clone(), data: data.collect() }
    };
    graph.inputs().map(|(id, _)| row(graph.shape(id))).collect()
}

/// A compiled operation.
struct Compiled {
    graph: Graph,
    back: Scheduled,
    /// Inputs to run.
    unseen: Vec<Vec<Tensor>>,
}

impl Case {
    fn compile(&self) -> Compiled {
        let AnyLevel::Tensor(graph) = parse(&self.network, &ExternalConstants::new()).unwrap() else {
            panic!("{} is no tensor text", self.name)
        };
        let mut numbers = Numbers::of_name(self.name);
        let mut inputs = |count: usize| (0..count).map(|_| (self.inputs)(&graph, &mut numbers)).collect::<Vec<_>>();
        let (samples, unseen) = (inputs(CALIBRATION), inputs(RUNS));
        let options = Options { max_row_error: Some(ROW_ERROR), correct: false, ..Options::default() };
        let Replaced { graph: replaced, .. } =
            replace(&graph, &Calibration { samples: samples.clone() }, &options).unwrap();
        let how = How::default();
        let optimized = pipeline::rewrite(&replaced, &how).unwrap();
        let rings = pipeline::ring_options(&how).unwrap();
        let (_, back) = pipeline::cheapest(optimized, &samples, &rings, None).unwrap();
        Compiled { graph, back, unseen }
    }
}

impl Compiled {
    /// One line of the table.
    fn run(&self, case: &Case) {
        let program = &self.back.priced.program;
        let session =
            Session::new(Artifact::new(program.clone(), serde_json::Value::Null).unwrap(), None, &()).unwrap();
        let run = |x: &Vec<Tensor>| session.infer(x, &Decryption::default(), &()).unwrap();
        let mut runs: Vec<_> = self.unseen.iter().map(run).collect();
        let outputs: Vec<_> = runs.iter_mut().map(|r| std::mem::take(&mut r.outputs).remove(0)).collect();
        let exact: Vec<_> = self.unseen.iter().map(|x| self.graph.run(x).unwrap()).collect();
        let clear: Vec<_> = self.unseen.iter().map(|x| simulate_clear(program, x).unwrap()).collect();
        let (whole, noise) = (Comparison::of(&outputs, &exact), Comparison::of(&outputs, &clear));
        let mut seconds: Vec<f64> = runs.iter().map(|r| r.eval.as_secs_f64()).collect();
        seconds.sort_by(f64::total_cmp);
        let total = &self.back.priced.costs.total;
        println!(
            "| {} | 2^{} | {} | {} | {} | {} | {:.3} s, {:.3} s | 2^{:.1}, 2^{:.1} | 2^{:.1} | {} |",
            case.name,
            session.client().scheme().parameters().log_n().0,
            hec_plan::depth(&self.back.circuit).0,
            total.baby_steps + total.giant_steps + total.rotations,
            total.ciphertext_products,
            case.published.map_or("–".to_owned(), |rotations| format!("3, {rotations}")),
            total.seconds,
            seconds[seconds.len() / 2],
            whole.log2_max,
            whole.log2_rms,
            noise.log2_max,
            bytes(session.stored_key_bytes()),
        );
    }
}

fn main() {
    let names: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    println!(
        "| operation | N | levels | rotations | products | published: levels, rotations | eval: predicted for one thread, \
         measured | error: max, rms | of encryption | eval keys |\n|---|---|---|---|---|---|---|---|---|---|"
    );
    for case in cases().iter().filter(|case| names.is_empty() || names.iter().any(|name| name == case.name)) {
        let start = Instant::now();
        let compiled = case.compile();
        eprintln!("{}: compiled in {:.1} s", case.name, start.elapsed().as_secs_f64());
        compiled.run(case);
    }
}
