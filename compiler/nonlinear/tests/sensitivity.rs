//! Predicted errors: exact where they can be worked out by hand, upper bounds on data that calibration never saw.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::Random;
use hec_import::ImportOptions;
use hec_ir::Origin;
use hec_ir::tensor::{Function, Graph, LinearStep, Op, Output, Shape, Tensor, ValueId};
use hec_nonlinear::{
    Calibration, Choice, Options, Pin, Sensitivity, functions, local_errors, measured_errors, predict_errors, replace,
};
use std::path::Path;

const ROW: [usize; 2] = [1, 2];

fn push(graph: &mut Graph, op: Op, x: ValueId) -> ValueId {
    let origin = Origin::node(format!("{}{}", op.name(), graph.nodes.len()));
    graph.push(op, [x], origin).unwrap()
}

fn dense(graph: &mut Graph, x: ValueId, weight: [f64; 4], bias: [f64; 2]) -> ValueId {
    let weight = graph.constants.add("w", Tensor::new(Shape::new([2, 2]), weight.to_vec()).unwrap());
    let bias = graph.constants.add("b", Tensor::new(Shape::new(ROW), bias.to_vec()).unwrap());
    let x = push(graph, Op::Linear(vec![LinearStep::MatMul { weight }]), x);
    push(graph, Op::AddConstant(bias), x)
}

fn done(mut graph: Graph, value: ValueId) -> Graph {
    graph.outputs.push(Output { name: "y".to_owned(), value, client: Vec::new() });
    graph
}

/// Rows (x, x): both channels see the same.
fn twins(count: usize) -> Calibration {
    let mut random = Random(5);
    let mut row = || Tensor::new(Shape::new(ROW), vec![3.0 * random.next(); 2]).unwrap();
    Calibration { samples: (0..count).map(|_| vec![row()]).collect() }
}

fn sums(samples: &[Vec<Tensor>], f: impl Fn(f64) -> f64) -> f64 {
    samples.iter().map(|s| f(s[0].data[0]) * f(s[0].data[0])).sum()
}

/// Fits see the first 80 samples of 100, errors are carried on 32 of the others: here there are just so many.
fn probes(calibration: &Calibration) -> &[Vec<Tensor>] {
    let count = calibration.samples.len();
    &calibration.samples[count - count.div_ceil(5)..]
}

#[test]
fn an_orthogonal_map_keeps_relative_errors() {
    let mut graph = Graph::new("net");
    let x = graph.input("x", Shape::new(ROW));
    let relu = push(&mut graph, Op::Activation(Function::Relu), x);
    let y = dense(&mut graph, relu, [3.0, 3.0, 3.0, -3.0], [0.0; 2]);
    let graph = done(graph, y);
    let mut random = Random(3);
    let calibration = Calibration { samples: (0..150).map(|_| vec![random.tensor(&ROW, 1.0)]).collect() };
    let sensitivity = Sensitivity::measure(&graph, &calibration, &Options::default()).unwrap();
    assert_eq!(sensitivity.functions(), [relu]);
    let [input, outputs] = sensitivity.gains(0) else { panic!("a function's input and the outputs") };
    assert_eq!(input.mean, 0.0, "nothing comes before the first function");
    assert!((outputs.mean - 1.0).abs() < 1e-12 && outputs.bound > 1.0, "{outputs:?}");

    // A prediction is linear in the errors.
    let [one, two] = [0.01, 0.02].map(|e| sensitivity.predict(&graph, &[e]).outputs);
    assert!((two - 2.0 * one).abs() < 1e-12 && one > 0.01, "{one} {two}");
}

