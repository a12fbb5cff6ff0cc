//! Prints how well transformers do when GELU, softmax and LayerNorm are polynomials, one after the other and all at once,
//! and the levels that takes.
//!
//! `cargo bench -p hec-nonlinear --bench transformer -- [encoder|minilm] [--length T] [--samples N] [--pairs N]
//! [--only ROW] [--correct] [--caution N] [--verbose]`. `encoder` is a sentiment classifier of one layer, in the folder `HEC_SHARED` or else in `shared` next to the workspace; `minilm` is
//! all-MiniLM-L6-v2 at a fixed length, with the embeddings of sentences, in the folder `HEC_MINILM`. What is not there is
//! left out with a line that says so.
//!
//! Levels are counted on the optimized network from the input to the output, a linear map as one level. `sums free` counts
//! linear maps that only add up or repeat slots as none, as rotations alone do them.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on stops")]

use hec_import::ImportOptions;
use hec_ir::tensor::{Graph, LinearStep, Normalization, Op, Output, Shape, Tensor, ValueId};
use hec_nonlinear::{Calibration, Options, Pin, Replaced, replace};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A line of a table: what stays as it is, what is pinned, and the error that softmax and normalisation may have.
struct Row {
    name: &'static str,
    keep: &'static [&'static str],
    pins: &'static [&'static str],
    error: Option<f64>,
}

const fn row(
    name: &'static str,
    keep: &'static [&'static str],
    pins: &'static [&'static str],
    error: Option<f64>,
) -> Row {
    Row { name, keep, pins, error }
}

const ENCODER: [Row; 6] = [
    row("GELU, tanh", &["softmax", "layer_norm"], &["gelu=lsq:4", "tanh=lsq:4"], None),
    row("+ softmax", &["layer_norm"], &["gelu=lsq:4", "tanh=lsq:4"], Some(0.02)),
    row("+ LayerNorm", &[], &["gelu=lsq:4", "tanh=lsq:4"], Some(0.02)),
    row("all, within 0.05", &[], &["gelu=lsq:2", "tanh=lsq:2"], Some(0.05)),
    row("all, within 0.1", &[], &["gelu=lsq:2", "tanh=lsq:2"], Some(0.1)),
    row("all, searched", &[], &[], None),
];

const MINILM: [Row; 15] = [
    row("all, 0.05, GELU 7", &[], &["gelu=lsq:7"], Some(0.05)),
    row("GELU 4", &["softmax", "layer_norm"], &["gelu=lsq:4"], None),
    row("+ softmax 0.02", &["layer_norm"], &["gelu=lsq:4"], Some(0.02)),
    row("all, 0.05, GELU 4", &[], &["gelu=lsq:4"], Some(0.05)),
    row("all, 0.03, GELU 4", &[], &["gelu=lsq:4"], Some(0.03)),
    row("all, 0.02, GELU 4", &[], &["gelu=lsq:4"], Some(0.02)),
    row("all, 0.01, GELU 4", &[], &["gelu=lsq:4"], Some(0.01)),
    row("all, 0.03, GELU 7", &[], &["gelu=lsq:7"], Some(0.03)),
    row("all, 0.02, GELU 7", &[], &["gelu=lsq:7"], Some(0.02)),
    row("all, 0.015, GELU 7", &[], &["gelu=lsq:7"], Some(0.015)),
    row("all, 0.01, GELU 7", &[], &["gelu=lsq:7"], Some(0.01)),
    row("all, 0.05, GELU 15", &[], &["gelu=lsq:15"], Some(0.05)),
    row("all, 0.04, GELU 15", &[], &["gelu=lsq:15"], Some(0.04)),
    row("all, 0.03, GELU 15", &[], &["gelu=lsq:15"], Some(0.03)),
    row("all, 0.02, GELU 15", &[], &["gelu=lsq:15"], Some(0.02)),
];

struct Arguments {
    which: Vec<String>,
    length: usize,
    samples: usize,
    pairs: usize,
    only: Option<String>,
    correct: bool,
    caution: usize,
    verbose: bool,
}

