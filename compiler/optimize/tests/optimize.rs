//! Rewritten networks compute the same function at the least depth.

use hec_ir::Origin;
use hec_ir::entity::Entity;
use hec_ir::tensor::{ConvAttributes, Graph, LinearStep, Op, Output, Shape, Tensor, ValueId, Window};
use hec_optimize::{Alternative, Limit, Optimized, Options, levels_by_rule, optimize, optimize_among};
use hec_poly::Basis;

/// Reproducible numbers in [−1, 1].
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    fn tensor(&mut self, dims: &[usize]) -> Tensor {
        let shape = Shape::new(dims);
        let data = (0..shape.elements()).map(|_| self.next()).collect();
        Tensor { shape, data }
    }
}

struct Builder {
    graph: Graph,
    numbers: Numbers,
}

impl Builder {
    fn new(dims: &[usize]) -> (Self, ValueId) {
        let mut graph = Graph::new("test");
        let x = graph.input("x", Shape::new(dims));
        (Builder { graph, numbers: Numbers(7) }, x)
    }

    fn push(&mut self, op: Op, args: &[ValueId], name: &str) -> ValueId {
        self.graph.push(op, args, Origin::node(name)).expect("valid")
    }

    fn linear(&mut self, step: LinearStep, x: ValueId, name: &str) -> ValueId {
        self.push(Op::Linear(vec![step]), &[x], name)
    }

    fn constant(&mut self, dims: &[usize]) -> hec_ir::tensor::ConstId {
        let tensor = self.numbers.tensor(dims);
        self.graph.constants.add("c", tensor)
    }

    fn matmul(&mut self, x: ValueId, rows: usize, columns: usize, name: &str) -> ValueId {
        let weight = self.constant(&[rows, columns]);
        let y = self.linear(LinearStep::MatMul { weight }, x, name);
        self.bias(y, &[1, columns], name)
    }

    fn bias(&mut self, x: ValueId, dims: &[usize], name: &str) -> ValueId {
        let bias = self.constant(dims);
        self.push(Op::AddConstant(bias), &[x], name)
    }

    fn scale(&mut self, x: ValueId, dims: &[usize], name: &str) -> ValueId {
        let factor = self.constant(dims);
        self.linear(LinearStep::Scale { factor }, x, name)
    }

    fn conv(&mut self, x: ValueId, dims: [usize; 4], pad: usize, name: &str) -> ValueId {
        self.strided_conv(x, dims, (pad, 1), name)
    }

    fn strided_conv(&mut self, x: ValueId, dims: [usize; 4], (pad, stride): (usize, usize), name: &str) -> ValueId {
        // Small enough for values to stay as they are through many layers.
        let mut weight = self.numbers.tensor(&dims);
        let fan_in: usize = dims[1..].iter().product();
        weight.data.iter_mut().for_each(|w| *w /= fan_in as f64);
        let weight = self.graph.constants.add("c", weight);
        let attributes = ConvAttributes { strides: [stride; 2], pads: [pad; 4], dilations: [1, 1], groups: 1 };
        let y = self.linear(LinearStep::Conv { weight, attributes }, x, name);
        self.bias(y, &[1, dims[0], 1, 1], name)
    }

    fn pool(&mut self, x: ValueId, name: &str) -> ValueId {
        let window = Window { kernel: [2, 2], strides: [2, 2], pads: [0; 4], count_include_pad: false };
        self.linear(LinearStep::AveragePool(window), x, name)
    }

    fn quadratic(&mut self, x: ValueId, dims: &[usize], name: &str) -> ValueId {
        let mut coefficients = self.numbers.tensor(&[dims, &[3]].concat());
        for a in coefficients.data.iter_mut().skip(2).step_by(3) {
            *a = a.abs() + 0.1;
        }
        let coefficients = self.graph.constants.add("poly", coefficients);
        self.push(Op::Polynomial { basis: Basis::Monomial, coefficients }, &[x], name)
    }

