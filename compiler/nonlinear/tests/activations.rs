//! Surrogates of ReLU on what trained networks feed it: R² and largest error on images that nothing was fitted to.
//!
//! `cargo test -p hec-nonlinear --test activations -- --nocapture` prints the table of `docs/papers.md`. The networks are
//! developer data: they are looked for in the folder `HEC_SHARED`, or else in `shared` next to the workspace, and left out
//! where they are not there.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use hec_import::ImportOptions;
use hec_ir::tensor::{Function, Graph, Op, Shape, Tensor, ValueId};
use hec_nonlinear::{Choice, Groups, Observed, Pin, ROBUSTNESS, Statistics, fit};
use std::path::{Path, PathBuf};

fn shared() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    std::env::var_os("HEC_SHARED").map_or_else(beside, PathBuf::from)
}

/// The inputs of each ReLU on some images.
fn inputs(graph: &Graph, images: &[Tensor]) -> Vec<Vec<Tensor>> {
    let relus = graph.nodes.values().filter(|n| matches!(n.op, Op::Activation(Function::Relu))).map(|n| n.args[0]);
    let mut seen: Vec<(ValueId, Vec<Tensor>)> = relus.map(|id| (id, Vec::new())).collect();
    for image in images {
        let values = graph.interpret(std::slice::from_ref(image)).unwrap();
        seen.iter_mut().for_each(|(id, tensors)| tensors.push(values[*id].clone()));
    }
    seen.into_iter().map(|(_, tensors)| tensors).collect()
}

/// R² and the largest error relative to the standard deviation of the inputs, on `test`; levels.
fn score(choice: Choice, groups: Groups, train: &[Tensor], test: &[Tensor]) -> (f64, f64, u32) {
    let shape = train[0].shape.clone();
    let targets: Vec<Vec<f32>> = train.iter().map(|t| t.data.iter().map(|x| x.max(0.0) as f32).collect()).collect();
    let observed: Vec<Observed<'_>> =
        train.iter().zip(&targets).map(|(input, target)| Observed { input, target }).collect();
    let statistics = Statistics::measure(&shape, groups, &observed, false);
    let fitted = fit(Function::Relu, &statistics, choice, ROBUSTNESS[1]);
    let table = fitted.groups.table(&shape);
    let (mut count, mut sum, mut square, mut error, mut largest) = (0.0, 0.0, 0.0, 0.0, 0.0f64);
    for tensor in test {
        for (&x, &group) in tensor.data.iter().zip(&table) {
            let (y, e) = (x.max(0.0), fitted.formula.eval(group, x) - x.max(0.0));
            (count, sum, square, error) = (count + 1.0, sum + y, square + y * y, error + e * e);
            largest = largest.max(e.abs());
        }
    }
    (1.0 - error / (square - sum * sum / count), largest / statistics.whole.std, fitted.formula.depth().0)
}

struct Row {
    name: &'static str,
    mean: f64,
    least: f64,
    largest: f64,
    depth: f64,
}

