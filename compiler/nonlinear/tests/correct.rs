//! What re-fitting the linear layers does for networks that are small enough to write down.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::Random;
use hec_ir::Origin;
use hec_ir::tensor::{ConstId, ConvAttributes, Function, Graph, LinearStep, Op, Output, Shape, Tensor, ValueId};
use hec_nonlinear::{Calibration, Method, Options, Pin, Replaced, replace};

/// A network in the making.
struct Net {
    graph: Graph,
    random: Random,
}

impl Net {
    fn new(dims: &[usize]) -> (Self, ValueId) {
        let mut graph = Graph::new("net");
        let x = graph.input("x", Shape::new(dims));
        (Net { graph, random: Random(3) }, x)
    }

    fn push(&mut self, name: &str, op: Op, args: &[ValueId]) -> ValueId {
        self.graph.push(op, args, Origin::node(name)).unwrap()
    }

    fn constant(&mut self, name: &str, dims: &[usize], size: f64) -> ConstId {
        let tensor = self.random.tensor(dims, size);
        self.graph.constants.add(name, tensor)
    }

    fn conv(&mut self, name: &str, x: ValueId, weight: &[usize], attributes: ConvAttributes) -> ValueId {
        let size = 2.0 / ((weight[1] * weight[2] * weight[3]) as f64).sqrt();
        let weight = self.constant(name, weight, size);
        let x = self.push(name, Op::Linear(vec![LinearStep::Conv { weight, attributes }]), &[x]);
        let channels = self.graph.shape(x).dims()[1];
        let bias = self.constant(&format!("{name}.bias"), &[1, channels, 1, 1], 0.3);
        self.push(name, Op::AddConstant(bias), &[x])
    }

    fn dense(&mut self, name: &str, x: ValueId, rows: usize, columns: usize) -> ValueId {
        let weight = self.constant(name, &[rows, columns], 2.0 / (rows as f64).sqrt());
        self.push(name, Op::Linear(vec![LinearStep::MatMul { weight }]), &[x])
    }

    fn relu(&mut self, name: &str, x: ValueId) -> ValueId {
        self.push(name, Op::Activation(Function::Relu), &[x])
    }

    fn done(mut self, value: ValueId) -> Graph {
        self.graph.outputs.push(Output { name: "y".to_owned(), value, client: Vec::new() });
        self.graph
    }
}

const SAME: ConvAttributes = ConvAttributes { strides: [1; 2], pads: [1; 4], dilations: [1; 2], groups: 1 };

/// Two residual blocks with convolutions of every kind, then the mean and a dense layer without a bias.
fn residual() -> Graph {
    let (mut net, x) = Net::new(&[1, 4, 6, 6]);
    let mut x = net.conv("stem", x, &[8, 4, 3, 3], SAME);
    for (block, attributes) in
        [("a", ConvAttributes { groups: 2, ..SAME }), ("b", ConvAttributes { pads: [2; 4], dilations: [2; 2], ..SAME })]
    {
        x = net.relu(&format!("{block}.relu1"), x);
        let inner = net.conv(&format!("{block}.conv1"), x, &[8, 8 / attributes.groups, 3, 3], attributes);
        let inner = net.relu(&format!("{block}.relu2"), inner);
        let inner = net.conv(&format!("{block}.conv2"), inner, &[8, 8, 3, 3], SAME);
        x = net.push(&format!("{block}.add"), Op::Add, &[inner, x]);
    }
    let x = net.relu("last", x);
    let x = net.conv("down", x, &[6, 8, 3, 3], ConvAttributes { strides: [2; 2], ..SAME });
    let x = net.relu("end", x);
    let steps = vec![LinearStep::Mean { axes: vec![2, 3] }, LinearStep::Reshape { shape: Shape::new([1, 6]) }];
    let x = net.push("mean", Op::Linear(steps), &[x]);
    let x = net.dense("dense", x, 6, 5);
    net.done(x)
}

/// Planes that slope, with a little noise: as in pictures, neighbours are alike.
fn samples(count: usize) -> Calibration {
    let mut random = Random(7);
    let mut sample = || {
        let mut x = random.tensor(&[1, 4, 6, 6], 0.2);
        for plane in x.data.chunks_exact_mut(36) {
            let [level, down, right] = std::array::from_fn(|_| random.next());
            for (i, x) in plane.iter_mut().enumerate() {
                *x += level + 0.3 * down * ((i / 6) as f64 - 2.5) + 0.3 * right * ((i % 6) as f64 - 2.5);
            }
        }
        vec![x]
    };
    Calibration { samples: (0..count).map(|_| sample()).collect() }
}

fn options(correct: bool) -> Options {
    Options { pins: vec![Pin::parse("relu=lsq:2").unwrap()], correct, ..Options::default() }
}

fn outputs(graph: &Graph, inputs: &[Vec<Tensor>]) -> Vec<f64> {
    inputs.iter().flat_map(|x| graph.run(x).unwrap().remove(0).data).collect()
}

/// rms of the outputs' difference, relative to their rms.
fn relative_error(original: &Graph, replaced: &Replaced, inputs: &[Vec<Tensor>]) -> f64 {
    let (wanted, found) = (outputs(original, inputs), outputs(&replaced.graph, inputs));
    let energy: f64 = wanted.iter().map(|y| y * y).sum();
    let error: f64 = wanted.iter().zip(found).map(|(y, f)| (y - f) * (y - f)).sum();
    (error / energy).sqrt()
}