/// softplus, u = (3s + 1, −3s − 1), a leaky ReLU with slopes 1 and 1/4 there: the Jacobian is diag(3, −3/4).
#[test]
fn gains_are_those_of_a_known_jacobian() {
    let mut graph = Graph::new("net");
    let x = graph.input("x", Shape::new(ROW));
    let softplus = push(&mut graph, Op::Activation(Function::Softplus), x);
    let u = dense(&mut graph, softplus, [3.0, 0.0, 0.0, -3.0], [1.0, -1.0]);
    let leaky = push(&mut graph, Op::Activation(Function::LeakyRelu { alpha: 0.25 }), u);
    let graph = done(graph, leaky);
    let calibration = twins(160);
    let sensitivity = Sensitivity::measure(&graph, &calibration, &Options::default()).unwrap();
    assert_eq!(sensitivity.functions(), [softplus, leaky]);

    let seen = probes(&calibration);
    let s = sums(seen, |x| Function::Softplus.eval(x));
    let inner = sums(seen, |x| 3.0 * Function::Softplus.eval(x) + 1.0);
    let expected = [0.0, 3.0 * (s / inner).sqrt(), (0.5 * (9.0 + 0.5625) * 2.0 * s / (inner * 1.0625)).sqrt()];
    for (gain, expected) in sensitivity.gains(0).iter().zip(expected) {
        assert!((gain.mean - expected).abs() < 1e-9, "{gain:?}, not {expected}");
    }
    let second: Vec<f64> = sensitivity.gains(1).iter().map(|g| g.mean).collect();
    assert_eq!(second[..2], [0.0, 0.0]);
    assert!((second[2] - 1.0).abs() < 1e-12, "{second:?}");
}

/// A function whose replacement makes no error has gains nevertheless.
#[test]
fn noise_stands_for_an_exact_replacement() {
    let mut graph = Graph::new("net");
    let x = graph.input("x", Shape::new(ROW));
    let linear = push(&mut graph, Op::Activation(Function::LeakyRelu { alpha: 1.0 }), x);
    let y = dense(&mut graph, linear, [2.0, 0.0, 0.0, 2.0], [0.0; 2]);
    let graph = done(graph, y);
    let sensitivity = Sensitivity::measure(&graph, &twins(100), &Options::default()).unwrap();
    assert!((sensitivity.gains(0)[1].mean - 1.0).abs() < 1e-9, "{:?}", sensitivity.gains(0));
    let local = local_errors(&graph, &twins(100), &Options::default()).unwrap();
    assert!(local[0] < 1e-7, "{local:?}");
}

struct Digits {
    graph: Graph,
    calibration: Calibration,
    unseen: Vec<Vec<Tensor>>,
}

impl Digits {
    fn load() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits");
        let graph = hec_import::import(&folder.join("digits.onnx"), &ImportOptions::default()).unwrap();
        let shape = graph.shape(graph.inputs().next().unwrap().0).clone();
        let samples = |file: &str| -> Vec<Vec<Tensor>> {
            let all = hec_ir::array::load(&folder.join(file)).unwrap().remove(0).1;
            let images = all.data.chunks_exact(shape.elements());
            images.map(|x| vec![Tensor::new(shape.clone(), x.to_vec()).unwrap()]).collect()
        };
        Digits {
            calibration: Calibration { samples: samples("calibration.npy") },
            unseen: samples("test_images.npy"),
            graph,
        }
    }

    fn options(degree: usize, correct: bool) -> Options {
        let pins = vec![Pin { target: "relu".to_owned(), choice: Choice::least_squares(degree) }];
        Options { pins, correct, ..Options::default() }
    }
}

