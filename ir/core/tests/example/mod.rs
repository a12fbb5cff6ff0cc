//! One small computation at three levels: y = B·((A·x)² + p) ⊙ q rotated by one, on 128 slots.
#![allow(dead_code, reason = "each test file uses its part")]

use hec_ir::circuit::{self, Circuit, MapId, Output, PlainId};
use hec_ir::entity::EntityVec;
use hec_ir::leveled::{self, Type};
use hec_ir::program::{self, BabyGiant, Instruction, KeySet, Program, Register};
use hec_ir::tensor::{Shape, Tensor};
use hec_ir::{Batch, Layout, Level, LogN, Origin, Parameters, ParametersLiteral, Plain, Rotation, SlotMap, Slots};
use hec_params::{ChainRequest, Depth};
use std::collections::BTreeMap;
use std::sync::Arc;

pub const LOG_N: LogN = LogN(8);
pub const SLOTS: Slots = Slots(128);
const WIDTH: usize = 8;

pub fn parameters() -> ParametersLiteral {
    let request = ChainRequest {
        log_n: LOG_N,
        depth: Depth(4),
        scale_bits: 36.0,
        base_bits: 44.0,
        digit_size: 2,
        insecure_toy: true,
    };
    ParametersLiteral::new(&request).unwrap()
}

/// Entry (i, j) of the matrix number `k`.
pub fn entry(k: usize, i: usize, j: usize) -> f64 {
    ((i * 7 + j * 3 + k * 5) % 11) as f64 / 11.0 - 0.4
}

pub fn addend(i: usize) -> f64 {
    0.1 * i as f64 - 0.3
}

pub fn factor(i: usize) -> f64 {
    1.0 - 0.1 * i as f64
}

/// The matrix as a map of slots that repeat every `WIDTH`.
fn map(k: usize) -> SlotMap {
    let diagonal = |r: usize| (0..SLOTS.0).map(|s| entry(k, s % WIDTH, (s + r) % WIDTH)).collect();
    let diagonals = (0..WIDTH).map(|r| ((0, 0, Rotation(r as u32)), Arc::new(diagonal(r)))).collect();
    SlotMap { name: format!("map{k}"), slots: SLOTS, outputs: 1, inputs: 1, diagonals }
}

fn plain(f: impl Fn(usize) -> f64) -> Plain {
    Plain::Slots(vec![Arc::new((0..SLOTS.0).map(|s| f(s % WIDTH)).collect())])
}

pub fn layout() -> Layout {
    Layout::row_major(Shape::new([WIDTH]), SLOTS).with_period(WIDTH as u32)
}

pub fn input() -> Tensor {
    let data = (0..WIDTH).map(|i| (i as f64 * 0.7).sin()).collect();
    Tensor::new(Shape::new([WIDTH]), data).unwrap()
}

/// The result by matrices and loops.
pub fn expected(x: &Tensor) -> Vec<f64> {
    let product = |k: usize, x: &[f64]| -> Vec<f64> {
        (0..WIDTH).map(|i| (0..WIDTH).map(|j| entry(k, i, j) * x[j]).sum()).collect()
    };
    let squares: Vec<f64> = product(0, &x.data).iter().enumerate().map(|(i, v)| v * v + addend(i)).collect();
    let scaled: Vec<f64> = product(1, &squares).iter().enumerate().map(|(i, v)| v * factor(i)).collect();
    (0..WIDTH).map(|i| scaled[(i + 1) % WIDTH]).collect()
}

fn output<V>(value: V) -> Output<V> {
    Output { name: "y".into(), value, layout: layout(), client: vec![] }
}

fn constants() -> (EntityVec<MapId, SlotMap>, EntityVec<PlainId, Plain>) {
    ([map(0), map(1)].into_iter().collect(), [plain(addend), plain(factor)].into_iter().collect())
}