impl Arguments {
    fn read() -> Self {
        let mut read = Arguments {
            which: Vec::new(),
            length: 12,
            samples: 400,
            pairs: 100,
            only: None,
            correct: false,
            caution: 0,
            verbose: false,
        };
        let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
        while let Some(argument) = arguments.next() {
            let mut number = || arguments.next().and_then(|n| n.parse().ok()).expect("a number");
            match &argument[..] {
                "--length" => read.length = number(),
                "--samples" => read.samples = number(),
                "--pairs" => read.pairs = number(),
                "--caution" => read.caution = number(),
                "--only" => read.only = arguments.next(),
                "--correct" => read.correct = true,
                "--verbose" => read.verbose = true,
                _ => read.which.push(argument),
            }
        }
        read
    }

    fn wants(&self, which: &str) -> bool {
        self.which.is_empty() || self.which.iter().any(|w| w == which)
    }

    fn replace(&self, graph: &Graph, samples: &[Vec<Tensor>], row: &Row) -> Replaced {
        let options = Options {
            pins: row.pins.iter().map(|p| Pin::parse(p).unwrap()).collect(),
            keep: row.keep.iter().map(|&k| k.to_owned()).collect(),
            max_row_error: row.error,
            correct: self.correct,
            caution: self.caution,
            max_samples: self.samples,
            ..Options::default()
        };
        let replaced = replace(graph, &Calibration { samples: samples.to_vec() }, &options).unwrap();
        if self.verbose {
            for r in &replaced.replacements {
                println!(
                    "    {:<40} {:<10} {:<8} depth {:>2} rms {:.2e} max {:.2e} range {:.3}..{:.3} outside {:.1e} {}",
                    r.layer,
                    r.function,
                    r.choice.to_string(),
                    r.depth.0,
                    r.rms,
                    r.max,
                    r.range.0,
                    r.range.1,
                    r.outside.unwrap_or(0.0),
                    r.advice.as_deref().unwrap_or("")
                );
            }
        }
        replaced
    }
}

/// Levels of the optimized network: as they are counted by `optimize`, and with sums free.
fn levels(graph: &Graph) -> String {
    let optimized = hec_optimize::optimize(graph, &hec_optimize::Options::default()).unwrap().graph;
    let counted = hec_optimize::depth(&optimized).0;
    let mut free: BTreeMap<ValueId, u32> = BTreeMap::new();
    for (id, node) in optimized.nodes.iter() {
        let one =
            Graph { outputs: vec![Output { name: String::new(), value: id, client: Vec::new() }], ..optimized.clone() };
        let own = match &node.op {
            Op::Linear(steps) if steps.iter().all(|s| is_sum(&optimized, s)) => 0,
            _ => {
                hec_optimize::depth(&one).0
                    - node
                        .args
                        .iter()
                        .map(|a| {
                            let below = Output { name: String::new(), value: *a, client: Vec::new() };
                            hec_optimize::depth(&Graph { outputs: vec![below], ..optimized.clone() }).0
                        })
                        .max()
                        .unwrap_or(0)
            }
        };
        let below = node.args.iter().map(|a| free[a]).max().unwrap_or(0);
        free.insert(id, own + below);
    }
    let free = optimized.outputs.iter().map(|o| free[&o.value]).max().unwrap_or(0);
    format!("{counted:>4} {free:>4}")
}

fn is_sum(graph: &Graph, step: &LinearStep) -> bool {
    match step {
        LinearStep::Scale { factor } => graph.constants.tensor(*factor).data.len() == 1,
        LinearStep::Mean { .. } | LinearStep::Expand { .. } => true,
        step => step.is_movement(),
    }
}

fn arrays(path: &Path) -> BTreeMap<String, Tensor> {
    hec_ir::array::load(path).unwrap().into_iter().collect()
}

fn rows(array: &Tensor, shape: &Shape) -> Vec<Vec<Tensor>> {
    let one = |data: &[f64]| vec![Tensor { shape: shape.clone(), data: data.to_vec() }];
    array.data.chunks_exact(shape.elements()).map(one).collect()
}

