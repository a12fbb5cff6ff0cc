//! Whole networks, small enough to write down: what replacement gives, and what it refuses.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::Random;
use hec_ir::Origin;
use hec_ir::tensor::{ConvAttributes, Function, Graph, LinearStep, Op, Output, Shape, Tensor, ValueId, Window};
use hec_nonlinear::{
    Assignment, Calibration, Choice, NonlinearError, Options, Pin, Replaced, assigned, front, replace,
};
use hec_poly::Basis;

/// Samples for inputs of one shape.
fn samples(dims: &[usize], count: usize) -> Calibration {
    let mut random = Random(7);
    Calibration { samples: (0..count).map(|_| vec![random.tensor(dims, 1.0)]).collect() }
}

/// A network from operations in a row, each named.
struct Row {
    graph: Graph,
    value: ValueId,
    random: Random,
}

impl Row {
    fn new(dims: &[usize]) -> Self {
        let mut graph = Graph::new("net");
        let value = graph.input("x", Shape::new(dims));
        Row { graph, value, random: Random(1) }
    }

    fn then(mut self, name: &str, op: Op) -> Self {
        self.value = self.graph.push(op, [self.value], Origin::node(name)).unwrap();
        self
    }

    fn linear(self, name: &str, step: LinearStep) -> Self {
        self.then(name, Op::Linear(vec![step]))
    }

    fn conv(mut self, name: &str, weight: &[usize]) -> Self {
        let size = 1.5 / ((weight[1] * weight[2] * weight[3]) as f64).sqrt();
        let weight = self.random.tensor(weight, size);
        let weight = self.graph.constants.add(name, weight);
        let attributes = ConvAttributes { strides: [1; 2], pads: [1; 4], dilations: [1; 2], groups: 1 };
        self.linear(name, LinearStep::Conv { weight, attributes })
    }

    fn dense(mut self, name: &str, rows: usize, columns: usize) -> Self {
        let weight = self.random.tensor(&[rows, columns], 1.5 / (rows as f64).sqrt());
        let weight = self.graph.constants.add(name, weight);
        self.linear(name, LinearStep::MatMul { weight })
    }

    fn function(self, name: &str, function: Function) -> Self {
        self.then(name, Op::Activation(function))
    }

    fn max_pool(self, name: &str, kernel: [usize; 2], strides: [usize; 2], pads: [usize; 4]) -> Self {
        self.then(name, Op::MaxPool(Window { kernel, strides, pads, count_include_pad: false }))
    }

    fn done(mut self) -> Graph {
        self.graph.outputs.push(Output { name: "y".to_owned(), value: self.value, client: Vec::new() });
        self.graph
    }
}

/// Convolution, ReLU, dense, GELU, dense.
fn classifier() -> Graph {
    Row::new(&[1, 2, 6, 6])
        .conv("conv", &[3, 2, 3, 3])
        .function("relu1", Function::Relu)
        .linear("flatten", LinearStep::Reshape { shape: Shape::new([1, 108]) })
        .dense("dense1", 108, 12)
        .function("gelu1", Function::Gelu)
        .dense("dense2", 12, 4)
        .done()
}

fn pinned(pins: &[&str]) -> Options {
    Options { pins: pins.iter().map(|p| Pin::parse(p).unwrap()).collect(), ..Options::default() }
}

fn is_polynomial(graph: &Graph) -> bool {
    graph.verify().unwrap();
    !graph.nodes.values().any(|n| matches!(n.op, Op::Activation(_) | Op::MaxPool(_)))
}

/// log2 of the largest difference of the first outputs.
fn log2_error(original: &Graph, replaced: &Graph, calibration: &Calibration) -> f64 {
    let output = |graph: &Graph, inputs: &[Tensor]| graph.run(inputs).unwrap().remove(0).data;
    let worst = |inputs: &Vec<Tensor>| {
        let pairs = output(original, inputs).into_iter().zip(output(replaced, inputs));
        pairs.fold(0.0f64, |worst, (a, b)| worst.max((a - b).abs()))
    };
    calibration.samples.iter().map(worst).fold(0.0, f64::max).log2()
}

fn node<'a>(replaced: &'a Replaced, layer: &str, name: &str) -> &'a hec_ir::tensor::Node {
    let found = replaced.graph.nodes.values().find(|n| n.origin.layer() == layer && n.op.name() == name);
    found.unwrap_or_else(|| panic!("{layer} has no {name}"))
}