    /// As [`Builder::quadratic`], with both signs of x².
    fn signed_quadratic(&mut self, x: ValueId, channels: usize, name: &str) -> ValueId {
        let mut coefficients = self.numbers.tensor(&[1, channels, 1, 1, 3]);
        for a in coefficients.data.iter_mut().skip(2).step_by(3) {
            *a += 0.2 * a.signum();
        }
        let coefficients = self.graph.constants.add("poly", coefficients);
        self.push(Op::Polynomial { basis: Basis::Monomial, coefficients }, &[x], name)
    }

    /// Halve an image and double its channels, as the shortcut of a residual network without weights does.
    fn shortcut(&mut self, x: ValueId, name: &str) -> ValueId {
        let [n, c, h, w] = self.graph.shape(x).dims().try_into().expect("an image");
        let extents = vec![n, c, h / 2, w / 2];
        let slice = LinearStep::Slice { starts: vec![0; 4], steps: vec![1, 1, 2, 2], extents };
        let (before, after) = (vec![0, c / 2, 0, 0], vec![0, c / 2, 0, 0]);
        self.push(Op::Linear(vec![slice, LinearStep::Pad { before, after }]), &[x], name)
    }

    fn finish(mut self, value: ValueId) -> Graph {
        self.graph.outputs.push(Output { name: "y".into(), value, client: vec![] });
        self.graph
    }
}

/// Optimize, and compare all that is given back with the original on random inputs.
fn check(graph: &Graph) -> Optimized {
    let optimized = optimize(graph, &Options::default()).expect("well-formed");
    assert_same(graph, &optimized.graph);
    for other in &optimized.others {
        assert_same(graph, &other.graph);
    }
    optimized
}

fn assert_same(graph: &Graph, rewritten: &Graph) {
    rewritten.verify().expect("the result is well-formed");
    let mut numbers = Numbers(99);
    for _ in 0..3 {
        let inputs: Vec<Tensor> = graph.inputs().map(|(id, _)| numbers.tensor(graph.shape(id).dims())).collect();
        let expected = graph.run(&inputs).expect("runs");
        let actual = rewritten.run(&inputs).expect("runs");
        for (e, a) in expected.iter().zip(&actual) {
            let size = e.data.iter().fold(1e-300f64, |m, v| m.max(v.abs()));
            let error = e.data.iter().zip(&a.data).fold(0f64, |m, (e, a)| m.max((e - a).abs())) / size;
            assert!(error < 2f64.powi(-36), "error 2^{:.1}", error.log2());
        }
    }
}

fn ops(graph: &Graph) -> Vec<&'static str> {
    graph.nodes.values().map(|n| n.op.name()).collect()
}

#[test]
fn a_convolutional_network_of_squares_costs_one_level_a_layer() {
    let (mut b, x) = Builder::new(&[1, 1, 8, 8]);
    let mut y = b.conv(x, [4, 1, 3, 3], 1, "conv1");
    y = b.scale(y, &[1, 4, 1, 1], "norm1");
    y = b.bias(y, &[1, 4, 1, 1], "norm1");
    y = b.quadratic(y, &[1, 4, 1, 1], "relu1");
    y = b.pool(y, "pool1");
    y = b.conv(y, [6, 4, 3, 3], 1, "conv2");
    y = b.quadratic(y, &[1, 6, 1, 1], "relu2");
    y = b.pool(y, "pool2");
    y = b.linear(LinearStep::Reshape { shape: Shape::new([1, 24]) }, y, "flatten");
    y = b.matmul(y, 24, 5, "fc");
    let optimized = check(&b.finish(y));
    assert_eq!(optimized.depth_before.0, 10, "conv 1, norm 1, relu 2, pool 1, conv 1, relu 2, pool 1, fc 1");
    assert_eq!(optimized.depth_after.0, 5, "three linear maps and two squares: {:?}", ops(&optimized.graph));
    assert_eq!(optimized.limit, None);
}