fn encoder(arguments: &Arguments) {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("HEC_SHARED").map_or_else(beside, PathBuf::from);
    let model = shared.join("models/encoder_sst2_emb.onnx");
    if !model.exists() {
        println!("encoder: left out, {} is not there", model.display());
        return;
    }
    let graph = hec_import::import(&model, &ImportOptions::default()).unwrap();
    let shape = graph.shape(graph.inputs().next().unwrap().0).clone();
    let data = |name: &str| arrays(&shared.join("data").join(name));
    let calibration = rows(&data("sst2_train_400_embeddings.npz")["embeddings"], &shape);
    let test = data("sst2_dev_0_99_embeddings.npz");
    let (inputs, labels) = (rows(&test["embeddings"], &shape), &test["labels"].data);
    let class = |logits: &[f64]| (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
    let logits =
        |graph: &Graph| -> Vec<Vec<f64>> { inputs.iter().map(|x| graph.run(x).unwrap().remove(0).data).collect() };
    let wanted = logits(&graph);
    let right = |found: &[Vec<f64>]| found.iter().zip(labels).filter(|(f, l)| class(f) == **l as usize).count();
    println!("encoder: one layer, {} test sentences, {} right as it is", inputs.len(), right(&wanted));
    println!("{:<28} right  same class  relative error  levels  sums free  time", "replaced");
    for row in ENCODER.iter().filter(|r| arguments.only.as_ref().is_none_or(|o| r.name == o)) {
        let start = Instant::now();
        let replaced = arguments.replace(&graph, &calibration, row);
        let seconds = start.elapsed().as_secs_f64();
        let found = logits(&replaced.graph);
        let same = found.iter().zip(&wanted).filter(|(f, w)| class(f) == class(w)).count();
        let pairs = || found.iter().flatten().zip(wanted.iter().flatten());
        let error = pairs().map(|(f, w)| (f - w) * (f - w)).sum::<f64>() / pairs().map(|(_, w)| w * w).sum::<f64>();
        println!(
            "{:<28} {:>5}  {same:>10}  {:>14.4}  {}  {seconds:>4.0} s",
            row.name,
            right(&found),
            error.sqrt(),
            levels(&replaced.graph)
        );
    }
}

/// The network up to the input of its last LayerNorm, and the rest, which the client does.
fn cut(graph: &Graph) -> (Graph, Graph) {
    let is_last = |op: &Op| matches!(op, Op::Normalize(Normalization { center: true, .. }));
    let last = graph.nodes.iter().rfind(|(_, n)| is_last(&n.op)).unwrap().0;
    let at = graph.nodes[last].args[0];
    let output = Output { name: "hidden".to_owned(), value: at, client: Vec::new() };
    let mut server = Graph { outputs: vec![output], ..graph.clone() };
    let mut needed = BTreeSet::from([at]);
    for (id, node) in graph.nodes.iter().collect::<Vec<_>>().into_iter().rev() {
        if needed.contains(&id) {
            needed.extend(&node.args);
        }
    }
    let mut renamed = BTreeMap::new();
    let mut nodes = hec_ir::entity::EntityVec::new();
    for (id, node) in graph.nodes.iter().filter(|(id, _)| needed.contains(id)) {
        let args = node.args.iter().map(|a| renamed[a]).collect();
        renamed.insert(id, nodes.push(hec_ir::tensor::Node { args, ..node.clone() }));
    }
    (server.nodes, server.outputs[0].value) = (nodes, renamed[&at]);
    let mut client = Graph { constants: graph.constants.clone(), ..Graph::new("client") };
    let mut renamed = BTreeMap::from([(at, client.input("hidden", graph.shape(at).clone()))]);
    for (id, node) in graph.nodes.iter().skip_while(|(id, _)| *id != last) {
        if let Some(args) = node.args.iter().map(|a| renamed.get(a).copied()).collect::<Option<Vec<_>>>() {
            renamed.insert(id, client.nodes.push(hec_ir::tensor::Node { args, ..node.clone() }));
        }
    }
    for output in &graph.outputs {
        client.outputs.push(Output { value: renamed[&output.value], ..output.clone() });
    }
    (server, client)
}

fn minilm(arguments: &Arguments) {
    let Some(folder) = std::env::var_os("HEC_MINILM").map(PathBuf::from) else {
        println!("minilm: left out, HEC_MINILM does not name its folder");
        return;
    };
    let length = arguments.length;
    let model = folder.join(format!("minilm_l6_t{length}_emb.onnx"));
    if !model.exists() {
        println!("minilm: left out, {} is not there", model.display());
        return;
    }
    let (server, client) = cut(&hec_import::import(&model, &ImportOptions::default()).unwrap());
    let shape = server.shape(server.inputs().next().unwrap().0).clone();
    let data = arrays(&folder.join(format!("embeddings_t{length}.npz")));
    let calibration = rows(&data["calibration"], &shape);
    let sentences = |name: &str| rows(&data[name], &shape).into_iter().take(arguments.pairs);
    let held_out: Vec<Vec<Tensor>> = sentences("first").chain(sentences("second")).collect();
    let pairs = held_out.len() / 2;
    let embed = |server: &Graph| -> Vec<Vec<f64>> {
        use rayon::prelude::*;
        let one = |x: &Vec<Tensor>| client.run(&server.run(x).unwrap()).unwrap().remove(0).data;
        held_out.par_iter().map(one).collect()
    };
    let wanted = embed(&server);
    let sts = |found: &[Vec<f64>]| {
        let similar: Vec<f64> = (0..pairs).map(|i| cosine(&found[i], &found[pairs + i])).collect();
        data.get("scores").map_or(f64::NAN, |s| spearman(&similar, &s.data[..pairs]))
    };
    println!(
        "minilm: six layers, {length} tokens, {} sentences for calibration, {} held out; Spearman of {pairs} STS pairs {:.3}",
        calibration.len().min(arguments.samples),
        held_out.len(),
        sts(&wanted)
    );
    println!("{:<24} cos mean      p5     min  lost    STS  levels  sums free  time", "replaced");
    for row in MINILM.iter().filter(|r| arguments.only.as_ref().is_none_or(|o| r.name == o)) {
        let start = Instant::now();
        let replaced = arguments.replace(&server, &calibration, row);
        let seconds = start.elapsed().as_secs_f64();
        let found = embed(&replaced.graph);
        let all: Vec<f64> = found.iter().zip(&wanted).map(|(f, w)| cosine(f, w)).collect();
        let lost = all.iter().filter(|c| c.is_nan() || **c <= 0.9).count();
        let mut kept: Vec<f64> = all.into_iter().filter(|c| *c > 0.9).collect();
        kept.sort_by(f64::total_cmp);
        let mean = kept.iter().sum::<f64>() / kept.len() as f64;
        let at = |share: f64| kept.get((share * kept.len() as f64) as usize).copied().unwrap_or(f64::NAN);
        println!(
            "{:<24} {mean:>8.5}  {:.4}  {:.4}  {lost:>4}  {:.3}  {}  {seconds:>4.0} s",
            row.name,
            at(0.05),
            at(0.0),
            sts(&found),
            levels(&replaced.graph)
        );
    }
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Correlation of ranks; equal values share the mean of theirs.
fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let ranks = |x: &[f64]| -> Vec<f64> {
        let rank =
            |v: &f64| x.iter().filter(|w| *w < v).count() as f64 + 0.5 * x.iter().filter(|w| *w == v).count() as f64;
        x.iter().map(rank).collect()
    };
    let centered = |x: Vec<f64>| {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        x.into_iter().map(|v| v - mean).collect::<Vec<f64>>()
    };
    cosine(&centered(ranks(a)), &centered(ranks(b)))
}

fn main() {
    let arguments = Arguments::read();
    if arguments.wants("encoder") {
        encoder(&arguments);
    }
    if arguments.wants("minilm") {
        minilm(&arguments);
    }
}
