//! Random small networks, as an importer and the replacement of activations would leave them.

use crate::Numbers;
use hec_ir::Origin;
use hec_ir::tensor::{ConstId, ConvAttributes, Graph, LinearStep, Op, Output, Shape, Tensor, ValueId, Window};
use hec_poly::Basis;

/// The network of a seed: an image or a vector, then up to five blocks and a last matrix. Weights are small enough for
/// values to stay around 1 or below.
pub fn random_network(seed: u64) -> Graph {
    let mut numbers = Numbers::new(seed);
    let shape = match numbers.below(3) {
        0 => vec![1, 2 + numbers.below(30)],
        _ => vec![1, 1 + numbers.below(3), 4 + numbers.below(5), 4 + numbers.below(5)],
    };
    let mut graph = Graph::new(format!("random{seed}"));
    let mut x = graph.input("x", Shape::new(shape));
    let blocks = 1 + numbers.below(5);
    let mut builder = Builder { graph, numbers, block: 0 };
    for block in 0..blocks {
        builder.block = block;
        x = builder.block(x);
    }
    builder.finish(x)
}

struct Builder {
    graph: Graph,
    numbers: Numbers,
    block: usize,
}

impl Builder {
    fn dims(&self, x: ValueId) -> Vec<usize> {
        self.graph.shape(x).dims().to_vec()
    }

    fn push(&mut self, name: &str, op: Op, args: &[ValueId]) -> ValueId {
        let origin = Origin::node(format!("{name}{}", self.block));
        self.graph.push(op, args, origin).expect("the builder makes nodes that fit")
    }

    fn linear(&mut self, name: &str, step: LinearStep, x: ValueId) -> ValueId {
        self.push(name, Op::Linear(vec![step]), &[x])
    }

    fn constant(&mut self, name: &str, dims: &[usize], size: f64) -> ConstId {
        let tensor = self.numbers.tensor(Shape::new(dims), size);
        self.graph.constants.add(name, tensor)
    }

    /// One number for each channel, or one for all.
    fn by_channel(&mut self, x: ValueId) -> Vec<usize> {
        let mut dims = vec![1; self.graph.shape(x).rank()];
        dims[1] = if self.numbers.below(3) == 0 { 1 } else { self.dims(x)[1] };
        dims
    }

    fn block(&mut self, x: ValueId) -> ValueId {
        let x = self.layer(x);
        let x = if self.numbers.below(3) == 0 { self.normalize(x) } else { x };
        match self.numbers.below(7) {
            0 => self.push("square", Op::Square, &[x]),
            1 => self.quadratic(x),
            2 => self.chebyshev(x),
            3 => self.residual(x),
            4 => self.gate(x),
            5 => {
                let exponent = 2 + self.numbers.below(4) as u32;
                self.push("power", Op::Power(exponent), &[x])
            }
            _ => self.push("negate", Op::Negate, &[x]),
        }
    }

    /// A linear layer that fits the shape.
    fn layer(&mut self, x: ValueId) -> ValueId {
        match self.dims(x)[..] {
            [_, c, h, w] if h.min(w) >= 2 => match self.numbers.below(4) {
                0 => self.pool(x),
                _ => {
                    let stride = if h.min(w) >= 4 { 1 + self.numbers.below(2) } else { 1 };
                    let out = c * (1 + self.numbers.below(2));
                    let kernel = self.numbers.one_of(&[1, 3, 3]);
                    self.conv(x, out, kernel, stride)
                }
            },
            [_, ..] if self.graph.shape(x).rank() == 4 => self.flatten(x),
            _ => {
                let columns = 2 + self.numbers.below(20);
                self.matmul(x, columns)
            }
        }
    }

    fn conv(&mut self, x: ValueId, out: usize, kernel: usize, stride: usize) -> ValueId {
        let channels = self.dims(x)[1];
        let groups = if out.is_multiple_of(channels) { self.numbers.one_of(&[1, 1, channels]) } else { 1 };
        let fan_in = channels / groups * kernel * kernel;
        let weight = self.constant("weight", &[out, channels / groups, kernel, kernel], 2.0 / fan_in as f64);
        let attributes = ConvAttributes { strides: [stride; 2], pads: [kernel / 2; 4], dilations: [1, 1], groups };
        let x = self.linear("conv", LinearStep::Conv { weight, attributes }, x);
        self.bias(x)
    }

