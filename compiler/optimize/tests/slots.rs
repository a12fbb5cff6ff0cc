//! Rewriting of slot circuits against the meaning of the circuit, on random circuits.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use hec_ir::circuit::{Circuit, Op, Output, ValueId};
use hec_ir::entity::Entity;
use hec_ir::tensor::Shape;
use hec_ir::{Layout, Origin, Plain, Rotation, SlotMap, Slots};
use hec_optimize::rewrite_slots;
use std::collections::BTreeMap;
use std::sync::Arc;

const SLOTS: Slots = Slots(8);

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn vector(&mut self) -> Vec<f64> {
        (0..SLOTS.0).map(|_| (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0).collect()
    }

    fn plain(&mut self) -> Plain {
        match self.below(4) {
            0 => Plain::Scalar([0.0, 1.0, -0.5][self.below(3)]),
            _ => Plain::Slots(vec![Arc::new(self.vector())]),
        }
    }

    fn map(&mut self, name: String) -> SlotMap {
        let plain_rotation = self.below(4) == 0;
        let count = if plain_rotation { 1 } else { 1 + self.below(3) };
        let diagonal = |random: &mut Random| {
            let values = if plain_rotation { vec![1.0; SLOTS.0] } else { random.vector() };
            ((0, 0, Rotation(random.below(SLOTS.0) as u32)), Arc::new(values))
        };
        let diagonals: BTreeMap<_, _> = (0..count).map(|_| diagonal(self)).collect();
        SlotMap { name, slots: SLOTS, outputs: 1, inputs: 1, diagonals }
    }
}

/// A circuit of so many random operations on one ciphertext, whose last values are its outputs.
fn circuit(seed: u64, operations: usize) -> Circuit {
    let mut random = Random(seed);
    let mut circuit = Circuit::new("net", SLOTS);
    let layout = Layout::row_major(Shape::new([SLOTS.0]), SLOTS);
    circuit.input("x", layout.clone(), Origin::node("x"));
    for number in 0..operations {
        // Most operations go on from the last value, so that there are chains.
        let count = circuit.nodes.len();
        let some =
            |random: &mut Random| ValueId::new(if random.below(3) > 0 { count - 1 } else { random.below(count) });
        let (x, y) = (some(&mut random), some(&mut random));
        let op = match random.below(9) {
            0 | 1 => Op::Rotate(Rotation([0, 1, 3][random.below(3)])),
            2 => Op::Linear(circuit.maps.push(random.map(format!("m{number}")))),
            3 => Op::MulPlain(circuit.plains.push(random.plain())),
            4 => Op::AddPlain(circuit.plains.push(random.plain())),
            5 => Op::Add,
            6 => Op::Sub,
            7 => Op::Negate,
            _ => [Op::Mul, Op::Square][random.below(2)],
        };
        let args = if op.arity() == 2 { vec![x, y] } else { vec![x] };
        circuit.push(op, args, Origin::node(format!("n{number}"))).unwrap();
    }
    for (name, back) in [("y", 1), ("z", 2)] {
        let value = ValueId::new(circuit.nodes.len() - back);
        circuit.outputs.push(Output { name: name.to_owned(), value, layout: layout.clone(), client: Vec::new() });
    }
    circuit
}

/// What the outputs are for an input.
fn run(circuit: &Circuit, input: &[f64]) -> Vec<Vec<f64>> {
    let mut values: Vec<Vec<f64>> = Vec::new();
    for node in circuit.nodes.values() {
        let x = |i: usize| &values[node.args[i].index()];
        let zip = |f: fn(f64, f64) -> f64| x(0).iter().zip(x(1)).map(|(a, b)| f(*a, *b)).collect();
        let with = |p: &Plain, f: fn(f64, f64) -> f64| match p {
            Plain::Scalar(c) => x(0).iter().map(|a| f(*a, *c)).collect(),
            Plain::Slots(v) => x(0).iter().zip(v[0].iter()).map(|(a, b)| f(*a, *b)).collect(),
        };
        let value = match node.op {
            Op::Input(_) => input.to_vec(),
            Op::Linear(m) => circuit.maps[m].apply(std::slice::from_ref(x(0))).remove(0),
            Op::AddPlain(p) => with(&circuit.plains[p], |a, b| a + b),
            Op::MulPlain(p) => with(&circuit.plains[p], |a, b| a * b),
            Op::Add => zip(|a, b| a + b),
            Op::Sub => zip(|a, b| a - b),
            Op::Mul => zip(|a, b| a * b),
            Op::Negate => x(0).iter().map(|a| -a).collect(),
            Op::Square => x(0).iter().map(|a| a * a).collect(),
            Op::Rotate(r) => [&x(0)[r.0 as usize..], &x(0)[..r.0 as usize]].concat(),
        };
        values.push(value);
    }
    circuit.outputs.iter().map(|o| values[o.value.index()].clone()).collect()
}

/// Levels from the inputs to the outputs.
fn depth(circuit: &Circuit) -> u32 {
    let mut levels: Vec<u32> = Vec::new();
    for node in circuit.nodes.values() {
        let deepest = node.args.iter().map(|a| levels[a.index()]).max().unwrap_or(0);
        levels.push(deepest + node.op.depth());
    }
    circuit.outputs.iter().map(|o| levels[o.value.index()]).max().unwrap_or(0)
}

fn count(circuit: &Circuit, which: fn(Op) -> bool) -> usize {
    circuit.nodes.values().filter(|n| which(n.op)).count()
}

#[test]
fn random_circuits_stay_the_same_function_and_never_get_deeper_or_larger() {
    let (mut before, mut after) = (0, 0);
    let mut fired = BTreeMap::new();
    for seed in 0..1000 {
        let circuit = circuit(seed, 14);
        let rewritten = rewrite_slots(&circuit).unwrap();
        let input = Random(seed + 1000).vector();
        for (a, b) in run(&circuit, &input).iter().flatten().zip(run(&rewritten.circuit, &input).iter().flatten()) {
            assert!((a - b).abs() <= 1e-9 * a.abs().max(1.0), "{seed}: {a} is not {b}");
        }
        assert!(depth(&rewritten.circuit) <= depth(&circuit), "{seed}");
        let rotations = |c: &Circuit| count(c, |op| matches!(op, Op::Rotate(_)));
        assert!(rewritten.circuit.nodes.len() <= circuit.nodes.len(), "{seed}");
        before += rotations(&circuit);
        after += rotations(&rewritten.circuit);
        // Nothing is left to do.
        assert_eq!(rewrite_slots(&rewritten.circuit).unwrap().circuit, rewritten.circuit, "{seed}");
        rewritten.fired.into_iter().for_each(|(rule, times)| *fired.entry(rule).or_insert(0) += times);
    }
    assert!(2 * after < before, "{after} of {before} rotations are left");
    assert_eq!(fired.len(), 19, "each rule is used: {fired:#?}");
}
