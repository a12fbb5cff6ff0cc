//! Values against the interpreter, gradients against differences of its values.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use hec_ir::Origin;
use hec_ir::entity::Entity;
use hec_ir::tensor::{ConvAttributes, Function, Graph, LinearStep, Node, Op, Output, Shape, Tensor, ValueId, Window};
use hec_poly::Basis;
use hec_tune::{Parameters, Program, pull_back};

/// Numbers in [−1, 1), the same in every run (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    fn tensor(&mut self, dims: &[usize]) -> Tensor {
        let shape = Shape::new(dims);
        let data = (0..shape.elements()).map(|_| self.next()).collect();
        Tensor::new(shape, data).unwrap()
    }
}

/// A network with two inputs of one shape; a matrix in front of the first one, so that gradients reach it.
struct Case {
    graph: Graph,
    numbers: Numbers,
    first: ValueId,
    second: ValueId,
}

impl Case {
    fn new(seed: u64, shape: &[usize]) -> Self {
        let mut case =
            Case { graph: Graph::new("case"), numbers: Numbers(seed), first: ValueId::new(0), second: ValueId::new(1) };
        let x = case.graph.input("x", Shape::new(shape));
        let y = case.graph.input("y", Shape::new(shape));
        (case.first, case.second) = (case.mixed(x, shape), case.mixed(y, shape));
        case
    }

    /// A product of the last axis with a matrix.
    fn mixed(&mut self, x: ValueId, shape: &[usize]) -> ValueId {
        let last = shape[shape.len() - 1];
        let weight = self.graph.constants.add("mix", self.numbers.tensor(&[last, last]));
        self.push(Op::Linear(vec![LinearStep::MatMul { weight }]), &[x])
    }

    fn constant(&mut self, dims: &[usize]) -> hec_ir::tensor::ConstId {
        let tensor = self.numbers.tensor(dims);
        self.graph.constants.add("c", tensor)
    }

    fn push(&mut self, op: Op, args: &[ValueId]) -> ValueId {
        self.graph.push(op, args, Origin::node("layer")).unwrap()
    }

    /// Values as the interpreter gives them; the derivative of Σ r·y by all constants and along a direction by
    /// differences of its values.
    fn check(mut self, outputs: &[ValueId]) {
        for &value in outputs {
            self.graph.outputs.push(Output { name: "y".into(), value, client: vec![] });
        }
        let inputs: Vec<Tensor> = self
            .graph
            .inputs()
            .map(|(id, _)| self.graph.shape(id).dims().to_vec())
            .collect::<Vec<_>>()
            .iter()
            .map(|dims| self.numbers.tensor(dims))
            .collect();
        let program = Program::compile(&self.graph).unwrap();
        let parameters = Parameters::of_graph(&program, &self.graph);
        let mut workspace = program.workspace();
        let loaded = program.load(&inputs).unwrap();
        // Twice, so that what a first run leaves does no harm.
        for _ in 0..2 {
            program.forward(&parameters, loaded.iter().map(Vec::as_slice), &mut workspace);
        }
        let expected = self.graph.run(&inputs).unwrap();
        let weights: Vec<Tensor> = expected.iter().map(|t| self.numbers.tensor(t.shape.dims())).collect();
        program.clear_gradients(&mut workspace);
        for ((&value, expected), weights) in outputs.iter().zip(&expected).zip(&weights) {
            let slot = program.values[value];
            let found = hec_tune::layout::unload(&expected.shape, program.value(&workspace, slot));
            for (f, e) in found.data.iter().zip(&expected.data) {
                assert!((f - e).abs() < 1e-4 * (1.0 + e.abs()), "{f} is not {e}");
            }
            let direction = hec_tune::layout::load(weights);
            workspace.gradients[slot].iter_mut().zip(&direction).for_each(|(g, w)| *g += w);
        }
        let mut gradient = vec![0.0; program.sizes.gradient];
        program.backward(&parameters, &mut workspace, &mut gradient);
        let gradient = pull_back(&program, &gradient);
        self.differences(&program, &inputs, &weights, &gradient);
    }

