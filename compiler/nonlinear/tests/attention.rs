//! Softmax and normalisation by polynomials: alone, and in small transformers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::Random;
use hec_ir::Origin;
use hec_ir::tensor::{ConstId, Function, Graph, LinearStep, Normalization, Op, Output, Shape, Tensor, ValueId};
use hec_ir::text::AnyLevel;
use hec_nonlinear::{Calibration, NonlinearError, Options, Pin, Replaced, replace};

/// A network in the making.
struct Net {
    graph: Graph,
    random: Random,
}

impl Net {
    fn new(dims: &[usize]) -> (Self, ValueId) {
        let mut graph = Graph::new("net");
        let x = graph.input("x", Shape::new(dims));
        (Net { graph, random: Random(11) }, x)
    }

    fn push(&mut self, name: &str, op: Op, args: &[ValueId]) -> ValueId {
        self.graph.push(op, args, Origin::node(name)).unwrap()
    }

    fn linear(&mut self, name: &str, x: ValueId, steps: Vec<LinearStep>) -> ValueId {
        self.push(name, Op::Linear(steps), &[x])
    }

    fn constant(&mut self, name: &str, dims: &[usize], size: f64) -> ConstId {
        let tensor = self.random.tensor(dims, size);
        self.graph.constants.add(name, tensor)
    }

    fn dense(&mut self, name: &str, x: ValueId, columns: usize, gain: f64) -> ValueId {
        let rows = *self.graph.shape(x).dims().last().unwrap();
        let weight = self.constant(name, &[rows, columns], gain * (3.0 / rows as f64).sqrt());
        let x = self.linear(name, x, vec![LinearStep::MatMul { weight }]);
        let bias = self.constant(&format!("{name}.bias"), &[columns], 0.1);
        self.push(name, Op::AddConstant(bias), &[x])
    }

    fn norm(&mut self, name: &str, x: ValueId) -> ValueId {
        let axis = self.graph.shape(x).rank() - 1;
        let norm = Normalization { axes: vec![axis], center: true, epsilon: 1e-5 };
        let x = self.push(name, Op::Normalize(norm), &[x]);
        let width = *self.graph.shape(x).dims().last().unwrap();
        let mut gamma = self.random.tensor(&[width], 0.3);
        gamma.data.iter_mut().for_each(|g| *g += 1.0);
        let factor = self.graph.constants.add("gamma", gamma);
        self.linear(name, x, vec![LinearStep::Scale { factor }])
    }

    /// Attention of `heads` heads; `sharp` is the size of the scores.
    fn attention(&mut self, name: &str, x: ValueId, heads: usize, sharp: f64, mask: Option<ConstId>) -> ValueId {
        let &[_, length, width] = self.graph.shape(x).dims() else { panic!("a sequence") };
        let each = width / heads;
        let mut part = |which: &str, gain: f64, order: [usize; 4]| {
            let y = self.dense(&format!("{name}.{which}"), x, width, gain);
            let shape = Shape::new([1, length, heads, each]);
            let steps = vec![LinearStep::Reshape { shape }, LinearStep::Transpose { permutation: order.to_vec() }];
            self.linear(&format!("{name}.{which}"), y, steps)
        };
        let q = part("q", sharp, [0, 2, 1, 3]);
        let k = part("k", 1.0, [0, 2, 3, 1]);
        let v = part("v", 1.0, [0, 2, 1, 3]);
        let scores = self.push(name, Op::BatchMatMul, &[q, k]);
        let factor = self.graph.constants.add("root", Tensor::scalar(1.0 / (each as f64).sqrt()));
        let mut scores = self.linear(name, scores, vec![LinearStep::Scale { factor }]);
        if let Some(mask) = mask {
            scores = self.push(name, Op::AddConstant(mask), &[scores]);
        }
        let softmax = self.push(&format!("{name}.softmax"), Op::Softmax { axis: 3 }, &[scores]);
        let product = self.push(name, Op::BatchMatMul, &[softmax, v]);
        let steps = vec![
            LinearStep::Transpose { permutation: vec![0, 2, 1, 3] },
            LinearStep::Reshape { shape: Shape::new([1, length, width]) },
        ];
        let joined = self.linear(name, product, steps);
        self.dense(&format!("{name}.out"), joined, width, 1.0)
    }

