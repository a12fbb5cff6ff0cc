//! Networks to pack, numbers to run them on, and the meaning of a circuit.
#![allow(clippy::unwrap_used, dead_code, reason = "a failed test is a panic; each test uses a part of this")]

use hec_ir::circuit::{Circuit, Op as SlotOp};
use hec_ir::entity::Entity;
use hec_ir::tensor::{ConvAttributes, Graph, LinearStep, Op, Output, Shape, Tensor, ValueId, Window};
use hec_ir::{Origin, Plain, Slots};
use hec_pack::{PackOptions, least_depth, pack};
use hec_poly::Basis;

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    /// In −1..1.
    pub fn number(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
    /// In low..=high.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }
    pub fn tensor(&mut self, dims: &[usize], magnitude: f64) -> Tensor {
        let shape = Shape::new(dims);
        let data = (0..shape.elements()).map(|_| magnitude * self.number()).collect();
        Tensor { shape, data }
    }
}

/// A graph that grows layer by layer, with random weights.
pub struct Network {
    pub graph: Graph,
    pub random: Random,
}

impl Network {
    pub fn new(name: &str, seed: u64) -> Self {
        Network { graph: Graph::new(name), random: Random(seed) }
    }
    pub fn input(&mut self, dims: &[usize]) -> ValueId {
        let name = format!("x{}", self.graph.inputs().count());
        self.graph.input(name, Shape::new(dims))
    }
    pub fn push(&mut self, op: Op, args: &[ValueId]) -> ValueId {
        let layer = format!("{}_{}", op.name(), self.graph.nodes.len());
        self.graph.push(op, args, Origin::node(layer)).unwrap()
    }
    pub fn linear(&mut self, steps: &[LinearStep], x: ValueId) -> ValueId {
        self.push(Op::Linear(steps.to_vec()), &[x])
    }
    /// A weight that keeps values of magnitude 1 about there.
    fn weight(&mut self, dims: &[usize], fan_in: usize) -> hec_ir::tensor::ConstId {
        let tensor = self.random.tensor(dims, (3.0 / fan_in as f64).sqrt());
        self.graph.constants.add("weight", tensor)
    }
    pub fn conv(&mut self, channels: usize, per_group: usize, kernel: usize, attributes: ConvAttributes) -> LinearStep {
        let weight = self.weight(&[channels, per_group, kernel, kernel], per_group * kernel * kernel);
        LinearStep::Conv { weight, attributes }
    }
    pub fn matmul(&mut self, inputs: usize, outputs: usize) -> LinearStep {
        LinearStep::MatMul { weight: self.weight(&[inputs, outputs], inputs) }
    }
    pub fn add_constant(&mut self, dims: &[usize], x: ValueId) -> ValueId {
        let tensor = self.random.tensor(dims, 0.5);
        let constant = self.graph.constants.add("bias", tensor);
        self.push(Op::AddConstant(constant), &[x])
    }
    /// `lead` is the shape that the coefficients vary over.
    pub fn polynomial(&mut self, basis: Basis, lead: &[usize], degree: usize, x: ValueId) -> ValueId {
        let tensor = self.random.tensor(&[lead, &[degree + 1]].concat(), 1.0 / (degree + 1) as f64);
        let coefficients = self.graph.constants.add("coefficients", tensor);
        self.push(Op::Polynomial { basis, coefficients }, &[x])
    }
    pub fn output(&mut self, value: ValueId) {
        let name = format!("y{}", self.graph.outputs.len());
        self.graph.outputs.push(Output { name, value, client: Vec::new() });
    }
}

pub fn plain_conv() -> ConvAttributes {
    ConvAttributes { strides: [1, 1], pads: [0; 4], dilations: [1, 1], groups: 1 }
}

pub fn average_pool(kernel: usize, stride: usize, pad: usize, count_include_pad: bool) -> LinearStep {
    LinearStep::AveragePool(Window { kernel: [kernel; 2], strides: [stride; 2], pads: [pad; 4], count_include_pad })
}