    fn differences(&mut self, program: &Program, inputs: &[Tensor], weights: &[Tensor], gradient: &[f32]) {
        const STEP: f64 = 1e-5;
        let loss = |graph: &Graph| -> f64 {
            let outputs = graph.run(inputs).unwrap();
            outputs.iter().zip(weights).flat_map(|(o, w)| o.data.iter().zip(&w.data)).map(|(o, w)| o * w).sum()
        };
        for step in program.steps.iter().filter(|s| s.weights.is_some_and(|w| w.trained)) {
            let place = step.weights.unwrap();
            let constant = self.graph.constants.tensor(place.constant).clone();
            for (i, &found) in gradient[place.place.trained()].iter().enumerate() {
                let at = |change: f64| {
                    let mut graph = self.graph.clone();
                    let mut tensor = (*constant).clone();
                    tensor.data[i] += change;
                    let fresh = graph.constants.add("changed", tensor);
                    let node = &mut graph.nodes[step.origin.0];
                    *node = Node { op: with_constant(&node.op, step.origin.1, fresh), ..node.clone() };
                    loss(&graph)
                };
                let expected = (at(STEP) - at(-STEP)) / (2.0 * STEP);
                let found = f64::from(found);
                assert!(
                    (found - expected).abs() < 2e-3 * (1.0 + expected.abs()),
                    "{:?}: {found} is not {expected}",
                    step.kernel
                );
            }
        }
    }
}

fn with_constant(op: &Op, position: usize, constant: hec_ir::tensor::ConstId) -> Op {
    match op {
        Op::Linear(steps) => {
            let mut steps = steps.clone();
            match &mut steps[position] {
                LinearStep::Conv { weight, .. } | LinearStep::MatMul { weight } => *weight = constant,
                LinearStep::Scale { factor } => *factor = constant,
                _ => panic!("a step without a constant"),
            }
            Op::Linear(steps)
        }
        Op::AddConstant(_) => Op::AddConstant(constant),
        Op::Polynomial { basis, .. } => Op::Polynomial { basis: *basis, coefficients: constant },
        _ => panic!("an operation without a constant"),
    }
}

#[test]
fn elementwise_operations() {
    for (seed, shape) in [&[1, 3, 5, 4][..], &[2, 7], &[1, 16, 2, 2]].into_iter().enumerate() {
        let mut c = Case::new(seed as u64, shape);
        let (x, y) = (c.first, c.second);
        let sum = c.push(Op::Add, &[x, y]);
        let difference = c.push(Op::Sub, &[sum, y]);
        let product = c.push(Op::Mul, &[difference, x]);
        let square = c.push(Op::Square, &[product]);
        let cube = c.push(Op::Power(3), &[x]);
        let negated = c.push(Op::Negate, &[cube]);
        let twice = c.push(Op::Add, &[negated, negated]);
        let own = c.push(Op::Mul, &[y, y]);
        c.check(&[square, twice, own, sum]);
    }
}

#[test]
fn constants_of_any_broadcast_shape() {
    for (seed, dims) in [&[1, 3, 1, 1][..], &[], &[1, 1, 5, 1], &[1, 3, 5, 4], &[4]].into_iter().enumerate() {
        let mut c = Case::new(seed as u64, &[1, 3, 5, 4]);
        let (factor, added) = (c.constant(dims), c.constant(dims));
        let scaled = c.push(Op::Linear(vec![LinearStep::Scale { factor }]), &[c.first]);
        let shifted = c.push(Op::AddConstant(added), &[scaled]);
        // The argument of this one is read elsewhere, too.
        let other = c.push(Op::AddConstant(added), &[scaled]);
        let product = c.push(Op::Mul, &[shifted, scaled]);
        c.check(&[product, other]);
    }
}

#[test]
fn polynomials_of_both_bases() {
    for (seed, basis, lead, degree) in [
        (1, Basis::Monomial, &[1, 3, 1, 1][..], 2),
        (2, Basis::Monomial, &[1, 1, 1, 1], 5),
        (3, Basis::Chebyshev, &[1, 3, 1, 1], 4),
        (4, Basis::Chebyshev, &[1, 3, 2, 3], 7),
        (5, Basis::Monomial, &[1, 1, 1, 1], 0),
    ] {
        let mut c = Case::new(seed, &[1, 3, 2, 3]);
        let half = c.graph.constants.add("half", Tensor::scalar(0.3));
        let small = c.push(Op::Linear(vec![LinearStep::Scale { factor: half }]), &[c.first]);
        let coefficients = c.constant(&[lead, &[degree + 1]].concat());
        let value = c.push(Op::Polynomial { basis, coefficients }, &[small]);
        // A polynomial of an input.
        let of_input = c.push(Op::Polynomial { basis, coefficients }, &[ValueId::new(1)]);
        c.check(&[value, of_input]);
    }
}

