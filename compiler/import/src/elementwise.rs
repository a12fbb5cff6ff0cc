//! Element-wise operators on encrypted values.

use crate::call::{Call, Constant, Value};
use crate::error::{Code, Fault};
use crate::lower::{Lowering, real};
use crate::operators;
use crate::probe::recognise;
use crate::scalar::activation;
use hec_ir::tensor::{Function, Op, Tensor, ValueId};
use std::sync::Arc;

/// Largest exponent of a power: deeper ones are a mistake rather than a model.
const MAX_EXPONENT: f64 = 64.0;

pub(crate) fn lower(lowering: &mut Lowering, call: &Call) -> Result<Vec<Value>, Fault> {
    let value = match activation(call)? {
        Some(function) => {
            let x = call.encrypted(0)?;
            Value::Encrypted(lowering.push(Op::Activation(function), [x])?)
        }
        None => composed(lowering, call)?,
    };
    if let Value::Encrypted(id) = value
        && !call.inputs.iter().flatten().any(|v| matches!(v, Value::Encrypted(x) if *x == id))
    {
        let Lowering { graph, probes, .. } = lowering;
        probes.derive(graph, call, id);
    }
    Ok(vec![value])
}

/// A part of an activation, perhaps its last; else an operation of its own.
fn composed(lowering: &mut Lowering, call: &Call) -> Result<Value, Fault> {
    let candidates = lowering.probes.candidates(&lowering.graph, call);
    if let Some(found) = recognise(&candidates) {
        let id = lowering.push_from(Op::Activation(found.function), [found.base], found.origin)?;
        return Ok(Value::Encrypted(id));
    }
    match call.node.operator.as_str() {
        "Neg" => {
            let x = call.encrypted(0)?;
            lowering.push(Op::Negate, [x]).map(Value::Encrypted)
        }
        "Pow" => power(lowering, call),
        "Swish" => swish(lowering, call),
        "PRelu" => prelu(lowering, call),
        "Add" | "Sub" | "Mul" | "Div" => binary(lowering, call),
        "Sum" | "Mean" => sum(lowering, call),
        name => Err(unsupported(name)),
    }
}

fn unsupported(name: &str) -> Fault {
    let advice = operators::advice(name);
    Fault::new(Code::Operator, format!("{name} is not supported on encrypted values"), advice)
}

fn binary(lowering: &mut Lowering, call: &Call) -> Result<Value, Fault> {
    let name = call.node.operator.as_str();
    let id = match (call.value(0)?, call.value(1)?) {
        (Value::Encrypted(x), Value::Encrypted(y)) => both(lowering, name, *x, *y)?,
        (Value::Encrypted(x), Value::Constant(c)) => with_constant(lowering, name, *x, c)?,
        (Value::Constant(c), Value::Encrypted(x)) => match name {
            "Sub" => {
                let negative = lowering.push(Op::Negate, [*x])?;
                with_constant(lowering, "Add", negative, c)?
            }
            "Div" => {
                return Err(Fault::form(
                    "it divides by an encrypted value",
                    "Replace the division by a multiplication with a constant",
                ));
            }
            _ => with_constant(lowering, name, *x, c)?,
        },
        _ => return Err(crate::call::after_client()),
    };
    Ok(Value::Encrypted(id))
}

fn both(lowering: &mut Lowering, name: &str, x: ValueId, y: ValueId) -> Result<ValueId, Fault> {
    let shape = lowering.graph.shape(y).clone();
    let left = lowering.expand_for(x, &shape)?;
    let shape = lowering.graph.shape(left).clone();
    let right = if x == y { left } else { lowering.expand_for(y, &shape)? };
    match name {
        "Add" => lowering.push(Op::Add, [left, right]),
        "Sub" => lowering.push(Op::Sub, [left, right]),
        "Mul" if left == right => lowering.push(Op::Square, [left]),
        "Mul" => lowering.push(Op::Mul, [left, right]),
        _ => Err(Fault::form(
            "it divides by an encrypted value",
            "Replace the division by a multiplication with a constant",
        )),
    }
}