#[test]
fn negative_and_mixed_quadratics_are_squares_too() {
    for signs in [[-1.0, -1.0], [1.0, -1.0]] {
        let (mut b, x) = Builder::new(&[1, 2]);
        let x = b.matmul(x, 2, 2, "fc1");
        let data = vec![0.3, 0.5, 0.7 * signs[0], -0.2, 0.4, 0.9 * signs[1]];
        let coefficients = b.graph.constants.add("p", Tensor { shape: Shape::new([1, 2, 3]), data });
        let y = b.push(Op::Polynomial { basis: Basis::Monomial, coefficients }, &[x], "relu");
        let y = b.matmul(y, 2, 3, "fc2");
        let optimized = check(&b.finish(y));
        assert_eq!(optimized.depth_after.0, 3, "{:?}", ops(&optimized.graph));
        assert!(ops(&optimized.graph).contains(&"square"), "{:?}", ops(&optimized.graph));
    }
}

/// A channel that is linear (a = 0) or nearly so cannot be a square; the product form is as shallow and does not cancel.
#[test]
fn a_linear_channel_takes_the_product_form() {
    let (mut b, x) = Builder::new(&[1, 2]);
    let x = b.matmul(x, 2, 2, "fc1");
    let data = vec![0.0, 1.0, 0.0, 0.2, 0.5, 0.3];
    let coefficients = b.graph.constants.add("p", Tensor { shape: Shape::new([1, 2, 3]), data });
    let y = b.push(Op::Polynomial { basis: Basis::Monomial, coefficients }, &[x], "relu");
    let y = b.matmul(y, 2, 3, "fc2");
    let optimized = check(&b.finish(y));
    assert_eq!(optimized.depth_after.0, 3, "{:?}", ops(&optimized.graph));
    assert!(ops(&optimized.graph).contains(&"mul"), "{:?}", ops(&optimized.graph));
}

#[test]
fn the_range_map_of_a_chebyshev_polynomial_folds_into_the_layer_before() {
    let (mut b, x) = Builder::new(&[1, 4]);
    let mut y = b.matmul(x, 4, 4, "fc");
    y = b.scale(y, &[1, 4], "relu");
    y = b.bias(y, &[1, 4], "relu");
    let coefficients = b.constant(&[1, 4, 8]);
    y = b.push(Op::Polynomial { basis: Basis::Chebyshev, coefficients }, &[y], "relu");
    let optimized = check(&b.finish(y));
    assert_eq!((optimized.depth_before.0, optimized.depth_after.0), (5, 4));
}

#[test]
fn a_residual_network_scales_both_branches() {
    let (mut b, x) = Builder::new(&[1, 2, 4, 4]);
    let mut y = b.conv(x, [2, 2, 3, 3], 1, "conv1");
    y = b.quadratic(y, &[1, 2, 1, 1], "relu1");
    let mut z = b.conv(y, [2, 2, 3, 3], 1, "conv2");
    z = b.quadratic(z, &[1, 2, 1, 1], "relu2");
    z = b.conv(z, [2, 2, 3, 3], 1, "conv3");
    z = b.push(Op::Add, &[z, y], "add");
    z = b.quadratic(z, &[1, 2, 1, 1], "relu3");
    let optimized = check(&b.finish(z));
    assert_eq!(optimized.depth_after.0, 6, "{:?}", ops(&optimized.graph));
}

#[test]
fn powers_and_products_are_balanced() {
    for (power, depth) in [(2, 1), (3, 2), (4, 2), (5, 3), (6, 3), (7, 3), (8, 3), (15, 4)] {
        let (mut b, x) = Builder::new(&[4]);
        let y = b.push(Op::Power(power), &[x], "pow");
        let optimized = check(&b.finish(y));
        assert_eq!(optimized.depth_after.0, depth, "x^{power}");
        assert!(!ops(&optimized.graph).contains(&"power"));
    }
    let (mut b, x) = Builder::new(&[4]);
    let factors: Vec<ValueId> = (0..4).map(|i| b.bias(x, &[4], &format!("shift{i}"))).collect();
    let product = factors[1..].iter().fold(factors[0], |p, &f| b.push(Op::Mul, &[p, f], "product"));
    let optimized = check(&b.finish(product));
    assert_eq!((optimized.depth_before.0, optimized.depth_after.0), (3, 2));
}