    /// A post-norm encoder layer.
    fn layer(&mut self, name: &str, x: ValueId, sharp: f64, mask: Option<ConstId>) -> ValueId {
        let width = *self.graph.shape(x).dims().last().unwrap();
        let attended = self.attention(&format!("{name}.attention"), x, 2, sharp, mask);
        let sum = self.push(name, Op::Add, &[attended, x]);
        let x = self.norm(&format!("{name}.norm1"), sum);
        let inner = self.dense(&format!("{name}.fc1"), x, 2 * width, 1.0);
        let inner = self.push(&format!("{name}.gelu"), Op::Activation(Function::Gelu), &[inner]);
        let outer = self.dense(&format!("{name}.fc2"), inner, width, 1.0);
        let sum = self.push(name, Op::Add, &[outer, x]);
        self.norm(&format!("{name}.norm2"), sum)
    }

    fn done(mut self, value: ValueId) -> Graph {
        self.graph.outputs.push(Output { name: "y".to_owned(), value, client: Vec::new() });
        self.graph
    }
}

fn samples(dims: &[usize], count: usize, size: f64) -> Calibration {
    let mut random = Random(5);
    Calibration { samples: (0..count).map(|_| vec![random.tensor(dims, size)]).collect() }
}

/// rms of the outputs' difference, relative to their rms, on samples; the worst sample's too.
fn relative_error(original: &Graph, replaced: &Replaced, inputs: &[Vec<Tensor>]) -> (f64, f64) {
    let error = |x: &Vec<Tensor>| {
        let (wanted, found) = (original.run(x).unwrap().remove(0), replaced.graph.run(x).unwrap().remove(0));
        let energy: f64 = wanted.data.iter().map(|y| y * y).sum();
        wanted.data.iter().zip(found.data).map(|(y, f)| (y - f) * (y - f)).sum::<f64>() / energy
    };
    let errors: Vec<f64> = inputs.iter().map(error).collect();
    let worst = errors.iter().fold(0.0f64, |m, e| m.max(*e));
    ((errors.iter().sum::<f64>() / errors.len() as f64).sqrt(), worst.sqrt())
}

fn is_polynomial(graph: &Graph) -> bool {
    let polynomial =
        |op: &Op| !matches!(op, Op::Activation(_) | Op::MaxPool(_) | Op::Softmax { .. } | Op::Normalize(_));
    graph.nodes.values().all(|n| polynomial(&n.op))
}

fn options(pins: &[&str]) -> Options {
    Options { pins: pins.iter().map(|p| Pin::parse(p).unwrap()).collect(), ..Options::default() }
}

/// Fit on most samples, and compare on the last ones, which the fit has not seen.
fn held_out(graph: &Graph, data: &Calibration, pins: &[&str]) -> (Replaced, f64, f64) {
    let (seen, unseen) = data.samples.split_at(data.samples.len() * 4 / 5);
    let replaced = replace(graph, &Calibration { samples: seen.to_vec() }, &options(pins)).unwrap();
    replaced.graph.verify().unwrap();
    assert!(is_polynomial(&replaced.graph));
    let (mean, worst) = relative_error(graph, &replaced, unseen);
    (replaced, mean, worst)
}

#[test]
fn a_softmax_of_32_entries_gets_better_with_its_degree() {
    let (mut net, x) = Net::new(&[1, 2, 4, 32]);
    let y = net.push("softmax", Op::Softmax { axis: 3 }, &[x]);
    let graph = net.done(y);
    let data = samples(&[1, 2, 4, 32], 250, 4.0);
    let errors = ["softmax=lsq:2", "softmax=lsq:4", "softmax=lsq:8"].map(|pin| held_out(&graph, &data, &[pin]).1);
    assert!(errors.is_sorted_by(|a, b| a > b) && errors[2] < 0.01, "{errors:?}");
}

#[test]
fn a_softmax_along_another_axis_is_turned() {
    let (mut net, x) = Net::new(&[1, 6, 5]);
    let y = net.push("softmax", Op::Softmax { axis: 1 }, &[x]);
    let graph = net.done(y);
    let (_, mean, worst) = held_out(&graph, &samples(&[1, 6, 5], 300, 2.0), &["softmax=lsq:8"]);
    assert!(mean < 0.01 && worst < 0.05, "{mean} {worst}");
}

