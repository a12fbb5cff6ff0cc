//! Random networks of every level: printing and parsing gives them back, and damaged texts are refused without a panic.

use hec_ir::circuit::{self, Input, MapId, PlainId};
use hec_ir::entity::{Entity, EntityVec};
use hec_ir::leveled::Scheme;
use hec_ir::tensor::{
    ClientOp, ConvAttributes, Function, Graph, LinearStep, Normalization, Op, Output, Shape, Tensor, ValueId, Window,
};
use hec_ir::text::{AnyLevel, ExternalConstants, Print, parse};
use hec_ir::{
    Depth, Layout, Level, LogN, Origin, Parameters, ParametersLiteral, Plain, Rotation, SlotMap, Slots, leveled,
    program,
};
use hec_params::{BootstrapChoice, BootstrapParameters, ChainRequest, Order, Sine};
use hec_poly::Basis;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::RngSeed;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

/// Choices that a generator makes; they run out into zeros, so that shorter tapes make simpler networks.
struct Tape<'a> {
    words: std::slice::Iter<'a, u32>,
}

impl Tape<'_> {
    fn word(&mut self) -> u32 {
        self.words.next().copied().unwrap_or(0)
    }

    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        self.word() as usize % n
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    /// Any finite number, among them subnormal ones and −0.
    fn number(&mut self) -> f64 {
        let bits = u64::from(self.word()) << 32 | u64::from(self.word());
        match self.below(4) {
            0 => f64::from(self.word() as i32) / 1024.0,
            1 => [0.0, -0.0, 1.0, 1e16, f64::MIN_POSITIVE, f64::MAX][self.below(6)],
            _ => Some(f64::from_bits(bits)).filter(|v| v.is_finite()).unwrap_or(0.5),
        }
    }

    fn vector(&mut self, length: usize) -> Vec<f64> {
        (0..length).map(|_| self.number()).collect()
    }

    fn name(&mut self) -> String {
        let names = ["", "conv1.weight", "a:0", "/features/0", "x \"y\" \\ z", "две\nстроки", "# no comment", "c0"];
        format!("{}{}", names[self.below(names.len())], self.below(3))
    }

    fn origin(&mut self) -> Origin {
        let nodes = (0..self.below(3)).map(|_| self.name()).collect();
        let note = if self.one_in(3) { self.name() } else { String::new() };
        Origin { nodes, note }
    }

    fn shape(&mut self, rank: usize) -> Shape {
        Shape::new((0..rank).map(|_| 1 + self.below(4)).collect::<Vec<_>>())
    }

    fn client(&mut self, rank: usize) -> Vec<ClientOp> {
        if rank == 0 {
            vec![]
        } else {
            (0..self.below(3)).map(|_| ClientOp::Softmax { axis: self.below(rank) }).collect()
        }
    }

    fn layout(&mut self, slots: Slots) -> Layout {
        let rank = self.below(3);
        let mut layout = Layout::row_major(self.shape(rank), slots);
        let gap = 1 + self.below(2) as u32;
        for digit in &mut layout.digits {
            digit.stride *= gap;
        }
        if layout.span() <= slots.0 && self.one_in(2) { layout.with_period(slots.0 as u32) } else { layout }
    }
}

fn window(tape: &mut Tape) -> Window {
    let mut pair = || [1 + tape.below(2), 1 + tape.below(2)];
    let (kernel, strides) = (pair(), pair());
    let pads = if tape.one_in(2) { [tape.below(2), 0, 0, tape.below(2)] } else { [0; 4] };
    Window { kernel, strides, pads, count_include_pad: tape.one_in(2) }
}

fn constant(tape: &mut Tape, graph: &mut Graph, shape: Shape) -> hec_ir::tensor::ConstId {
    let data = tape.vector(shape.elements());
    graph.constants.add(&tape.name(), Tensor::new(shape, data).expect("as many numbers as elements"))
}

