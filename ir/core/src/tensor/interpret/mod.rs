//! The meaning of the tensor level: every operation on clear tensors, in `f64`.
//!
//! The results are the same on every machine: sums have a fixed order, and transcendental functions are `libm`'s.
//! One sample is one thread; callers that have many run them in parallel.

mod linear;
mod rows;
mod strided;

use super::{ClientOp, Graph, Node, Op, Shape, ShapeError, Tensor, ValueId, Window};
use crate::entity::{Entity, EntityVec};
use hec_poly::Basis;
use rows::{lookup, normalize, softmax};
use strided::Strided;

/// Why a network cannot be run on the given inputs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InterpretError {
    /// Too few or too many inputs.
    #[error("the network takes {expected} inputs, but {found} were given")]
    InputCount {
        /// Inputs of the network.
        expected: usize,
        /// Inputs given.
        found: usize,
    },
    /// An input of another shape.
    #[error("input {name} must have shape {expected:?}, but the given one has {found:?}")]
    InputShape {
        /// The model's name for it.
        name: String,
        /// Extents in the network.
        expected: Vec<usize>,
        /// Extents given.
        found: Vec<usize>,
    },
    /// A node that is ill-formed.
    #[error("{layer}: {source}")]
    Node {
        /// Its layer.
        layer: String,
        /// What is wrong.
        source: ShapeError,
    },
    /// An output that does not exist.
    #[error("output {name}: {value} does not exist")]
    Output {
        /// The model's name for it.
        name: String,
        /// The value that it names.
        value: ValueId,
    },
}

impl Graph {
    /// All values of the network, given its inputs in order.
    ///
    /// # Errors
    /// When the inputs do not fit the network, or the network is ill-formed.
    pub fn interpret(&self, inputs: &[Tensor]) -> Result<EntityVec<ValueId, Tensor>, InterpretError> {
        let mut values: EntityVec<ValueId, Tensor> = EntityVec::new();
        let mut inputs = self.check_inputs(inputs)?;
        for (id, node) in self.nodes.iter() {
            let value = self.step(id, node, &mut inputs, |arg| values.get(arg))?;
            values.push(value);
        }
        Ok(values)
    }

    /// The outputs of the network, given its inputs in order. A value is dropped after its last use. Client operations
    /// are not part of it: see [`ClientOp::apply`].
    ///
    /// # Errors
    /// When the inputs do not fit the network, or the network is ill-formed.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, InterpretError> {
        let mut values: Vec<Option<Tensor>> = Vec::with_capacity(self.nodes.len());
        let mut inputs = self.check_inputs(inputs)?;
        let uses = self.last_uses();
        for (id, node) in self.nodes.iter() {
            let value = self.step(id, node, &mut inputs, |arg| values.get(arg.index()).and_then(Option::as_ref))?;
            values.push(Some(value));
            for &arg in &node.args {
                if uses[arg] == id.index() {
                    values[arg.index()] = None;
                }
            }
        }
        let output = |o: &super::Output| {
            let missing = || InterpretError::Output { name: o.name.clone(), value: o.value };
            values.get(o.value.index()).cloned().flatten().ok_or_else(missing)
        };
        self.outputs.iter().map(output).collect()
    }

    /// Index of the last node that uses each value; outputs are used after the last node.
    fn last_uses(&self) -> EntityVec<ValueId, usize> {
        let mut last: EntityVec<ValueId, usize> = self.nodes.keys().map(|id| id.index()).collect();
        for (id, node) in self.nodes.iter() {
            for &arg in node.args.iter().filter(|&&arg| self.nodes.get(arg).is_some()) {
                last[arg] = id.index();
            }
        }
        for output in self.outputs.iter().filter(|o| self.nodes.get(o.value).is_some()) {
            last[output.value] = usize::MAX;
        }
        last
    }

    fn check_inputs<'a>(&self, inputs: &'a [Tensor]) -> Result<std::slice::Iter<'a, Tensor>, InterpretError> {
        let expected = self.inputs().count();
        if expected != inputs.len() {
            return Err(InterpretError::InputCount { expected, found: inputs.len() });
        }
        for ((id, name), given) in self.inputs().zip(inputs) {
            let shape = self.shape(id);
            if *shape != given.shape || given.data.len() != shape.elements() {
                return Err(InterpretError::InputShape {
                    name: name.to_owned(),
                    expected: shape.dims().to_vec(),
                    found: given.shape.dims().to_vec(),
                });
            }
        }
        Ok(inputs.iter())
    }

    fn step<'a>(
        &self,
        id: ValueId,
        node: &Node,
        inputs: &mut std::slice::Iter<Tensor>,
        value: impl Fn(ValueId) -> Option<&'a Tensor>,
    ) -> Result<Tensor, InterpretError> {
        let result = match node.op {
            Op::Input { .. } => Ok(inputs.next().expect("one tensor for each input was checked").clone()),
            _ => self.infer(&node.op, &node.args).and_then(|inferred| {
                if inferred != node.shape {
                    let (declared, inferred) = (node.shape.dims().to_vec(), inferred.dims().to_vec());
                    return Err(ShapeError::Declared { value: id, declared, inferred });
                }
                let args = node.args.iter().map(|&arg| value(arg).ok_or(ShapeError::Undefined(arg)));
                self.apply(node, &args.collect::<Result<Vec<_>, _>>()?)
            }),
        };
        result.map_err(|source| InterpretError::Node { layer: node.origin.layer().to_owned(), source })
    }

    /// A node whose arguments fit it.
    fn apply(&self, node: &Node, args: &[&Tensor]) -> Result<Tensor, ShapeError> {
        Ok(match (&node.op, args) {
            (Op::Linear(steps), &[x]) => match steps.split_first() {
                None => x.clone(),
                Some((first, rest)) => {
                    let first = first.apply(x, &self.constants)?;
                    rest.iter().try_fold(first, |x, step| step.apply(&x, &self.constants))?
                }
            },
            (Op::AddConstant(id), &[x]) => {
                let constant = self.constants.tensor(*id);
                let added = Strided::broadcast(constant.shape.dims(), &x.shape, 1).gather(&constant.data);
                Tensor { shape: x.shape.clone(), data: x.data.iter().zip(added).map(|(x, c)| x + c).collect() }
            }
            (Op::Polynomial { basis, coefficients }, &[x]) => {
                polynomial(x, *basis, self.constants.tensor(*coefficients))
            }
            (Op::MaxPool(window), &[x]) => max_pool(x, &node.shape, window),
            (Op::Softmax { axis }, &[x]) => softmax(x, *axis)?,
            (Op::Lookup { table }, &[x]) => lookup(x, self.constants.tensor(*table), &node.shape)?,
            (Op::Normalize(normalization), &[x]) => normalize(x, normalization),
            (Op::BatchMatMul, &[x, y]) => linear::batch_matmul(x, y, &node.shape),
            (Op::Negate, &[x]) => map(x, |x| -x),
            (Op::Square, &[x]) => map(x, |x| x * x),
            (Op::Power(exponent), &[x]) => map(x, |x| power(x, *exponent)),
            (Op::Activation(function), &[x]) => map(x, |x| function.eval(x)),
            (Op::Add, &[x, y]) => zip(x, y, |x, y| x + y),
            (Op::Sub, &[x, y]) => zip(x, y, |x, y| x - y),
            (Op::Mul, &[x, y]) => zip(x, y, |x, y| x * y),
            (op, _) => {
                return Err(ShapeError::Arity { op: op.name(), expected: op.arity(), found: args.len() });
            }
        })
    }
}

