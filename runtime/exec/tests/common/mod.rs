//! A small program with every instruction, made by hand, and the files of its parties.
#![allow(dead_code, reason = "each test binary uses a part")]

use hec_ir::artifact::{Artifact, ClientFile};
use hec_ir::circuit::{Input, Output};
use hec_ir::entity::EntityVec;
use hec_ir::evaluate::clear::simulate_clear;
use hec_ir::leveled::{Scheme, Type};
use hec_ir::program::{BabyGiant, Instruction, KeySet, Op, Program, Register};
use hec_ir::tensor::{ClientOp, Shape, Tensor};
use hec_ir::{
    Batch, BootstrapChoice, BootstrapParameters, Layout, Level, LogN, Origin, Parameters, ParametersLiteral, Plain,
    Rotation, Scale, SlotMap, Slots,
};
use hec_params::{ChainRequest, Depth, Order, Sine};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Features of the first input, and period of its layout.
pub const WIDTH: usize = 8;

/// Numbers in [−1, 1] that are the same on every machine.
pub fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 23) as f64 - 1.0
    }
}

pub fn parameters(log_n: u32, depth: u32, scale_bits: f64, insecure_toy: bool) -> ParametersLiteral {
    let (log_n, depth) = (LogN(log_n), Depth(depth));
    let base_bits = scale_bits + 9.0;
    ParametersLiteral::new(&ChainRequest { log_n, depth, scale_bits, base_bits, digit_size: 2, insecure_toy }).unwrap()
}

/// A bootstrap of some slots of a toy ring.
pub fn bootstrap(log_n: u32, log_slots: u32, levels: u32, order: Order) -> BootstrapChoice {
    let halves = vec![log_slots.div_ceil(2), log_slots / 2];
    BootstrapChoice {
        log_n: LogN(log_n),
        slots: Slots(1 << log_slots),
        order,
        levels: Depth(levels),
        scale_bits: 40.0,
        base_bits: 49.8,
        eval_bits: 49.8,
        boost_bits: 0.0,
        coeffs_to_slots: halves.clone(),
        slots_to_coeffs: halves,
        sine: Sine { degree: 30, double_angles: 3, arcsine: 3, ratio_bits: 9.0 },
        weight: 32,
        log2_failure: -100.0,
        digit_size: 4,
        insecure_toy: true,
    }
}

/// Writes instructions with their types.
pub struct Builder {
    pub program: Program,
    scheme: Scheme,
    types: BTreeMap<Register, Type>,
}

impl Builder {
    pub fn new(name: &str, literal: ParametersLiteral) -> Self {
        Self::of(name, Parameters::check(literal).unwrap().into())
    }

    pub fn of(name: &str, scheme: Scheme) -> Self {
        let program = Program {
            name: name.to_owned(),
            parameters: scheme.parameters().literal().clone(),
            bootstrap: scheme.bootstrap().map(|b| b.choice().clone()),
            batch: scheme.batch(),
            inputs: Vec::new(),
            instructions: Vec::new(),
            maps: EntityVec::new(),
            plans: EntityVec::new(),
            plains: EntityVec::new(),
            outputs: Vec::new(),
            keys: KeySet::default(),
        };
        Builder { program, scheme, types: BTreeMap::new() }
    }

    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    pub fn slots(&self) -> Slots {
        self.scheme.slots()
    }

    pub fn level(&self, register: u32) -> Level {
        self.types[&Register(register)].level
    }

