//! A packed circuit computes what its graph computes, whatever the shapes, the number of slots and the layouts.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use common::{Network, Random, average_pool, check, depth, plain_conv, run};
use hec_ir::Slots;
use hec_ir::tensor::{ConvAttributes, Function, LinearStep, Op, Shape, ValueId, Window};
use hec_pack::{PackError, PackOptions, pack};
use hec_poly::Basis;

/// Few slots make tensors of several ciphertexts.
const SLOTS: [usize; 4] = [64, 256, 1024, 4096];

fn check_all(net: Network) {
    for (seed, slots) in SLOTS.into_iter().enumerate() {
        check(&net.graph, slots, seed as u64);
    }
}

#[test]
fn convolutions_of_every_form() {
    let forms = [
        plain_conv(),
        ConvAttributes { pads: [1, 1, 1, 1], ..plain_conv() },
        ConvAttributes { strides: [2, 2], pads: [0, 1, 1, 0], ..plain_conv() },
        ConvAttributes { strides: [2, 1], pads: [2, 2, 2, 2], dilations: [2, 2], groups: 1 },
        ConvAttributes { groups: 2, pads: [1, 0, 0, 1], ..plain_conv() },
        ConvAttributes { groups: 4, strides: [3, 3], ..plain_conv() },
    ];
    for attributes in forms {
        let mut net = Network::new("conv", 1);
        let x = net.input(&[2, 4, 9, 10]);
        let step = net.conv(4, 4 / attributes.groups, 3, attributes);
        let y = net.linear(&[step], x);
        net.output(y);
        check_all(net);
    }
}

#[test]
fn pools_and_means() {
    for step in [
        average_pool(2, 2, 0, false),
        average_pool(3, 2, 1, false),
        average_pool(3, 1, 1, true),
        LinearStep::Mean { axes: vec![2, 3] },
        LinearStep::Mean { axes: vec![1] },
    ] {
        let mut net = Network::new("pool", 2);
        let x = net.input(&[1, 3, 10, 8]);
        let y = net.linear(&[step], x);
        net.output(y);
        check_all(net);
    }
}

#[test]
fn movements_and_boxes() {
    let mut net = Network::new("movement", 3);
    let x = net.input(&[2, 3, 4, 6]);
    let transposed = net.linear(&[LinearStep::Transpose { permutation: vec![2, 0, 3, 1] }], x);
    let squared = net.push(Op::Square, &[transposed]);
    let part = LinearStep::Slice { starts: vec![3, 0, 5, 1], steps: vec![-1, 1, -2, 1], extents: vec![4, 1, 3, 2] };
    let part = net.linear(&[part], squared);
    // Concatenation is a sum of padded parts.
    let left = net.linear(&[LinearStep::Pad { before: vec![0; 4], after: vec![0, 2, 0, 0] }], part);
    let right = net.linear(&[LinearStep::Pad { before: vec![0, 2, 0, 0], after: vec![0; 4] }], part);
    let sum = net.push(Op::Sub, &[left, right]);
    let factor = net.random.tensor(&[3, 1, 2], 1.0);
    let factor = net.graph.constants.add("factor", factor);
    let scaled = net.linear(&[LinearStep::Scale { factor }, LinearStep::Reshape { shape: Shape::new([72]) }], sum);
    net.output(scaled);
    net.output(squared);
    check_all(net);
}

#[test]
fn expansion_and_products_of_two_values() {
    let mut net = Network::new("attention", 4);
    let x = net.input(&[1, 5, 6]);
    let (wq, wk) = (net.matmul(6, 7), net.matmul(6, 7));
    let (q, k) = (net.linear(&[wq], x), net.linear(&[wk], x));
    let product = net.push(Op::Mul, &[q, k]);
    let mean =
        net.linear(&[LinearStep::Mean { axes: vec![2] }, LinearStep::Expand { shape: Shape::new([1, 5, 7]) }], product);
    let y = net.push(Op::Mul, &[mean, q]);
    let y = net.push(Op::Power(5), &[y]);
    let y = net.push(Op::Negate, &[y]);
    net.output(y);
    check_all(net);
}

/// The mean of a whole row, back along the row, is one diagonal and a sum by rotations, also where the extent is no power of
/// two and for several rows at once.
#[test]
fn means_along_the_outermost_axis_are_one_diagonal() {
    for (shape, slots) in [(&[1, 96][..], 256), (&[1, 384], 8192), (&[1, 8, 24], 1024)] {
        let mut net = Network::new("mean", 31);
        let x = net.input(shape);
        let squared = net.push(Op::Square, &[x]);
        let steps = [
            LinearStep::Mean { axes: vec![shape.len() - 1] },
            LinearStep::Expand { shape: Shape::new(shape.to_vec()) },
        ];
        let mean = net.linear(&steps, squared);
        let y = net.push(Op::Mul, &[mean, squared]);
        net.output(y);
        let circuit = check(&net.graph, slots, 32);
        let diagonals: usize = circuit.maps.values().map(|m| m.diagonals.len()).sum();
        assert_eq!(diagonals, 1, "{shape:?} at {slots} slots");
    }
}