#[test]
fn errors_on_new_data_are_below_the_predicted_ones() {
    let digits = Digits::load();
    let measure = |options| Sensitivity::measure(&digits.graph, &digits.calibration, options).unwrap();
    let sensitivity = measure(&Digits::options(3, false));
    let mut ratios = [Vec::new(), Vec::new()];
    for degree in [2, 3, 5, 7, 11, 15] {
        let options = Digits::options(degree, false);
        let local = local_errors(&digits.graph, &digits.calibration, &options).unwrap();
        let before = sensitivity.predict(&digits.graph, &local);
        for correct in [false, true] {
            let replaced = replace(&digits.graph, &digits.calibration, &Digits::options(degree, correct)).unwrap();
            let built = replaced.errors.clone().unwrap();
            let measured = measured_errors(&digits.graph, &replaced, &digits.unseen).unwrap();
            assert_eq!(measured[0].rms, 0.0, "nothing is replaced before the first function");
            for (ratios, predicted) in ratios.iter_mut().zip([&before, &built]) {
                ratios.extend(predicted.points().zip(&measured).skip(1).map(|(p, m)| p / m.rms));
            }
        }
    }
    for (when, mut ratios) in ["before it is built", "built"].into_iter().zip(ratios) {
        ratios.sort_by(f64::total_cmp);
        let held = ratios.iter().filter(|&&r| r >= 1.0).count() as f64 / ratios.len() as f64;
        let median = ratios[ratios.len() / 2];
        println!("{when}: {held:.3} of {} held, median {median:.2}", ratios.len());
        assert!(held >= 0.95 && median < 3.0, "{when}: {held} held, {ratios:?}");
    }
}

/// What each layer adds is there by name, and the whole is between the largest of them and their sum.
#[test]
fn layers_add_up() {
    let digits = Digits::load();
    let seen = &digits.unseen[..20];
    let samples: Vec<&[Tensor]> = seen.iter().map(Vec::as_slice).collect();
    for (degree, correct) in [(2, false), (2, true), (7, true)] {
        let replaced = replace(&digits.graph, &digits.calibration, &Digits::options(degree, correct)).unwrap();
        let predicted = predict_errors(&digits.graph, &replaced.graph, &replaced.values, &samples).unwrap();
        let names: Vec<&str> = predicted.layers.iter().map(|l| l.layer.as_str()).collect();
        let expected: Vec<&str> = replaced.replacements.iter().map(|r| r.layer.as_str()).collect();
        assert_eq!(names, expected);
        let adds = || predicted.layers.iter().map(|l| l.adds);
        let (largest, sum) = (adds().fold(0.0, f64::max), adds().sum::<f64>());
        assert!(largest < predicted.outputs && predicted.outputs < sum, "{predicted:?}");
        assert_eq!((predicted.samples, predicted.layers[0].input), (20, 0.0));
    }
}

/// The first layer's error is that of the network before the second function, whatever comes later.
#[test]
fn a_single_layer_is_carried_exactly() {
    let digits = Digits::load();
    let sample = &digits.unseen[..1];
    let replaced = replace(&digits.graph, &digits.calibration, &Digits::options(2, false)).unwrap();
    let predicted = predict_errors(&digits.graph, &replaced.graph, &replaced.values, &[&sample[0]]).unwrap();
    let measured = measured_errors(&digits.graph, &replaced, sample).unwrap();
    let ratio = predicted.layers[1].input / measured[1].rms;
    assert!((ratio - 1.1).abs() < 1e-9, "the margin alone, without a spread: {ratio}");
}

/// One input that goes far astray does not decide what is typical.
#[test]
fn outliers_are_capped() {
    let mut digits = Digits::load();
    let replaced = replace(&digits.graph, &digits.calibration, &Digits::options(7, true)).unwrap();
    let before = measured_errors(&digits.graph, &replaced, &digits.unseen).unwrap();
    digits.unseen[3][0].data.iter_mut().for_each(|x| *x *= 30.0);
    let after = measured_errors(&digits.graph, &replaced, &digits.unseen).unwrap();
    assert!(after[2].rms > 100.0 && after[2].typical < 2.0 * before[2].typical, "{before:?} {after:?}");
}

#[test]
fn threads_do_not_change_predictions() {
    let digits = Digits::load();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| Sensitivity::measure(&digits.graph, &digits.calibration, &Options::default()).unwrap())
    };
    assert_eq!(run(1), run(4));
}

#[test]
fn without_validation_nothing_is_predicted() {
    let mut digits = Digits::load();
    digits.calibration.samples.truncate(1);
    let replaced = replace(&digits.graph, &digits.calibration, &Digits::options(2, true)).unwrap();
    assert_eq!(replaced.errors, None);
    assert_eq!(functions(&digits.graph).len(), 2);
}