    /// Append `to = op(args)`; the type follows from the operation.
    pub fn push(&mut self, layer: &str, op: Op, to: u32, args: &[u32]) {
        let args: Vec<Register> = args.iter().map(|&r| Register(r)).collect();
        let first = args.first().map(|r| self.types[r]);
        let at = |level: Level| self.scheme.parameters().scale(level);
        let squared = |t: Type| Scale(t.scale.0 * t.scale.0);
        let count = |op| match op {
            Op::Load(i) => self.program.inputs[i as usize].layout.ciphertexts() as u32,
            Op::Linear(m) => self.program.maps[m].outputs,
            _ => first.map_or(0, |t| t.count),
        };
        let below = |t: Type| Level(t.level.0 - 1);
        let ty = match (op, first) {
            (Op::Load(_), _) => {
                let level = self.scheme.input_level();
                Type { count: count(op), level, scale: at(level), parts: 2 }
            }
            (Op::Linear(_), Some(t)) => Type { count: count(op), level: below(t), scale: at(below(t)), parts: 2 },
            (Op::MulPlain(_), Some(t)) => Type { scale: squared(t), ..t },
            (Op::Mul | Op::Square, Some(t)) => Type { scale: squared(t), parts: 3, ..t },
            (Op::Relinearize, Some(t)) => Type { parts: 2, ..t },
            (Op::Rescale, Some(t)) => Type { level: below(t), scale: at(below(t)), ..t },
            (Op::RelinearizeRescale, Some(t)) => Type { level: below(t), scale: at(below(t)), parts: 2, ..t },
            (Op::Adjust(level) | Op::Bootstrap(level), Some(t)) => Type { level, scale: at(level), ..t },
            (_, Some(t)) => t,
            (_, None) => panic!("{op:?} takes an argument"),
        };
        let destination = Register(to);
        self.types.insert(destination, ty);
        self.program.instructions.push(Instruction { op, destination, args, ty, origin: Origin::node(layer) });
    }

    /// Add a linear map with its baby steps in `0..babies` and giant steps at multiples of that.
    pub fn map(
        &mut self,
        name: &str,
        (outputs, inputs): (u32, u32),
        babies: u32,
        diagonals: BTreeMap<(u32, u32, Rotation), Arc<Vec<f64>>>,
    ) -> Op {
        let split = diagonals.keys().map(|k| (k.2, (Rotation(k.2.0 / babies * babies), Rotation(k.2.0 % babies))));
        self.program.plans.push(BabyGiant { split: split.collect() });
        let slots = self.slots();
        Op::Linear(self.program.maps.push(SlotMap { name: name.to_owned(), slots, outputs, inputs, diagonals }))
    }

    pub fn finish(mut self) -> Program {
        self.program.keys = self.program.required_keys();
        self.program.verify().unwrap();
        self.program
    }
}

/// A dense WIDTH×WIDTH matrix on slots of that period.
fn dense(slots: Slots, seed: u64) -> BTreeMap<(u32, u32, Rotation), Arc<Vec<f64>>> {
    let mut next = noise(seed);
    let matrix: Vec<Vec<f64>> = (0..WIDTH).map(|_| (0..WIDTH).map(|_| next() / 2.0).collect()).collect();
    let diagonal = |r: usize| Arc::new((0..slots.0).map(|s| matrix[s % WIDTH][(s + r) % WIDTH]).collect::<Vec<f64>>());
    (0..WIDTH).map(|r| ((0, 0, Rotation(r as u32)), diagonal(r))).collect()
}

/// Two inputs (one of two ciphertexts), two outputs, every instruction.
pub fn every_instruction(seed: u64) -> Program {
    every_instruction_of(Batch::ONE, seed)
}

