//! Normalisation after the linear map that follows it: A(x·y) = (A x)·y' for a y that is one number for each row.
//!
//! The product of a row with the inverse of its norm and the linear layer behind it take two levels after that inverse.
//! As (A x)·y' they take one, because A x is computed beside the inverse. y' is y for the rows of A x: longer ones, in
//! another order.

use super::emitter::{Emitter, smallest};
use hec_ir::entity::EntityVec;
use hec_ir::tensor::{Graph, LinearStep, Node, Op, Shape, ShapeError, Tensor, ValueId};
use std::collections::BTreeMap;

/// The same network with every normalisation after the linear maps that use it, and where its values are.
///
/// # Errors
/// When the network is ill-formed.
pub fn postpone(graph: &Graph) -> Result<(Graph, BTreeMap<ValueId, ValueId>), ShapeError> {
    let mut new = Graph { nodes: EntityVec::new(), outputs: Vec::new(), ..graph.clone() };
    let mut mapped: BTreeMap<ValueId, ValueId> = BTreeMap::new();
    for (id, node) in graph.nodes.iter() {
        let args: Vec<ValueId> = node.args.iter().map(|a| mapped[a]).collect();
        let moved = match &node.op {
            Op::Linear(steps) => linear(&mut new, args[0], steps, node)?,
            _ => None,
        };
        let value = match moved {
            Some(value) => value,
            None => new.nodes.push(Node { args, ..node.clone() }),
        };
        mapped.insert(id, value);
    }
    new.outputs =
        graph.outputs.iter().map(|o| hec_ir::tensor::Output { value: mapped[&o.value], ..o.clone() }).collect();
    Ok((new, mapped))
}

/// Whether x is a product of rows with one number each, up to what is linear and does not mix rows: mixing them as well
/// takes a level more.
pub fn is_normalized(graph: &Graph, x: ValueId) -> bool {
    let mut at = x;
    loop {
        let node = &graph.nodes[at];
        match &node.op {
            Op::AddConstant(_) | Op::Linear(_) => at = node.args[0],
            Op::Mul => return node.args.iter().any(|&y| is_rowwise(graph, y)),
            _ => return false,
        }
    }
}

/// Some steps of x, if x is a product of rows with numbers and the steps go past them.
fn linear(graph: &mut Graph, x: ValueId, steps: &[LinearStep], node: &Node) -> Result<Option<ValueId>, ShapeError> {
    let Some(normalized) = Normalized::of(graph, x) else { return Ok(None) };
    let Some(rows) = Rows::after(graph, &normalized, steps) else { return Ok(None) };
    if rows.length.is_none() && !is_linear(graph, normalized.row) {
        return Ok(None);
    }
    let mut emitter = Emitter { graph, origin: &node.origin };
    let inner = [normalized.steps, steps.to_vec()].concat();
    let value = emitter.linear(normalized.row, inner)?;
    let numbers = rows.of(&mut emitter, normalized.numbers, &mut BTreeMap::new())?;
    let value = emitter.mul(value, numbers)?;
    let Some(bias) = normalized.bias else { return Ok(Some(value)) };
    let bias = steps.iter().try_fold(bias, |b, step| step.apply(&b, &emitter.graph.constants))?;
    emitter.shift(value, "bias", smallest(bias)).map(Some)
}

/// Whether a linear map makes x, up to a constant: steps that only move go into it, and would stand alone elsewhere.
fn is_linear(graph: &Graph, x: ValueId) -> bool {
    let node = &graph.nodes[x];
    match node.op {
        Op::Linear(_) => true,
        Op::AddConstant(_) => is_linear(graph, node.args[0]),
        _ => false,
    }
}

/// steps(row·numbers) + bias.
struct Normalized {
    row: ValueId,
    numbers: ValueId,
    steps: Vec<LinearStep>,
    bias: Option<Tensor>,
}

impl Normalized {
    fn of(graph: &Graph, x: ValueId) -> Option<Self> {
        let node = &graph.nodes[x];
        match &node.op {
            Op::Mul => {
                let &[a, b] = node.args.as_slice() else { return None };
                let (row, numbers) = if is_rowwise(graph, b) { (a, b) } else { (b, a) };
                is_rowwise(graph, numbers).then_some(Normalized { row, numbers, steps: Vec::new(), bias: None })
            }
            Op::AddConstant(constant) => {
                let mut inner = Normalized::of(graph, node.args[0])?;
                let mut constant = graph.constants.tensor(*constant).broadcast_to(&node.shape)?;
                if let Some(bias) = inner.bias {
                    constant.data.iter_mut().zip(bias.data).for_each(|(c, b)| *c += b);
                }
                inner.bias = Some(constant);
                Some(inner)
            }
            Op::Linear(steps) if steps.iter().all(|s| matches!(s, LinearStep::Scale { .. })) => {
                let mut inner = Normalized::of(graph, node.args[0])?;
                inner.bias = match inner.bias {
                    Some(b) => Some(steps.iter().try_fold(b, |b, s| s.apply(&b, &graph.constants)).ok()?),
                    None => None,
                };
                inner.steps.extend(steps.iter().cloned());
                Some(inner)
            }
            _ => None,
        }
    }
}

