//! Batch normalization, and means, sums and norms over axes.

use crate::call::{Call, Value, axis_indices};
use crate::error::Fault;
use crate::lower::Lowering;
use hec_ir::tensor::{Function, LinearStep, Op, Shape, Tensor, ValueId};
use std::sync::Arc;

/// y = γ·(x−μ)/√(σ²+ε) + β, as a factor and an addend for each channel.
pub(crate) fn batch_normalization(lowering: &mut Lowering, call: &Call) -> Result<Vec<Value>, Fault> {
    let x = call.encrypted(0)?;
    let shape = lowering.graph.shape(x).clone();
    if call.int("training_mode", 0)? != 0 || call.int("spatial", 1)? == 0 {
        return Err(Fault::form(
            "it is in training mode, or not one for each channel",
            "Export the model for inference (`model.eval()`)",
        ));
    }
    let epsilon = call.float("epsilon", 1e-5)?;
    let channels = *shape.dims().get(1).ok_or_else(|| Fault::shape("the input has no channel axis"))?;
    let parameter = |index: usize| {
        let c = call.constant(index)?;
        match c.tensor.data.len() == channels {
            true => Ok(&c.tensor.data),
            false => Err(Fault::shape(format!("\"{}\" has not one value for each of {channels} channels", c.name))),
        }
    };
    let [gamma, beta, mean, variance] = [parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?];
    let factor: Vec<f64> = gamma.iter().zip(variance).map(|(g, v)| g / (v + epsilon).sqrt()).collect();
    let addend: Vec<f64> = (0..channels).map(|c| beta[c] - mean[c] * factor[c]).collect();
    let mut each = vec![1; shape.rank()];
    each[1] = channels;
    let channel = |data| Arc::new(Tensor { shape: Shape::new(each.clone()), data });
    let name = &call.node.name;
    let scaled = lowering.scale(x, &format!("{name}.factor"), channel(factor))?;
    Ok(vec![Value::Encrypted(lowering.add_constant(scaled, &format!("{name}.addend"), channel(addend))?)])
}

pub(crate) fn reduce_mean(lowering: &mut Lowering, call: &Call) -> Result<Vec<Value>, Fault> {
    let x = call.encrypted(0)?;
    reduced(lowering, call, x, false)
}

pub(crate) fn reduce_sum(lowering: &mut Lowering, call: &Call) -> Result<Vec<Value>, Fault> {
    let x = call.encrypted(0)?;
    reduced(lowering, call, x, true)
}

/// Σ|x|
pub(crate) fn reduce_l1(lowering: &mut Lowering, call: &Call) -> Result<Vec<Value>, Fault> {
    let x = call.encrypted(0)?;
    let magnitudes = lowering.push(Op::Activation(Function::Abs), [x])?;
    reduced(lowering, call, magnitudes, true)
}

/// Σx²
pub(crate) fn reduce_sum_square(lowering: &mut Lowering, call: &Call) -> Result<Vec<Value>, Fault> {
    let x = call.encrypted(0)?;
    let squares = lowering.push(Op::Square, [x])?;
    reduced(lowering, call, squares, true)
}

/// √Σx²
pub(crate) fn reduce_l2(lowering: &mut Lowering, call: &Call) -> Result<Vec<Value>, Fault> {
    let sum = reduce_sum_square(lowering, call)?;
    match sum.as_slice() {
        &[Value::Encrypted(sum)] => Ok(vec![Value::Encrypted(lowering.push(Op::Activation(Function::Sqrt), [sum])?)]),
        _ => Ok(sum),
    }
}

/// The mean or the sum over the axes that the node names.
fn reduced(lowering: &mut Lowering, call: &Call, x: ValueId, sum: bool) -> Result<Vec<Value>, Fault> {
    let shape = lowering.graph.shape(x).clone();
    let axes = match call.integers(1, "axes")? {
        Some(axes) if !axes.is_empty() => axis_indices(&axes, shape.rank())?,
        _ if call.int("noop_with_empty_axes", 0)? != 0 => return Ok(vec![Value::Encrypted(x)]),
        _ => (0..shape.rank()).collect(),
    };
    let count: usize = axes.iter().map(|&a| shape.dims()[a]).product();
    let keep = call.int("keepdims", 1)? != 0;
    let kept: Vec<usize> = (0..shape.rank())
        .filter(|a| keep || !axes.contains(a))
        .map(|a| if axes.contains(&a) { 1 } else { shape.dims()[a] })
        .collect();
    let mut steps = vec![LinearStep::Mean { axes }];
    if sum && count != 1 {
        let factor = lowering.made("count", Tensor::scalar(count as f64))?;
        steps.push(LinearStep::Scale { factor });
    }
    steps.push(LinearStep::Reshape { shape: Shape::new(kept) });
    Ok(vec![Value::Encrypted(lowering.linear(x, steps)?)])
}