#[test]
fn folded_layers_are_named_by_the_layer_that_takes_them() {
    let (mut b, x) = Builder::new(&[1, 1, 4, 4]);
    let y = b.pool(x, "pool");
    let y = b.conv(y, [2, 1, 1, 1], 0, "conv");
    let optimized = check(&b.finish(y));
    let linear = optimized.graph.nodes.values().find(|n| n.op.name() == "linear").expect("one chain");
    assert_eq!(linear.origin.nodes, ["conv", "pool"]);
    assert_eq!(
        optimized.fired.iter().map(|f| f.0.as_str()).collect::<Vec<_>>(),
        ["A(x + b) = A x + A b", "B(A x) = (BA) x"][1..]
    );
}

#[test]
fn the_same_network_gives_the_same_result_twice() {
    let build = || {
        let (mut b, x) = Builder::new(&[1, 8]);
        let mut y = b.matmul(x, 8, 8, "a");
        y = b.quadratic(y, &[1, 8], "relu");
        y = b.matmul(y, 8, 4, "b");
        b.finish(y)
    };
    let run = || optimize(&build(), &Options::default()).expect("well-formed");
    assert_eq!(run(), run());
    assert!(run().graph.nodes.keys().all(|id| id.index() < 100));
}

/// With alternatives of a lower degree for both activations, every sum of errors that saves levels is found.
#[test]
fn alternatives_trade_error_for_levels() {
    let (mut b, x) = Builder::new(&[1, 4]);
    let mut y = b.matmul(x, 4, 4, "fc");
    let mut alternatives = Vec::new();
    for (name, error) in [("relu1", 0.25), ("relu2", 0.5)] {
        let coefficients = b.constant(&[1, 4, 8]);
        let value = b.push(Op::Polynomial { basis: Basis::Chebyshev, coefficients }, &[y], name);
        let instead = b.quadratic(y, &[1, 4], name);
        alternatives.push(Alternative { value, instead, error, sensitivity: 2.0 });
        y = b.matmul(value, 4, 4, name);
    }
    let graph = b.finish(y);
    let found = optimize_among(&graph, &alternatives, &Options::default()).expect("well-formed").candidates;
    assert_eq!(found.iter().map(|f| (f.depth.0, f.error)).collect::<Vec<_>>(), [(5, 1.5), (7, 0.5), (9, 0.0)]);
    assert_eq!(found.iter().map(|f| f.taken.as_slice()).collect::<Vec<_>>(), [&[0, 1][..], &[0], &[]]);
    for candidate in &found {
        let taken: Vec<Alternative> = candidate.taken.iter().map(|&i| alternatives[i]).collect();
        assert_same(&replaced(&graph, &taken), &candidate.graph);
    }
    let within = Options { max_error: 1.0, ..Options::default() };
    assert_eq!(optimize_among(&graph, &alternatives, &within).expect("well-formed").candidates, found[1..]);
}

/// The graph with the users of some values using others.
fn replaced(graph: &Graph, taken: &[Alternative]) -> Graph {
    let mut graph = graph.clone();
    for id in graph.nodes.keys() {
        for arg in &mut graph.nodes[id].args {
            if let Some(a) = taken.iter().find(|a| a.value == *arg) {
                *arg = a.instead;
            }
        }
    }
    graph
}

#[test]
fn an_alternative_of_another_shape_is_refused() {
    let (mut b, x) = Builder::new(&[1, 4]);
    let y = b.matmul(x, 4, 2, "fc");
    let alternative = Alternative { value: x, instead: y, error: 0.0, sensitivity: 1.0 };
    let refused = optimize_among(&b.finish(y), &[alternative], &Options::default());
    assert_eq!(refused.expect_err("other shapes").to_string(), "%2 cannot stand instead of %0: their shapes differ");
}

/// A branch that has a level to spare takes the cheaper way, though it is the deeper one.
#[test]
fn levels_to_spare_are_used() {
    let (mut b, x) = Builder::new(&[1, 64]);
    let v = b.matmul(x, 64, 64, "fc");
    let square = b.push(Op::Square, &[v], "square");
    let fourth = b.push(Op::Square, &[square], "fourth");
    let scaled = b.scale(v, &[1, 64], "scale");
    let product = b.push(Op::Mul, &[scaled, fourth], "product");
    let optimized = check(&b.finish(product));
    let maps = ops(&optimized.graph).into_iter().filter(|op| *op == "matmul" || *op == "linear").count();
    assert_eq!((optimized.depth_after.0, maps), (4, 1), "{:?}", ops(&optimized.graph));
}