/// What is done to a linear map and what is computed of it element by element.
fn elementwise(op: &Op) -> bool {
    matches!(op, Op::AddConstant(_) | Op::Add | Op::Sub | Op::Mul | Op::Square)
}

/// The step that makes one number of each row as long as a row, in the map that makes the numbers; what follows scales and
/// moves them.
fn expansion(steps: &[LinearStep]) -> Option<(usize, &Shape)> {
    let at = steps.iter().position(|s| matches!(s, LinearStep::Expand { .. }))?;
    let follows = |s: &LinearStep| s.is_movement() || matches!(s, LinearStep::Scale { .. });
    match (&steps[at], &steps[..at]) {
        (LinearStep::Expand { shape }, [.., LinearStep::Mean { axes }])
            if axes.contains(&(shape.rank() - 1)) && steps[at + 1..].iter().all(follows) =>
        {
            Some((at, shape))
        }
        _ => None,
    }
}

/// Whether a value is computed from one number for each row, element by element.
fn is_rowwise(graph: &Graph, y: ValueId) -> bool {
    let node = &graph.nodes[y];
    match &node.op {
        Op::Linear(steps) if steps.iter().all(|s| matches!(s, LinearStep::Scale { .. })) => {
            is_rowwise(graph, node.args[0])
        }
        Op::Linear(steps) => expansion(steps).is_some(),
        op => elementwise(op) && node.args.iter().all(|&a| is_rowwise(graph, a)),
    }
}

/// Whether it is the same number all along the last axis.
fn is_uniform(graph: &Graph, y: ValueId) -> bool {
    let node = &graph.nodes[y];
    let short = |c| graph.constants.tensor(c).shape.dims().last().is_none_or(|&d| d == 1);
    match &node.op {
        Op::Linear(steps) => {
            let scales = |s: &LinearStep| matches!(s, LinearStep::Scale { factor } if short(*factor));
            match expansion(steps) {
                Some((at, _)) => steps[at + 1..].iter().all(scales),
                None => steps.iter().all(scales) && is_uniform(graph, node.args[0]),
            }
        }
        Op::AddConstant(c) => short(*c) && is_uniform(graph, node.args[0]),
        op => elementwise(op) && node.args.iter().all(|&a| is_uniform(graph, a)),
    }
}

/// How numbers of rows become those of other rows: as many more for each row, moved.
struct Rows {
    length: Option<usize>,
    moves: Vec<LinearStep>,
}

impl Rows {
    /// What steps do to the rows; `None` where they do something else, or nothing.
    fn after(graph: &Graph, x: &Normalized, steps: &[LinearStep]) -> Option<Self> {
        let mut rows = Rows { length: None, moves: Vec::new() };
        for step in steps {
            match step {
                LinearStep::MatMul { weight } if rows.moves.is_empty() && is_uniform(graph, x.numbers) => {
                    rows.length = Some(*graph.constants.tensor(*weight).shape.dims().last()?);
                }
                LinearStep::Scale { .. } => {}
                step if step.is_movement() => rows.moves.push(step.clone()),
                _ => return None,
            }
        }
        (rows.length.is_some() || !rows.moves.is_empty()).then_some(rows)
    }

    /// A shape whose last axis is a row, with rows of the new length.
    fn lengthened(&self, shape: &Shape) -> Shape {
        let mut dims = shape.dims().to_vec();
        if let (Some(last), Some(length)) = (dims.last_mut(), self.length) {
            *last = length;
        }
        Shape::new(dims)
    }

    /// y for these rows.
    fn of(
        &self,
        emitter: &mut Emitter<'_>,
        y: ValueId,
        done: &mut BTreeMap<ValueId, ValueId>,
    ) -> Result<ValueId, ShapeError> {
        if let Some(&value) = done.get(&y) {
            return Ok(value);
        }
        let Node { op, args, shape, .. } = emitter.graph.nodes[y].clone();
        let mut each = |emitter: &mut Emitter<'_>, arg: ValueId| self.of(emitter, arg, done);
        let value = match &op {
            Op::Linear(steps) => match expansion(steps) {
                Some((at, expanded)) => {
                    let mut steps = steps.clone();
                    steps[at] = LinearStep::Expand { shape: self.lengthened(expanded) };
                    steps.extend(self.moves.iter().cloned());
                    emitter.linear(args[0], steps)?
                }
                None => {
                    let x = each(emitter, args[0])?;
                    let factors = steps.iter().filter_map(LinearStep::constant).collect::<Vec<_>>();
                    let scale = |x, factor| {
                        let factor = self.constant(emitter, factor, &shape)?;
                        emitter.scale(x, "rows", factor)
                    };
                    factors.into_iter().try_fold(x, scale)?
                }
            },
            Op::AddConstant(constant) => {
                let x = each(emitter, args[0])?;
                let shift = self.constant(emitter, *constant, &shape)?;
                emitter.shift(x, "rows", shift)?
            }
            op => {
                let args = args.iter().map(|&a| each(emitter, a)).collect::<Result<Vec<_>, _>>()?;
                emitter.graph.push(op.clone(), args, emitter.origin.clone())?
            }
        };
        done.insert(y, value);
        Ok(value)
    }

