//! A small network with a ReLU and its polynomial form, trained.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use hec_ir::Origin;
use hec_ir::tensor::{ConvAttributes, Function, Graph, LinearStep, Op, Output, Shape, Tensor};
use hec_poly::Basis;
use hec_tune::{Checkpoint, Options, Trainer};

fn numbers(seed: u64, dims: &[usize]) -> Tensor {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 23) as f64 - 1.0
    };
    let shape = Shape::new(dims);
    let data = (0..shape.elements()).map(|_| next()).collect();
    Tensor { shape, data }
}

/// Preprocessing, a matrix, a ReLU or a polynomial in its place, a matrix.
fn network(activation: impl FnOnce(&mut Graph) -> Op) -> Graph {
    let mut graph = Graph::new("network");
    let x = graph.input("x", Shape::new([1, 6]));
    let factor = graph.constants.add("preprocess.scale", Tensor::scalar(0.5));
    let scaled = graph.push(Op::Linear(vec![LinearStep::Scale { factor }]), [x], Origin::node("x")).unwrap();
    let weight = graph.constants.add("w", numbers(1, &[6, 8]));
    let hidden = graph.push(Op::Linear(vec![LinearStep::MatMul { weight }]), [scaled], Origin::node("fc1")).unwrap();
    let op = activation(&mut graph);
    let active = graph.push(op, [hidden], Origin::node("relu")).unwrap();
    let weight = graph.constants.add("v", numbers(2, &[8, 3]));
    let value = graph.push(Op::Linear(vec![LinearStep::MatMul { weight }]), [active], Origin::node("fc2")).unwrap();
    graph.outputs.push(Output { name: "y".into(), value, client: vec![] });
    graph
}

fn original() -> Graph {
    network(|_| Op::Activation(Function::Relu))
}

fn polynomial() -> Graph {
    let coefficients = |graph: &mut Graph| {
        let tensor = Tensor { shape: Shape::new([1, 1, 3]), data: vec![0.4, 0.2, -0.1] };
        graph.constants.add("relu.polynomial", tensor)
    };
    network(|graph| Op::Polynomial { basis: Basis::Monomial, coefficients: coefficients(graph) })
}

fn trainer(seed: u64) -> Trainer {
    let samples: Vec<Vec<Tensor>> = (0..200).map(|i| vec![numbers(100 + i, &[1, 6])]).collect();
    let options = Options { epochs: 30, batch: 32, seed, ..Options::default() };
    Trainer::new(&original(), &polynomial(), &samples, options).unwrap()
}

fn train(trainer: &mut Trainer, until: usize) {
    while trainer.done() < until {
        trainer.step().unwrap();
        if trainer.done().is_multiple_of(trainer.steps_of_epoch()) {
            trainer.validate();
        }
    }
}

#[test]
fn a_polynomial_network_learns_what_the_original_one_gives() {
    let mut trainer = trainer(1);
    let (start, steps) = (trainer.best(), trainer.steps());
    train(&mut trainer, steps);
    let best = trainer.best();
    assert!(best.divergence < 0.5 * start.divergence, "{start:?} to {best:?}");
    // The graph is the network with the best score, and its preprocessing is as it was.
    let graph = trainer.graph();
    graph.verify().unwrap();
    let scale = graph.constants.find("preprocess.scale").unwrap();
    assert_eq!(graph.constants.tensor(scale).data, [0.5]);
    let error = |graph: &Graph| -> f64 {
        let sample = |i: u64| {
            let input = [numbers(900 + i, &[1, 6])];
            let (found, wanted) = (graph.run(&input).unwrap(), original().run(&input).unwrap());
            found[0].data.iter().zip(&wanted[0].data).map(|(f, w)| (f - w) * (f - w)).sum::<f64>()
        };
        (0..50).map(sample).sum()
    };
    assert!(error(&graph) < 0.7 * error(&polynomial()));
}

#[test]
fn a_resumed_training_ends_in_the_same_bits() {
    let mut whole = trainer(1);
    let steps = whole.steps();
    train(&mut whole, steps);
    for stop in [1, 7, 20] {
        let mut first = trainer(1);
        train(&mut first, stop);
        let bytes = first.checkpoint().to_bytes();
        let mut second = trainer(1);
        second.resume(Checkpoint::from_bytes(&bytes).unwrap()).unwrap();
        train(&mut second, steps);
        assert_eq!(second.checkpoint(), whole.checkpoint());
        assert_eq!(second.graph(), whole.graph());
    }
    assert!(trainer(2).resume(whole.checkpoint()).is_err(), "another seed");
}