fn linear_step(tape: &mut Tape, graph: &mut Graph, shape: &Shape) -> LinearStep {
    let dims = shape.dims().to_vec();
    let rank = dims.len();
    match tape.below(10) {
        0 if rank == 4 => {
            let weight = Shape::new([1 + tape.below(3), dims[1], 1 + tape.below(2), 1 + tape.below(2)]);
            let attributes = ConvAttributes {
                strides: [1 + tape.below(2), 1],
                pads: [tape.below(2), 0, 1, 0],
                dilations: [1, 1 + tape.below(2)],
                groups: 1,
            };
            LinearStep::Conv { weight: constant(tape, graph, weight), attributes }
        }
        1 if rank > 0 => {
            let weight = Shape::new([dims[rank - 1], 1 + tape.below(5)]);
            LinearStep::MatMul { weight: constant(tape, graph, weight) }
        }
        2 => LinearStep::Scale { factor: constant(tape, graph, shape.clone()) },
        3 => LinearStep::AveragePool(window(tape)),
        4 => LinearStep::Mean { axes: (0..rank).filter(|_| tape.one_in(2)).collect() },
        5 => LinearStep::Reshape { shape: Shape::new([1, shape.elements()]) },
        6 => LinearStep::Transpose { permutation: (0..rank).rev().collect() },
        7 => {
            let extents: Vec<usize> = dims.iter().map(|&d| 1 + tape.below(d)).collect();
            match tape.one_in(2) {
                true => LinearStep::Slice { starts: vec![0; rank], steps: vec![1; rank], extents },
                false => {
                    LinearStep::Slice { starts: dims.iter().map(|d| d - 1).collect(), steps: vec![-1; rank], extents }
                }
            }
        }
        8 => LinearStep::Pad { before: vec![tape.below(2); rank], after: vec![1; rank] },
        _ => LinearStep::Expand { shape: Shape::new([&[2][..], &dims].concat()) },
    }
}

fn chain(tape: &mut Tape, graph: &mut Graph, mut shape: Shape) -> Op {
    let mut steps = Vec::new();
    for _ in 0..tape.below(4) {
        let step = linear_step(tape, graph, &shape);
        if let Ok(next) = step.output_shape(&shape, &graph.constants) {
            shape = next;
            steps.push(step);
        }
    }
    Op::Linear(steps)
}

fn function(tape: &mut Tape) -> Function {
    let all = Function::all();
    let name = all[tape.below(all.len())].name();
    let made: Result<_, Infallible> = Function::read(name, |_| Ok(tape.number()));
    made.expect("no parameter is refused").expect("the name is one of a function")
}

fn tensor_op(tape: &mut Tape, graph: &mut Graph, shape: &Shape) -> Op {
    match tape.below(15) {
        0..=3 => chain(tape, graph, shape.clone()),
        4 => Op::AddConstant(constant(tape, graph, shape.clone())),
        5 => Op::Power(2 + tape.below(5) as u32),
        6 => {
            let coefficients = Shape::new([vec![1; shape.rank()], vec![1 + tape.below(20)]].concat());
            let basis = if tape.one_in(2) { Basis::Chebyshev } else { Basis::Monomial };
            Op::Polynomial { basis, coefficients: constant(tape, graph, coefficients) }
        }
        7 => Op::Activation(function(tape)),
        8 => Op::MaxPool(window(tape)),
        9 => [Op::Negate, Op::Square][tape.below(2)].clone(),
        10 => Op::Softmax { axis: tape.below(4) },
        11 => Op::Normalize(Normalization {
            axes: (0..shape.rank()).filter(|_| tape.one_in(2)).collect(),
            center: tape.one_in(2),
            epsilon: f64::from(tape.below(9) as u32) * 1e-6,
        }),
        12 => {
            let table = Shape::new([1 + tape.below(4), 1 + tape.below(3)]);
            Op::Lookup { table: constant(tape, graph, table) }
        }
        _ => [Op::Add, Op::Sub, Op::Mul, Op::BatchMatMul][tape.below(4)].clone(),
    }
}