/// The same for so many inputs at once.
pub fn every_instruction_of(batch: Batch, seed: u64) -> Program {
    let scheme = Scheme::from(Parameters::check(parameters(10, 4, 40.0, true)).unwrap()).with_batch(batch);
    let mut b = Builder::of("every_instruction", scheme);
    let slots = b.slots();
    let mut next = noise(seed + 100);
    let narrow = Layout::row_major(Shape::new([1, WIDTH]), slots).with_period(WIDTH as u32);
    let wide = Layout::row_major(Shape::new([2, slots.0]), slots);
    b.program.inputs.push(Input { name: "x".to_owned(), layout: narrow.clone() });
    b.program.inputs.push(Input { name: "z".to_owned(), layout: wide });
    let periodic: Vec<f64> = (0..WIDTH).map(|_| next()).collect();
    let vector = Arc::new((0..slots.0).map(|s| periodic[s % WIDTH]).collect::<Vec<f64>>());
    let vector = b.program.plains.push(Plain::Slots(vec![vector]));
    let half = b.program.plains.push(Plain::Scalar(0.5));
    let first = b.map("first", (1, 1), 4, dense(slots, seed));
    let last = b.map("last", (1, 1), 3, dense(slots, seed + 1));

    b.push("x", Op::Load(0), 0, &[]);
    b.push("first", Op::Decompose, 0, &[0]);
    b.push("first", first, 1, &[0]);
    b.push("skip", Op::Rotate(Rotation(2)), 2, &[0]);
    b.push("skip", Op::Forget, 0, &[0]);
    b.push("skip", Op::Free, 0, &[0]);
    b.push("first", Op::AddPlain(vector), 1, &[1]);
    b.push("square", Op::Square, 3, &[1]);
    b.push("square", Op::RelinearizeRescale, 3, &[3]);
    b.push("skip", Op::Adjust(Level(2)), 4, &[2]);
    b.push("skip", Op::Add, 3, &[3, 4]);
    b.push("product", Op::Mul, 5, &[3, 4]);
    b.push("product", Op::Relinearize, 5, &[5]);
    b.push("product", Op::Rescale, 5, &[5]);
    b.push("scale", Op::MulPlain(vector), 6, &[3]);
    b.push("scale", Op::Rescale, 6, &[6]);
    b.push("scale", Op::Sub, 5, &[5, 6]);
    b.push("scale", Op::Negate, 5, &[5]);
    b.push("scale", Op::AddPlain(half), 5, &[5]);
    b.push("scale", Op::Rotate(Rotation(1)), 5, &[5]);
    b.push("last", last, 7, &[5]);
    b.program.outputs.push(Output {
        name: "y".to_owned(),
        value: Register(7),
        layout: narrow,
        client: vec![ClientOp::Softmax { axis: 1 }],
    });
    wide_branch(&mut b, half, &mut next);
    b.finish()
}

/// The branch of the bundle of two ciphertexts.
fn wide_branch(b: &mut Builder, half: hec_ir::circuit::PlainId, next: &mut dyn FnMut() -> f64) {
    let slots = b.slots();
    let mut diagonal = || Arc::new((0..slots.0).map(|_| next()).collect::<Vec<f64>>());
    let end = Rotation(slots.0 as u32 - 1);
    let keys = [(0, 0, Rotation(0)), (0, 1, Rotation(1)), (1, 0, end), (1, 1, Rotation(0))];
    let diagonals = keys.into_iter().map(|k| (k, diagonal())).collect();
    let mix = b.map("mix", (2, 2), 2, diagonals);
    let sum = keys.into_iter().filter(|k| k.0 == 0).map(|k| (k, diagonal())).collect();
    let sum = b.map("sum", (1, 2), 2, sum);
    b.push("z", Op::Load(1), 8, &[]);
    b.push("mix", mix, 8, &[8]);
    b.push("mix", Op::MulPlain(half), 9, &[8]);
    b.push("mix", Op::Rescale, 9, &[9]);
    b.push("mix", Op::Square, 9, &[9]);
    b.push("mix", Op::RelinearizeRescale, 9, &[9]);
    b.push("sum", Op::Decompose, 9, &[9]);
    b.push("sum", sum, 9, &[9]);
    let layout = Layout::row_major(Shape::new([slots.0]), slots);
    b.program.outputs.push(Output { name: "w".to_owned(), value: Register(9), layout, client: vec![] });
}

/// One dense layer and a square at 128-bit security.
pub fn secure() -> Program {
    let mut b = Builder::new("secure", parameters(13, 2, 36.0, false));
    let slots = b.slots();
    let layout = Layout::row_major(Shape::new([1, WIDTH]), slots).with_period(WIDTH as u32);
    b.program.inputs.push(Input { name: "x".to_owned(), layout: layout.clone() });
    let dense = b.map("dense", (1, 1), 3, dense(slots, 7));
    b.push("x", Op::Load(0), 0, &[]);
    b.push("dense", dense, 0, &[0]);
    b.push("square", Op::Square, 0, &[0]);
    b.push("square", Op::RelinearizeRescale, 0, &[0]);
    b.program.outputs.push(Output { name: "y".to_owned(), value: Register(0), layout, client: vec![] });
    b.finish()
}

/// Two go through one bootstrap, one is alone.
const CIPHERTEXTS: usize = 3;

