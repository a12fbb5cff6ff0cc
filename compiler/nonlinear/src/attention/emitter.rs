//! Nodes appended to a graph, with linear steps put where they cost no level.

use hec_ir::Origin;
use hec_ir::tensor::{Graph, LinearStep, Node, Op, Shape, ShapeError, Tensor, ValueId};

/// Chains are not made longer than this.
const LONGEST_CHAIN: usize = 12;

/// Appends nodes of one layer.
pub struct Emitter<'a> {
    /// The network so far.
    pub graph: &'a mut Graph,
    /// The layer.
    pub origin: &'a Origin,
}

impl Emitter<'_> {
    fn push(&mut self, op: Op, args: &[ValueId]) -> Result<ValueId, ShapeError> {
        self.graph.push(op, args, self.origin.clone())
    }

    /// A constant of this layer.
    pub fn constant(&mut self, suffix: &str, tensor: Tensor) -> hec_ir::tensor::ConstId {
        self.graph.constants.add(&format!("{}.{suffix}", self.origin.layer()), tensor)
    }

    /// x·factor; the factor broadcasts to x.
    pub fn scale(&mut self, x: ValueId, suffix: &str, factor: Tensor) -> Result<ValueId, ShapeError> {
        if factor.data.iter().all(|&f| f == 1.0) {
            return Ok(x);
        }
        let factor = self.constant(suffix, uniform(factor));
        self.linear(x, vec![LinearStep::Scale { factor }])
    }

    /// x + shift; the shift broadcasts to x.
    pub fn shift(&mut self, x: ValueId, suffix: &str, shift: Tensor) -> Result<ValueId, ShapeError> {
        if shift.data.iter().all(|&s| s == 0.0) {
            return Ok(x);
        }
        let constant = self.constant(suffix, uniform(shift));
        self.push(Op::AddConstant(constant), &[x])
    }

    /// x²
    pub fn square(&mut self, x: ValueId) -> Result<ValueId, ShapeError> {
        self.push(Op::Square, &[x])
    }

    /// x + y
    pub fn add(&mut self, x: ValueId, y: ValueId) -> Result<ValueId, ShapeError> {
        self.push(Op::Add, &[x, y])
    }

    /// x − y
    pub fn sub(&mut self, x: ValueId, y: ValueId) -> Result<ValueId, ShapeError> {
        self.push(Op::Sub, &[x, y])
    }

    /// x·y
    pub fn mul(&mut self, x: ValueId, y: ValueId) -> Result<ValueId, ShapeError> {
        self.push(Op::Mul, &[x, y])
    }

    /// x·y as matrices.
    pub fn batch_matmul(&mut self, x: ValueId, y: ValueId) -> Result<ValueId, ShapeError> {
        self.push(Op::BatchMatMul, &[x, y])
    }

    /// Linear steps of x, as part of the linear map that makes x where there is one.
    pub fn linear(&mut self, x: ValueId, steps: Vec<LinearStep>) -> Result<ValueId, ShapeError> {
        let Node { op, args, shape, .. } = self.graph.nodes[x].clone();
        match op {
            Op::Linear(before) if before.len() + steps.len() <= LONGEST_CHAIN => {
                self.push(Op::Linear([before, steps].concat()), &[args[0]])
            }
            Op::AddConstant(constant) => {
                let name = self.graph.constants.name(constant).to_owned();
                let constant = self.graph.constants.tensor(constant).broadcast_to(&shape);
                let Some(constant) = constant else { return self.push(Op::Linear(steps), &[x]) };
                let constant = steps.iter().try_fold(constant, |c, step| step.apply(&c, &self.graph.constants))?;
                let value = self.linear(args[0], steps)?;
                let constant = self.graph.constants.add(&name, smallest(constant));
                self.push(Op::AddConstant(constant), &[value])
            }
            _ => self.push(Op::Linear(steps), &[x]),
        }
    }

    /// x less its mean along the last axis, by the linear maps that x is a sum of.
    pub fn centered(&mut self, x: ValueId) -> Result<ValueId, ShapeError> {
        let Node { op, args, shape, .. } = self.graph.nodes[x].clone();
        match op {
            Op::Add | Op::Sub => {
                let (left, right) = (self.centered(args[0])?, self.centered(args[1])?);
                self.push(op, &[left, right])
            }
            Op::AddConstant(constant) => {
                let name = self.graph.constants.name(constant).to_owned();
                let constant = self.graph.constants.tensor(constant).clone();
                let Some(mut constant) = last_axis_whole(&constant, &shape) else { return self.projected(x) };
                center_rows(&mut constant);
                let value = self.centered(args[0])?;
                let constant = self.graph.constants.add(&format!("{name}.centered"), constant);
                self.push(Op::AddConstant(constant), &[value])
            }
            Op::Linear(mut steps) => match steps.last().cloned() {
                Some(LinearStep::MatMul { weight }) => {
                    let name = format!("{}.centered", self.graph.constants.name(weight));
                    let mut centered = self.graph.constants.tensor(weight).as_ref().clone();
                    center_rows(&mut centered);
                    let weight = self.graph.constants.add(&name, centered);
                    steps.pop();
                    steps.push(LinearStep::MatMul { weight });
                    self.push(Op::Linear(steps), &[args[0]])
                }
                _ => self.projected(x),
            },
            _ => self.projected(x),
        }
    }

    /// x less its mean along some axes, which takes a level.
    pub fn centered_along(&mut self, x: ValueId, axes: &[usize]) -> Result<ValueId, ShapeError> {
        let shape = self.graph.shape(x).clone();
        let steps = vec![LinearStep::Mean { axes: axes.to_vec() }, LinearStep::Expand { shape }];
        let mean = self.linear(x, steps)?;
        self.sub(x, mean)
    }

    /// x·(1 − 1/n) as a matrix product of its own.
    fn projected(&mut self, x: ValueId) -> Result<ValueId, ShapeError> {
        let n = self.graph.shape(x).dims().last().copied().unwrap_or(1);
        let identity = (0..n * n).map(|i| if i % (n + 1) == 0 { 1.0 } else { 0.0 }).collect();
        let mut matrix = Tensor { shape: Shape::new([n, n]), data: identity };
        center_rows(&mut matrix);
        let weight = self.constant("center", matrix);
        self.linear(x, vec![LinearStep::MatMul { weight }])
    }
}