fn tensor(words: &[u32]) -> Graph {
    let tape = &mut Tape { words: words.iter() };
    let mut graph = Graph::new(tape.name());
    for _ in 0..1 + tape.below(2) {
        let rank = [4, 2, 0][tape.below(3)];
        let (name, shape) = (tape.name(), tape.shape(rank));
        graph.input(name, shape);
    }
    for _ in 0..tape.below(12) {
        let x = ValueId::new(tape.below(graph.nodes.len()));
        let shape = graph.shape(x).clone();
        let op = tensor_op(tape, &mut graph, &shape);
        let args = if op.arity() == 2 { vec![x, x] } else { vec![x] };
        // What does not fit is left out.
        let _ = graph.push(op, args, tape.origin());
    }
    for _ in 0..tape.below(3) {
        let value = ValueId::new(tape.below(graph.nodes.len()));
        let client = tape.client(graph.shape(value).rank());
        graph.outputs.push(Output { name: tape.name(), value, client });
    }
    graph
}

fn map(tape: &mut Tape, number: usize, slots: Slots) -> SlotMap {
    let (outputs, inputs) = (1 + tape.below(2) as u32, 1 + tape.below(2) as u32);
    let mut diagonals = BTreeMap::new();
    for _ in 0..tape.below(5) {
        let place = (tape.below(outputs as usize) as u32, tape.below(inputs as usize) as u32);
        let rotation = Rotation(tape.below(slots.0) as u32);
        diagonals.insert((place.0, place.1, rotation), Arc::new(tape.vector(slots.0)));
    }
    SlotMap { name: format!("{}-{number}", tape.name()), slots, outputs, inputs, diagonals }
}

fn plain(tape: &mut Tape, slots: Slots) -> Plain {
    match tape.below(3) {
        0 => Plain::Scalar(tape.number()),
        count => Plain::Slots((0..count).map(|_| Arc::new(tape.vector(slots.0))).collect()),
    }
}

/// Inputs, maps and plaintexts.
fn constants(tape: &mut Tape, slots: Slots) -> circuit::Circuit {
    let mut constants = circuit::Circuit::new(tape.name(), slots);
    for _ in 0..1 + tape.below(2) {
        let layout = tape.layout(slots);
        constants.inputs.push(Input { name: tape.name(), layout });
    }
    for number in 0..1 + tape.below(3) {
        constants.maps.push(map(tape, number, slots));
        constants.plains.push(plain(tape, slots));
    }
    constants
}

fn slot_op(tape: &mut Tape, c: &circuit::Circuit) -> circuit::Op {
    use circuit::Op;
    match tape.below(9) {
        0 | 1 => Op::Linear(MapId::new(tape.below(c.maps.len()))),
        2 => Op::AddPlain(PlainId::new(tape.below(c.plains.len()))),
        3 => Op::MulPlain(PlainId::new(tape.below(c.plains.len()))),
        4 => Op::Rotate(Rotation(tape.below(c.slots.0) as u32)),
        other => [Op::Add, Op::Sub, Op::Negate, Op::Mul, Op::Square][other % 5],
    }
}

/// An output of one ciphertext's layout; any bundle holds that.
fn output<V>(tape: &mut Tape, value: V, slots: Slots) -> circuit::Output<V> {
    let layout = Layout::row_major(tape.shape(1), slots);
    circuit::Output { name: tape.name(), value, layout, client: tape.client(1) }
}

fn circuit(words: &[u32]) -> circuit::Circuit {
    let tape = &mut Tape { words: words.iter() };
    let slots = Slots([1, 4, 8, 32][tape.below(4)].max(4));
    let mut c = constants(tape, slots);
    for i in 0..c.inputs.len() {
        c.push(circuit::Op::Input(i as u32), [], tape.origin()).expect("the input exists");
    }
    for _ in 0..tape.below(12) {
        let op = slot_op(tape, &c);
        let x = ValueId::new(tape.below(c.nodes.len()));
        let x = circuit::ValueId::new(x.index());
        let args = if op.arity() == 2 { vec![x, x] } else { vec![x] };
        let _ = c.push(op, args, tape.origin());
    }
    for _ in 0..tape.below(3) {
        let value = circuit::ValueId::new(tape.below(c.nodes.len()));
        c.outputs.push(output(tape, value, slots));
    }
    c
}