#[test]
fn a_normalisation_gets_better_with_its_degree() {
    let (mut net, x) = Net::new(&[1, 8, 6]);
    let y = net.norm("norm", x);
    let graph = net.done(y);
    let data = samples(&[1, 8, 6], 300, 2.0);
    let pins = ["layer_norm=lsq:1", "layer_norm=lsq:2", "layer_norm=lsq:4", "layer_norm=lsq:8"];
    let errors = pins.map(|pin| held_out(&graph, &data, &[pin]).1);
    assert!(errors.is_sorted_by(|a, b| a > b) && errors[3] < 0.02, "{errors:?}");
}

/// Square, sum, polynomial, product: the dense layer behind it, of longer rows, is computed beside the first three.
#[test]
fn a_layer_behind_a_normalisation_takes_no_level() {
    let (mut net, x) = Net::new(&[1, 4, 6]);
    let x = net.norm("norm", x);
    let y = net.dense("dense", x, 10, 1.0);
    let graph = net.done(y);
    let (replaced, mean, _) = held_out(&graph, &samples(&[1, 4, 6], 200, 2.0), &["layer_norm=lsq:2"]);
    let optimized = hec_optimize::optimize(&replaced.graph, &hec_optimize::Options::default()).unwrap();
    assert_eq!(
        (optimized.depth_after.0, replaced.replacements[0].depth.0),
        (4 + 1, 4),
        "and the mean is taken off first"
    );
    assert!(mean < 0.1, "{mean}");
}

/// The first position is a hundred times larger than the others.
#[test]
fn a_position_that_differs_has_coefficients_of_its_own() {
    let (mut net, x) = Net::new(&[1, 6, 16]);
    let y = net.norm("norm", x);
    let graph = net.done(y);
    let mut data = samples(&[1, 6, 16], 200, 1.0);
    data.samples.iter_mut().for_each(|s| s[0].data[..16].iter_mut().for_each(|x| *x *= 100.0));
    let (replaced, mean, worst) = held_out(&graph, &data, &["layer_norm=lsq:4"]);
    assert_eq!(replaced.replacements[0].channels, 2);
    assert!(mean < 0.02 && worst < 0.1, "{mean} {worst}");
}

#[test]
fn a_transformer_of_polynomials_agrees_with_the_original() {
    let (mut net, x) = Net::new(&[1, 6, 8]);
    let y = net.layer("0", x, 0.7, None);
    let y = net.layer("1", y, 0.7, None);
    let graph = net.done(y);
    let data = samples(&[1, 6, 8], 300, 2.0);
    let (replaced, mean, worst) = held_out(&graph, &data, &["gelu=lsq:15"]);
    assert!(mean < 0.05 && worst < 0.3, "{mean} {worst}: {:#?}", replaced.replacements);
    let names: Vec<&str> = replaced.replacements.iter().map(|r| r.function.as_str()).collect();
    assert_eq!(names[..4], ["softmax", "layer_norm", "gelu", "layer_norm"]);
    assert!(replaced.replacements.iter().all(|r| r.rms.is_finite() && r.outside.is_some_and(|p| p < 0.01)));
}