/// Mean and least R² over the layers, and the largest error of all.
fn table(model: &str, (train, test): (&str, &str), scale: f64, counts: [usize; 2]) -> Option<Vec<Row>> {
    let model = shared().join("models").join(model);
    if !model.exists() {
        println!("left out: {} is not there", model.display());
        return None;
    }
    let graph = hec_import::import(&model, &ImportOptions::default()).unwrap();
    let shape = graph.shape(graph.inputs().next().unwrap().0).clone();
    let load = |file: &str, count| images(&shared().join("data").join(file), &shape, scale, count);
    let (train, test) = (inputs(&graph, &load(train, counts[0])), inputs(&graph, &load(test, counts[1])));
    let mut text =
        format!("{}: R² of ReLU over {} layers, mean and least; largest error / std\n", model.display(), train.len());
    let rows = [
        ("kernel:2 per tensor", "kernel:2", false),
        ("lsq:2 per tensor", "lsq:2", false),
        ("minimax:2", "minimax:2", true),
        ("jackson:2", "jackson:2", true),
        ("hermite:2", "hermite:2", true),
        ("kernel:2", "kernel:2", true),
        ("ridge:2", "ridge:2", true),
        ("lsq:2", "lsq:2", true),
        ("lsq:4", "lsq:4", true),
        ("lsq:8", "lsq:8", true),
    ];
    let mut row = |&(name, choice, by_channel): &(&'static str, &str, bool)| {
        let choice = Pin::parse(&format!("relu={choice}")).unwrap().choice;
        let score = |(train, test): (&Vec<Tensor>, &Vec<Tensor>)| {
            let shape = &train[0].shape;
            let groups = if by_channel { Groups::channels(shape) } else { Groups::one(shape.rank()) };
            score(choice, groups, train, test)
        };
        let scores: Vec<(f64, f64, u32)> = train.iter().zip(&test).map(score).collect();
        let mean = scores.iter().map(|s| s.0).sum::<f64>() / scores.len() as f64;
        let least = scores.iter().map(|s| s.0).fold(f64::INFINITY, f64::min);
        let largest = scores.iter().map(|s| s.1).fold(0.0, f64::max);
        let depth = scores.iter().map(|s| f64::from(s.2)).sum::<f64>() / scores.len() as f64;
        text += &format!("  {name:22}{mean:8.3}{least:8.3}{largest:8.2}   depth {depth:.2}\n");
        Row { name, mean, least, largest, depth }
    };
    let rows = rows.iter().map(&mut row).collect();
    print!("{text}");
    Some(rows)
}

fn images(path: &Path, shape: &Shape, scale: f64, count: usize) -> Vec<Tensor> {
    let all = hec_ir::array::load(path).unwrap().remove(0).1;
    let image = |data: &[f64]| Tensor::new(shape.clone(), data.iter().map(|x| x * scale).collect()).unwrap();
    all.data.chunks_exact(shape.elements()).take(count).map(image).collect()
}

/// Hold the means to what the documentation says, and the order of the families to what it concludes.
fn check(rows: Option<Vec<Row>>, expected: &[(&str, f64)]) {
    let Some(rows) = rows else { return };
    let row = |name: &str| rows.iter().find(|r| r.name == name).unwrap();
    for &(name, mean) in expected {
        assert!((row(name).mean - mean).abs() < 0.005, "{name}: {}, not {mean}", row(name).mean);
    }
    assert!(row("lsq:2").mean > row("minimax:2").mean && row("lsq:4").mean > row("lsq:2").mean);
    assert!(row("lsq:2").mean > row("lsq:2 per tensor").mean && row("lsq:2").least > 0.5);
    assert!(rows.iter().all(|r| r.largest.is_finite()));
    // Squares of squares are completed for most layers, and none takes more than a tree.
    assert!(row("lsq:2").depth == 1.0 && row("lsq:4").depth < 2.5 && row("lsq:8").depth <= 4.0);
}

const MNIST: (&str, &str) = ("mnist_train_0_1999_images.npy", "mnist_test_0_999_images.npy");

#[test]
fn mlp() {
    check(
        table("mlp_mnist.onnx", MNIST, 1.0 / 255.0, [500, 200]),
        &[
            ("minimax:2", 0.933),
            ("hermite:2", 0.966),
            ("kernel:2", 0.955),
            ("ridge:2", 0.968),
            ("lsq:2", 0.968),
            ("lsq:4", 0.988),
        ],
    );
}

#[test]
fn lenet() {
    check(
        table("lenet5_mnist.onnx", MNIST, 1.0 / 255.0, [500, 200]),
        &[
            ("minimax:2", 0.930),
            ("hermite:2", 0.959),
            ("kernel:2", 0.947),
            ("ridge:2", 0.974),
            ("lsq:2", 0.974),
            ("lsq:4", 0.990),
        ],
    );
}

#[test]
fn resnet_20() {
    let images = ("cifar10_train_0_4999_images.npy", "cifar10_test_0_199_images.npy");
    check(
        table("resnet20_cifar10.onnx", images, 1.0, [32, 16]),
        &[
            ("minimax:2", 0.893),
            ("hermite:2", 0.969),
            ("kernel:2", 0.967),
            ("ridge:2", 0.984),
            ("lsq:2", 0.984),
            ("lsq:4", 0.993),
        ],
    );
}