/// Parameters, those of a bootstrap now and then.
fn scheme(tape: &mut Tape) -> Scheme {
    if !tape.one_in(8) {
        return parameters(tape).into();
    }
    let order = if tape.one_in(2) { Order::CoeffsFirst } else { Order::CoeffsLast };
    let choice = BootstrapChoice {
        log_n: LogN(5),
        slots: Slots(8 << tape.below(2)),
        order,
        levels: Depth(1 + tape.below(3) as u32),
        scale_bits: 30.0,
        base_bits: 40.0,
        eval_bits: 45.0,
        boost_bits: 0.5 * tape.below(3) as f64,
        coeffs_to_slots: vec![],
        slots_to_coeffs: vec![],
        sine: Sine { degree: 14, double_angles: 2, arcsine: 1, ratio_bits: 8.25 },
        weight: 8,
        log2_failure: -20.0,
        digit_size: 1 + tape.below(4),
        insecure_toy: true,
    };
    let log_slots = choice.slots.0.trailing_zeros();
    let choice =
        BootstrapChoice { coeffs_to_slots: vec![log_slots - 1, 1], slots_to_coeffs: vec![1, log_slots - 1], ..choice };
    BootstrapParameters::check(choice).expect("a sound toy").into()
}

fn parameters(tape: &mut Tape) -> Parameters {
    let request = ChainRequest {
        log_n: LogN(4),
        depth: Depth(1 + tape.below(4) as u32),
        scale_bits: 30.0,
        base_bits: 40.0,
        digit_size: 1 + tape.below(2),
        insecure_toy: true,
    };
    Parameters::check(ParametersLiteral::new(&request).expect("primes of that size exist")).expect("a sound toy")
}

fn with_levels(op: circuit::Op) -> leveled::Op {
    use leveled::Op;
    match op {
        circuit::Op::Input(i) => Op::Input(i),
        circuit::Op::Linear(map) => Op::Linear(map),
        circuit::Op::AddPlain(plain) => Op::AddPlain(plain),
        circuit::Op::MulPlain(plain) => Op::MulPlain(plain),
        circuit::Op::Add => Op::Add,
        circuit::Op::Sub => Op::Sub,
        circuit::Op::Negate => Op::Negate,
        circuit::Op::Mul => Op::Mul,
        circuit::Op::Square => Op::Square,
        circuit::Op::Rotate(r) => Op::Rotate(r),
    }
}

fn leveled_op(tape: &mut Tape, c: &circuit::Circuit) -> leveled::Op {
    match tape.below(8) {
        7 => leveled::Op::Bootstrap(Level(tape.below(5) as u32)),
        0 => leveled::Op::Relinearize,
        1 | 2 => leveled::Op::Rescale,
        3 => leveled::Op::Adjust(Level(tape.below(4) as u32)),
        _ => with_levels(slot_op(tape, c)),
    }
}

fn leveled(words: &[u32]) -> leveled::Circuit {
    let tape = &mut Tape { words: words.iter() };
    let scheme = scheme(tape);
    let slots = scheme.slots();
    let c = constants(tape, slots);
    let mut leveled = leveled::Circuit {
        name: c.name.clone(),
        parameters: scheme.parameters().literal().clone(),
        bootstrap: scheme.bootstrap().map(|b| b.choice().clone()),
        batch: scheme.batch(),
        inputs: c.inputs.clone(),
        nodes: EntityVec::new(),
        maps: c.maps.clone(),
        plains: c.plains.clone(),
        outputs: Vec::new(),
    };
    for step in 0..2 + tape.below(24) {
        let (op, args) = match step < leveled.inputs.len() {
            true => (leveled::Op::Input(step as u32), vec![]),
            false => {
                let op = leveled_op(tape, &c);
                (op, vec![leveled::ValueId::new(tape.below(leveled.nodes.len())); op.arity()])
            }
        };
        if let Ok(ty) = leveled.infer(op, &args, &scheme) {
            leveled.nodes.push(leveled::Node { op, args, ty, origin: tape.origin() });
        }
    }
    for (value, node) in leveled.nodes.iter() {
        if node.ty.parts == 2 && tape.one_in(3) {
            leveled.outputs.push(output(tape, value, slots));
        }
    }
    leveled
}

