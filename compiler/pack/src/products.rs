//! Products of two encrypted matrices as linear maps and products of elements.
//!
//! C[b,i,j] = Σ_k A[b,i,k]·B[b,k,j] is the sum over k of A repeated along j times B repeated along i, and repeating is a
//! linear map. Both operands become tensors [k,b,i,j], as many k at once as fit a ciphertext. The sum over k is that of
//! the ciphertexts, then a hybrid embedding of a matrix of ones, whose rotations take no level.
//!
//! Where a product fills the slots of a ciphertext already, repeating for each k costs the most; [`skewed`] needs fewer
//! rotations then, and a level more.
//!
//! Repeating joins the map that makes an operand ([`Route::Direct`]), so that a product of two projections takes two
//! levels. Which slots a token must come to differs between the operands, and one map may then have thousands of
//! diagonals where two maps, one after the other, have a hundred. So there are other routes, one or two levels longer, of
//! which the cheapest is taken.

use crate::skewed;
use hec_ir::Origin;
use hec_ir::tensor::{ConstId, Graph, LinearStep, Node, Op, Shape, ShapeError, Tensor, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// How an operand comes to be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Route {
    /// By the map that makes it.
    Direct,
    /// By a map of its own, after the one that makes it.
    Staged,
    /// By the map that makes it, from a copy of its source in another layout.
    Turned,
    /// By the map that makes it, and then into another layout.
    DirectTurned,
    /// By a map of its own, and then into another layout: where rows and columns of blocks must change places, the two
    /// maps have as many diagonals as a block has rows, and a map that does both has the square of it.
    StagedTurned,
}

impl Route {
    /// All of them.
    pub(crate) const ALL: [Route; 5] =
        [Route::Direct, Route::Staged, Route::Turned, Route::DirectTurned, Route::StagedTurned];
}

/// How the elements of a product come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// Operands repeated along each other's axis.
    Repeated,
    /// Rows and columns turned against each other.
    Skewed,
}

/// How a product of matrices is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Method {
    pub(crate) kernel: Kernel,
    /// Of the left and the right operand.
    pub(crate) routes: [Route; 2],
}

/// A graph without products of matrices.
#[derive(Clone, Debug)]
pub(crate) struct Lowered {
    pub(crate) graph: Graph,
    /// Operands [k,b,i,j] of products of elements, which are summed over k.
    pub(crate) operands: BTreeSet<ValueId>,
    /// Maps that take no level as a rule: sums over k and rotations.
    pub(crate) free: BTreeSet<ValueId>,
}

/// The products of matrices, in order.
pub(crate) fn products(graph: &Graph) -> impl Iterator<Item = &Node> {
    graph.nodes.values().filter(|n| n.op == Op::BatchMatMul)
}

/// Whether an operand has other routes than a map of its own.
pub(crate) fn has_routes(graph: &Graph, product: &Node, operand: usize) -> bool {
    source(graph, product.args[operand]).is_some()
}

/// How many sums of products of elements there are if operands are repeated.
pub(crate) fn rounds(graph: &Graph, product: &Node, slots: usize) -> usize {
    let e = Extents::new(graph.shape(product.args[0]), graph.shape(product.args[1]), slots);
    e.padded / e.together
}

/// The linear map that makes a value, but for constants that are added.
fn source(graph: &Graph, value: ValueId) -> Option<ValueId> {
    match &graph.nodes[value] {
        Node { op: Op::Linear(_), .. } => Some(value),
        Node { op: Op::AddConstant(_) | Op::Negate, args, .. } => source(graph, args[0]),
        _ => None,
    }
}

