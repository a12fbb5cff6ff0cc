//! What known networks take: diagonals, rotations, depth. A change of these numbers is a change of speed.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use common::{Network, average_pool, check, check_with, counts, depth, plain_conv};
use hec_ir::circuit::Op as SlotOp;
use hec_ir::tensor::{ConvAttributes, Graph, LinearStep, Op, Shape};
use hec_ir::{Batch, Slots};
use hec_pack::PackOptions;
use hec_poly::{Basis, EvaluationTree, Parity};
use std::collections::BTreeSet;

fn flatten(n: usize) -> LinearStep {
    LinearStep::Reshape { shape: Shape::new([1, n]) }
}

/// 784-100-10 with a square between.
fn mlp() -> Graph {
    let mut net = Network::new("mlp", 1);
    let x = net.input(&[1, 1, 28, 28]);
    let w1 = net.matmul(784, 100);
    let mut h = net.linear(&[flatten(784), w1], x);
    h = net.add_constant(&[1, 100], h);
    h = net.push(Op::Square, &[h]);
    let w2 = net.matmul(100, 10);
    let y = net.linear(&[w2], h);
    let y = net.add_constant(&[10], y);
    net.output(y);
    net.graph
}

/// Two convolutions, two average pools fused into what follows, two dense layers.
fn lenet() -> Graph {
    let mut net = Network::new("lenet", 2);
    let x = net.input(&[1, 1, 28, 28]);
    let c1 = net.conv(8, 1, 5, plain_conv());
    let mut h = net.linear(&[c1], x);
    h = net.add_constant(&[8, 1, 1], h);
    h = net.push(Op::Square, &[h]);
    let c2 = net.conv(16, 8, 3, plain_conv());
    h = net.linear(&[average_pool(2, 2, 0, false), c2], h);
    h = net.add_constant(&[16, 1, 1], h);
    h = net.push(Op::Square, &[h]);
    let w1 = net.matmul(400, 64);
    h = net.linear(&[average_pool(2, 2, 0, false), flatten(400), w1], h);
    h = net.add_constant(&[1, 64], h);
    h = net.push(Op::Square, &[h]);
    let w2 = net.matmul(64, 10);
    let y = net.linear(&[w2], h);
    let y = net.add_constant(&[1, 10], y);
    net.output(y);
    net.graph
}

/// Each of 64 inputs has few slots and many ciphertexts, whose diagonals are numbers where nothing needs zeros.
#[test]
fn mlp_and_lenet_for_64_inputs() {
    let mut found = Vec::new();
    for (graph, slots) in [(mlp(), 64), (lenet(), 256)] {
        let ring = hec_pack::assumed_ring(Slots(64 * slots));
        let options = PackOptions { batch: Batch(64), ring, ..PackOptions::new(Slots(slots)) };
        let circuit = check_with(&graph, &options, 3);
        let numbers: Vec<usize> = circuit.maps.values().map(|map| map.numbers()).collect();
        found.push(format!("{} at {slots}: {}, numbers {numbers:?}", graph.name, counts(&circuit)));
    }
    let expected = [
        "mlp at 64: diagonals 1651+32, ciphertexts 13to2 2to1, rotations 2, products 1, depth 3, numbers [2, 0]",
        "lenet at 256: diagonals 800+4608+1024+16, ciphertexts 4to32 32to16 16to1 1to1, rotations 4, products 3, depth 7, \
         numbers [800, 4608, 0, 0]",
    ];
    assert_eq!(found, expected);
}

#[test]
fn mlp_and_lenet() {
    let mut found = Vec::new();
    for (graph, slots) in [(mlp(), 4096), (mlp(), 8192), (lenet(), 4096), (lenet(), 8192)] {
        let circuit = check(&graph, slots, 3);
        assert_eq!(hec_pack::least_depth(&graph).0, depth(&circuit), "it is exact without polynomials");
        found.push(format!("{} at {slots}: {}", graph.name, counts(&circuit)));
    }
    let expected = [
        "mlp at 4096: diagonals 32+16, ciphertexts 1to1 1to1, rotations 13, products 1, depth 3",
        "mlp at 8192: diagonals 16+16, ciphertexts 1to1 1to1, rotations 15, products 1, depth 3",
        "lenet at 4096: diagonals 72+288+64+16, ciphertexts 1to2 2to1 1to1 1to1, rotations 8, products 3, depth 7",
        "lenet at 8192: diagonals 36+144+32+16, ciphertexts 1to1 1to1 1to1 1to1, rotations 17, products 3, depth 7",
    ];
    assert_eq!(found, expected);
}