fn plan(tape: &mut Tape, map: &SlotMap) -> program::BabyGiant {
    let width = 1 + tape.below(4) as u32;
    let mut rotations = map.rotations();
    if tape.one_in(2) {
        rotations.push(Rotation(0));
    }
    // Going round: the giant step of small rotations may also be one slot back.
    let back = u32::from(tape.one_in(4));
    let n = map.slots.0 as u32;
    let split = |r: Rotation| {
        let baby = (r.0 + back) % n % width;
        (r, (Rotation((n + r.0 - baby) % n), Rotation(baby)))
    };
    program::BabyGiant { split: rotations.into_iter().map(split).collect() }
}

fn program_op(tape: &mut Tape, c: &circuit::Circuit) -> program::Op {
    use program::Op;
    match tape.below(10) {
        0 => Op::Decompose,
        1 => Op::Forget,
        2 => Op::RelinearizeRescale,
        3 => Op::Relinearize,
        4 => Op::Rescale,
        5 if tape.one_in(2) => Op::Bootstrap(Level(tape.below(5) as u32)),
        5 => Op::Adjust(Level(tape.below(4) as u32)),
        6 => [Op::Negate, Op::Square, Op::Mul, Op::Add, Op::Sub][tape.below(5)],
        7 => Op::Rotate(Rotation(tape.below(c.slots.0) as u32)),
        8 => Op::Linear(MapId::new(tape.below(c.maps.len()))),
        _ => Op::AddPlain(PlainId::new(tape.below(c.plains.len()))),
    }
}

fn program(words: &[u32]) -> program::Program {
    use program::{Instruction, KeySet, Op, Program, Register};
    let tape = &mut Tape { words: words.iter() };
    let scheme = scheme(tape);
    let slots = scheme.slots();
    let c = constants(tape, slots);
    let plans = c.maps.values().map(|map| plan(tape, map)).collect();
    let mut program = Program {
        name: c.name.clone(),
        parameters: scheme.parameters().literal().clone(),
        bootstrap: scheme.bootstrap().map(|b| b.choice().clone()),
        batch: scheme.batch(),
        inputs: c.inputs.clone(),
        instructions: Vec::new(),
        maps: c.maps.clone(),
        plans,
        plains: c.plains.clone(),
        outputs: Vec::new(),
        keys: KeySet::default(),
    };
    let mut live = BTreeMap::new();
    for step in 0..2 + tape.below(24) {
        let op = if step < c.inputs.len() { Op::Load(step as u32) } else { program_op(tape, &c) };
        let x = live.keys().copied().nth(tape.below(live.len().max(1))).unwrap_or(Register(0));
        let arity = match op {
            Op::Load(_) => 0,
            Op::Add | Op::Sub | Op::Mul => 2,
            _ => 1,
        };
        let in_place = matches!(op, Op::Decompose | Op::Forget);
        let fresh = Register(tape.below(program.instructions.len() + 1) as u32);
        let destination = if in_place { x } else { fresh };
        let types: Vec<leveled::Type> = vec![x; arity].iter().filter_map(|r| live.get(r).copied()).collect();
        if let Ok(ty) = program.infer(op, &types, &scheme) {
            live.insert(destination, ty);
            let origin = tape.origin();
            program.instructions.push(Instruction { op, destination, args: vec![x; arity], ty, origin });
        }
    }
    let (kept, freed): (Vec<_>, Vec<_>) = live.into_iter().partition(|(_, ty)| ty.parts == 2);
    for (register, ty) in freed {
        let origin = tape.origin();
        program.instructions.push(Instruction {
            op: Op::Free,
            destination: register,
            args: vec![register],
            ty,
            origin,
        });
    }
    program.outputs = kept.iter().map(|&(register, _)| output(tape, register, slots)).collect();
    program.keys = program.required_keys();
    program
}