/// An orthogonal matrix: a rotation by 45° of slots that lie half of the slots apart, then one slot and one ciphertext on.
fn mix(b: &mut Builder) -> Op {
    let n = b.slots().0;
    let half = 0.5f64.sqrt();
    let sign = |s: usize| if s < n / 2 { half } else { -half };
    let (own, other) = (Arc::new(vec![half; n]), Arc::new((0..n).map(sign).collect::<Vec<f64>>()));
    let mut diagonals = BTreeMap::new();
    for o in 0..CIPHERTEXTS as u32 {
        let i = (o + 1) % CIPHERTEXTS as u32;
        diagonals.insert((o, i, Rotation(1)), Arc::clone(&own));
        diagonals.insert((o, i, Rotation((n / 2 + 1) as u32 % n as u32)), Arc::clone(&other));
    }
    b.map("mix", (CIPHERTEXTS as u32, CIPHERTEXTS as u32), 2, diagonals)
}

/// x ↦ mix(x + x²/8), then mix(x − x²/8): three levels each, neither growing nor shrinking, bootstrapped when no level is
/// left, in turn to the highest level and to the one below.
pub fn deep(choice: BootstrapChoice, blocks: u32) -> Program {
    deep_of(Batch::ONE, choice, blocks)
}

/// The same for so many inputs at once.
pub fn deep_of(batch: Batch, choice: BootstrapChoice, blocks: u32) -> Program {
    let scheme = Scheme::from(BootstrapParameters::check(choice).unwrap()).with_batch(batch);
    let mut b = Builder::of("deep", scheme);
    let layout = Layout::row_major(Shape::new([CIPHERTEXTS, b.slots().0]), b.slots());
    b.program.inputs.push(Input { name: "x".to_owned(), layout: layout.clone() });
    let mix = mix(&mut b);
    let shares = [0.125, -0.125].map(|share| b.program.plains.push(Plain::Scalar(share)));
    let parameters = b.scheme().bootstrap().unwrap().clone();
    let (from, to) = (parameters.input_level(), parameters.output_level());
    b.push("x", Op::Load(0), 0, &[]);
    for block in 0..blocks {
        let layer = format!("block{block}");
        if b.level(0).0 < from.0 + 3 {
            if b.level(0) > from {
                b.push(&layer, Op::Adjust(from), 0, &[0]);
            }
            b.push(&layer, Op::Bootstrap(Level(to.0 - block % 2)), 0, &[0]);
        }
        b.push(&layer, Op::Square, 1, &[0]);
        b.push(&layer, Op::RelinearizeRescale, 1, &[1]);
        b.push(&layer, Op::MulPlain(shares[block as usize % 2]), 1, &[1]);
        b.push(&layer, Op::Rescale, 1, &[1]);
        let level = b.level(1);
        b.push(&layer, Op::Adjust(level), 0, &[0]);
        b.push(&layer, Op::Add, 0, &[0, 1]);
        b.push(&layer, mix, 0, &[0]);
    }
    b.program.outputs.push(Output { name: "y".to_owned(), value: Register(0), layout, client: vec![] });
    b.finish()
}

pub fn artifact(program: Program) -> Artifact {
    Artifact::new(program, serde_json::json!({})).unwrap()
}

/// Random tensors for the inputs of a program.
pub fn inputs(client: &ClientFile, seed: u64) -> Vec<Tensor> {
    let mut next = noise(seed);
    let tensor = |input: &Input| {
        let shape = input.layout.shape.clone();
        let data = (0..shape.elements()).map(|_| next()).collect();
        Tensor { shape, data }
    };
    client.inputs.iter().map(tensor).collect()
}

/// Inputs in [−1/2, 1/2], and what the program makes of them.
pub fn sample(artifact: &Artifact) -> (Vec<Tensor>, Vec<Tensor>) {
    let mut x = inputs(&ClientFile::of(artifact), 2);
    x[0].data.iter_mut().for_each(|v| *v *= 0.5);
    let y = simulate_clear(artifact.program(), &x).unwrap();
    let largest = y[0].data.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    assert!((0.25..1.0).contains(&largest), "values keep their size: {largest}");
    (x, y)
}

/// A folder that is removed with the value.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hec-run-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
