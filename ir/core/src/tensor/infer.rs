//! Shapes of results, and the verifier.

use super::{ClientOp, Constants, ConvAttributes, Graph, LinearStep, Normalization, Op, Shape, ValueId, Window};
use crate::entity::Entity;

/// The most elements of a tensor: all of them must fit the slots of one bundle of ciphertexts many times over.
const MAX_ELEMENTS: usize = 1 << 31;

/// Why a node is ill-formed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ShapeError {
    #[error("{op} takes {expected} arguments, not {found}")]
    Arity { op: &'static str, expected: usize, found: usize },
    #[error("{0} is used before it is defined")]
    Undefined(ValueId),
    #[error("constant @{0} does not exist")]
    UnknownConstant(u32),
    #[error("{op}: shapes {left:?} and {right:?} differ")]
    Mismatch { op: &'static str, left: Vec<usize>, right: Vec<usize> },
    #[error("{op} on shape {shape:?}: {reason}")]
    Invalid { op: &'static str, shape: Vec<usize>, reason: String },
    #[error("shape {0:?} has more than {MAX_ELEMENTS} elements")]
    TooLarge(Vec<usize>),
    #[error("constant @{0} has not as many numbers as its shape says")]
    Constant(String),
    #[error("output {name}: the client's operations name an axis that {shape:?} does not have")]
    ClientAxis { name: String, shape: Vec<usize> },
    #[error("{value} is declared with shape {declared:?}, but it has {inferred:?}")]
    Declared { value: ValueId, declared: Vec<usize>, inferred: Vec<usize> },
}

fn invalid(op: &'static str, shape: &Shape, reason: impl Into<String>) -> ShapeError {
    ShapeError::Invalid { op, shape: shape.dims().to_vec(), reason: reason.into() }
}

/// Number of elements, if it is one that a tensor may have.
fn checked_elements(shape: &Shape) -> Result<usize, ShapeError> {
    let count = shape.dims().iter().try_fold(1usize, |n, &extent| n.checked_mul(extent));
    count.filter(|&n| n <= MAX_ELEMENTS).ok_or_else(|| ShapeError::TooLarge(shape.dims().to_vec()))
}

impl ClientOp {
    /// Whether it can be applied to a tensor of `rank` axes.
    pub fn fits(&self, rank: usize) -> bool {
        match *self {
            ClientOp::Softmax { axis } => axis < rank,
        }
    }
}

impl Op {
    /// Its name in text; of a chain, the name of the only step, or `linear`.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input { .. } => "input",
            Op::Linear(steps) => match steps.as_slice() {
                [step] => step.name(),
                _ => "linear",
            },
            Op::AddConstant(_) => "add_constant",
            Op::Negate => "negate",
            Op::Add => "add",
            Op::Sub => "sub",
            Op::Mul => "mul",
            Op::Square => "square",
            Op::Power(_) => "power",
            Op::Polynomial { .. } => "polynomial",
            Op::Activation(f) => f.name(),
            Op::MaxPool(_) => "max_pool",
            Op::BatchMatMul => "batch_matmul",
            Op::Softmax { .. } => "softmax",
            Op::Lookup { .. } => "lookup",
            Op::Normalize(n) if n.center => "layer_norm",
            Op::Normalize(_) => "rms_norm",
        }
    }

    /// How many arguments it takes.
    pub fn arity(&self) -> usize {
        match self {
            Op::Input { .. } => 0,
            Op::Add | Op::Sub | Op::Mul | Op::BatchMatMul => 2,
            _ => 1,
        }
    }
}