fn any_level(level: usize, words: &[u32]) -> AnyLevel {
    match level {
        0 => AnyLevel::Tensor(tensor(words)),
        1 => AnyLevel::Circuit(circuit(words)),
        2 => AnyLevel::Leveled(leveled(words)),
        _ => AnyLevel::Program(program(words)),
    }
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 1024, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() }
}

fn tape() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(any::<u32>(), 0..1500)
}

/// One piece of damage: bytes replaced, cut or repeated, or a number made huge.
fn damage(text: &mut Vec<u8>, kind: u32, at: u32, with: u32) {
    if text.is_empty() {
        return;
    }
    let at = at as usize % text.len();
    match kind % 6 {
        0 => text[at] = with as u8,
        1 => text[at] = b"{}[],:;=+*/%@\"#-.eci0129"[with as usize % 24],
        2 => text.truncate(at),
        3 => drop(text.drain(at..(at + with as usize % 40).min(text.len()))),
        4 => {
            let end = (at + with as usize % 80).min(text.len());
            let copy = text[at..end].to_vec();
            text.splice(end..end, copy);
        }
        _ => {
            let start = (at..text.len()).find(|&i| text[i].is_ascii_digit()).unwrap_or(at);
            let end = (start..text.len()).find(|&i| !text[i].is_ascii_digit()).unwrap_or(text.len());
            let huge = ["99999999999", "4294967295", "18446744073709551615", "0", "1e999", "2147483647", "-1", "65536"];
            text.splice(start..end, huge[with as usize % huge.len()].bytes());
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn parsing_inverts_printing(level in 0usize..4, words in tape()) {
        let network = any_level(level, &words);
        let (text, external) = network.print();
        let back = parse(&text, &external).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        prop_assert_eq!(&back, &network);
        // Bits, too: == does not tell 0 from -0.
        let inline = network.print_inline();
        prop_assert_eq!(back.print_inline(), inline.clone());
        prop_assert_eq!(back.print(), (text, external));
        let from_inline = parse(&inline, &ExternalConstants::new());
        prop_assert_eq!(from_inline.map_err(|e| TestCaseError::fail(format!("{e}\n{inline}")))?, network);
    }

    #[test]
    fn damaged_texts_never_panic(
        level in 0usize..4,
        words in tape(),
        wounds in prop::collection::vec((any::<u32>(), any::<u32>(), any::<u32>()), 1..4),
    ) {
        let (text, external) = any_level(level, &words).print();
        let mut bytes = text.into_bytes();
        for (kind, at, with) in wounds {
            damage(&mut bytes, kind, at, with);
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Err(error) = parse(&text, &external) {
            prop_assert!(error.line >= 1 && error.column >= 1);
            prop_assert!(error.span.end <= text.len());
        }
    }
}

#[test]
fn random_networks_are_not_trivial() {
    // The properties above would hold of empty networks too: count what the generators make.
    let mut runner = proptest::test_runner::TestRunner::new(config());
    let mut sizes = [0usize; 4];
    for _ in 0..100 {
        let words = tape().new_tree(&mut runner).expect("a tape").current();
        sizes[0] += tensor(&words).nodes.len();
        sizes[1] += circuit(&words).nodes.len();
        sizes[2] += leveled(&words).nodes.len();
        sizes[3] += program(&words).instructions.len();
    }
    assert!(sizes.iter().all(|&size| size > 400), "{sizes:?}");
}