/// The values from which linear steps of x may be computed: those that x is a sum and a linear map of.
pub fn sources(graph: &Graph, x: ValueId) -> Vec<ValueId> {
    let (mut found, mut next) = (Vec::new(), vec![x]);
    while let Some(value) = next.pop() {
        found.push(value);
        let node = &graph.nodes[value];
        match node.op {
            Op::Linear(_) => found.push(node.args[0]),
            Op::AddConstant(_) | Op::Add | Op::Sub => next.extend(&node.args),
            _ => {}
        }
    }
    found
}

/// The constant with its last axis as long as that of `shape`.
fn last_axis_whole(constant: &Tensor, shape: &Shape) -> Option<Tensor> {
    let mut dims = constant.shape.dims().to_vec();
    match dims.last_mut() {
        Some(last) => *last = *shape.dims().last()?,
        None => return constant.broadcast_to(shape),
    }
    constant.broadcast_to(&Shape::new(dims))
}

/// Take its mean off every row.
fn center_rows(tensor: &mut Tensor) {
    let n = tensor.shape.dims().last().copied().unwrap_or(1).max(1);
    for row in tensor.data.chunks_exact_mut(n) {
        let mean = row.iter().sum::<f64>() / n as f64;
        row.iter_mut().for_each(|x| *x -= mean);
    }
}

/// One number where all are the same.
fn uniform(tensor: Tensor) -> Tensor {
    match tensor.data.split_first() {
        Some((first, rest)) if rest.iter().all(|x| x == first) => {
            Tensor::filled(Shape::new(vec![1; tensor.shape.rank()]), *first)
        }
        _ => tensor,
    }
}