/// Write every product of matrices with maps and products of elements, by one method each.
pub(crate) fn lower(graph: &Graph, methods: &[Method], slots: usize) -> Result<Lowered, ShapeError> {
    let mut out = Graph::new(graph.name.clone());
    out.constants = graph.constants.clone();
    let (operands, free) = (BTreeSet::new(), BTreeSet::new());
    // Constants have the same names whatever the routes are.
    let mut ones = BTreeMap::new();
    for node in products(graph) {
        let together = Extents::new(graph.shape(node.args[0]), graph.shape(node.args[1]), slots).together;
        let constants = &mut out.constants;
        let tensor = || Tensor::filled(Shape::new([together, 1]), 1.0);
        ones.entry(together).or_insert_with(|| constants.add("ones", tensor()));
    }
    let mut lowering = Lowering {
        out,
        values: BTreeMap::new(),
        turned: BTreeMap::new(),
        known: BTreeMap::new(),
        operands,
        free,
        ones,
    };
    let mut methods = methods.iter();
    for (value, node) in graph.nodes.iter() {
        let args: Vec<ValueId> = node.args.iter().map(|a| lowering.values[a]).collect();
        let method = (node.op == Op::BatchMatMul).then(|| methods.next()).flatten();
        let new = match method {
            Some(&Method { kernel: Kernel::Repeated, routes }) => {
                lowering.repeated([args[0], args[1]], routes, slots, node)?
            }
            Some(&Method { kernel: Kernel::Skewed, routes }) => lowering.skewed([args[0], args[1]], routes, node)?,
            None => lowering.out.nodes.push(Node { args, ..node.clone() }),
        };
        lowering.values.insert(value, new);
    }
    let mut graph_out = lowering.out;
    graph_out.outputs = graph.outputs.clone();
    graph_out.outputs.iter_mut().for_each(|o| o.value = lowering.values[&o.value]);
    Ok(Lowered { graph: graph_out, operands: lowering.operands, free: lowering.free })
}

/// Extents of a product […, m, k] · […, k, n].
#[derive(Clone, Copy)]
struct Extents {
    batch: usize,
    m: usize,
    k: usize,
    n: usize,
    /// k rounded up to a power of two: what is added is zero.
    padded: usize,
    /// How many k are multiplied at once.
    together: usize,
}

impl Extents {
    fn new(x: &Shape, y: &Shape, slots: usize) -> Self {
        let rank = x.rank();
        let (m, k, n) = (x.dims()[rank - 2], x.dims()[rank - 1], y.dims()[rank - 1]);
        let batch: usize = x.dims()[..rank - 2].iter().product();
        let padded = k.next_power_of_two();
        let result = [batch, m, n].iter().map(|d| d.next_power_of_two()).product::<usize>();
        Extents { batch, m, k, n, padded, together: (slots / result).clamp(1, padded) }
    }
}

struct Lowering {
    out: Graph,
    values: BTreeMap<ValueId, ValueId>,
    /// Copies of sources in other layouts.
    turned: BTreeMap<ValueId, ValueId>,
    /// Operands that have been made, by what they are made of.
    known: BTreeMap<(ValueId, Route, Vec<LinearStep>), ValueId>,
    operands: BTreeSet<ValueId>,
    free: BTreeSet<ValueId>,
    /// Columns of ones by their length.
    ones: BTreeMap<usize, ConstId>,
}

impl Lowering {
    /// C = Σ_k A repeated along j ⊙ B repeated along i.
    fn repeated(
        &mut self,
        [x, y]: [ValueId; 2],
        routes: [Route; 2],
        slots: usize,
        node: &Node,
    ) -> Result<ValueId, ShapeError> {
        let e = Extents::new(self.out.shape(x), self.out.shape(y), slots);
        let mut total: Option<ValueId> = None;
        for first in (0..e.padded).step_by(e.together) {
            let left = self.operand(x, routes[0], steps(&e, first, Side::Left), &node.origin)?;
            let right = self.operand(y, routes[1], steps(&e, first, Side::Right), &node.origin)?;
            self.operands.extend([left, right]);
            let part = self.out.push(Op::Mul, [left, right], node.origin.clone())?;
            total = Some(match total {
                Some(total) => self.out.push(Op::Add, [total, part], node.origin.clone())?,
                None => part,
            });
        }
        let total = total.unwrap_or(x);
        let weight = self.ones[&e.together];
        let sum = vec![
            LinearStep::Reshape { shape: Shape::new([e.together, e.batch * e.m * e.n]) },
            LinearStep::Transpose { permutation: vec![1, 0] },
            LinearStep::MatMul { weight },
            LinearStep::Reshape { shape: node.shape.clone() },
        ];
        let sum = self.out.push(Op::Linear(sum), [total], node.origin.clone())?;
        self.free.insert(sum);
        Ok(sum)
    }