/// A convolution with zeros around the image, an activation, the mean of each channel.
fn image_network(activation: impl FnOnce(&mut Graph) -> Op) -> Graph {
    let mut graph = Graph::new("image");
    let x = graph.input("x", Shape::new([1, 1, 5, 4]));
    let weight = graph.constants.add("w", numbers(3, &[2, 1, 3, 3]));
    let attributes = ConvAttributes { strides: [1, 1], pads: [1; 4], dilations: [1, 1], groups: 1 };
    let conv = Op::Linear(vec![LinearStep::Conv { weight, attributes }]);
    let value = graph.push(conv, [x], Origin::node("conv")).unwrap();
    let op = activation(&mut graph);
    let value = graph.push(op, [value], Origin::node("relu")).unwrap();
    let mean = Op::Linear(vec![LinearStep::Mean { axes: vec![2, 3] }]);
    let value = graph.push(mean, [value], Origin::node("pool")).unwrap();
    graph.outputs.push(Output { name: "y".into(), value, client: vec![] });
    graph
}

#[test]
fn polynomials_differ_at_the_borders_of_images_alone() {
    let original = image_network(|_| Op::Activation(Function::Relu));
    let polynomial = image_network(|graph| {
        let (shape, data) = (Shape::new([1, 2, 1, 1, 3]), vec![0.4, 0.5, 0.3, 0.3, 0.5, 0.2]);
        let coefficients = graph.constants.add("relu.polynomial", Tensor { shape, data });
        Op::Polynomial { basis: Basis::Monomial, coefficients }
    });
    let samples: Vec<Vec<Tensor>> = (0..100).map(|i| vec![numbers(100 + i, &[1, 1, 5, 4])]).collect();
    let options = |borders| Options { epochs: 6, batch: 16, borders, ..Options::default() };
    let tuned = |borders| {
        let mut trainer = Trainer::new(&original, &polynomial, &samples, options(borders)).unwrap();
        let (start, steps) = (trainer.best(), trainer.steps());
        train(&mut trainer, steps);
        assert!(trainer.best().divergence < start.divergence);
        trainer.graph()
    };
    let rows = |graph: &Graph| {
        graph.verify().unwrap();
        let coefficients = graph.nodes.values().find_map(|n| match n.op {
            Op::Polynomial { coefficients, .. } => Some(graph.constants.tensor(coefficients).clone()),
            _ => None,
        });
        coefficients.unwrap().data.chunks_exact(3).map(<[f64]>::to_vec).collect::<Vec<_>>()
    };
    assert_eq!(rows(&tuned(0)).len(), 2);
    let rows = rows(&tuned(1));
    let at = |channel: usize, y: usize, x: usize| &rows[(channel * 5 + y) * 4 + x];
    assert_eq!(rows.len(), 40);
    for channel in 0..2 {
        assert!((1..4).flat_map(|y| [at(channel, y, 1), at(channel, y, 2)]).all(|r| r == at(channel, 2, 1)));
        assert!(at(channel, 0, 1) == at(channel, 0, 2) && at(channel, 1, 3) == at(channel, 3, 3));
        assert!(at(channel, 0, 1) != at(channel, 2, 1) && at(channel, 0, 0) != at(channel, 0, 1));
    }
    assert!(at(0, 2, 1) != at(1, 2, 1));
}

#[test]
fn networks_that_do_not_belong_together_are_refused() {
    let samples: Vec<Vec<Tensor>> = (0..30).map(|i| vec![numbers(i, &[1, 6])]).collect();
    let mut other = polynomial();
    other.outputs.clear();
    assert!(Trainer::new(&original(), &other, &samples, Options::default()).is_err());
    assert!(Trainer::new(&original(), &polynomial(), &samples[..5], Options::default()).is_err());
    let wrong = vec![vec![numbers(1, &[1, 5])]; 30];
    assert!(Trainer::new(&original(), &polynomial(), &wrong, Options::default()).is_err());
}