/// Products of encrypted matrices: square and not, with and without batch axes, of inputs, projections and squares.
#[test]
fn products_of_matrices() {
    for (batch, m, k, n) in [
        (&[][..], 4, 4, 4),
        (&[1, 2], 5, 3, 7),
        (&[3], 1, 8, 2),
        (&[2, 2], 3, 16, 1),
        (&[1], 8, 6, 8),
        (&[2], 16, 12, 15),
    ] {
        let mut net = Network::new("product", 30);
        let (a, b) = (net.input(&[batch, &[m, k]].concat()), net.input(&[batch, &[k, n]].concat()));
        let y = net.push(Op::BatchMatMul, &[a, b]);
        net.output(y);
        let squared = net.push(Op::Square, &[b]);
        let z = net.push(Op::BatchMatMul, &[a, squared]);
        let z = net.push(Op::Mul, &[z, y]);
        net.output(z);
        check_all(net);
    }
}

/// Attention with a polynomial in the place of the softmax: two levels for Q·Kᵀ from the tokens, and what a shift of the
/// keys, a sum over keys and the division after the product with the values take.
#[test]
fn attention() {
    for (tokens, heads, width) in [(4, 2, 4), (6, 1, 8), (8, 2, 4)] {
        let mut net = Network::new("attention", 31);
        let hidden = heads * width;
        let x = net.input(&[1, tokens, hidden]);
        let split = LinearStep::Reshape { shape: Shape::new([1, tokens, heads, width]) };
        let project = |net: &mut Network, permutation: &[usize], dims: &[usize]| {
            let w = net.matmul(hidden, hidden);
            let turned = LinearStep::Transpose { permutation: permutation.to_vec() };
            let y = net.linear(&[w, split.clone(), turned], x);
            net.add_constant(dims, y)
        };
        let q = project(&mut net, &[0, 2, 1, 3], &[1, heads, 1, width]);
        let k = project(&mut net, &[0, 2, 3, 1], &[1, heads, width, 1]);
        let v = project(&mut net, &[0, 2, 1, 3], &[1, heads, 1, width]);
        let scores = net.push(Op::BatchMatMul, &[q, k]);
        let scores = net.add_constant(&[1, heads, tokens, 1], scores);
        let e = net.push(Op::Square, &[scores]);
        let mean = LinearStep::Mean { axes: vec![3] };
        let sum = net.linear(&[mean, LinearStep::Expand { shape: Shape::new([1, heads, tokens, width]) }], e);
        let sum = net.polynomial(Basis::Monomial, &[1, heads, tokens, 1], 2, sum);
        let y = net.push(Op::BatchMatMul, &[e, v]);
        let y = net.push(Op::Mul, &[y, sum]);
        let back = LinearStep::Transpose { permutation: vec![0, 2, 1, 3] };
        let w = net.matmul(hidden, hidden);
        let y = net.linear(&[back, LinearStep::Reshape { shape: Shape::new([1, tokens, hidden]) }, w], y);
        let y = net.push(Op::Add, &[y, x]);
        net.output(y);
        check_all(net);
    }
}

#[test]
fn residual_blocks() {
    let same = ConvAttributes { pads: [1; 4], ..plain_conv() };
    let mut net = Network::new("residual", 5);
    let x = net.input(&[1, 3, 8, 8]);
    let stem = net.conv(4, 3, 3, same);
    let mut h = net.linear(&[stem], x);
    for (channels, stride) in [(4, 1), (8, 2), (8, 1)] {
        let before = net.graph.shape(h).dims()[1];
        let first = ConvAttributes { strides: [stride; 2], ..same };
        let (a, b) = (net.conv(channels, before, 3, first), net.conv(channels, channels, 3, same));
        let mut y = net.linear(&[a], h);
        y = net.add_constant(&[channels, 1, 1], y);
        y = net.polynomial(Basis::Monomial, &[1, channels, 1, 1], 2, y);
        y = net.linear(&[b], y);
        let shortcut = if stride == 1 {
            h
        } else {
            let step = net.conv(channels, before, 1, ConvAttributes { strides: [stride; 2], ..plain_conv() });
            net.linear(&[step], h)
        };
        h = net.push(Op::Add, &[y, shortcut]);
        h = net.push(Op::Square, &[h]);
    }
    let w = net.matmul(8, 5);
    let y =
        net.linear(&[LinearStep::Mean { axes: vec![2, 3] }, LinearStep::Reshape { shape: Shape::new([1, 8]) }, w], h);
    net.output(y);
    check_all(net);
}