    /// C[i,j] = Σ_t A[i, i+j+t]·B[i+j+t, j], indices modulo the extent.
    fn skewed(&mut self, [x, y]: [ValueId; 2], routes: [Route; 2], node: &Node) -> Result<ValueId, ShapeError> {
        let e = skewed::Extents::new(self.out.shape(x), self.out.shape(y));
        let left = self.operand(x, routes[0], e.skew_left(), &node.origin)?;
        let right = self.operand(y, routes[1], e.skew_right(), &node.origin)?;
        let mut total = self.out.push(Op::Mul, [left, right], node.origin.clone())?;
        for t in 1..e.extent() {
            let left = self.out.push(Op::Linear(e.turn_columns(t)), [left], node.origin.clone())?;
            let right = self.out.push(Op::Linear(e.turn_rows(t)), [right], node.origin.clone())?;
            self.free.insert(right);
            let part = self.out.push(Op::Mul, [left, right], node.origin.clone())?;
            total = self.out.push(Op::Add, [total, part], node.origin.clone())?;
        }
        let result = self.out.push(Op::Linear(e.result(&node.shape)), [total], node.origin.clone())?;
        self.free.insert(result);
        Ok(result)
    }

    /// Steps of an operand.
    fn operand(
        &mut self,
        value: ValueId,
        route: Route,
        steps: Vec<LinearStep>,
        origin: &Origin,
    ) -> Result<ValueId, ShapeError> {
        let key = (value, route, steps.clone());
        if let Some(&known) = self.known.get(&key) {
            return Ok(known);
        }
        let made = match route {
            Route::Staged => self.out.push(Op::Linear(steps), [value], origin.clone())?,
            Route::DirectTurned | Route::StagedTurned => {
                let before = if route == Route::DirectTurned { Route::Direct } else { Route::Staged };
                let made = self.operand(value, before, steps, origin)?;
                self.out.push(Op::Linear(Vec::new()), [made], origin.clone())?
            }
            Route::Direct | Route::Turned => self.through(value, steps, route, origin)?,
        };
        self.known.insert(key, made);
        Ok(made)
    }

    /// Steps of a value as part of the map that makes it.
    fn through(
        &mut self,
        value: ValueId,
        steps: Vec<LinearStep>,
        route: Route,
        origin: &Origin,
    ) -> Result<ValueId, ShapeError> {
        let Node { op, args, shape, origin: own } = self.out.nodes[value].clone();
        match op {
            Op::Linear(before) => {
                let source = if route == Route::Turned { self.turn(args[0])? } else { args[0] };
                self.out.push(Op::Linear([before, steps].concat()), [source], own)
            }
            Op::AddConstant(constant) if source(&self.out, args[0]).is_some() => {
                let name = self.out.constants.name(constant).to_owned();
                let Some(mut tensor) = self.out.constants.tensor(constant).broadcast_to(&shape) else {
                    return self.out.push(Op::Linear(steps), [value], origin.clone());
                };
                for step in &steps {
                    tensor = step.apply(&tensor, &self.out.constants)?;
                }
                let moved = self.through(args[0], steps, route, origin)?;
                let constant = self.out.constants.add(&name, tensor);
                self.out.push(Op::AddConstant(constant), [moved], own)
            }
            Op::Negate if source(&self.out, args[0]).is_some() => {
                let moved = self.through(args[0], steps, route, origin)?;
                self.out.push(Op::Negate, [moved], own)
            }
            _ => self.out.push(Op::Linear(steps), [value], origin.clone()),
        }
    }