/// The slots of every output.
pub fn run(c: &Circuit, inputs: &[Vec<Vec<f64>>]) -> Vec<Vec<Vec<f64>>> {
    let mut values: Vec<Vec<Vec<f64>>> = Vec::new();
    let zip = |x: &[Vec<f64>], y: &[Vec<f64>], f: &dyn Fn(f64, f64) -> f64| -> Vec<Vec<f64>> {
        x.iter().zip(y).map(|(x, y)| x.iter().zip(y).map(|(&x, &y)| f(x, y)).collect()).collect()
    };
    for node in c.nodes.values() {
        let x = |i: usize| &values[node.args[i].index()];
        let plain = |p| match &c.plains[p] {
            Plain::Scalar(v) => vec![vec![*v; c.slots.0]; node.count as usize],
            Plain::Slots(vectors) => vectors.iter().map(|v| v.to_vec()).collect(),
        };
        let value = match node.op {
            SlotOp::Input(i) => inputs[i as usize].clone(),
            SlotOp::Linear(m) => c.maps[m].apply(x(0)),
            SlotOp::AddPlain(p) => zip(x(0), &plain(p), &|x, y| x + y),
            SlotOp::MulPlain(p) => zip(x(0), &plain(p), &|x, y| x * y),
            SlotOp::Add => zip(x(0), x(1), &|x, y| x + y),
            SlotOp::Sub => zip(x(0), x(1), &|x, y| x - y),
            SlotOp::Mul => zip(x(0), x(1), &|x, y| x * y),
            SlotOp::Square => zip(x(0), x(0), &|x, y| x * y),
            SlotOp::Negate => zip(x(0), x(0), &|x, _| -x),
            SlotOp::Rotate(r) => x(0).iter().map(|v| [&v[r.0 as usize..], &v[..r.0 as usize]].concat()).collect(),
        };
        values.push(value);
    }
    c.outputs.iter().map(|o| values[o.value.index()].clone()).collect()
}

/// Levels on the longest path to an output.
pub fn depth(c: &Circuit) -> u32 {
    let mut depths: Vec<u32> = Vec::new();
    for node in c.nodes.values() {
        let before = node.args.iter().map(|a| depths[a.index()]).max().unwrap_or(0);
        depths.push(before + node.op.depth());
    }
    c.outputs.iter().map(|o| depths[o.value.index()]).max().unwrap()
}

/// Pack, run on random inputs and compare with the meaning of the graph: the error must be below 2^-40 of the
/// magnitude.
pub fn check(graph: &Graph, slots: usize, seed: u64) -> Circuit {
    check_with(graph, &PackOptions::new(Slots(slots)), seed)
}

/// The same by other options.
pub fn check_with(graph: &Graph, options: &PackOptions, seed: u64) -> Circuit {
    let (circuit, n) = (pack(graph, options).unwrap(), options.slots);
    circuit.verify().unwrap();
    assert!(least_depth(graph).0 <= depth(&circuit), "{} at {n} slots", graph.name);
    let mut random = Random(seed);
    let inputs: Vec<Tensor> = graph.inputs().map(|(v, _)| random.tensor(graph.shape(v).dims(), 1.0)).collect();
    let packed: Vec<_> = circuit.inputs.iter().zip(&inputs).map(|(i, x)| i.layout.pack(&x.data)).collect();
    let expected = graph.run(&inputs).unwrap();
    for ((output, slots), expected) in circuit.outputs.iter().zip(run(&circuit, &packed)).zip(&expected) {
        let found = output.layout.unpack(&slots);
        assert_eq!(found.len(), expected.data.len());
        let magnitude = expected.data.iter().fold(f64::MIN_POSITIVE, |m, v| m.max(v.abs()));
        let error = found.iter().zip(&expected.data).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / magnitude;
        assert!(error.log2() < -40.0, "{} at {n} slots: 2^{:.1}", graph.name, error.log2());
    }
    circuit
}

/// Diagonals of each map, and what else is counted.
pub fn counts(c: &Circuit) -> String {
    let diagonals: Vec<String> = c.maps.values().map(|m| m.diagonals.len().to_string()).collect();
    let count = |f: &dyn Fn(&SlotOp) -> bool| c.nodes.values().filter(|n| f(&n.op)).count();
    let ciphertexts: Vec<String> = c.maps.values().map(|m| format!("{}to{}", m.inputs, m.outputs)).collect();
    format!(
        "diagonals {}, ciphertexts {}, rotations {}, products {}, depth {}",
        diagonals.join("+"),
        ciphertexts.join(" "),
        count(&|op| matches!(op, SlotOp::Rotate(_))),
        count(&|op| matches!(op, SlotOp::Mul | SlotOp::Square)),
        depth(c)
    )
}