#[test]
fn convolutions_of_all_kinds() {
    let plain = ConvAttributes { strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], groups: 1 };
    for (seed, channels, out, kernel, attributes) in [
        (1, 3, 5, [3, 3], plain),
        (2, 4, 18, [3, 3], ConvAttributes { strides: [2, 2], ..plain }),
        (3, 4, 6, [2, 3], ConvAttributes { dilations: [2, 2], pads: [0, 1, 2, 0], ..plain }),
        (4, 4, 6, [3, 3], ConvAttributes { groups: 2, ..plain }),
        (5, 4, 4, [3, 1], ConvAttributes { groups: 4, strides: [1, 2], pads: [0, 0, 0, 0], ..plain }),
        (6, 17, 3, [1, 1], ConvAttributes { strides: [2, 1], pads: [0, 0, 0, 0], ..plain }),
    ] {
        let mut c = Case::new(seed, &[2, channels, 6, 5]);
        let weight = c.constant(&[out, channels / attributes.groups, kernel[0], kernel[1]]);
        let value = c.push(Op::Linear(vec![LinearStep::Conv { weight, attributes }]), &[c.first]);
        let bias = c.constant(&[1, out, 1, 1]);
        let shifted = c.push(Op::AddConstant(bias), &[value]);
        let square = c.push(Op::Square, &[shifted]);
        // One whose result is read before its bias.
        let value = c.push(Op::Linear(vec![LinearStep::Conv { weight, attributes }]), &[c.second]);
        let shifted = c.push(Op::AddConstant(bias), &[value]);
        let product = c.push(Op::Mul, &[shifted, value]);
        c.check(&[square, product]);
    }
}

#[test]
fn chains_of_movements_means_and_pools() {
    let window = Window { kernel: [3, 2], strides: [2, 1], pads: [1, 0, 1, 1], count_include_pad: false };
    let chains = vec![
        vec![LinearStep::AveragePool(window), LinearStep::Mean { axes: vec![2, 3] }],
        vec![LinearStep::AveragePool(Window { count_include_pad: true, ..window })],
        vec![LinearStep::Reshape { shape: Shape::new([6, 20]) }, LinearStep::Mean { axes: vec![0] }],
        vec![
            LinearStep::Transpose { permutation: vec![2, 0, 3, 1] },
            LinearStep::Slice { starts: vec![4, 0, 0, 1], steps: vec![-2, 1, 1, 1], extents: vec![2, 2, 4, 2] },
            LinearStep::Pad { before: vec![0, 1, 0, 0], after: vec![1, 0, 0, 2] },
        ],
        vec![LinearStep::Mean { axes: vec![1] }, LinearStep::Expand { shape: Shape::new([2, 3, 5, 4]) }],
        vec![LinearStep::Reshape { shape: Shape::new([2, 3, 5, 4]) }],
    ];
    for (seed, chain) in chains.into_iter().enumerate() {
        let mut c = Case::new(seed as u64, &[2, 3, 5, 4]);
        let value = c.push(Op::Linear(chain), &[c.first]);
        let square = c.push(Op::Square, &[value]);
        c.check(&[square]);
    }
}

#[test]
fn functions_and_maxima() {
    let mut c = Case::new(9, &[1, 3, 6, 5]);
    let relu = c.push(Op::Activation(Function::Relu), &[c.first]);
    let gelu = c.push(Op::Activation(Function::Gelu), &[relu]);
    let window = Window { kernel: [3, 2], strides: [2, 2], pads: [1, 0, 1, 1], count_include_pad: false };
    let maximum = c.push(Op::MaxPool(window), &[gelu]);
    c.check(&[maximum]);
}

#[test]
fn what_cannot_be_trained_is_named() {
    let mut c = Case::new(1, &[2, 4, 4]);
    c.push(Op::BatchMatMul, &[c.first, c.second]);
    let error = Program::compile(&c.graph).unwrap_err().to_string();
    assert!(error.contains("layer layer") && error.contains("cannot be trained"), "{error}");
}