#[test]
fn the_default_keeps_the_classes_at_little_depth() {
    let (graph, data) = (classifier(), samples(&[1, 2, 6, 6], 200));
    let options = Options { min_agreement: 0.9, ..Options::default() };
    let replaced = replace(&graph, &data, &options).unwrap();
    assert!(is_polynomial(&replaced.graph));
    let agreement = replaced.agreement.unwrap();
    assert_eq!(agreement.samples, 40);
    assert!(agreement.classes.unwrap() >= 0.9 && replaced.warnings.is_empty(), "{agreement:?}");
    assert_eq!(replaced.replacements.iter().map(|r| r.layer.as_str()).collect::<Vec<_>>(), ["relu1", "gelu1"]);
    assert!(replaced.replacements.iter().all(|r| r.depth.0 == 1 && r.outside.unwrap() < 0.01), "{replaced:?}");
}

/// A caution counts decisions by a hair as lost, so that the network may need more degree, never less.
#[test]
fn caution_asks_for_more() {
    let (graph, data) = (classifier(), samples(&[1, 2, 6, 6], 60));
    let run = |caution| replace(&graph, &data, &Options { caution, min_agreement: 0.9, ..Options::default() }).unwrap();
    let (bold, careful) = (run(0), run(3));
    let share = |r: &Replaced| r.agreement.unwrap().surely.unwrap();
    assert_eq!(bold.agreement.unwrap().surely, bold.agreement.unwrap().classes);
    assert!(careful.agreement.unwrap().classes.unwrap() >= share(&careful));
    assert!(careful.replacements[0].depth >= bold.replacements[0].depth);
    let refused = refusal(&graph, &data, &Options { caution: 4, ..Options::default() });
    assert_eq!(refused.to_string(), "the caution is 4: it must be a number from 0 to 3");
}

#[test]
fn a_quadratic_is_a_polynomial_of_each_channel_of_the_layer_itself() {
    let replaced =
        replace(&classifier(), &samples(&[1, 2, 6, 6], 50), &pinned(&["relu=kernel:2", "gelu=lsq:2"])).unwrap();
    for (layer, dims, family) in [("relu1", vec![1, 3, 1, 1, 3], "kernel"), ("gelu1", vec![1, 12, 3], "least squares")]
    {
        let node = node(&replaced, layer, "polynomial");
        let Op::Polynomial { basis: Basis::Monomial, coefficients } = node.op else { panic!("{node:?}") };
        assert_eq!(replaced.graph.constants.tensor(coefficients).shape.dims(), dims);
        assert!(node.origin.note.starts_with(&format!("{family} degree 2, rms 2^-")), "{}", node.origin.note);
    }
    // Corrections may add biases, and nothing else.
    let others = |graph: &Graph| graph.nodes.values().filter(|n| !matches!(n.op, Op::AddConstant(_))).count();
    assert_eq!(others(&replaced.graph), others(&classifier()));
}

#[test]
fn a_higher_degree_maps_its_range_to_the_unit_interval_first() {
    let (graph, data) = (classifier(), samples(&[1, 2, 6, 6], 50));
    // A layer's pin goes before its function's.
    let replaced = replace(&graph, &data, &pinned(&["relu1=lsq:7", "relu=kernel:2", "gelu=lsq:1"])).unwrap();
    let polynomial = node(&replaced, "relu1", "polynomial");
    assert!(matches!(polynomial.op, Op::Polynomial { basis: Basis::Chebyshev, .. }));
    let shift = &replaced.graph.nodes[polynomial.args[0]];
    assert_eq!((shift.op.name(), replaced.graph.nodes[shift.args[0]].op.name()), ("add_constant", "scale"));
    for inputs in &data.samples {
        let values = replaced.graph.interpret(inputs).unwrap();
        assert!(values[polynomial.args[0]].data.iter().all(|t| t.abs() < 1.01));
    }
    assert_eq!(replaced.replacements[0].choice, Choice::least_squares(7));
    assert_eq!(node(&replaced, "gelu1", "add_constant").args.len(), 1);
    // A linear function goes into the layers around it.
    assert_eq!((replaced.replacements[1].depth.0, replaced.replacements[1].products), (0, 0));
}

#[test]
fn more_degree_is_more_precision() {
    let (graph, data) = (classifier(), samples(&[1, 2, 6, 6], 100));
    let error = |pins: &[&str]| log2_error(&graph, &replace(&graph, &data, &pinned(pins)).unwrap().graph, &data);
    let errors = [2, 7, 31].map(|d| error(&[&format!("relu=lsq:{d}"), &format!("gelu=lsq:{d}")]));
    assert!(errors[0] > errors[1] + 0.5 && errors[1] > errors[2] + 1.0 && errors[2] < -4.0, "{errors:?}");
}

