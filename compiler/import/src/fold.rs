//! Nodes whose inputs are all known: computed while compiling.
//!
//! Element-wise operators are evaluated directly. The others are lowered as if their data were encrypted, and the
//! small graph that results is interpreted: there is one meaning of each operator.

use crate::call::{Call, Constant, Value, axis_index};
use crate::error::{Code, Fault};
use crate::lower::Lowering;
use crate::model::Attribute;
use crate::movement::join;
use crate::operators::Operator;
use crate::scalar::Scalar;
use crate::tensor_proto::{Kind, Storage, kind_of, shape_from, type_name};
use hec_ir::tensor::{Graph, LinearStep, Op, Output, Shape, Tensor};
use std::path::Path;

type Values = Result<Vec<Value>, Fault>;

/// Multiplications that may be spent on folding for each element of the budget.
const WORK_PER_ELEMENT: usize = 64;

/// The node's results as constants.
pub(crate) fn constants(lowering: &mut Lowering, operator: &Operator, call: &Call) -> Values {
    if operator.is_elementwise() {
        return elementwise(lowering, call);
    }
    match operator.fold() {
        Some(fold) => fold(lowering, call),
        None => interpret(lowering, operator, call),
    }
}

fn single(call: &Call, tensor: Tensor, kind: Kind) -> Values {
    Ok(vec![Value::Constant(Constant::new(&call.node.name, tensor, kind))])
}

fn elementwise(lowering: &mut Lowering, call: &Call) -> Values {
    let unknown = || Fault::malformed("the operator is not element-wise");
    let scalar = Scalar::of(call)?.ok_or_else(unknown)?;
    let inputs = (0..call.inputs.len())
        .filter(|&i| call.inputs[i].is_some())
        .map(|i| call.constant(i))
        .collect::<Result<Vec<_>, _>>()?;
    let shape = inputs.iter().try_fold(Shape::new([]), |shape, c| {
        let joined = shape.broadcast(&c.tensor.shape);
        joined.ok_or_else(|| Fault::shape("its constant inputs do not broadcast"))
    })?;
    lowering.charge(checked(&shape)?.saturating_mul(1 + inputs.len()))?;
    let broadcast = |c: &&Constant| c.tensor.broadcast_to(&shape).ok_or_else(unknown);
    let columns = inputs.iter().map(broadcast).collect::<Result<Vec<_>, _>>()?;
    let mut kind = inputs.last().map_or(Kind::Float, |c| c.kind);
    if crate::scalar::is_predicate(&call.node.operator) {
        kind = Kind::Bool;
    }
    let mut arguments = vec![0.0; columns.len()];
    let mut data = Vec::with_capacity(shape.elements());
    for i in 0..shape.elements() {
        for (argument, column) in arguments.iter_mut().zip(&columns) {
            *argument = column.data[i];
        }
        let value = scalar.eval(&arguments);
        data.push(if kind == Kind::Integer { value.trunc() } else { value });
    }
    single(call, Tensor { shape, data }, kind)
}

/// The number of elements, if it does not overflow.
fn checked(shape: &Shape) -> Result<usize, Fault> {
    shape.dims().iter().try_fold(1usize, |p, &d| p.checked_mul(d)).ok_or_else(|| {
        Fault::new(Code::TooLarge, format!("a constant of shape {:?}", shape.dims()), "Use a smaller model")
    })
}

/// Lower the node with its first input in the place of an encrypted one, and run the graph.
fn interpret(lowering: &mut Lowering, operator: &Operator, call: &Call) -> Values {
    let data = call.constant(0)?.clone();
    if data.tensor.data.is_empty() {
        return Err(Fault::shape(format!("\"{}\" has no elements", data.name)));
    }
    let mut scratch = Lowering::new("constant", lowering.budget());
    let x = scratch.graph.input(&data.name, data.tensor.shape.clone());
    let mut inputs = call.inputs.clone();
    inputs[0] = Some(Value::Encrypted(x));
    let values = operator.lower(&mut scratch, &Call { node: call.node, inputs, opset: call.opset })?;
    lowering.charge(lowering.budget() - scratch.budget())?;
    let mut graph = scratch.graph;
    for value in &values {
        if let Value::Encrypted(id) = value {
            graph.outputs.push(Output { name: String::new(), value: *id, client: Vec::new() });
        }
    }
    lowering.charge(cost(&graph))?;
    let mut results = graph.run(std::slice::from_ref(data.tensor.as_ref()))?.into_iter();
    let result = |value: Value| match value {
        Value::Encrypted(_) => {
            let tensor = results.next().ok_or_else(|| Fault::malformed("it has no result"))?;
            Ok(Value::Constant(Constant::new(&call.node.name, tensor, data.kind)))
        }
        other => Ok(other),
    };
    values.into_iter().map(result).collect()
}