/// ⌈log2(d+1)⌉ levels, for coefficients that are shared, by channel or by element.
#[test]
fn polynomials_have_optimal_depth() {
    for degree in 1..=31 {
        for (basis, lead) in
            [(Basis::Monomial, [1, 1, 1, 1]), (Basis::Chebyshev, [1, 3, 1, 1]), (Basis::Chebyshev, [1, 3, 2, 4])]
        {
            let mut net = Network::new("polynomial", degree as u64);
            let x = net.input(&[1, 3, 2, 4]);
            let y = net.polynomial(basis, &lead, degree, x);
            net.output(y);
            let circuit = check(&net.graph, 64, 6);
            assert_eq!(depth(&circuit), (degree as f64 + 1.0).log2().ceil() as u32, "degree {degree}");
        }
    }
}

#[test]
fn constants_and_zero_polynomials_are_polynomials() {
    let mut net = Network::new("constant", 7);
    let x = net.input(&[2, 2]);
    let coefficients =
        hec_ir::tensor::Tensor { shape: Shape::new([1, 2, 3]), data: vec![0.5, 0.0, 0.0, 0.0, 0.0, 0.0] };
    let coefficients = net.graph.constants.add("c", coefficients);
    let y = net.push(Op::Polynomial { basis: Basis::Chebyshev, coefficients }, &[x]);
    net.output(y);
    net.output(x);
    check(&net.graph, 16, 8);
}

/// Copies of a repeated input share the work of a narrow map: fewer diagonals than rows.
#[test]
fn narrow_maps_use_every_copy() {
    for (inputs, outputs, slots) in [(50, 16, 1024), (100, 10, 4096), (784, 100, 8192), (33, 31, 2048)] {
        let mut net = Network::new("narrow", 19);
        let x = net.input(&[1, inputs]);
        let (first, second) = (net.matmul(inputs, outputs), net.matmul(outputs, 3));
        let h = net.linear(&[first], x);
        let h = net.add_constant(&[1, outputs], h);
        let h = net.push(Op::Square, &[h]);
        let y = net.linear(&[second], h);
        net.output(y);
        let circuit = check(&net.graph, slots, 20);
        let diagonals = circuit.maps.values().next().unwrap().diagonals.len();
        assert!(diagonals < outputs, "{inputs} to {outputs} at {slots} slots: {diagonals} diagonals");
    }
}

/// Random chains of layers: any layout meets any other.
#[test]
fn random_networks() {
    for seed in 0..60 {
        let mut net = Network::new(&format!("random {seed}"), 1000 + seed);
        let (channels, height, width) =
            (net.random.between(1, 4), net.random.between(4, 11), net.random.between(4, 11));
        let mut h = net.input(&[1, channels, height, width]);
        for _ in 0..net.random.between(1, 4) {
            h = random_layer(&mut net, h);
        }
        net.output(h);
        let slots = 1 << net.random.between(5, 11);
        check(&net.graph, slots, seed);
    }
}

fn random_layer(net: &mut Network, x: ValueId) -> ValueId {
    let dims = net.graph.shape(x).dims().to_vec();
    let elements: usize = dims.iter().product();
    if dims.len() == 2 || net.random.between(0, 5) == 0 {
        let outputs = net.random.between(1, 40);
        let w = net.matmul(elements, outputs);
        let y = net.linear(&[LinearStep::Reshape { shape: Shape::new([1, elements]) }, w], x);
        let y = net.add_constant(&[outputs], y);
        return net.push(Op::Square, &[y]);
    }
    let (stride, degree) = (net.random.between(1, 3), net.random.between(1, 5));
    match net.random.between(0, 4) {
        0 if dims[2] > 1 && dims[3] > 1 => net.linear(&[average_pool(2, stride.min(2), 0, false)], x),
        1 => net.polynomial(Basis::Chebyshev, &[1, dims[1], 1, 1], degree, x),
        2 => net.linear(&[LinearStep::Transpose { permutation: vec![0, 1, 3, 2] }], x),
        _ => {
            let attributes = ConvAttributes { strides: [stride; 2], pads: [1; 4], ..plain_conv() };
            let (channels, kernel) = (net.random.between(1, 9), net.random.between(1, 3));
            let step = net.conv(channels, dims[1], kernel, attributes);
            let y = net.linear(&[step], x);
            net.add_constant(&[channels, 1, 1], y)
        }
    }
}