#[test]
fn corrected_layers_are_closer_on_inputs_never_seen() {
    let (graph, data) = (residual(), samples(300));
    let (seen, unseen) = data.samples.split_at(200);
    let calibration = Calibration { samples: seen.to_vec() };
    let [plain, corrected] = [false, true].map(|c| replace(&graph, &calibration, &options(c)).unwrap());
    let errors = [&plain, &corrected].map(|r| relative_error(&graph, r, unseen));
    assert!(errors[1] < 0.95 * errors[0], "{errors:?}");

    assert!(plain.corrections.is_empty());
    let names: Vec<&str> = corrected.corrections.iter().map(|c| c.layer.as_str()).collect();
    assert_eq!(names, ["a.conv1", "a.conv2", "b.conv1", "b.conv2", "down", "dense"]);
    assert!(corrected.corrections.iter().all(|c| c.after < c.before || c.method == Method::None));
    assert!(corrected.corrections.iter().any(|c| matches!(c.method, Method::Ridge(_))), "{:?}", corrected.corrections);
}

/// Values are corrected in place while the network is built; running what was built must give the same.
#[test]
fn the_agreement_is_that_of_the_network_as_written() {
    let (graph, data) = (residual(), samples(100));
    let replaced = replace(&graph, &data, &options(true)).unwrap();
    replaced.graph.verify().unwrap();
    let agreement = replaced.agreement.unwrap();
    let found = relative_error(&graph, &replaced, &data.samples[80..]);
    // Values between layers are kept in single precision.
    assert!((found - agreement.relative_error).abs() < 1e-5 * found, "{found}, not {}", agreement.relative_error);
}

#[test]
fn a_few_outliers_do_not_spoil_the_rest() {
    let (graph, mut data) = (residual(), samples(300));
    let unseen = data.samples.split_off(200);
    for i in [3, 77] {
        data.samples[i][0].data.iter_mut().for_each(|x| *x *= 12.0);
    }
    let [plain, corrected] = [false, true].map(|c| replace(&graph, &data, &options(c)).unwrap());
    let errors = [&plain, &corrected].map(|r| relative_error(&graph, r, &unseen));
    assert!(errors[1] < 0.9 * errors[0], "{errors:?}");
}

/// A deep network without skips, whose layers repeat each other's errors.
fn deep() -> Graph {
    let (mut net, x) = Net::new(&[1, 4, 6, 6]);
    let mut x = net.conv("stem", x, &[8, 4, 3, 3], SAME);
    for layer in 0..8 {
        x = net.relu(&format!("relu{layer}"), x);
        x = net.conv(&format!("conv{layer}"), x, &[8, 8, 3, 3], SAME);
    }
    net.done(x)
}

#[test]
fn a_deep_network_without_skips_loses_a_third_of_its_error() {
    let (graph, data) = (deep(), samples(300));
    let (seen, unseen) = data.samples.split_at(200);
    let calibration = Calibration { samples: seen.to_vec() };
    let [plain, corrected] = [false, true].map(|c| replace(&graph, &calibration, &options(c)).unwrap());
    let errors = [&plain, &corrected].map(|r| relative_error(&graph, r, unseen));
    println!("relative error without and with corrections: {errors:?}");
    assert!(errors[1] < 0.75 * errors[0], "{errors:?}");
}

/// An input further out than all calibration samples.
#[test]
fn a_rare_input_stays_in_bounds() {
    let (graph, data) = (residual(), samples(300));
    let (seen, unseen) = data.samples.split_at(200);
    let replaced = replace(&graph, &Calibration { samples: seen.to_vec() }, &options(true)).unwrap();
    let far = |x: &Tensor| vec![Tensor { shape: x.shape.clone(), data: x.data.iter().map(|v| 1.5 * v).collect() }];
    let rare: Vec<Vec<Tensor>> = unseen.iter().map(|x| far(&x[0])).collect();
    let largest = |graph: &Graph| outputs(graph, &rare).iter().fold(0.0f64, |m, y| m.max(y.abs()));
    let (found, wanted) = (largest(&replaced.graph), largest(&graph));
    println!("largest output {found}, of the original network {wanted}");
    assert!(found < 3.0 * wanted, "{found} is far from {wanted}");
}

#[test]
fn a_scratch_file_changes_nothing() {
    let run = |memory| replace(&residual(), &samples(60), &Options { memory, ..options(true) }).unwrap();
    let in_memory = run(1 << 30);
    assert!(in_memory.corrections.iter().any(|c| c.method != Method::None));
    assert_eq!(in_memory, run(1 << 14));
    assert_eq!(in_memory, run(0));
}

#[test]
fn threads_do_not_change_corrections() {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| replace(&residual(), &samples(60), &options(true)).unwrap())
    };
    let (one, four) = (run(1), run(4));
    assert!(one.corrections.iter().any(|c| c.method != Method::None));
    assert_eq!(one, four);
}

#[test]
fn too_few_samples_change_nothing_for_the_worse() {
    for count in [1, 2, 5] {
        let replaced = replace(&residual(), &samples(count), &options(true)).unwrap();
        replaced.graph.verify().unwrap();
        assert!(replaced.corrections.iter().all(|c| c.after <= c.before), "{:?}", replaced.corrections);
    }
}