/// A stem and two residual blocks of a ResNet for 32×32 images; the second one halves the image.
#[test]
fn residual_network() {
    let same = ConvAttributes { pads: [1; 4], ..plain_conv() };
    let halving = ConvAttributes { strides: [2; 2], ..same };
    let mut net = Network::new("resnet", 4);
    let x = net.input(&[1, 3, 32, 32]);
    let stem = net.conv(16, 3, 3, same);
    let h = net.linear(&[stem], x);
    let h = net.push(Op::Square, &[h]);
    let (a, b) = (net.conv(16, 16, 3, same), net.conv(16, 16, 3, same));
    let y = net.linear(&[a], h);
    let y = net.push(Op::Square, &[y]);
    let y = net.linear(&[b], y);
    let h = net.push(Op::Add, &[y, h]);
    let (a, b) = (net.conv(32, 16, 3, halving), net.conv(32, 32, 3, same));
    let shortcut = net.conv(32, 16, 1, ConvAttributes { strides: [2; 2], ..plain_conv() });
    let y = net.linear(&[a], h);
    let y = net.push(Op::Square, &[y]);
    let y = net.linear(&[b], y);
    let shortcut = net.linear(&[shortcut], h);
    let h = net.push(Op::Add, &[y, shortcut]);
    net.output(h);
    let circuit = check(&net.graph, 16384, 5);
    let expected =
        "diagonals 36+144+144+128+336+32, ciphertexts 1to1 1to1 1to1 1to1 1to1 1to1, rotations 1, products 3, depth 8";
    assert_eq!(counts(&circuit), expected);
}

/// Where a value repeats four times, the copies of inner values are turned: every second map takes a quarter.
#[test]
fn residual_blocks_turn_their_copies() {
    let same = ConvAttributes { pads: [1; 4], ..plain_conv() };
    let mut net = Network::new("blocks", 8);
    let x = net.input(&[1, 8, 16, 16]);
    let stem = net.conv(8, 8, 3, same);
    let mut h = net.linear(&[stem], x);
    h = net.push(Op::Square, &[h]);
    for _ in 0..2 {
        let (a, b) = (net.conv(8, 8, 3, same), net.conv(8, 8, 3, same));
        let y = net.linear(&[a], h);
        let y = net.push(Op::Square, &[y]);
        let y = net.linear(&[b], y);
        h = net.push(Op::Add, &[y, h]);
        h = net.push(Op::Square, &[h]);
    }
    let w = net.matmul(2048, 10);
    let y = net.linear(&[flatten(2048), w], h);
    net.output(y);
    let circuit = check(&net.graph, 8192, 5);
    let expected =
        "diagonals 72+72+18+72+18+16, ciphertexts 1to1 1to1 1to1 1to1 1to1 1to1, rotations 11, products 5, depth 11";
    assert_eq!(counts(&circuit), expected);
}

/// Polynomials on one value compute each of its powers once: the products of all are those powers and the divisions.
#[test]
fn polynomials_on_one_value_share_its_powers() {
    let tree = |degree| EvaluationTree::new(Basis::Chebyshev, degree, Parity::General).unwrap();
    for degrees in [&[27, 27][..], &[13, 27], &[31, 59], &[119, 127], &[5, 15, 63]] {
        let mut net = Network::new("several", 6);
        let x = net.input(&[8]);
        for &degree in degrees {
            let y = net.polynomial(Basis::Chebyshev, &[1], degree, x);
            net.output(y);
        }
        let circuit = check(&net.graph, 16, 3);
        let products = circuit.nodes.values().filter(|n| matches!(n.op, SlotOp::Mul | SlotOp::Square)).count();
        let trees: Vec<EvaluationTree> = degrees.iter().map(|&degree| tree(degree)).collect();
        let powers: BTreeSet<usize> = trees.iter().flat_map(|t| t.powers().iter().map(|p| p.index)).collect();
        let divisions: usize = trees.iter().map(|t| t.products() - t.powers().len()).sum();
        assert_eq!(products, powers.len() + divisions, "degrees {degrees:?}");
        assert!(products < trees.iter().map(EvaluationTree::products).sum());
    }
}