/// Partial sums of a rotate-and-add would tell the client about the weights.
#[test]
fn outputs_hold_only_complete_sums() {
    for (inputs, outputs) in [(100, 10), (64, 3), (300, 40)] {
        let mut net = Network::new("leak", 9);
        let x = net.input(&[1, inputs]);
        let w = net.matmul(inputs, outputs);
        let y = net.linear(&[w], x);
        net.output(y);
        for slots in SLOTS {
            let circuit = check(&net.graph, slots, 10);
            let x = Random(11).tensor(&[1, inputs], 1.0);
            let packed = circuit.inputs[0].layout.pack(&x.data);
            let complete = net.graph.run(&[x]).unwrap().remove(0).data;
            for slot in run(&circuit, &[packed]).remove(0).concat() {
                let known = slot == 0.0 || complete.iter().any(|c| (c - slot).abs() < 1e-9);
                assert!(known, "{inputs} to {outputs} at {slots} slots: a slot holds {slot}");
            }
        }
    }
}

/// The same of products of matrices: where no element is, there is nothing, or the constant that is added everywhere.
#[test]
fn products_show_nothing_but_their_elements() {
    for (m, k, n) in [(3, 5, 3), (5, 3, 6), (7, 7, 7)] {
        let mut net = Network::new("leak", 21);
        let (a, b) = (net.input(&[m, k]), net.input(&[k, n]));
        let (v, w) = (net.matmul(k, k), net.matmul(n, n));
        let (a, b) = (net.linear(&[v], a), net.linear(&[w], b));
        let y = net.push(Op::BatchMatMul, &[a, b]);
        let y = net.add_constant(&[m, 1], y);
        net.output(y);
        for slots in SLOTS {
            let circuit = check(&net.graph, slots, 22);
            let mut random = Random(23);
            let inputs = [random.tensor(&[m, k], 1.0), random.tensor(&[k, n], 1.0)];
            let packed: Vec<_> = circuit.inputs.iter().zip(&inputs).map(|(i, x)| i.layout.pack(&x.data)).collect();
            let complete = net.graph.run(&inputs).unwrap().remove(0).data;
            for slot in run(&circuit, &packed).remove(0).concat() {
                let known = slot == 0.0 || complete.iter().any(|c| (c - slot).abs() < 1e-9);
                assert!(known, "{m} {k} {n} at {slots} slots: a slot holds {slot}");
            }
        }
    }
}

#[test]
fn every_node_names_its_layer() {
    let mut net = Network::new("origin", 12);
    let x = net.input(&[1, 4, 4, 4]);
    let flat = net.linear(&[LinearStep::Reshape { shape: Shape::new([1, 64]) }], x);
    let w = net.matmul(64, 8);
    let y = net.linear(&[w], flat);
    net.output(y);
    let circuit = check(&net.graph, 128, 13);
    assert!(circuit.nodes.values().all(|n| !n.origin.nodes.is_empty()));
    let linear = circuit.nodes.values().find(|n| n.op.name() == "linear").unwrap();
    assert_eq!(linear.origin.nodes, ["matmul_2", "reshape_1"]);
}

#[test]
fn what_cannot_be_packed_is_refused_by_layer() {
    let options = PackOptions::new(Slots(64));
    let mut net = Network::new("relu", 14);
    let x = net.input(&[1, 1, 4, 4]);
    let y = net.push(Op::Activation(Function::Relu), &[x]);
    net.output(y);
    let error = pack(&net.graph, &options).unwrap_err();
    assert_eq!(error, PackError::Activation { layer: "relu_1".into(), function: "relu" });

    let mut net = Network::new("pool", 15);
    let x = net.input(&[1, 1, 4, 4]);
    let window = Window { kernel: [2; 2], strides: [2; 2], pads: [0; 4], count_include_pad: false };
    let y = net.push(Op::MaxPool(window), &[x]);
    net.output(y);
    assert!(matches!(pack(&net.graph, &options), Err(PackError::Activation { function: "max_pool", .. })));

    let mut net = Network::new("large", 16);
    let x = net.input(&[1, 1 << 20]);
    net.output(x);
    assert!(matches!(pack(&net.graph, &options), Err(PackError::TooLarge { .. })));

    let mut net = Network::new("beyond any number", 17);
    let x = net.input(&[usize::MAX, 3]);
    net.output(x);
    let error = pack(&net.graph, &options).unwrap_err();
    assert!(matches!(&error, PackError::TooLarge { layer, .. } if layer == "x0"), "{error}");

    assert_eq!(pack(&net.graph, &PackOptions::new(Slots(100))), Err(PackError::Slots(100)));
    assert_eq!(pack(&net.graph, &PackOptions::new(Slots(0))), Err(PackError::Slots(0)));
}

#[test]
fn the_same_graph_gives_the_same_circuit() {
    let mut net = Network::new("same", 17);
    let x = net.input(&[1, 2, 8, 8]);
    let h = random_layer(&mut net, x);
    let h = random_layer(&mut net, h);
    net.output(h);
    assert_eq!(check(&net.graph, 256, 18), check(&net.graph, 256, 18));
}
