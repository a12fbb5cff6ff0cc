//! Batch normalization and means over axes.

use crate::call::{Call, Constant, Value, axis_indices};
use crate::error::Fault;
use crate::lower::Lowering;
use hec_ir::tensor::{ClientOp, LinearStep, Shape, Tensor, ValueId};
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
    reduce(lowering, call, false)
}

pub(crate) fn reduce_sum(lowering: &mut Lowering, call: &Call) -> Result<Vec<Value>, Fault> {
    reduce(lowering, call, true)
}

fn reduce(lowering: &mut Lowering, call: &Call, sum: bool) -> Result<Vec<Value>, Fault> {
    let x = call.encrypted(0)?;
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

/// Left to the client; the walk has checked that nothing but outputs follows.
pub(crate) fn softmax(lowering: &mut Lowering, call: &Call) -> Result<Vec<Value>, Fault> {
    let (id, mut ops): (ValueId, Vec<ClientOp>) = match call.value(0)? {
        Value::Encrypted(id) => (*id, Vec::new()),
        Value::Client(id, ops) => (*id, ops.clone()),
        Value::Constant(Constant { name, .. }) => {
            return Err(Fault::form(format!("softmax of the constant \"{name}\""), "Fold it before exporting"));
        }
        Value::Unknown(_) => return Err(crate::call::after_client()),
    };
    let dims = lowering.graph.shape(id).dims().to_vec();
    // Before operator set 13 the axes from `axis` on are one.
    let flat = call.opset < 13;
    let axis = call.axis(if flat { 1 } else { -1 }, dims.len(), false)?;
    let long: Vec<usize> = (axis..dims.len()).filter(|&a| dims[a] != 1).collect();
    let axis = match long.as_slice() {
        _ if !flat => axis,
        [] => axis,
        &[only] => only,
        _ => return Err(Fault::form("softmax over several axes at once", "Flatten its input to two axes")),
    };
    ops.push(ClientOp::Softmax { axis });
    Ok(vec![Value::Client(id, ops)])
}