    /// A copy of a value that may have another layout.
    fn turn(&mut self, value: ValueId) -> Result<ValueId, ShapeError> {
        if let Some(&known) = self.turned.get(&value) {
            return Ok(known);
        }
        let origin = self.out.nodes[value].origin.clone();
        let copy = self.out.push(Op::Linear(Vec::new()), [value], origin)?;
        self.turned.insert(value, copy);
        Ok(copy)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// From an operand to [k,b,i,j] for k from `first`.
fn steps(e: &Extents, first: usize, side: Side) -> Vec<LinearStep> {
    let (matrix, axis, permutation, single) = match side {
        Side::Left => ([e.batch, e.m, e.k], 2, vec![2, 0, 1], [e.together, e.batch, e.m, 1]),
        Side::Right => ([e.batch, e.k, e.n], 1, vec![1, 0, 2], [e.together, e.batch, 1, e.n]),
    };
    let mut steps = vec![LinearStep::Reshape { shape: Shape::new(matrix) }];
    if e.padded > e.k {
        let mut after = vec![0; 3];
        after[axis] = e.padded - e.k;
        steps.push(LinearStep::Pad { before: vec![0; 3], after });
    }
    steps.push(LinearStep::Transpose { permutation });
    let (b, rows) = (e.batch, if side == Side::Left { e.m } else { e.n });
    if e.together < e.padded {
        steps.push(LinearStep::Slice {
            starts: vec![first, 0, 0],
            steps: vec![1; 3],
            extents: vec![e.together, b, rows],
        });
    }
    steps.push(LinearStep::Reshape { shape: Shape::new(single) });
    steps.push(LinearStep::Expand { shape: Shape::new([e.together, b, e.m, e.n]) });
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use hec_ir::tensor::Output;

    /// Every method computes the product, for square and other matrices, with and without a map before them.
    #[test]
    fn all_methods_are_equal() {
        let numbers = |count: usize| (0..count).map(|i| ((i * 37 + 11) % 23) as f64 / 8.0 - 1.0).collect::<Vec<f64>>();
        for (batch, m, k, n) in [(1, 4, 4, 4), (2, 3, 5, 2), (3, 1, 4, 7)] {
            let mut graph = Graph::new("product");
            let (x, y) = (graph.input("x", Shape::new([batch, m, k])), graph.input("y", Shape::new([batch, k, n])));
            let factor = graph.constants.add("w", Tensor { shape: Shape::new([n, n]), data: numbers(n * n) });
            let bias = graph.constants.add("b", Tensor { shape: Shape::new([1, k, 1]), data: numbers(k) });
            let weight = Op::Linear(vec![LinearStep::MatMul { weight: factor }]);
            let z = graph.push(weight, [y], Origin::node("fc")).unwrap();
            let z = graph.push(Op::AddConstant(bias), [z], Origin::node("fc")).unwrap();
            let value = graph.push(Op::BatchMatMul, [x, z], Origin::node("product")).unwrap();
            graph.outputs.push(Output { name: "c".to_owned(), value, client: Vec::new() });
            let tensor = |dims: [usize; 3]| Tensor { shape: Shape::new(dims), data: numbers(dims.iter().product()) };
            let inputs = [tensor([batch, m, k]), tensor([batch, k, n])];
            let expected = graph.run(&inputs).unwrap();
            let kernels = [Kernel::Repeated, Kernel::Skewed].into_iter();
            for (kernel, route) in kernels.flat_map(|k| Route::ALL.map(|r| (k, r))) {
                let lowered = lower(&graph, &[Method { kernel, routes: [route; 2] }], 16).unwrap();
                lowered.graph.verify().unwrap();
                let found = lowered.graph.run(&inputs).unwrap();
                let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
                assert!(found[0].data.iter().zip(&expected[0].data).all(close), "{kernel:?} {route:?} {m} {k} {n}");
            }
        }
    }
}