/// Axes along which nothing changes with extent 1.
pub fn smallest(mut tensor: Tensor) -> Tensor {
    for axis in 0..tensor.shape.rank() {
        let (extent, stride) = (tensor.shape.dims()[axis], tensor.shape.strides()[axis]);
        let block = (extent * stride).max(1);
        let same = tensor.data.chunks_exact(block).all(|b| b.iter().zip(b.iter().skip(stride)).all(|(x, y)| x == y));
        if extent > 1 && same {
            let data = tensor.data.chunks_exact(block).flat_map(|b| b[..stride].to_vec()).collect();
            let mut dims = tensor.shape.dims().to_vec();
            dims[axis] = 1;
            tensor = Tensor { shape: Shape::new(dims), data };
        }
    }
    tensor
}

#[cfg(test)]
mod tests {
    use super::*;
    use hec_ir::tensor::Output;

    /// A layer with a bias and a residual branch: centring goes into all three.
    #[test]
    fn centring_costs_no_node_of_its_own() {
        let mut graph = Graph::new("net");
        let x = graph.input("x", Shape::new([1, 2, 3]));
        let origin = Origin::node("n");
        let weight = graph
            .constants
            .add("w", Tensor { shape: Shape::new([3, 3]), data: (0..9).map(|i| f64::from(i * i)).collect() });
        let bias = graph.constants.add("b", Tensor { shape: Shape::new([3]), data: vec![1.0, -2.0, 4.0] });
        let push = |graph: &mut Graph, op, args: Vec<ValueId>| graph.push(op, args, Origin::node("n")).unwrap();
        let first = push(&mut graph, Op::Linear(vec![LinearStep::MatMul { weight }]), vec![x]);
        let other = push(&mut graph, Op::Linear(vec![LinearStep::MatMul { weight }]), vec![x]);
        let biased = push(&mut graph, Op::AddConstant(bias), vec![first]);
        let sum = push(&mut graph, Op::Add, vec![biased, other]);
        let value = Emitter { graph: &mut graph, origin: &origin }.centered(sum).unwrap();
        for value in [sum, value] {
            graph.outputs.push(Output { name: value.to_string(), value, client: Vec::new() });
        }
        graph.verify().unwrap();
        assert!(graph.constants.iter().all(|(_, name, _)| !name.contains("center.")), "no projection");
        let input = Tensor { shape: Shape::new([1, 2, 3]), data: vec![1.0, 2.0, -3.0, 0.5, 0.0, 7.0] };
        let found = graph.run(&[input]).unwrap();
        let mut expected = found[0].clone();
        center_rows(&mut expected);
        expected.data.iter().zip(&found[1].data).for_each(|(e, f)| assert!((e - f).abs() < 1e-12));
    }

    #[test]
    fn steps_join_the_map_before_and_its_bias() {
        let mut graph = Graph::new("net");
        let x = graph.input("x", Shape::new([1, 2, 2]));
        let origin = Origin::node("n");
        let mut emitter = Emitter { graph: &mut graph, origin: &origin };
        let factor = Tensor { shape: Shape::new([1, 2, 1]), data: vec![2.0, 3.0] };
        let scaled = emitter.scale(x, "a", factor.clone()).unwrap();
        let shifted = emitter.shift(scaled, "b", factor).unwrap();
        let value = emitter.linear(shifted, vec![LinearStep::Mean { axes: vec![2] }]).unwrap();
        assert_eq!(graph.nodes.len(), 5, "input, scale, shift, then one map and its bias");
        graph.outputs.push(Output { name: "y".to_owned(), value, client: Vec::new() });
        let input = Tensor { shape: Shape::new([1, 2, 2]), data: vec![1.0, 2.0, 3.0, 4.0] };
        assert_eq!(graph.run(&[input]).unwrap()[0].data, [5.0, 13.5]);
    }
}