fn map(x: &Tensor, f: impl Fn(f64) -> f64) -> Tensor {
    Tensor { shape: x.shape.clone(), data: x.data.iter().map(|&x| f(x)).collect() }
}

fn zip(x: &Tensor, y: &Tensor, f: impl Fn(f64, f64) -> f64) -> Tensor {
    Tensor { shape: x.shape.clone(), data: x.data.iter().zip(&y.data).map(|(&x, &y)| f(x, y)).collect() }
}

/// x^k by repeated squaring: `f64::powi` may differ between machines.
fn power(x: f64, exponent: u32) -> f64 {
    let (mut base, mut left, mut result) = (x, exponent, 1.0);
    while left > 0 {
        if left & 1 == 1 {
            result *= base;
        }
        base *= base;
        left >>= 1;
    }
    result
}

/// A polynomial of each element; the coefficients broadcast in all axes but their last.
fn polynomial(x: &Tensor, basis: Basis, coefficients: &Tensor) -> Tensor {
    let (&count, lead) = coefficients.shape.dims().split_last().expect("inference asks for a coefficient axis");
    let which = Strided::broadcast(lead, &x.shape, count);
    let mut data = Vec::with_capacity(x.data.len());
    for (first, row) in which.rows().zip(x.data.chunks_exact(which.row.max(1))) {
        let step = which.step as usize;
        let at = |i: usize| &coefficients.data[first + i * step..][..count];
        data.extend(row.iter().enumerate().map(|(i, &x)| hec_poly::evaluate(basis, at(i), x)));
    }
    Tensor { shape: x.shape.clone(), data }
}

/// Padding never wins.
fn max_pool(input: &Tensor, shape: &Shape, window: &Window) -> Tensor {
    let width = input.shape.dims()[3];
    let data = linear::pool(input, shape, window, |plane, rows, columns| {
        rows.flat_map(|y| &plane[y * width..][columns.clone()]).fold(f64::NEG_INFINITY, |max, &x| max.max(x))
    });
    Tensor { shape: shape.clone(), data }
}

impl ClientOp {
    /// The result on a decrypted output.
    ///
    /// # Errors
    /// When the axis does not exist.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor, ShapeError> {
        match *self {
            ClientOp::Softmax { axis } => softmax(x, axis),
        }
    }
}