fn with_constant(lowering: &mut Lowering, name: &str, x: ValueId, c: &Constant) -> Result<ValueId, Fault> {
    match name {
        "Add" => lowering.add_constant(x, &c.name, c.tensor.clone()),
        "Sub" => {
            let negative = map(lowering, c, |v| -v)?;
            lowering.add_constant(x, &format!("{}.negative", c.name), negative)
        }
        "Mul" => lowering.scale(x, &c.name, c.tensor.clone()),
        _ if c.tensor.data.contains(&0.0) => {
            Err(Fault::new(Code::Number, "it divides by zero", "Check the constant that it divides by"))
        }
        _ => {
            let inverse = map(lowering, c, |v| 1.0 / v)?;
            lowering.scale(x, &format!("{}.inverse", c.name), inverse)
        }
    }
}

fn map(lowering: &mut Lowering, c: &Constant, f: impl Fn(f64) -> f64) -> Result<Arc<Tensor>, Fault> {
    lowering.charge(c.tensor.data.len())?;
    Ok(Arc::new(Tensor { shape: c.tensor.shape.clone(), data: c.tensor.data.iter().map(|&v| f(v)).collect() }))
}

fn power(lowering: &mut Lowering, call: &Call) -> Result<Value, Fault> {
    let advice = "Use a whole exponent from 0 to 64, the same for all elements";
    let exponent = call.constant(1)?;
    let x = call.encrypted(0)?;
    let k = exponent.uniform().ok_or_else(|| Fault::form("the exponents differ", advice))?;
    let x = lowering.expand_for(x, &exponent.tensor.shape)?;
    if k.fract() != 0.0 || !(0.0..=MAX_EXPONENT).contains(&k) {
        return Err(Fault::form(format!("the exponent is {k}"), advice));
    }
    let id = match k as u32 {
        0 => {
            let shape = lowering.graph.shape(x).clone();
            lowering.charge(shape.elements())?;
            return Ok(real(call.node.name.clone(), Tensor::filled(shape, 1.0)));
        }
        1 => x,
        2 => lowering.push(Op::Square, [x])?,
        k => lowering.push(Op::Power(k), [x])?,
    };
    Ok(Value::Encrypted(id))
}

/// x·sigmoid(αx) = silu(αx)/α
fn swish(lowering: &mut Lowering, call: &Call) -> Result<Value, Fault> {
    let alpha = call.float("alpha", 1.0)?;
    let x = call.encrypted(0)?;
    let id = if alpha == 0.0 {
        lowering.scale(x, "half", Arc::new(Tensor::scalar(0.5)))?
    } else {
        let name = &call.node.name;
        let scaled = lowering.scale(x, &format!("{name}.alpha"), Arc::new(Tensor::scalar(alpha)))?;
        let silu = lowering.push(Op::Activation(Function::Silu), [scaled])?;
        lowering.scale(silu, &format!("{name}.alpha.inverse"), Arc::new(Tensor::scalar(1.0 / alpha)))?
    };
    Ok(Value::Encrypted(id))
}

/// Slopes for each channel: s·x + (1−s)·relu(x)
fn prelu(lowering: &mut Lowering, call: &Call) -> Result<Value, Fault> {
    let (x, slope) = (call.encrypted(0)?, call.constant(1)?);
    let relu = lowering.push(Op::Activation(Function::Relu), [x])?;
    let rest = map(lowering, slope, |s| 1.0 - s)?;
    let positive = lowering.scale(relu, &format!("{}.rest", slope.name), rest)?;
    let all = lowering.scale(x, &slope.name, slope.tensor.clone())?;
    both(lowering, "Add", all, positive).map(Value::Encrypted)
}

/// Any number of terms, encrypted or constant.
fn sum(lowering: &mut Lowering, call: &Call) -> Result<Value, Fault> {
    let mut total: Option<ValueId> = None;
    for value in call.inputs.iter().flatten() {
        if let Value::Encrypted(x) = value {
            total = Some(match total {
                Some(sum) => both(lowering, "Add", sum, *x)?,
                None => *x,
            });
        }
    }
    let mut total = total.ok_or_else(|| Fault::malformed("it has no inputs"))?;
    for value in call.inputs.iter().flatten() {
        if let Value::Constant(c) = value {
            total = with_constant(lowering, "Add", total, c)?;
        }
    }
    if call.node.operator == "Mean" {
        let share = Tensor::scalar(1.0 / call.inputs.len() as f64);
        total = lowering.scale(total, &format!("{}.share", call.node.name), Arc::new(share))?;
    }
    Ok(Value::Encrypted(total))
}
