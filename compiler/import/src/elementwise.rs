//! Element-wise operators on encrypted values.

use crate::call::{Call, Constant, Value};
use crate::error::{Code, Fault};
use crate::lower::{Lowering, checked_elements, real};
use crate::probe::{Recognised, recognise};
use crate::scalar::{activation, clip_bounds};
use crate::tensor_proto::Kind;
use crate::{decomposed, operators};
use hec_ir::tensor::{Function, Op, Tensor, ValueId};
use std::sync::Arc;

/// Largest exponent of a power: deeper ones are a mistake rather than a model.
const MAX_EXPONENT: f64 = 64.0;

pub(crate) fn lower(lowering: &mut Lowering, call: &Call) -> Result<Vec<Value>, Fault> {
    let found = recognise(&lowering.probes.candidates(&lowering.graph, call));
    let value = match (activation(call)?, found) {
        // A function of something earlier spans several nodes: it says more than the name of the last one.
        (Some(function), found) => {
            let x = call.encrypted(0)?;
            match found.filter(|f| f.base != x) {
                Some(found) => push_found(lowering, found)?,
                None => Value::Encrypted(lowering.push(Op::Activation(function), [x])?),
            }
        }
        (None, Some(found)) => push_found(lowering, found)?,
        (None, None) => composed(lowering, call)?,
    };
    if let Value::Encrypted(id) = value
        && !call.inputs.iter().flatten().any(|v| matches!(v, Value::Encrypted(x) if *x == id))
    {
        let Lowering { graph, probes, .. } = lowering;
        probes.derive(graph, call, id);
    }
    Ok(vec![value])
}

fn push_found(lowering: &mut Lowering, found: Recognised) -> Result<Value, Fault> {
    let id = lowering.push_from(Op::Activation(found.function), [found.base], found.origin)?;
    Ok(Value::Encrypted(id))
}

/// An operation made of others.
fn composed(lowering: &mut Lowering, call: &Call) -> Result<Value, Fault> {
    match call.node.operator.as_str() {
        "Neg" => {
            let x = call.encrypted(0)?;
            lowering.push(Op::Negate, [x]).map(Value::Encrypted)
        }
        "Pow" => power(lowering, call),
        "Swish" => swish(lowering, call, call.float("alpha", 1.0)?),
        "Where" => choice(lowering, call),
        "PRelu" => prelu(lowering, call),
        "Clip" => clip(lowering, call),
        "Max" | "Min" => extremum(lowering, call),
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
        (Value::Encrypted(x), Value::Encrypted(y)) => match (name, decomposed_normalization(lowering, name, *x, *y)?) {
            (_, Some(id)) => id,
            ("Div", None) => {
                let inverse = lowering.push(Op::Activation(Function::Reciprocal), [*y])?;
                both(lowering, "Mul", *x, inverse)?
            }
            (_, None) => both(lowering, name, *x, *y)?,
        },
        (Value::Encrypted(x), Value::Constant(c)) => with_constant(lowering, name, *x, c)?,
        (Value::Constant(c), Value::Encrypted(x)) => match name {
            "Sub" => {
                let negative = lowering.push(Op::Negate, [*x])?;
                with_constant(lowering, "Add", negative, c)?
            }
            "Div" => {
                let inverse = lowering.push(Op::Activation(Function::Reciprocal), [*x])?;
                with_constant(lowering, "Mul", inverse, c)?
            }
            _ => with_constant(lowering, name, *x, c)?,
        },
        _ => return Err(crate::call::after_client()),
    };
    Ok(Value::Encrypted(id))
}

/// A normalisation that ends with this node.
fn decomposed_normalization(
    lowering: &mut Lowering,
    name: &str,
    x: ValueId,
    y: ValueId,
) -> Result<Option<ValueId>, Fault> {
    match name {
        "Div" => decomposed::quotient(lowering, x, y),
        "Mul" => decomposed::product(lowering, x, y),
        _ => Ok(None),
    }
}