impl LinearStep {
    /// Shape of the result.
    ///
    /// # Errors
    /// When the step does not fit the input.
    pub fn output_shape(&self, input: &Shape, constants: &Constants) -> Result<Shape, ShapeError> {
        let name = self.name();
        let bad = |reason: &str| invalid(name, input, reason);
        let constant = match self.constant() {
            Some(id) => Some(&constants.get(id).ok_or(ShapeError::UnknownConstant(id.0))?.shape),
            None => None,
        };
        let dims = input.dims();
        let rank_is = |n: usize| if n == dims.len() { Ok(()) } else { Err(bad("one entry for each axis is needed")) };
        match self {
            LinearStep::Conv { attributes, .. } => {
                conv_shape(input, constant.ok_or_else(|| bad("weight missing"))?, attributes)
            }
            LinearStep::MatMul { .. } => match (dims, constant.map(Shape::dims)) {
                ([lead @ .., k], Some([rows, columns])) if k == rows => Ok(Shape::new([lead, &[*columns]].concat())),
                (_, weight) => Err(bad(&format!("the last axis must match the rows of the weight {weight:?}"))),
            },
            LinearStep::Scale { .. } => match constant.and_then(|c| c.broadcast(input)) {
                Some(shape) if shape == *input => Ok(shape),
                _ => Err(bad("the factor does not broadcast to the input")),
            },
            LinearStep::AveragePool(window) => window_shape(name, input, window),
            LinearStep::Mean { axes } => {
                let mut out = dims.to_vec();
                for &axis in axes {
                    *out.get_mut(axis).ok_or_else(|| bad("no such axis"))? = 1;
                }
                Ok(Shape::new(out))
            }
            LinearStep::Reshape { shape } if checked_elements(shape)? == checked_elements(input)? => Ok(shape.clone()),
            LinearStep::Reshape { .. } => Err(bad("the number of elements changes")),
            LinearStep::Transpose { permutation } => {
                let mut sorted = permutation.clone();
                sorted.sort_unstable();
                if sorted != (0..dims.len()).collect::<Vec<_>>() {
                    return Err(bad("not a permutation of the axes"));
                }
                Ok(Shape::new(permutation.iter().map(|&a| dims[a]).collect::<Vec<_>>()))
            }
            LinearStep::Slice { starts, steps, extents } => {
                rank_is(starts.len()).and(rank_is(steps.len())).and(rank_is(extents.len()))?;
                for axis in 0..dims.len() {
                    // In 128 bits, where no product or sum of these overflows.
                    let (start, step, extent) = (starts[axis] as i128, steps[axis] as i128, extents[axis] as i128);
                    let inside = |at: i128| at >= 0 && at < dims[axis] as i128;
                    if step == 0 || extent == 0 || !inside(start) || !inside(start + step * (extent - 1)) {
                        return Err(bad("the slice leaves the tensor or is empty"));
                    }
                }
                Ok(Shape::new(extents.clone()))
            }
            LinearStep::Pad { before, after } => {
                rank_is(before.len()).and(rank_is(after.len()))?;
                let padded = |a: usize| dims[a].checked_add(before[a])?.checked_add(after[a]);
                let extents: Option<Vec<_>> = (0..dims.len()).map(padded).collect();
                extents.map(Shape::new).ok_or_else(|| bad("an extent overflows"))
            }
            LinearStep::Expand { shape } => match input.broadcast(shape) {
                Some(out) if out == *shape => Ok(out),
                _ => Err(bad("does not broadcast to the new shape")),
            },
        }
    }
}

/// Output extent along one axis, floor mode.
fn window_extent(size: usize, pads: [usize; 2], kernel: usize, stride: usize) -> Option<usize> {
    if kernel == 0 || stride == 0 {
        return None;
    }
    let padded = size.checked_add(pads[0])?.checked_add(pads[1])?;
    Some(padded.checked_sub(kernel)? / stride + 1)
}

fn conv_shape(input: &Shape, weight: &Shape, a: &ConvAttributes) -> Result<Shape, ShapeError> {
    let bad = |reason: &str| invalid("conv", input, reason);
    let (&[n, c, h, w], &[out, per_group, kh, kw]) = (input.dims(), weight.dims()) else {
        return Err(bad("input and weight must have four axes"));
    };
    if a.groups == 0 || per_group.checked_mul(a.groups) != Some(c) || out % a.groups != 0 {
        return Err(bad(&format!("channels do not match weight {:?} with {} groups", weight.dims(), a.groups)));
    }
    let extent = |size, pads, k: usize, axis: usize| {
        let span = a.dilations[axis].checked_mul(k.checked_sub(1)?)?.checked_add(1)?;
        if a.dilations[axis] == 0 { None } else { window_extent(size, pads, span, a.strides[axis]) }
    };
    let oh = extent(h, [a.pads[0], a.pads[2]], kh, 0).ok_or_else(|| bad("the kernel does not fit the height"))?;
    let ow = extent(w, [a.pads[1], a.pads[3]], kw, 1).ok_or_else(|| bad("the kernel does not fit the width"))?;
    Ok(Shape::new([n, out, oh, ow]))
}

fn window_shape(op: &'static str, input: &Shape, window: &Window) -> Result<Shape, ShapeError> {
    let bad = |reason: &str| invalid(op, input, reason);
    let &[n, c, h, w] = input.dims() else {
        return Err(bad("input must have four axes"));
    };
    if (0..4).any(|side| window.pads[side] >= window.kernel[side % 2]) {
        return Err(bad("padding must be smaller than the window"));
    }
    let extent = |size, pads, axis: usize| window_extent(size, pads, window.kernel[axis], window.strides[axis]);
    let oh = extent(h, [window.pads[0], window.pads[2]], 0).ok_or_else(|| bad("the window does not fit the height"))?;
    let ow = extent(w, [window.pads[1], window.pads[3]], 1).ok_or_else(|| bad("the window does not fit the width"))?;
    Ok(Shape::new([n, c, oh, ow]))
}

fn normalization_shape(op: &'static str, x: &Shape, n: &Normalization) -> Result<Shape, ShapeError> {
    if n.axes.is_empty() || !n.axes.is_sorted_by(|a, b| a < b) || n.axes.last().is_some_and(|&a| a >= x.rank()) {
        return Err(invalid(op, x, format!("{:?} are not axes of it in ascending order", n.axes)));
    }
    if !(n.epsilon >= 0.0 && n.epsilon.is_finite()) {
        return Err(invalid(op, x, "epsilon must be a number from 0 on"));
    }
    Ok(x.clone())
}

