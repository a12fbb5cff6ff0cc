//! What is computed of whole rows: softmax and normalisations.

use crate::call::{Call, Constant, Value};
use crate::error::Fault;
use crate::lower::Lowering;
use hec_ir::tensor::{ClientOp, LinearStep, Normalization, Op, Shape, Tensor, ValueId};
use std::sync::Arc;

type Values = Result<Vec<Value>, Fault>;

/// Left to the client; the walk has checked that nothing but outputs follows.
pub(crate) fn last_softmax(lowering: &mut Lowering, call: &Call) -> Values {
    let (id, mut ops): (ValueId, Vec<ClientOp>) = match call.value(0)? {
        Value::Encrypted(id) => (*id, Vec::new()),
        Value::Client(id, ops) => (*id, ops.clone()),
        Value::Constant(Constant { name, .. }) => {
            return Err(Fault::form(format!("softmax of the constant \"{name}\""), "Fold it before exporting"));
        }
        Value::Tokens(_) => return Err(crate::tokens::misuse()),
        Value::Unknown(_) => return Err(crate::call::after_client()),
    };
    match *softmax_axes(lowering.graph.shape(id), call)?.as_slice() {
        [axis] => ops.push(ClientOp::Softmax { axis }),
        _ => return Err(Fault::form("softmax over several axes at once", "Flatten its input to two axes")),
    }
    Ok(vec![Value::Client(id, ops)])
}

/// Inside the network.
pub(crate) fn softmax(lowering: &mut Lowering, call: &Call) -> Values {
    let x = call.encrypted(0)?;
    let shape = lowering.graph.shape(x).clone();
    let axes = softmax_axes(&shape, call)?;
    if let [axis] = *axes.as_slice() {
        return Ok(vec![Value::Encrypted(masked_softmax(lowering, x, axis)?)]);
    }
    let inner: usize = axes.iter().map(|&a| shape.dims()[a]).product();
    let flat = Shape::new([shape.elements() / inner.max(1), inner]);
    let rows = lowering.linear(x, vec![LinearStep::Reshape { shape: flat }])?;
    let rows = lowering.push(Op::Softmax { axis: 1 }, [rows])?;
    Ok(vec![Value::Encrypted(lowering.linear(rows, vec![LinearStep::Reshape { shape }])?)])
}

/// Softmax of logits to which a mask may have been added: an addend of −∞, or as good as that, becomes one that is small
/// enough to leave nothing of its element and not so large that it drowns the others' digits.
pub(crate) fn masked_softmax(lowering: &mut Lowering, x: ValueId, axis: usize) -> Result<ValueId, Fault> {
    let node = &lowering.graph.nodes[x];
    let mut x = x;
    if let (&Op::AddConstant(mask), &[logits]) = (&node.op, node.args.as_slice()) {
        let (name, tensor) = (lowering.graph.constants.name(mask), lowering.graph.constants.tensor(mask));
        if tensor.data.iter().any(|&v| v < MASKED) {
            let data = tensor.data.iter().map(|&v| v.max(MASKED)).collect();
            let (name, tensor) = (format!("{name}.masked"), Tensor { shape: tensor.shape.clone(), data });
            lowering.charge(tensor.data.len())?;
            x = lowering.add_constant(logits, &name, Arc::new(tensor))?;
        }
    }
    lowering.push(Op::Softmax { axis }, [x])
}

/// e^−10,000 is zero in double precision.
const MASKED: f64 = -1e4;

/// The axes that a softmax runs over: one, but before operator set 13 those from `axis` on that are longer than 1.
fn softmax_axes(shape: &Shape, call: &Call) -> Result<Vec<usize>, Fault> {
    let flat = call.opset < 13;
    let axis = call.axis(if flat { 1 } else { -1 }, shape.rank(), false)?;
    let long: Vec<usize> = (axis..shape.rank()).filter(|&a| shape.dims()[a] != 1).collect();
    Ok(if flat && !long.is_empty() { long } else { vec![axis] })
}

/// (x−μ)/√(σ²+ε)·γ + β over the axes from `axis` on.
pub(crate) fn layer_normalization(lowering: &mut Lowering, call: &Call) -> Values {
    let bias = call.optional(2)?.cloned();
    trailing(lowering, call, true, bias)
}

/// x/√(mean x² + ε)·γ over the axes from `axis` on.
pub(crate) fn rms_normalization(lowering: &mut Lowering, call: &Call) -> Values {
    trailing(lowering, call, false, None)
}

fn trailing(lowering: &mut Lowering, call: &Call, center: bool, bias: Option<Constant>) -> Values {
    let x = call.encrypted(0)?;
    let rank = lowering.graph.shape(x).rank();
    let axes = (call.axis(-1, rank, false)?..rank).collect();
    let epsilon = call.float("epsilon", 1e-5)?;
    let scale = call.optional(1)?.cloned();
    affine(lowering, x, Normalization { axes, center, epsilon }, scale.as_ref(), bias.as_ref()).map(|y| vec![y])
}

/// x/√Σx² along an axis.
pub(crate) fn lp_normalization(lowering: &mut Lowering, call: &Call) -> Values {
    let x = call.encrypted(0)?;
    let shape = lowering.graph.shape(x).clone();
    let axis = call.axis(-1, shape.rank(), false)?;
    match call.int("p", 2)? {
        2 => {}
        p => return Err(Fault::form(format!("it divides by a norm with p = {p}"), "Use p = 2")),
    }
    let y = lowering.push(Op::Normalize(Normalization { axes: vec![axis], center: false, epsilon: 0.0 }), [x])?;
    let factor = Tensor::scalar(1.0 / (shape.dims()[axis] as f64).sqrt());
    let name = format!("{}.factor", call.node.name);
    Ok(vec![Value::Encrypted(lowering.scale(y, &name, Arc::new(factor))?)])
}

/// A normalisation with scale and shift after it.
pub(crate) fn affine(
    lowering: &mut Lowering,
    x: ValueId,
    normalization: Normalization,
    scale: Option<&Constant>,
    bias: Option<&Constant>,
) -> Result<Value, Fault> {
    if normalization.epsilon < 0.0 {
        return Err(Fault::form(format!("epsilon is {}", normalization.epsilon), "Use an epsilon from 0 on"));
    }
    let mut y = lowering.push(Op::Normalize(normalization), [x])?;
    if let Some(scale) = scale {
        y = lowering.scale(y, &scale.name, scale.tensor.clone())?;
    }
    if let Some(bias) = bias {
        y = lowering.add_constant(y, &bias.name, bias.tensor.clone())?;
    }
    Ok(Value::Encrypted(y))
}