#[test]
fn masked_scores_get_no_attention() {
    let (mut net, x) = Net::new(&[1, 5, 8]);
    // No position sees a later one.
    let data = (0..25).map(|i| if i % 5 > i / 5 { -1e9 } else { 0.0 }).collect();
    let mask = net.graph.constants.add("mask", Tensor { shape: Shape::new([1, 1, 5, 5]), data });
    let y = net.attention("attention", x, 2, 0.7, Some(mask));
    let graph = net.done(y);
    let calibration = samples(&[1, 5, 8], 300, 1.5);
    let (replaced, mean, _) = held_out(&graph, &calibration, &["softmax=lsq:8"]);
    assert!(mean < 0.02, "{mean}");
    let mut other = calibration.samples[299].clone();
    let before = replaced.graph.run(&other).unwrap().remove(0);
    other[0].data[4 * 8..].iter_mut().for_each(|x| *x = -*x);
    let after = replaced.graph.run(&other).unwrap().remove(0);
    let change = |row: usize| {
        let part = |t: &Tensor| t.data[row * 8..][..8].to_vec();
        part(&before).iter().zip(part(&after)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    };
    // What is masked may still move the shift of a row, of which the quotient depends no more than it is wrong.
    assert!((0..4).all(|row| change(row) < 0.02) && change(4) > 0.2, "{:?}", [0, 1, 2, 3, 4].map(change));
}

#[test]
fn a_head_that_never_changes_becomes_a_linear_map() {
    let (mut net, x) = Net::new(&[1, 6, 8]);
    // Each position looks at the one before it, whatever the tokens are.
    let data = (0..72).map(|i| if i < 36 && (i % 6 + 1) % 6 == i / 6 { 9.0 } else { 0.0 }).collect();
    let offsets = net.graph.constants.add("positions", Tensor { shape: Shape::new([1, 2, 6, 6]), data });
    let y = net.attention("attention", x, 2, 0.8, Some(offsets));
    let graph = net.done(y);
    let (replaced, mean, _) = held_out(&graph, &samples(&[1, 6, 8], 200, 1.5), &["softmax=lsq:4"]);
    let advice = replaced.replacements[0].advice.as_deref().unwrap();
    assert!(advice.starts_with("the attention of 1 of 2 heads"), "{advice}");
    assert!(mean < 0.05, "{mean}");
}

#[test]
fn rows_need_samples() {
    let (mut net, x) = Net::new(&[1, 6, 5]);
    let y = net.push("soft", Op::Softmax { axis: 2 }, &[x]);
    let graph = net.done(y);
    let options = Options { ranges: [("soft".to_owned(), (-1.0, 1.0))].into(), ..Options::default() };
    let error = replace(&graph, &Calibration::default(), &options).unwrap_err();
    assert!(matches!(error, NonlinearError::NoData { function: "softmax", .. }), "{error}");
}

/// What an attention of one head becomes, as text: the shift of the rows goes into the keys, the sum is inverted beside
/// the product with the values.
#[test]
fn a_tiny_attention_in_text() {
    let text = "tensor tiny {
        const @half : f64[1,1,1] = [0.5]
        %q = input \"q\" : [1,4,2]
        %k = input \"k\" : [1,2,4]
        %v = input \"v\" : [1,4,3]
        %scores = batch_matmul %q, %k from \"scores\"
        %scaled = scale %scores, @half from \"scale\"
        %weights = softmax %scaled axis 2 from \"softmax\"
        %y = batch_matmul %weights, %v from \"values\"
        output \"y\" %y
    }";
    let AnyLevel::Tensor(graph) = hec_ir::text::parse(text, &Default::default()).unwrap() else { panic!("a tensor") };
    let mut random = Random(9);
    let sample =
        |r: &mut Random| [vec![1, 4, 2], vec![1, 2, 4], vec![1, 4, 3]].iter().map(|d| r.tensor(d, 1.5)).collect();
    let data = Calibration { samples: (0..200).map(|_| sample(&mut random)).collect() };
    let replaced = replace(&graph, &data, &options(&["softmax=lsq:2"])).unwrap();
    let optimized = hec_optimize::optimize(&replaced.graph, &hec_optimize::Options::default()).unwrap();
    let nodes = optimized.graph.nodes.values().skip(3);
    let lines: Vec<String> = nodes.map(|n| format!("{} {:?}", n.op.name(), n.shape.dims())).collect();
    let shifted_scores =
        ["matmul [1, 2, 4]", "add_constant [1, 2, 4]", "batch_matmul [1, 4, 4]", "add_constant [1, 4, 4]"];
    let exponential = ["square [1, 4, 4]", "add_constant [1, 4, 4]", "square [1, 4, 4]", "square [1, 4, 4]"];
    assert_eq!(lines[..8], [shifted_scores, exponential].concat(), "{lines:#?}");
    assert_eq!(lines[8], "batch_matmul [1, 4, 3]");
    // The keys take the first level, the product with the queries the second.
    assert_eq!(optimized.depth_after.0, 2 + replaced.replacements[0].depth.0, "{lines:#?}");
    assert!(relative_error(&graph, &replaced, &data.samples).0 < 0.05);
}