fn product_shape(op: &'static str, x: &Shape, y: &Shape) -> Result<Shape, ShapeError> {
    match (x.dims(), y.dims()) {
        ([lead @ .., m, k], [other @ .., rows, n]) if lead == other && k == rows => {
            Ok(Shape::new([lead, &[*m, *n]].concat()))
        }
        _ => Err(ShapeError::Mismatch { op, left: x.dims().to_vec(), right: y.dims().to_vec() }),
    }
}

impl Graph {
    /// The shape that `op` gives on `args`.
    ///
    /// # Errors
    /// When they do not fit.
    pub fn infer(&self, op: &Op, args: &[ValueId]) -> Result<Shape, ShapeError> {
        let name = op.name();
        if args.len() != op.arity() {
            return Err(ShapeError::Arity { op: name, expected: op.arity(), found: args.len() });
        }
        let shapes: Vec<&Shape> = args
            .iter()
            .map(|&a| self.nodes.get(a).map(|n| &n.shape).ok_or(ShapeError::Undefined(a)))
            .collect::<Result<_, _>>()?;
        let constant = |id: super::ConstId| self.constants.get(id).ok_or(ShapeError::UnknownConstant(id.0));
        match (op, shapes.as_slice()) {
            (Op::Linear(steps), [x]) => {
                let mut shape = (*x).clone();
                for step in steps {
                    shape = step.output_shape(&shape, &self.constants)?;
                    checked_elements(&shape)?;
                }
                Ok(shape)
            }
            (Op::AddConstant(id), [x]) => match constant(*id)?.shape.broadcast(x) {
                Some(shape) if shape == **x => Ok(shape),
                _ => Err(invalid(name, x, "the constant does not broadcast to the input")),
            },
            (Op::Polynomial { coefficients, .. }, [x]) => {
                let c = constant(*coefficients)?.shape.dims();
                match c.split_last() {
                    Some((&count, lead))
                        if count > 0
                            && lead.len() == x.rank()
                            && Shape::new(lead).broadcast(x).as_ref() == Some(*x) =>
                    {
                        Ok((*x).clone())
                    }
                    _ => Err(invalid(name, x, format!("coefficients of shape {c:?} do not broadcast to it"))),
                }
            }
            (Op::Power(k), [x]) if *k < 2 => Err(invalid(name, x, "the exponent must be at least 2")),
            (Op::MaxPool(window), [x]) => window_shape(name, x, window),
            (Op::Softmax { axis }, [x]) if *axis >= x.rank() => Err(invalid(name, x, format!("no axis {axis}"))),
            (Op::Lookup { table }, [x]) => match constant(*table)?.shape.dims() {
                [rows, row @ ..] if *rows > 0 => Ok(Shape::new([x.dims(), row].concat())),
                table => Err(invalid(name, x, format!("a table of shape {table:?} has no rows"))),
            },
            (Op::Normalize(n), [x]) => normalization_shape(name, x, n),
            (Op::BatchMatMul, [x, y]) => product_shape(name, x, y),
            (_, [x]) => Ok((*x).clone()),
            (_, [x, y]) if x == y => Ok((*x).clone()),
            (_, [x, y]) => Err(ShapeError::Mismatch { op: name, left: x.dims().to_vec(), right: y.dims().to_vec() }),
            _ => Err(ShapeError::Arity { op: name, expected: op.arity(), found: args.len() }),
        }
    }

    /// Check every node: arguments precede their users, shapes are what inference gives, outputs exist.
    ///
    /// # Errors
    /// The first ill-formed node's reason.
    pub fn verify(&self) -> Result<(), ShapeError> {
        for (_, name, tensor) in self.constants.iter() {
            if checked_elements(&tensor.shape)? != tensor.data.len() {
                return Err(ShapeError::Constant(name.to_owned()));
            }
        }
        for (id, node) in self.nodes.iter() {
            if let Some(&late) = node.args.iter().find(|a| a.index() >= id.index()) {
                return Err(ShapeError::Undefined(late));
            }
            // An input has the shape that it is declared with.
            let inferred = match node.op {
                Op::Input { .. } if node.args.is_empty() => node.shape.clone(),
                _ => self.infer(&node.op, &node.args)?,
            };
            checked_elements(&inferred)?;
            if inferred != node.shape {
                return Err(ShapeError::Declared {
                    value: id,
                    declared: node.shape.dims().to_vec(),
                    inferred: inferred.dims().to_vec(),
                });
            }
        }
        for output in &self.outputs {
            let shape = &self.nodes.get(output.value).ok_or(ShapeError::Undefined(output.value))?.shape;
            if !output.client.iter().all(|op| op.fits(shape.rank())) {
                return Err(ShapeError::ClientAxis { name: output.name.clone(), shape: shape.dims().to_vec() });
            }
        }
        Ok(())
    }
}
