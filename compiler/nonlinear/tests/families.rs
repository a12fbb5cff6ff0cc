//! Every family on every function that it is for: what is asked for is what comes out, and more of it is more precise.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::Random;
use hec_ir::Origin;
use hec_ir::tensor::{Domain, Function, Graph, LinearStep, Op, Output, Shape, Tensor, Window};
use hec_nonlinear::{Calibration, Choice, Family, NonlinearError, Options, Pin, Replacement, replace};

/// One function of a tensor.
fn network(function: Function, dims: &[usize]) -> Graph {
    let mut graph = Graph::new("test");
    let x = graph.input("x", Shape::new(dims));
    let value = graph.push(Op::Activation(function), [x], Origin::node("layer")).unwrap();
    graph.outputs.push(Output { name: "y".to_owned(), value, client: Vec::new() });
    graph
}

/// Uniform samples on a range.
fn samples(dims: &[usize], (lo, hi): (f64, f64), count: usize) -> Calibration {
    let mut random = Random(5);
    let mut sample = || {
        let mut x = random.tensor(dims, 1.0);
        x.data.iter_mut().for_each(|x| *x = lo + (hi - lo) * 0.5 * (*x + 1.0));
        vec![x]
    };
    Calibration { samples: (0..count).map(|_| sample()).collect() }
}

fn pinned(pin: &str) -> Options {
    Options { pins: vec![Pin::parse(pin).unwrap()], ..Options::default() }
}

fn report(function: Function, range: (f64, f64), options: &Options) -> Result<Replacement, NonlinearError> {
    let replaced = replace(&network(function, &[1, 2]), &samples(&[1, 2], range, 100), options)?;
    replaced.graph.verify().unwrap();
    assert!(!replaced.graph.nodes.values().any(|n| matches!(n.op, Op::Activation(_))));
    Ok(replaced.replacements[0].clone())
}

/// A range that has all that is special of a function in it.
fn range(function: Function) -> (f64, f64) {
    match function.domain() {
        Domain::All => (-4.0, 7.0),
        Domain::NonNegative => (0.0, 5.0),
        Domain::Positive | Domain::NonZero => (0.3, 4.0),
    }
}

#[test]
fn every_function_gets_closer_with_the_degree() {
    for function in Function::all() {
        let mut last = f64::INFINITY;
        for degree in [2, 4, 8, 15, 31] {
            let found = report(function, range(function), &pinned(&format!("layer=lsq:{degree}"))).unwrap();
            assert!(found.rms < last || found.rms < 1e-8, "{function:?} degree {degree}: {} after {last}", found.rms);
            last = found.rms;
        }
        // A jump is never close, a kink is by its degree, smooth functions are much closer.
        let bound = match function {
            Function::Sign | Function::ThresholdedRelu { .. } | Function::Shrink { .. } => 0.3,
            _ => 0.04,
        };
        assert!(last < bound, "{function:?}: {last}");
    }
}

#[test]
fn every_function_is_replaced_by_the_menu() {
    for function in Function::all() {
        let found =
            report(function, range(function), &Options { max_relative_error: 0.1, ..Options::default() }).unwrap();
        assert!(found.max.is_finite() && found.depth.0 >= 1 && found.depth.0 <= 16, "{function:?}: {found:?}");
    }
}

#[test]
fn every_polynomial_family_has_every_degree() {
    for family in Family::ALL.into_iter().filter(|f| f.counts() == "degree") {
        for function in [Function::Relu, Function::Tanh] {
            let rms = [1, 7, 15].map(|degree| {
                let pin = format!("layer={}", Choice { family, degree });
                let found = report(function, (-4.0, 4.0), &pinned(&pin)).unwrap();
                assert_eq!((found.choice.family, found.choice.degree), (family, degree));
                found.rms
            });
            assert!(rms[2] < 0.6 * rms[0] && rms[2] < 0.2, "{family:?} {function:?}: {rms:?}");
        }
    }
}

#[test]
fn a_composite_sign_keeps_its_precision_at_its_depth() {
    let functions = [
        Function::Relu,
        Function::LeakyRelu { alpha: 0.1 },
        Function::Abs,
        Function::Clip { low: -1.0, high: 3.0 },
        Function::HardSigmoid { alpha: 0.2, beta: 0.5 },
    ];
    for function in functions {
        let mut last = 0;
        for bits in [4, 6, 8] {
            let found = report(function, (-4.0, 7.0), &pinned(&format!("layer=composite:{bits}"))).unwrap();
            let radius = found.range.1.max(-found.range.0) + 3.0;
            assert!(found.max < 4.0 * radius * 0.5f64.powi(bits), "{function:?} {bits}: {found:?}");
            assert!(found.depth.0 > last && found.growth > found.max, "{function:?} {bits}: {found:?}");
            last = found.depth.0;
        }
    }
    for function in
        [Function::Sign, Function::ThresholdedRelu { alpha: 1.0 }, Function::Shrink { lambda: 0.5, bias: 0.1 }]
    {
        let rms =
            [4, 8].map(|bits| report(function, (-4.0, 4.0), &pinned(&format!("layer=composite:{bits}"))).unwrap().rms);
        assert!(rms[1] < 0.5 * rms[0], "{function:?}: {rms:?}");
    }
}