#[test]
fn a_regression_gets_the_degree_that_its_error_bound_needs() {
    let graph = Row::new(&[1, 8]).dense("in", 8, 16).function("f", Function::Tanh).dense("out", 16, 1).done();
    let data = samples(&[1, 8], 200);
    let degree = |bound| {
        let options = Options { max_relative_error: bound, ..Options::default() };
        let replaced = replace(&graph, &data, &options).unwrap();
        assert!(replaced.warnings.is_empty() && replaced.agreement.unwrap().relative_error <= bound);
        assert_eq!(replaced.agreement.unwrap().classes, None);
        replaced.replacements[0].choice.degree
    };
    let degrees = [0.5, 0.02, 0.001].map(degree);
    assert!(degrees[0] == 2 && degrees[1] < degrees[2] && degrees[2] <= 15, "{degrees:?}");

    let strict = Options { max_relative_error: 0.0, ..Options::default() };
    let best = replace(&graph, &data, &strict).unwrap();
    assert!(best.warnings[0].contains("the best one has"), "{:?}", best.warnings);
    assert!(best.replacements[0].choice.degree >= 15);
}

/// tanh of small numbers, which is nearly a line, and then a ReLU.
fn uneven() -> Graph {
    let mut row = Row::new(&[1, 8]);
    let factor = row.graph.constants.add("small", Tensor::scalar(0.2));
    row.linear("scale", LinearStep::Scale { factor })
        .function("tanh1", Function::Tanh)
        .dense("dense1", 8, 12)
        .function("relu1", Function::Relu)
        .dense("dense2", 12, 3)
        .done()
}

#[test]
fn a_function_that_matters_less_gets_a_lower_degree() {
    let (graph, data) = (uneven(), samples(&[1, 8], 100));
    let options = Options { min_agreement: 1.0, ..Options::default() };
    let replaced = replace(&graph, &data, &options).unwrap();
    let degree = |layer: &str| replaced.replacements.iter().find(|r| r.layer == layer).unwrap().choice.degree;
    assert!(degree("tanh1") < degree("relu1"), "{:?}", replaced.replacements);
    assert_eq!(replaced.warnings, Vec::<String>::new());
}

#[test]
fn the_front_goes_from_cheap_to_precise() {
    let (graph, data) = (uneven(), samples(&[1, 8], 100));
    let options = Options { min_agreement: 1.0, ..Options::default() };
    let found = front(&graph, &data, &options).unwrap();
    assert!(found.networks.len() > 1);
    assert_eq!(found.networks[found.chosen], replace(&graph, &data, &options).unwrap());
    let levels = |r: &Replaced| r.replacements.iter().map(|r| r.depth.0).sum::<u32>();
    let share = |r: &Replaced| r.agreement.unwrap().classes.unwrap();
    for pair in found.networks.windows(2) {
        assert!(levels(&pair[0]) <= levels(&pair[1]) && share(&pair[0]) <= share(&pair[1]));
        assert!(is_polynomial(&pair[0].graph) && is_polynomial(&pair[1].graph));
    }
}

#[test]
fn max_pool_becomes_a_tournament() {
    for (kernel, strides, maxima, rounds) in [([2, 2], [2, 2], 2, 2), ([3, 3], [2, 2], 4, 4), ([1, 3], [1, 1], 2, 2)] {
        let graph = Row::new(&[1, 2, 7, 7]).max_pool("pool", kernel, strides, [0; 4]).done();
        let data = samples(&[1, 2, 7, 7], 60);
        let error = |degree: usize| {
            let replaced = replace(&graph, &data, &pinned(&[&format!("max_pool=lsq:{degree}")])).unwrap();
            assert!(is_polynomial(&replaced.graph));
            let report = &replaced.replacements[0];
            let depth = (degree + 1).next_power_of_two().ilog2().max(1);
            let expected = if degree == 2 { rounds } else { rounds * depth };
            assert_eq!((report.depth.0, replaced.replacements.len()), (expected, 1), "{kernel:?}");
            assert!(report.products >= maxima && report.advice.as_ref().unwrap().contains("average pooling"));
            log2_error(&graph, &replaced.graph, &data)
        };
        let errors = [2, 6, 30].map(error);
        assert!(errors[0] > errors[1] && errors[1] > errors[2] && errors[2] < -3.0, "{kernel:?}: {errors:?}");
    }
}