/// Sum, difference or product.
fn both(lowering: &mut Lowering, name: &str, x: ValueId, y: ValueId) -> Result<ValueId, Fault> {
    let shape = lowering.graph.shape(y).clone();
    let left = lowering.expand_for(x, &shape)?;
    let shape = lowering.graph.shape(left).clone();
    let right = if x == y { left } else { lowering.expand_for(y, &shape)? };
    match name {
        "Add" => lowering.push(Op::Add, [left, right]),
        "Sub" => lowering.push(Op::Sub, [left, right]),
        _ if left == right => lowering.push(Op::Square, [left]),
        _ => lowering.push(Op::Mul, [left, right]),
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

/// A whole exponent is a product of the value with itself; any other one is a function of it.
fn power(lowering: &mut Lowering, call: &Call) -> Result<Value, Fault> {
    if let (Value::Constant(base), Value::Encrypted(exponent)) = (call.value(0)?, call.value(1)?) {
        return exponential(lowering, base, *exponent).map(Value::Encrypted);
    }
    let advice = "Use one exponent for all elements, at most 64 if it is whole";
    let exponent = call.constant(1)?;
    let x = call.encrypted(0)?;
    let p = exponent.uniform().ok_or_else(|| Fault::form("the exponents differ", advice))?;
    let x = lowering.expand_for(x, &exponent.tensor.shape)?;
    if !p.is_finite() || p > MAX_EXPONENT && p.fract() == 0.0 {
        return Err(Fault::form(format!("the exponent is {p}"), advice));
    }
    let id = match p {
        0.0 => {
            let shape = lowering.graph.shape(x).clone();
            lowering.charge(shape.elements())?;
            return Ok(real(call.node.name.clone(), Tensor::filled(shape, 1.0)));
        }
        1.0 => x,
        2.0 => lowering.push(Op::Square, [x])?,
        p if p > 0.0 && p.fract() == 0.0 => lowering.push(Op::Power(p as u32), [x])?,
        0.5 => lowering.push(Op::Activation(Function::Sqrt), [x])?,
        -1.0 => lowering.push(Op::Activation(Function::Reciprocal), [x])?,
        exponent => lowering.push(Op::Activation(Function::Pow { exponent }), [x])?,
    };
    Ok(Value::Encrypted(id))
}

/// c^x = e^(x·ln c)
fn exponential(lowering: &mut Lowering, base: &Constant, x: ValueId) -> Result<ValueId, Fault> {
    if base.tensor.data.iter().any(|&b| b <= 0.0) {
        let advice = "Only a positive base has a power for every exponent";
        return Err(Fault::new(Code::Number, "a base is not positive, and its exponent is encrypted", advice));
    }
    let logarithms = map(lowering, base, libm::log)?;
    let scaled = lowering.scale(x, &format!("{}.logarithm", base.name), logarithms)?;
    lowering.push(Op::Activation(Function::Exp), [scaled])
}

/// Both bounds are one function; one bound is a maximum or a minimum.
fn clip(lowering: &mut Lowering, call: &Call) -> Result<Value, Fault> {
    let x = call.encrypted(0)?;
    let scalar = |role: &str, bound: f64| {
        Constant::new(format!("{}.{role}", call.node.name), Tensor::scalar(bound), Kind::Float)
    };
    Ok(Value::Encrypted(match clip_bounds(call)? {
        (None, None) => x,
        (Some(low), None) => extremum_with(lowering, "Max", x, &scalar("min", low))?,
        (None, Some(high)) => extremum_with(lowering, "Min", x, &scalar("max", high))?,
        (Some(low), Some(high)) => lowering.push(Op::Activation(Function::Clip { low, high }), [x])?,
    }))
}

/// The largest or the smallest of any number of values and constants.
fn extremum(lowering: &mut Lowering, call: &Call) -> Result<Value, Fault> {
    let name = call.node.operator.as_str();
    let mut best: Option<ValueId> = None;
    for value in call.inputs.iter().flatten() {
        if let Value::Encrypted(x) = value {
            best = Some(match best {
                Some(best) => extremum_of(lowering, name, best, *x)?,
                None => *x,
            });
        }
    }
    let mut best = best.ok_or_else(|| Fault::malformed("it has no inputs"))?;
    for value in call.inputs.iter().flatten() {
        if let Value::Constant(c) = value {
            best = extremum_with(lowering, name, best, c)?;
        }
    }
    Ok(Value::Encrypted(best))
}

/// max(x, y) = (x + y)/2 + |x − y|/2, min(x, y) = (x + y)/2 − |x − y|/2
fn extremum_of(lowering: &mut Lowering, name: &str, x: ValueId, y: ValueId) -> Result<ValueId, Fault> {
    if x == y {
        return Ok(x);
    }
    let difference = both(lowering, "Sub", x, y)?;
    let distance = lowering.push(Op::Activation(Function::Abs), [difference])?;
    let sum = both(lowering, "Add", x, y)?;
    let double = both(lowering, if name == "Max" { "Add" } else { "Sub" }, sum, distance)?;
    lowering.scale(double, &format!("{}.half", lowering.origin().layer()), Arc::new(Tensor::scalar(0.5)))
}

/// max(x, c) = c + relu(x − c), min(x, c) = c − relu(c − x)
fn extremum_with(lowering: &mut Lowering, name: &str, x: ValueId, c: &Constant) -> Result<ValueId, Fault> {
    let above = with_constant(lowering, "Sub", x, c)?;
    if name == "Max" {
        let excess = lowering.push(Op::Activation(Function::Relu), [above])?;
        return with_constant(lowering, "Add", excess, c);
    }
    let below = lowering.push(Op::Negate, [above])?;
    let excess = lowering.push(Op::Activation(Function::Relu), [below])?;
    let negative = lowering.push(Op::Negate, [excess])?;
    with_constant(lowering, "Add", negative, c)
}

/// x·sigmoid(αx) = silu(αx)/α
pub(crate) fn swish(lowering: &mut Lowering, call: &Call, alpha: f64) -> Result<Value, Fault> {
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

/// c·x + (1−c)·y for a constant c of truth values.
fn choice(lowering: &mut Lowering, call: &Call) -> Result<Value, Fault> {
    let Value::Constant(condition) = call.value(0)? else {
        return Err(unsupported("Where"));
    };
    let condition = condition.clone();
    let mut parts = Vec::with_capacity(2);
    for (index, chosen) in [(1, 1.0), (2, 0.0)] {
        let share = map(lowering, &condition, |c| if (c != 0.0) == (chosen != 0.0) { 1.0 } else { 0.0 })?;
        let name = format!("{}.{}", call.node.name, if index == 1 { "chosen" } else { "other" });
        parts.push(match call.value(index)? {
            Value::Encrypted(x) => Value::Encrypted(lowering.scale(*x, &name, share)?),
            Value::Constant(c) => {
                let shape = share.shape.broadcast(&c.tensor.shape);
                let shape = shape.ok_or_else(|| Fault::shape("the choices do not broadcast"))?;
                lowering.charge(2 * checked_elements(&shape)?)?;
                let (share, c) = (share.broadcast_to(&shape), c.tensor.broadcast_to(&shape));
                let (Some(share), Some(c)) = (share, c) else {
                    return Err(Fault::shape("the choices do not broadcast"));
                };
                let data = share.data.iter().zip(&c.data).map(|(&s, &c)| if s == 0.0 { 0.0 } else { c }).collect();
                Value::Constant(Constant::new(name, Tensor { shape, data }, Kind::Float))
            }
            _ => return Err(crate::call::after_client()),
        });
    }
    let id = match (&parts[0], &parts[1]) {
        (Value::Encrypted(x), Value::Encrypted(y)) => both(lowering, "Add", *x, *y)?,
        (Value::Encrypted(x), Value::Constant(c)) | (Value::Constant(c), Value::Encrypted(x)) => {
            lowering.add_constant(*x, &c.name, c.tensor.clone())?
        }
        _ => return Err(unsupported("Where")),
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