/// Elements made, and the share of them that the work on them counts for.
fn cost(graph: &Graph) -> usize {
    let taps = |step: &LinearStep| match step {
        LinearStep::AveragePool(w) => w.kernel[0].saturating_mul(w.kernel[1]),
        step => step.constant().map_or(1, |c| graph.constants.tensor(c).data.len()),
    };
    let work = |op: &Op| match op {
        Op::MaxPool(w) => w.kernel[0].saturating_mul(w.kernel[1]),
        Op::Linear(steps) => steps.iter().map(taps).fold(0, usize::saturating_add),
        _ => 1,
    };
    let node = |op: &Op, shape: &Shape| shape.elements().saturating_mul(1 + work(op) / WORK_PER_ELEMENT);
    graph.nodes.values().map(|n| node(&n.op, &n.shape)).fold(0, usize::saturating_add)
}

/// A constant of the model.
pub(crate) fn constant(_: &mut Lowering, call: &Call) -> Values {
    let list = |data: Vec<f64>| Tensor { shape: Shape::new([data.len()]), data };
    let attribute = |name: &str| call.node.attributes.get(name);
    let (tensor, kind) = match ["value", "value_float", "value_floats", "value_int", "value_ints"].map(attribute) {
        // A constant inside a node has no file beside it.
        [Some(Attribute::Tensor(proto)), ..] => Storage::new(Path::new("")).decode(proto)?,
        [_, Some(Attribute::Float(v)), ..] => (Tensor::scalar(*v), Kind::Float),
        [_, _, Some(Attribute::Floats(v)), ..] => (list(v.clone()), Kind::Float),
        [_, _, _, Some(Attribute::Int(v)), _] => (Tensor::scalar(*v as f64), Kind::Integer),
        [.., Some(Attribute::Ints(v))] => (list(v.iter().map(|&i| i as f64).collect()), Kind::Integer),
        _ => return Err(Fault::form("a sparse or text constant", "Use a dense tensor of numbers")),
    };
    single(call, tensor, kind)
}

pub(crate) fn constant_of_shape(lowering: &mut Lowering, call: &Call) -> Values {
    let shape = shape_from(&call.constant(0)?.integers())?;
    let (value, kind) = match call.node.attributes.get("value") {
        Some(Attribute::Tensor(proto)) => Storage::new(Path::new("")).decode(proto)?,
        _ => (Tensor::scalar(0.0), Kind::Float),
    };
    lowering.charge(shape.elements())?;
    let value = *value.data.first().ok_or_else(|| Fault::malformed("its value is empty"))?;
    single(call, Tensor::filled(shape, value), kind)
}

pub(crate) fn range(lowering: &mut Lowering, call: &Call) -> Values {
    let scalar = |i: usize| call.constant(i)?.uniform().ok_or_else(|| Fault::malformed("a bound is not a scalar"));
    let (start, limit, delta) = (scalar(0)?, scalar(1)?, scalar(2)?);
    let count = ((limit - start) / delta).ceil().max(0.0);
    if !count.is_finite() {
        return Err(Fault::new(Code::Number, "its step is zero or a bound is not finite", "Check its inputs"));
    }
    let shape = shape_from(&[count as i64])?;
    lowering.charge(shape.elements())?;
    let data = (0..shape.elements()).map(|i| start + i as f64 * delta).collect();
    single(call, Tensor { shape, data }, call.constant(0)?.kind)
}

pub(crate) fn cast(lowering: &mut Lowering, call: &Call) -> Values {
    let to = i32::try_from(call.int("to", 0)?).unwrap_or(0);
    let kind = kind_of(to).ok_or_else(|| {
        Fault::new(Code::ElementType, format!("a constant is cast to {}", type_name(to)), "Use float32 or int64")
    })?;
    convert(lowering, call, kind)
}

pub(crate) fn cast_like(lowering: &mut Lowering, call: &Call) -> Values {
    convert(lowering, call, call.constant(1)?.kind)
}

fn convert(lowering: &mut Lowering, call: &Call, kind: Kind) -> Values {
    let from = call.constant(0)?;
    lowering.charge(from.tensor.data.len())?;
    let one = |v: f64| match kind {
        Kind::Float => v,
        Kind::Integer => v.trunc(),
        Kind::Bool => f64::from(u8::from(v != 0.0)),
    };
    let data = from.tensor.data.iter().map(|&v| one(v)).collect();
    single(call, Tensor { shape: from.tensor.shape.clone(), data }, kind)
}

pub(crate) fn concat(lowering: &mut Lowering, call: &Call) -> Values {
    let inputs = (0..call.inputs.len()).map(|i| call.constant(i)).collect::<Result<Vec<_>, _>>()?;
    let first = *inputs.first().ok_or_else(|| Fault::malformed("it has no inputs"))?;
    let shape = &first.tensor.shape;
    let axis = axis_index(call.int("axis", 1)?, shape.rank())?;
    let mut dims = shape.dims().to_vec();
    dims[axis] = 0;
    for c in &inputs {
        let other = c.tensor.shape.dims();
        if other.len() != dims.len() || (0..dims.len()).any(|a| a != axis && other[a] != dims[a]) {
            return Err(Fault::shape(format!("shapes {:?} and {other:?} do not join", shape.dims())));
        }
        dims[axis] += other[axis];
    }
    let whole = Shape::new(dims);
    lowering.charge(checked(&whole)?)?;
    let parts: Vec<&Tensor> = inputs.iter().map(|c| c.tensor.as_ref()).collect();
    single(call, join(&parts, axis, &whole), first.kind)
}