#[test]
fn values_that_skip_a_function_stay_available() {
    let mut row = Row::new(&[1, 8]).dense("in", 8, 8);
    let skip = row.value;
    row = row.function("silu", Function::Silu).dense("mid", 8, 8);
    row.value = row.graph.push(Op::Add, [row.value, skip], Origin::node("add")).unwrap();
    let graph = row.function("sigmoid", Function::Sigmoid).dense("out", 8, 2).done();
    let data = samples(&[1, 8], 40);
    let replaced = replace(&graph, &data, &pinned(&["silu=lsq:15", "sigmoid=lsq:15"])).unwrap();
    let error = log2_error(&graph, &replaced.graph, &data);
    assert!(error < -10.0, "2^{error}");
}

#[test]
fn a_network_without_functions_is_left_as_it_is() {
    let graph = Row::new(&[1, 3]).dense("only", 3, 2).done();
    for data in [Calibration::default(), samples(&[1, 3], 5)] {
        let replaced = replace(&graph, &data, &Options::default()).unwrap();
        assert_eq!((&replaced.graph, replaced.replacements.len()), (&graph, 0));
    }
}

#[test]
fn one_sample_or_two_are_enough_to_get_an_answer() {
    for count in [1, 2] {
        let replaced = replace(&classifier(), &samples(&[1, 2, 6, 6], count), &Options::default()).unwrap();
        assert_eq!(replaced.agreement.unwrap().samples, 1);
        assert!(is_polynomial(&replaced.graph));
    }
}

#[test]
fn threads_do_not_change_the_result() {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| replace(&classifier(), &samples(&[1, 2, 6, 6], 60), &Options::default()).unwrap())
    };
    let (one, three) = (run(1), run(3));
    assert_eq!(one, three);
}

#[test]
fn ranges_do_without_data() {
    let mut options = Options::default();
    for layer in ["relu1", "gelu1"] {
        options.ranges.insert(layer.to_owned(), (-4.0, 4.0));
    }
    let replaced = replace(&classifier(), &Calibration::default(), &options).unwrap();
    assert!(is_polynomial(&replaced.graph) && replaced.agreement.is_none() && replaced.warnings.is_empty());
    let report = &replaced.replacements[0];
    assert_eq!((report.range, report.channels, report.outside), ((-4.0, 4.0), 1, None));
    assert!(report.choice.degree > 2 && report.rms < 0.1, "{report:?}");
}

#[test]
fn a_given_range_holds_with_data_too() {
    let mut options = pinned(&["relu=lsq:4", "gelu=lsq:4"]);
    options.ranges.insert("relu1".to_owned(), (-0.5, 0.5));
    let replaced = replace(&classifier(), &samples(&[1, 2, 6, 6], 20), &options).unwrap();
    assert_eq!(replaced.replacements[0].range, (-0.5, 0.5));
    assert!(replaced.replacements[0].outside.unwrap() > 0.1);
}

fn refusal(graph: &Graph, data: &Calibration, options: &Options) -> NonlinearError {
    replace(graph, data, options).unwrap_err()
}

#[test]
fn refusals_name_the_layer_and_what_to_do() {
    let (graph, data, plain) = (classifier(), samples(&[1, 2, 6, 6], 5), Options::default());
    let nothing = refusal(&graph, &Calibration::default(), &plain);
    assert_eq!((nothing.code(), nothing.layer()), ("nonlinear::no_data", Some("relu1")));
    assert!(nothing.to_string().contains("--range relu1="), "{nothing}");

    let unknown = refusal(&graph, &data, &pinned(&["tanh=lsq:3"]));
    assert!(unknown.to_string().contains("gelu, gelu1, relu, relu1"), "{unknown}");
    let mut stray = plain.clone();
    stray.ranges.insert("relu".to_owned(), (0.0, 1.0));
    assert_eq!(refusal(&graph, &data, &stray).code(), "nonlinear::unknown_target");
    let mut empty = plain.clone();
    empty.ranges.insert("relu1".to_owned(), (1.0, 1.0));
    assert_eq!(refusal(&graph, &data, &empty).code(), "nonlinear::range");
    let share = Options { min_agreement: 99.0, ..plain.clone() };
    assert_eq!(refusal(&graph, &data, &share).code(), "nonlinear::option");
    let pin = Pin { target: "relu".to_owned(), choice: Choice { degree: 32, ..Choice::KERNEL } };
    let degree = Options { pins: vec![pin], ..plain.clone() };
    assert_eq!(refusal(&graph, &data, &degree).code(), "nonlinear::degree");
}

