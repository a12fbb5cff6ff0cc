//! Recognise normalisations that an exporter took apart, such as (x−μ)/√(mean (x−μ)² + ε).
//!
//! What it is: a quotient, or a product with an inverse root, is looked through backwards in the graph made so far. If
//! it is a row over the root of its mean square, it becomes one normalisation of the row; the nodes in between are then
//! unused. What is computed twice is recognised by its structure.

use crate::error::Fault;
use crate::lower::Lowering;
use hec_ir::Origin;
use hec_ir::tensor::{ConstId, Function, Graph, LinearStep, Node, Normalization, Op, Shape, Tensor, ValueId};
use std::sync::Arc;

/// A lower bound of a norm that only guards against a division by zero may become an addend under the root.
const GUARD: f64 = 1e-5;

/// How many nodes deep two values are compared.
const DEPTH: usize = 8;

/// x / y as a normalisation, if it is one.
pub(crate) fn quotient(lowering: &mut Lowering, x: ValueId, y: ValueId) -> Result<Option<ValueId>, Fault> {
    let mut seen = Seen::new(&lowering.graph);
    let found = seen.root(y).and_then(|root| seen.normalized(x, root));
    let origin = seen.origin;
    found.map(|f| push(lowering, f, &origin)).transpose()
}

/// x · y as a normalisation, if one is the inverse of a root.
pub(crate) fn product(lowering: &mut Lowering, x: ValueId, y: ValueId) -> Result<Option<ValueId>, Fault> {
    for (row, inverse) in [(x, y), (y, x)] {
        let mut seen = Seen::new(&lowering.graph);
        let found = seen.inverse_root(inverse).and_then(|root| seen.normalized(row, root));
        let origin = seen.origin;
        if let Some(found) = found {
            return push(lowering, found, &origin).map(Some);
        }
    }
    Ok(None)
}

fn push(lowering: &mut Lowering, found: Found, origin: &Origin) -> Result<ValueId, Fault> {
    let origin = origin.merge(lowering.origin());
    let y = lowering.push_from(Op::Normalize(found.normalization), [found.base], origin)?;
    let factor = Arc::new(Tensor::scalar(found.factor));
    lowering.scale(y, &format!("{}.factor", lowering.origin().layer()), factor)
}

/// factor · Normalize(base)
struct Found {
    base: ValueId,
    normalization: Normalization,
    factor: f64,
}

/// √(scale · mean row² + epsilon), as long as the row.
struct Root {
    row: ValueId,
    axes: Vec<usize>,
    scale: f64,
    epsilon: f64,
}

/// What has been looked through.
struct Seen<'a> {
    graph: &'a Graph,
    origin: Origin,
}

impl<'a> Seen<'a> {
    fn new(graph: &'a Graph) -> Self {
        Seen { graph, origin: Origin::default() }
    }