#[test]
fn budgets_that_bind_are_told() {
    let (mut b, x) = Builder::new(&[1, 8]);
    let mut y = b.matmul(x, 8, 8, "a");
    y = b.quadratic(y, &[1, 8], "relu");
    y = b.matmul(y, 8, 4, "b");
    let graph = b.finish(y);
    let run = |node_limit, iteration_limit| {
        optimize(&graph, &Options { node_limit, iteration_limit, ..Options::default() }).expect("well-formed")
    };
    assert!(matches!(run(10, 24).limit, Some(Limit::Nodes(10..))));
    assert_eq!(run(20_000, 1).limit, Some(Limit::Iterations(1)));
    let untouched = run(20_000, 0);
    assert_eq!((untouched.depth_before, ops(&untouched.graph)), (untouched.depth_after, ops(&graph)));
}

#[test]
fn levels_are_counted_by_rule() {
    let (mut b, x) = Builder::new(&[1, 8]);
    let mut y = b.matmul(x, 8, 8, "a");
    y = b.scale(y, &[1, 8], "norm");
    y = b.matmul(y, 8, 2, "b");
    let (graph, options) = (b.finish(y), Options::default());
    let optimized = optimize(&graph, &options).expect("well-formed");
    let saved = levels_by_rule(&graph, &optimized, &options).expect("well-formed");
    let of = |rule: &str| saved.iter().find(|(name, _)| name == rule).map(|s| s.1);
    // Of three maps in a row, two; the scale is taken in even so.
    assert_eq!(of("B(A x) = (BA) x"), Some(1), "{saved:?}");
}

/// The structure of ResNet-20 with all activations of degree 2: 19 convolutions, 19 squarings, pooling and the last layer
/// in one. Nothing else takes a product: the leading coefficients and their signs are in the layers.
#[test]
fn a_residual_network_of_twenty_layers() {
    let (mut b, x) = Builder::new(&[1, 3, 8, 8]);
    let mut channels = 4;
    let mut y = b.conv(x, [4, 3, 3, 3], 1, "conv0");
    y = b.signed_quadratic(y, channels, "relu0");
    for block in 0..9 {
        let stride = if block == 3 || block == 6 { 2 } else { 1 };
        let name = |layer: &str| format!("{layer}{block}");
        let mut skip = y;
        let mut z = b.strided_conv(y, [channels * stride, channels, 3, 3], (1, stride), &name("first"));
        if stride == 2 {
            skip = b.shortcut(y, &name("shortcut"));
            channels *= 2;
        }
        z = b.signed_quadratic(z, channels, &name("relu"));
        z = b.conv(z, [channels, channels, 3, 3], 1, &name("second"));
        z = b.push(Op::Add, &[z, skip], &name("add"));
        y = b.signed_quadratic(z, channels, &name("last"));
    }
    y = b.linear(LinearStep::Mean { axes: vec![2, 3] }, y, "pool");
    y = b.linear(LinearStep::Reshape { shape: Shape::new([1, channels]) }, y, "pool");
    y = b.matmul(y, channels, 10, "fc");
    let start = std::time::Instant::now();
    let optimized = check(&b.finish(y));
    println!("{:?}, limit {:?}", start.elapsed(), optimized.limit);
    assert_eq!((optimized.depth_before.0, optimized.depth_after.0), (59, 39));
    let count = |op: &str| ops(&optimized.graph).iter().filter(|o| **o == op).count();
    assert_eq!((count("square"), count("mul"), count("scale")), (19, 0, 0), "{:?}", ops(&optimized.graph));
    // One for each convolution, two shortcuts of other extents, and the last layer.
    assert_eq!(count("conv") + count("linear") + count("matmul"), 19 + 2 + 1, "{:?}", ops(&optimized.graph));
}