#[test]
fn a_maximum_can_be_composite_too() {
    let mut graph = Graph::new("net");
    let x = graph.input("x", Shape::new([1, 2, 4, 4]));
    let window = Window { kernel: [2; 2], strides: [2; 2], pads: [0; 4], count_include_pad: false };
    let value = graph.push(Op::MaxPool(window), [x], Origin::node("pool")).unwrap();
    graph.outputs.push(Output { name: "y".to_owned(), value, client: Vec::new() });
    let data = samples(&[1, 2, 4, 4], (-1.0, 1.0), 60);
    let worst = |pin: &str| {
        let replaced = replace(&graph, &data, &pinned(pin)).unwrap();
        let difference = |inputs: &Vec<Tensor>| {
            let (a, b) = (graph.run(inputs).unwrap().remove(0), replaced.graph.run(inputs).unwrap().remove(0));
            a.data.iter().zip(b.data).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        data.samples.iter().map(difference).fold(0.0, f64::max)
    };
    let errors = ["max_pool=composite:5", "max_pool=composite:9"].map(worst);
    assert!(errors[0] < 0.3 && errors[1] < 0.02, "{errors:?}");
}

#[test]
fn iterations_reach_what_no_single_polynomial_does() {
    let inverse_root = Function::Pow { exponent: -0.5 };
    for (function, family) in
        [(Function::Reciprocal, "goldschmidt"), (inverse_root, "newton"), (Function::Sqrt, "newton")]
    {
        let range = (0.01, 4.0);
        let plain = report(function, range, &pinned("layer=lsq:31")).unwrap();
        let mut last = f64::INFINITY;
        for steps in if family == "newton" { [1, 3, 5] } else { [5, 7, 9] } {
            let found = report(function, range, &pinned(&format!("layer={family}:{steps}"))).unwrap();
            assert!(found.max < last, "{function:?} {steps}: {found:?}");
            last = found.max;
        }
        assert!(last < 0.1 * plain.max, "{function:?}: {last} and {plain:?}");
    }
    let negative = report(Function::Reciprocal, (-4.0, -0.5), &pinned("layer=goldschmidt:6")).unwrap();
    assert!(negative.max < 1e-3, "{negative:?}");
}

#[test]
fn the_menu_takes_an_iteration_where_a_polynomial_is_not_enough() {
    let wide =
        report(Function::Reciprocal, (0.01, 4.0), &Options { max_relative_error: 0.01, ..Options::default() }).unwrap();
    assert_eq!(wide.choice.family, Family::Goldschmidt, "{wide:?}");
    let narrow = report(Function::Reciprocal, (1.0, 1.5), &Options::default()).unwrap();
    assert!(narrow.choice.family != Family::Goldschmidt, "{narrow:?}");
}

#[test]
fn what_does_not_suit_a_function_is_refused() {
    for (function, pin) in [
        (Function::Gelu, "layer=composite:6"),
        (Function::Relu, "layer=goldschmidt:4"),
        (Function::Reciprocal, "layer=newton:2"),
        (Function::Sqrt, "layer=goldschmidt:2"),
    ] {
        let error = report(function, range(function), &pinned(pin)).unwrap_err();
        assert_eq!((error.code(), error.layer()), ("nonlinear::unsuitable", Some("layer")), "{error}");
    }
}

#[test]
fn odd_and_even_functions_on_symmetric_ranges_take_fewer_products() {
    let mut saved = 0;
    for function in [Function::Tanh, Function::Gelu, Function::Abs] {
        for degree in [7, 11, 15, 23, 31] {
            let pin = format!("layer=minimax:{degree}");
            let found = report(function, (-3.0, 3.0), &pinned(&pin)).unwrap();
            let general = report(function, (-3.0, 5.0), &pinned(&pin)).unwrap();
            println!("{} {degree}: {} and {}", function.name(), found.products, general.products);
            assert!(found.products <= general.products && found.depth == general.depth, "{found:?} and {general:?}");
            saved += general.products - found.products;
        }
    }
    assert!(saved >= 10, "{saved}");
}

/// A sequence whose first token is far from the others: one range for both would lose the others.
#[test]
fn a_token_that_differs_gets_numbers_of_its_own() {
    let mut graph = Graph::new("net");
    let dims = [1, 6, 4];
    let x = graph.input("x", Shape::new(dims));
    let factor = graph.constants.add("factor", Tensor::filled(Shape::new([1, 1, 1]), 1.5));
    let scaled = graph.push(Op::Linear(vec![LinearStep::Scale { factor }]), [x], Origin::node("in")).unwrap();
    let value = graph.push(Op::Activation(Function::Gelu), [scaled], Origin::node("gelu")).unwrap();
    graph.outputs.push(Output { name: "y".to_owned(), value, client: Vec::new() });
    let with_shift = |shift: f64| {
        let mut data = samples(&dims, (-1.0, 1.0), 100);
        data.samples.iter_mut().for_each(|s| s[0].data[..4].iter_mut().for_each(|x| *x += shift));
        replace(&graph, &data, &pinned("gelu=lsq:4")).unwrap().replacements[0].clone()
    };
    let (same, apart) = (with_shift(0.0), with_shift(12.0));
    assert_eq!((same.channels, apart.channels), (4, 8));
    assert!(apart.rms < 2.0 * same.rms, "{apart:?} and {same:?}");
}