    fn node(&mut self, id: ValueId) -> &'a Node {
        let node = &self.graph.nodes[id];
        self.origin = node.origin.merge(&self.origin);
        node
    }

    fn normalized(&mut self, x: ValueId, root: Root) -> Option<Found> {
        let Root { row, axes, scale, epsilon } = root;
        if !(scale > 0.0 && epsilon >= 0.0 && self.same(x, row, DEPTH)) {
            return None;
        }
        let centred = self.centred(x, &axes);
        let normalization = Normalization { axes, center: centred.is_some(), epsilon: epsilon / scale };
        Some(Found { base: centred.unwrap_or(x), normalization, factor: 1.0 / scale.sqrt() })
    }

    /// The value of which `x` is the deviation from the mean over `axes`.
    fn centred(&mut self, x: ValueId, axes: &[usize]) -> Option<ValueId> {
        let &Node { op: Op::Sub, ref args, .. } = self.graph.nodes.get(x)? else {
            return None;
        };
        let (steps, source) = self.steps(args[1]);
        let mean = Rows::of(&steps, self.graph, source)?;
        let fits = mean.axes == axes && mean.scale == 1.0 && self.same(source, args[0], DEPTH);
        fits.then(|| {
            self.node(x);
            args[0]
        })
    }

    /// 1/√…
    fn inverse_root(&mut self, y: ValueId) -> Option<Root> {
        let (outer, inverse) = self.steps(y);
        let node = self.node(inverse);
        match node.op {
            Op::Activation(Function::Reciprocal) => self.root_of(outer, node.args[0]),
            Op::Activation(Function::Pow { exponent: -0.5 }) => self.mean_square(outer, node.args[0]),
            _ => None,
        }
    }

    fn root(&mut self, y: ValueId) -> Option<Root> {
        self.root_of(Vec::new(), y)
    }

    /// A root, perhaps with a guard against zero, and what is done to its rows after it.
    fn root_of(&mut self, outer: Vec<LinearStep>, y: ValueId) -> Option<Root> {
        let (mut steps, inner) = self.steps(y);
        steps.extend(outer);
        let node = self.node(inner);
        match node.op {
            Op::Activation(Function::Sqrt) => self.mean_square(steps, node.args[0]),
            // A tiny guard is a maximum with zero, and a root is not negative.
            Op::Activation(Function::Relu) => {
                let root = self.node(node.args[0]);
                if root.op == Op::Activation(Function::Sqrt) { self.mean_square(steps, root.args[0]) } else { None }
            }
            Op::AddConstant(c) => {
                let guard = self.uniform(c).filter(|g| (0.0..=GUARD).contains(g))?;
                let mut root = self.guarded(node.args[0], guard, steps)?;
                root.epsilon += guard * guard;
                Some(root)
            }
            _ => None,
        }
    }

    /// What a guard is added to: the root, or relu(root − guard), which makes it a maximum.
    fn guarded(&mut self, x: ValueId, guard: f64, steps: Vec<LinearStep>) -> Option<Root> {
        let node = self.node(x);
        match node.op {
            Op::Activation(Function::Sqrt) => self.mean_square(steps, node.args[0]),
            Op::Activation(Function::Relu) => {
                let above = self.node(node.args[0]);
                let Op::AddConstant(c) = above.op else { return None };
                let root = self.node(above.args[0]);
                let fits = self.uniform(c) == Some(-guard) && root.op == Op::Activation(Function::Sqrt);
                if fits { self.mean_square(steps, root.args[0]) } else { None }
            }
            _ => None,
        }
    }

    /// scale · mean row² + ε, with what is done to its rows after it.
    fn mean_square(&mut self, outer: Vec<LinearStep>, z: ValueId) -> Option<Root> {
        let (mut steps, inner) = self.steps(z);
        steps.extend(outer);
        let node = self.node(inner);
        let (epsilon, squares) = match node.op {
            Op::AddConstant(c) => {
                let (before, squares) = self.steps(node.args[0]);
                steps.splice(0..0, before);
                (self.uniform(c)?, squares)
            }
            _ => (0.0, inner),
        };
        let row = self.squared(squares)?;
        let rows = Rows::of(&steps, self.graph, squares)?;
        Some(Root { row, axes: rows.axes, scale: rows.scale, epsilon })
    }

    fn squared(&mut self, x: ValueId) -> Option<ValueId> {
        let node = self.node(x);
        match (&node.op, node.args.as_slice()) {
            (Op::Square | Op::Power(2), &[x]) => Some(x),
            (Op::Mul, &[x, y]) if self.same(x, y, DEPTH) => Some(x),
            _ => None,
        }
    }

    /// The linear steps that make a value, and of what.
    fn steps(&mut self, mut id: ValueId) -> (Vec<LinearStep>, ValueId) {
        let mut steps = Vec::new();
        while let Node { op: Op::Linear(chain), args, .. } = &self.graph.nodes[id] {
            self.node(id);
            steps.splice(0..0, chain.iter().cloned());
            id = args[0];
        }
        (steps, id)
    }

    fn uniform(&self, id: ConstId) -> Option<f64> {
        uniform(self.graph, id)
    }

    /// Whether two values are computed alike.
    fn same(&self, x: ValueId, y: ValueId, depth: usize) -> bool {
        let (a, b) = (&self.graph.nodes[x], &self.graph.nodes[y]);
        x == y
            || depth > 0
                && !matches!(a.op, Op::Input { .. })
                && a.op == b.op
                && a.args.len() == b.args.len()
                && a.args.iter().zip(&b.args).all(|(&x, &y)| self.same(x, y, depth - 1))
    }
}

fn uniform(graph: &Graph, id: ConstId) -> Option<f64> {
    let data = &graph.constants.tensor(id).data;
    data.first().copied().filter(|first| data.iter().all(|v| v == first))
}

/// scale · mean over axes, repeated along them.
struct Rows {
    axes: Vec<usize>,
    scale: f64,
}

impl Rows {
    /// The steps on `source` as a mean of its rows that broadcasts to it again. Reshapes keep the order of the rows, so
    /// that only the shape in which they are repeated matters.
    fn of(steps: &[LinearStep], graph: &Graph, source: ValueId) -> Option<Rows> {
        let whole = graph.shape(source);
        let (LinearStep::Mean { axes }, rest) = steps.split_first()? else {
            return None;
        };
        let kept = |(a, &d): (usize, &usize)| if axes.contains(&a) { 1 } else { d };
        let kept = Shape::new(whole.dims().iter().enumerate().map(kept).collect::<Vec<_>>());
        let (mut shape, mut scale) = (kept.clone(), 1.0);
        for step in rest {
            match step {
                LinearStep::Scale { factor } => scale *= uniform(graph, *factor)?,
                LinearStep::Reshape { shape: to } if shape != *whole || kept == *whole => shape = to.clone(),
                LinearStep::Expand { shape: to } if shape == kept && to == whole => shape = to.clone(),
                _ => return None,
            }
        }
        (shape == kept || shape == *whole).then(|| Rows { axes: axes.clone(), scale })
    }
}
