//! Functions that are not defined everywhere: ranges stay inside, and where they cannot the error says what to do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use hec_ir::Origin;
use hec_ir::tensor::{Function, Graph, Op, Output, Shape, Tensor};
use hec_nonlinear::{Calibration, NonlinearError, Options, Pin, Replaced, replace};

fn network(function: Function) -> Graph {
    let mut graph = Graph::new("test");
    let x = graph.input("x", Shape::new([1, 2]));
    let value = graph.push(Op::Activation(function), [x], Origin::node("layer1")).unwrap();
    graph.outputs.push(Output { name: "y".to_owned(), value, client: Vec::new() });
    graph
}

/// Samples that cover lo to hi, in both channels.
fn samples(lo: f64, hi: f64) -> Calibration {
    let value = |i: usize| lo + (hi - lo) * (i * 37 % 101) as f64 / 100.0;
    let sample = |i| vec![Tensor::new(Shape::new([1, 2]), vec![value(i), value(i + 1)]).unwrap()];
    Calibration { samples: (0..200).map(sample).collect() }
}

fn run(function: Function, (lo, hi): (f64, f64), options: &Options) -> Result<Replaced, NonlinearError> {
    replace(&network(function), &samples(lo, hi), options)
}

const LIMITED: [(Function, (f64, f64)); 6] = [
    (Function::Log, (0.02, 3.0)),
    (Function::Sqrt, (0.0, 4.0)),
    (Function::Reciprocal, (0.5, 2.0)),
    (Function::Reciprocal, (-2.0, -0.5)),
    (Function::Pow { exponent: -0.5 }, (0.1, 5.0)),
    (Function::Pow { exponent: 1.5 }, (0.0, 5.0)),
];

#[test]
fn every_family_fits_inside_the_domain() {
    for (function, range) in LIMITED {
        for choice in ["lsq:7", "minimax:7", "chebyshev:7", "jackson:7", "hermite:7", "kernel:2", "box:2"] {
            let pins = vec![Pin::parse(&format!("layer1={choice}")).unwrap()];
            let replaced = run(function, range, &Options { pins, ..Options::default() }).unwrap();
            let report = &replaced.replacements[0];
            let (lo, hi) = report.range;
            assert!(function.domain().contains(lo, hi) && lo <= range.0 && hi >= range.1, "{function:?}: {report:?}");
            assert!([report.rms, report.max, report.growth].iter().all(|e| e.is_finite()), "{function:?}: {report:?}");
        }
    }
}

#[test]
fn a_smooth_function_away_from_its_pole_is_close() {
    let replaced = run(Function::Reciprocal, (0.5, 2.0), &Options::default()).unwrap();
    assert!(replaced.warnings.is_empty(), "{:?}", replaced.warnings);
}

#[test]
fn samples_outside_the_domain_are_named() {
    for (function, range) in [(Function::Log, (-0.5, 3.0)), (Function::Sqrt, (-1.0, 4.0))] {
        let error = run(function, range, &Options::default()).unwrap_err();
        assert!(matches!(error, NonlinearError::Undefined { .. }), "{error}");
        assert_eq!(error.layer(), Some("layer1"));
        assert!(error.to_string().contains(&function.domain().to_string()), "{error}");
    }
}

#[test]
fn a_range_across_the_end_of_the_domain_is_refused_and_one_inside_taken() {
    // Never at zero itself, so that the original network is finite on all samples.
    let across = (-2.0, 2.01);
    let error = run(Function::Reciprocal, across, &Options::default()).unwrap_err();
    assert!(matches!(error, NonlinearError::Domain { .. }), "{error}");
    assert!(error.to_string().contains("--range layer1=0.01,10"), "{error}");
    let given = |lo, hi| Options { ranges: [("layer1".to_owned(), (lo, hi))].into(), ..Options::default() };
    let error = run(Function::Log, (0.5, 2.0), &given(-1.0, 2.0)).unwrap_err();
    assert!(matches!(error, NonlinearError::Domain { .. }), "{error}");
    let replaced = run(Function::Log, (0.5, 2.0), &given(0.25, 3.0)).unwrap();
    assert_eq!(replaced.replacements[0].range, (0.25, 3.0));
}