#[test]
fn bad_samples_are_refused_by_number() {
    let plain = Options::default();
    let mut data = samples(&[1, 2, 6, 6], 5);
    data.samples[3][0].data[0] = f64::NAN;
    let error = refusal(&classifier(), &data, &plain);
    assert!(matches!(error, NonlinearError::NotFinite { sample: 3, .. }), "{error}");
    data.samples[2] = vec![Tensor::scalar(1.0)];
    assert!(matches!(refusal(&classifier(), &data, &plain), NonlinearError::Sample { sample: 2, .. }));
    data.samples[1] = Vec::new();
    assert!(matches!(refusal(&classifier(), &data, &plain), NonlinearError::Sample { sample: 1, .. }));
}

#[test]
fn max_pools_that_have_no_polynomial_form_are_refused() {
    let data = samples(&[1, 2, 7, 7], 5);
    let padded = Row::new(&[1, 2, 7, 7]).max_pool("pool", [3, 3], [2, 2], [1; 4]).done();
    let error = refusal(&padded, &data, &Options::default());
    assert_eq!((error.code(), error.layer()), ("nonlinear::padded_max_pool", Some("pool")));
    let plain = Row::new(&[1, 2, 7, 7]).max_pool("pool", [2, 2], [2, 2], [0; 4]).done();
    let error = refusal(&plain, &data, &pinned(&["pool=lsq:5"]));
    assert!(error.to_string().contains("lsq:6"), "{error}");
}

#[test]
fn divergence_is_an_error_and_not_a_number() {
    let mut row = Row::new(&[1, 4]);
    let mut options = pinned(&["relu=lsq:4"]);
    for i in 0..10 {
        let name = format!("relu{i}");
        row = row.dense(&format!("dense{i}"), 4, 4).function(&name, Function::Relu);
        options.ranges.insert(name, (-1e-3, 1e-3));
    }
    let error = refusal(&row.done(), &samples(&[1, 4], 10), &options);
    assert_eq!(error.code(), "nonlinear::diverged");
}

/// With the polynomials that were built in the place of the most precise ones, the offer is the network that was built.
#[test]
fn an_offer_holds_what_was_built_among_others() {
    let (graph, data) = (uneven(), samples(&[1, 8], 100));
    let options = Options { min_agreement: 1.0, ..Options::default() };
    let replaced = replace(&graph, &data, &options).unwrap();
    let offer = replaced.offer().unwrap().unwrap();
    assert!(is_polynomial(&offer.graph));
    assert_eq!(offer.precise.iter().map(|(layer, _)| layer.as_str()).collect::<Vec<_>>(), ["tanh1", "relu1"]);
    let (mut taken, mut error) = (offer.graph.clone(), 0.0);
    for (layer, precise) in &offer.precise {
        let own = replaced.assignment.of(layer);
        let others: Vec<_> = offer.candidates.iter().filter(|c| c.layer == *layer).collect();
        assert!(others.len() >= 3 && others.iter().all(|c| c.error >= 0.0 && c.choice != *precise), "{others:?}");
        let candidate = others.iter().find(|c| c.choice == own).unwrap();
        error += candidate.error;
        for id in taken.nodes.keys() {
            let users = taken.nodes[id].args.iter_mut().filter(|arg| **arg == candidate.value);
            users.for_each(|arg| *arg = candidate.instead);
        }
    }
    assert!((error - offer.built).abs() < 1e-12 * error, "{error} {}", offer.built);
    assert!(log2_error(&replaced.graph, &taken, &data) < -40.0);
    // What is asked for by name is not on offer.
    let pins = vec![Pin::parse("relu=lsq:7").unwrap()];
    let offer = replace(&graph, &data, &Options { pins, ..options }).unwrap().offer().unwrap().unwrap();
    assert!(offer.candidates.iter().all(|c| c.layer == "tanh1"), "{:?}", offer.candidates);
}

#[test]
fn an_assignment_is_built_as_it_says() {
    let (graph, data) = (uneven(), samples(&[1, 8], 100));
    let assignment = Assignment::uniform(Choice::least_squares(3)).with(["relu1"], Choice::least_squares(7));
    let built = assigned(&graph, &data, &Options::default(), std::slice::from_ref(&assignment)).unwrap();
    let choices: Vec<String> = built[0].replacements.iter().map(|r| r.choice.to_string()).collect();
    assert_eq!((built.len(), choices), (1, vec!["lsq:3".to_owned(), "lsq:7".to_owned()]));
    assert_eq!((&built[0].assignment, built[0].offer().unwrap()), (&assignment, None));
}