pub fn circuit() -> Circuit {
    let mut c = Circuit::new("example", SLOTS);
    (c.maps, c.plains) = constants();
    let x = c.input("x", layout(), Origin::node("x"));
    let a = c.push(circuit::Op::Linear(MapId(0)), [x], Origin::node("first")).unwrap();
    let b = c.push(circuit::Op::Square, [a], Origin::node("square")).unwrap();
    let d = c.push(circuit::Op::AddPlain(PlainId(0)), [b], Origin::node("square")).unwrap();
    let e = c.push(circuit::Op::Linear(MapId(1)), [d], Origin::node("second")).unwrap();
    let f = c.push(circuit::Op::MulPlain(PlainId(1)), [e], Origin::node("second")).unwrap();
    let g = c.push(circuit::Op::Rotate(Rotation(1)), [f], Origin::node("turn")).unwrap();
    c.outputs.push(output(g));
    c.verify().unwrap();
    c
}

pub fn leveled() -> leveled::Circuit {
    let (maps, plains) = constants();
    let literal = parameters();
    let mut c = leveled::Circuit {
        name: "example".into(),
        parameters: literal,
        bootstrap: None,
        batch: Batch::ONE,
        inputs: circuit().inputs,
        nodes: EntityVec::new(),
        maps,
        plains,
        outputs: vec![],
    };
    let mut last = None;
    for (op, layer) in [
        (leveled::Op::Input(0), "x"),
        (leveled::Op::Linear(MapId(0)), "first"),
        (leveled::Op::Square, "square"),
        (leveled::Op::Relinearize, "square"),
        (leveled::Op::Rescale, "square"),
        (leveled::Op::AddPlain(PlainId(0)), "square"),
        (leveled::Op::Linear(MapId(1)), "second"),
        (leveled::Op::MulPlain(PlainId(1)), "second"),
        (leveled::Op::Rescale, "second"),
        (leveled::Op::Rotate(Rotation(1)), "turn"),
    ] {
        let args: Vec<leveled::ValueId> = last.into_iter().collect();
        let types: Vec<Type> = args.iter().map(|&a| c.nodes[a].ty).collect();
        let ty = op.infer(&types, 1, &c.scheme().unwrap()).unwrap();
        last = Some(c.nodes.push(leveled::Node { op, args, ty, origin: Origin::node(layer) }));
    }
    c.outputs.push(output(last.unwrap()));
    c.verify().unwrap();
    c
}

/// The leveled circuit as a program on one register, with merged rescales and shared decompositions.
pub fn program() -> Program {
    use program::Op;
    let c = leveled();
    let split = |r: u32| (Rotation(r), (Rotation(r / 4 * 4), Rotation(r % 4)));
    let plan = BabyGiant { split: (0..WIDTH as u32).map(split).collect::<BTreeMap<_, _>>() };
    let register = Register(0);
    let parameters = Parameters::check(c.parameters.clone()).unwrap();
    let mut p = Program {
        name: c.name,
        parameters: c.parameters,
        bootstrap: c.bootstrap,
        batch: c.batch,
        inputs: c.inputs,
        instructions: vec![],
        maps: c.maps,
        plans: [plan.clone(), plan].into_iter().collect(),
        plains: c.plains,
        outputs: vec![output(register)],
        keys: KeySet::default(),
    };
    for (op, level, layer) in [
        (Op::Load(0), 4, "x"),
        (Op::Decompose, 4, "first"),
        (Op::Linear(MapId(0)), 3, "first"),
        (Op::Square, 3, "square"),
        (Op::RelinearizeRescale, 2, "square"),
        (Op::AddPlain(PlainId(0)), 2, "square"),
        (Op::Linear(MapId(1)), 1, "second"),
        (Op::MulPlain(PlainId(1)), 1, "second"),
        (Op::Rescale, 0, "second"),
        (Op::Rotate(Rotation(1)), 0, "turn"),
    ] {
        let scale = parameters.scale(Level(level));
        let squared = matches!(op, Op::Square | Op::MulPlain(_));
        let scale = if squared { hec_ir::Scale(scale.0 * scale.0) } else { scale };
        let ty = Type { count: 1, level: Level(level), scale, parts: if op == Op::Square { 3 } else { 2 } };
        let args = if matches!(op, Op::Load(_)) { vec![] } else { vec![register] };
        p.instructions.push(Instruction { op, destination: register, args, ty, origin: Origin::node(layer) });
    }
    p.keys = p.required_keys();
    p.verify().unwrap();
    p
}