    fn matmul(&mut self, x: ValueId, columns: usize) -> ValueId {
        let rows = *self.dims(x).last().expect("a vector");
        let weight = self.constant("weight", &[rows, columns], 2.0 / rows as f64);
        let x = self.linear("fc", LinearStep::MatMul { weight }, x);
        self.bias(x)
    }

    fn bias(&mut self, x: ValueId) -> ValueId {
        let dims = self.by_channel(x);
        let bias = self.constant("bias", &dims, 0.3);
        self.push("bias", Op::AddConstant(bias), &[x])
    }

    fn normalize(&mut self, x: ValueId) -> ValueId {
        let dims = self.by_channel(x);
        let factor = self.constant("factor", &dims, 1.0);
        let x = self.linear("norm", LinearStep::Scale { factor }, x);
        self.bias(x)
    }

    fn pool(&mut self, x: ValueId) -> ValueId {
        let stride = 1 + self.numbers.below(2);
        let pads = self.numbers.one_of(&[[0; 4], [1, 0, 0, 1]]);
        let count_include_pad = self.numbers.below(2) == 0;
        let window = Window { kernel: [2, 2], strides: [stride; 2], pads, count_include_pad };
        self.linear("pool", LinearStep::AveragePool(window), x)
    }

    fn flatten(&mut self, x: ValueId) -> ValueId {
        let elements = self.graph.shape(x).elements();
        self.linear("flatten", LinearStep::Reshape { shape: Shape::new([1, elements]) }, x)
    }

    fn polynomial(&mut self, x: ValueId, basis: Basis, data: impl Fn(&mut Numbers) -> Vec<f64>) -> ValueId {
        let mut dims = self.by_channel(x);
        let rows: Vec<Vec<f64>> = (0..dims[1]).map(|_| data(&mut self.numbers)).collect();
        dims.push(rows[0].len());
        let tensor = Tensor { shape: Shape::new(dims), data: rows.concat() };
        let coefficients = self.graph.constants.add("coefficients", tensor);
        self.push("poly", Op::Polynomial { basis, coefficients }, &[x])
    }

    /// What replaces a ReLU: mostly convex, sometimes of either sign, sometimes with a channel that is linear.
    fn quadratic(&mut self, x: ValueId) -> ValueId {
        let kind = self.numbers.below(4);
        self.polynomial(x, Basis::Monomial, |n| {
            let a = match (kind, n.real()) {
                (0, sign) => (0.1 + sign.abs()) * sign.signum(),
                (1, sign) if sign < 0.0 => 0.0,
                (_, sign) => 0.1 + sign.abs(),
            };
            vec![0.3 * n.real(), n.real(), a]
        })
    }

    /// A polynomial of higher degree behind the map of its range.
    fn chebyshev(&mut self, x: ValueId) -> ValueId {
        let dims = self.by_channel(x);
        let factor = self.constant("range", &dims, 0.5);
        let x = self.linear("range", LinearStep::Scale { factor }, x);
        let degree = 2 + self.numbers.below(6);
        self.polynomial(x, Basis::Chebyshev, |n| (0..=degree).map(|_| 0.5 * n.real()).collect())
    }

    /// x ± f(x), f a layer of the same shape and a square.
    fn residual(&mut self, x: ValueId) -> ValueId {
        let branch = self.same_shape(x);
        let branch = self.push("square", Op::Square, &[branch]);
        let branch = self.same_shape(branch);
        let op = if self.numbers.below(2) == 0 { Op::Add } else { Op::Sub };
        self.push("skip", op, &[branch, x])
    }

    /// f(x) · g(x)
    fn gate(&mut self, x: ValueId) -> ValueId {
        let (f, g) = (self.same_shape(x), self.same_shape(x));
        self.push("gate", Op::Mul, &[f, g])
    }

    fn same_shape(&mut self, x: ValueId) -> ValueId {
        match self.dims(x)[..] {
            [_, channels, _, _] => self.conv(x, channels, 3, 1),
            [_, n] => self.matmul(x, n),
            _ => x,
        }
    }

    fn finish(mut self, x: ValueId) -> Graph {
        let x = if self.graph.shape(x).rank() == 4 { self.flatten(x) } else { x };
        let logits = self.matmul(x, 4);
        self.graph.outputs.push(Output { name: "logits".into(), value: logits, client: vec![] });
        self.graph
    }
}
