//! Random small transformer layers, as the replacement of softmax and GELU would leave them.

use crate::Numbers;
use hec_ir::Origin;
use hec_ir::tensor::{ConstId, Graph, LinearStep, Op, Output, Shape, Tensor, ValueId};
use hec_poly::Basis;

/// The layer of a seed: attention with a square in the place of the exponential, a residual sum, a square between two
/// matrices, and the mean over tokens.
pub fn random_encoder(seed: u64) -> Graph {
    let mut numbers = Numbers::new(seed);
    let (tokens, heads, width) = (2 + numbers.below(5), 1 + numbers.below(2), 2 + numbers.below(3));
    let mut graph = Graph::new(format!("encoder{seed}"));
    let x = graph.input("tokens", Shape::new([1, tokens, heads * width]));
    Builder { graph, numbers, tokens, heads, width }.layer(x)
}

struct Builder {
    graph: Graph,
    numbers: Numbers,
    tokens: usize,
    heads: usize,
    width: usize,
}

impl Builder {
    fn push(&mut self, name: &str, op: Op, args: &[ValueId]) -> ValueId {
        self.graph.push(op, args, Origin::node(name)).expect("the builder makes nodes that fit")
    }

    fn constant(&mut self, name: &str, dims: &[usize], size: f64) -> ConstId {
        let tensor = self.numbers.tensor(Shape::new(dims), size);
        self.graph.constants.add(name, tensor)
    }

    fn bias(&mut self, name: &str, dims: &[usize], x: ValueId) -> ValueId {
        let bias = self.constant("bias", dims, 0.3);
        self.push(name, Op::AddConstant(bias), &[x])
    }

    /// A projection of the tokens to all heads, with axes as a product needs them.
    fn project(&mut self, name: &str, x: ValueId, permutation: [usize; 4]) -> ValueId {
        let hidden = self.heads * self.width;
        let weight = self.constant("weight", &[hidden, hidden], 2.0 / hidden as f64);
        let steps = vec![
            LinearStep::MatMul { weight },
            LinearStep::Reshape { shape: Shape::new([1, self.tokens, self.heads, self.width]) },
            LinearStep::Transpose { permutation: permutation.to_vec() },
        ];
        let y = self.push(name, Op::Linear(steps), &[x]);
        match permutation[2] {
            1 => self.bias(name, &[1, self.heads, 1, self.width], y),
            _ => self.bias(name, &[1, self.heads, self.width, 1], y),
        }
    }

    fn attention(&mut self, x: ValueId) -> ValueId {
        let (tokens, heads, width) = (self.tokens, self.heads, self.width);
        let (q, k) = (self.project("q", x, [0, 2, 1, 3]), self.project("k", x, [0, 2, 3, 1]));
        let v = self.project("v", x, [0, 2, 1, 3]);
        let scores = self.push("scores", Op::BatchMatMul, &[q, k]);
        let scores = self.bias("scores", &[1, heads, tokens, 1], scores);
        let e = self.push("exponential", Op::Square, &[scores]);
        let shape = Shape::new([1, heads, tokens, width]);
        let sum = vec![LinearStep::Mean { axes: vec![3] }, LinearStep::Expand { shape }];
        let sum = self.push("sum", Op::Linear(sum), &[e]);
        let data = (0..3 * heads).map(|_| self.numbers.real()).collect();
        let coefficients = Tensor { shape: Shape::new([1, heads, 1, 1, 3]), data };
        let coefficients = self.graph.constants.add("inverse", coefficients);
        let inverse = self.push("inverse", Op::Polynomial { basis: Basis::Monomial, coefficients }, &[sum]);
        let y = self.push("values", Op::BatchMatMul, &[e, v]);
        self.push("quotient", Op::Mul, &[y, inverse])
    }

    fn layer(mut self, x: ValueId) -> Graph {
        let (tokens, hidden) = (self.tokens, self.heads * self.width);
        let y = self.attention(x);
        let joined = vec![
            LinearStep::Transpose { permutation: vec![0, 2, 1, 3] },
            LinearStep::Reshape { shape: Shape::new([1, tokens, hidden]) },
            LinearStep::MatMul { weight: self.constant("out", &[hidden, hidden], 2.0 / hidden as f64) },
        ];
        let y = self.push("out", Op::Linear(joined), &[y]);
        let x = self.push("residual", Op::Add, &[x, y]);
        let weight = self.constant("up", &[hidden, 2 * hidden], 2.0 / hidden as f64);
        let y = self.push("up", Op::Linear(vec![LinearStep::MatMul { weight }]), &[x]);
        let y = self.bias("up", &[1, 1, 2 * hidden], y);
        let y = self.push("gelu", Op::Square, &[y]);
        let weight = self.constant("down", &[2 * hidden, hidden], 1.0 / hidden as f64);
        let y = self.push("down", Op::Linear(vec![LinearStep::MatMul { weight }]), &[y]);
        let y = self.push("residual2", Op::Add, &[x, y]);
        let value = self.push("mean", Op::Linear(vec![LinearStep::Mean { axes: vec![1] }]), &[y]);
        self.graph.outputs.push(Output { name: "sentence".into(), value, client: vec![] });
        self.graph
    }
}