    /// A constant of y for these rows.
    fn constant(
        &self,
        emitter: &Emitter<'_>,
        constant: hec_ir::tensor::ConstId,
        shape: &Shape,
    ) -> Result<Tensor, ShapeError> {
        let tensor = emitter.graph.constants.tensor(constant);
        let Some(whole) = tensor.broadcast_to(&self.lengthened(shape)) else {
            return Ok(tensor.as_ref().clone());
        };
        let constants = &emitter.graph.constants;
        self.moves.iter().try_fold(whole, |t, step| step.apply(&t, constants)).map(smallest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hec_ir::Origin;
    use hec_ir::tensor::Output;

    /// A normalisation of three rows of four by a polynomial of their mean squares, and a map to rows of `width`, split
    /// and turned as for an attention.
    fn network(width: usize) -> Graph {
        let mut graph = Graph::new("net");
        let x = graph.input("x", Shape::new([1, 3, 4]));
        let mut constant = |name: &str, dims: &[usize]| {
            let count: usize = dims.iter().product();
            let data = (0..count).map(|i| 0.3 + 0.1 * ((7 * i) % 5) as f64).collect();
            graph.constants.add(name, Tensor { shape: Shape::new(dims), data })
        };
        let (weight, bias) = (constant("weight", &[4, width]), constant("bias", &[width]));
        let (gamma, beta) = (constant("gamma", &[4]), constant("beta", &[4]));
        let (scale, shift) = (constant("scale", &[1, 3, 1]), constant("shift", &[1, 3, 1]));
        let mut push = |op, args: &[ValueId]| graph.push(op, args, Origin::node("n")).unwrap();
        let square = push(Op::Square, &[x]);
        let expand = LinearStep::Expand { shape: Shape::new([1, 3, 4]) };
        let mean = push(Op::Linear(vec![LinearStep::Mean { axes: vec![2] }, expand]), &[square]);
        let scaled = push(Op::Linear(vec![LinearStep::Scale { factor: scale }]), &[mean]);
        let shifted = push(Op::AddConstant(shift), &[scaled]);
        let inverse = push(Op::Square, &[shifted]);
        let product = push(Op::Mul, &[x, inverse]);
        let product = push(Op::Linear(vec![LinearStep::Scale { factor: gamma }]), &[product]);
        let normalized = push(Op::AddConstant(beta), &[product]);
        let dense = push(Op::Linear(vec![LinearStep::MatMul { weight }]), &[normalized]);
        let dense = push(Op::AddConstant(bias), &[dense]);
        let split = LinearStep::Reshape { shape: Shape::new([1, 3, 2, width / 2]) };
        let turn = LinearStep::Transpose { permutation: vec![0, 2, 3, 1] };
        let turned = push(Op::Linear(vec![split, turn]), &[dense]);
        graph.outputs.push(Output { name: "y".to_owned(), value: turned, client: Vec::new() });
        graph
    }

    fn run(graph: &Graph) -> Vec<f64> {
        let data = (0..12).map(|i| f64::from(5 * i % 12) / 6.0 - 1.0).collect();
        graph.run(&[Tensor { shape: Shape::new([1, 3, 4]), data }]).unwrap().remove(0).data
    }

    #[test]
    fn a_layer_after_a_normalisation_is_computed_beside_it() {
        for width in [4, 6] {
            let graph = network(width);
            let (moved, values) = postpone(&graph).unwrap();
            moved.verify().unwrap();
            let pairs = run(&graph).into_iter().zip(run(&moved));
            assert!(pairs.clone().count() == 3 * width && pairs.clone().all(|(a, b)| (a - b).abs() < 1e-12), "{width}");
            let output = moved.outputs[0].value;
            assert_eq!(values[&graph.outputs[0].value], output);
            assert!(is_normalized(&moved, output), "the product comes last, but for the bias");
            let levels =
                |g: &Graph| hec_optimize::optimize(g, &hec_optimize::Options::default()).unwrap().depth_after.0;
            assert_eq!((levels(&graph), levels(&moved)), (5, 4), "{width}");
        }
    }

    #[test]
    fn what_mixes_rows_stays_after_the_normalisation() {
        let mut graph = network(4);
        let normalized = graph.nodes.keys().nth(8).unwrap();
        assert!(matches!(graph.nodes[normalized].op, Op::AddConstant(_)));
        let mean = Op::Linear(vec![LinearStep::Mean { axes: vec![1] }]);
        graph.outputs[0].value = graph.push(mean, [normalized], Origin::node("mean")).unwrap();
        let (moved, values) = postpone(&graph).unwrap();
        let kept = &moved.nodes[moved.outputs[0].value];
        assert_eq!((kept.op.name(), &kept.args), ("mean", &vec![values[&normalized]]));
        assert_eq!(run(&graph), run(&moved));
    }
}
