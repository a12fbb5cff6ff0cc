//! Operators of onnxruntime (com.microsoft) that stand for several of ONNX.

use crate::call::{Call, Value};
use crate::error::Fault;
use crate::lower::Lowering;
use crate::rows::affine;
use hec_ir::tensor::{Function, Normalization, Op, Tensor, ValueId};
use std::sync::Arc;

type Values = Result<Vec<Value>, Fault>;

/// gelu(x + bias)
pub(crate) fn bias_gelu(lowering: &mut Lowering, call: &Call) -> Values {
    with_bias(lowering, call, Function::Gelu)
}

/// The tanh form of gelu(x + bias), the bias being optional.
pub(crate) fn fast_gelu(lowering: &mut Lowering, call: &Call) -> Values {
    with_bias(lowering, call, Function::GeluTanh)
}

fn with_bias(lowering: &mut Lowering, call: &Call, function: Function) -> Values {
    let mut x = call.encrypted(0)?;
    if let Some(bias) = call.optional(1)?.cloned() {
        x = lowering.add_constant(x, &bias.name, bias.tensor)?;
    }
    Ok(vec![Value::Encrypted(lowering.push(Op::Activation(function), [x])?)])
}

/// x·sigmoid(αx) = silu(αx)/α
pub(crate) fn quick_gelu(lowering: &mut Lowering, call: &Call) -> Values {
    let alpha = call.float("alpha", 1.702)?;
    crate::elementwise::swish(lowering, call, alpha).map(|y| vec![y])
}

/// LayerNorm of x + skip + bias.
pub(crate) fn skip_layer_normalization(lowering: &mut Lowering, call: &Call) -> Values {
    let (beta, bias) = (call.optional(3)?.cloned(), call.optional(4)?.cloned());
    skip(lowering, call, true, beta.as_ref(), bias.as_ref())
}

/// RMSNorm of x + skip + bias.
pub(crate) fn skip_simplified_layer_normalization(lowering: &mut Lowering, call: &Call) -> Values {
    let bias = call.optional(3)?.cloned();
    skip(lowering, call, false, None, bias.as_ref())
}

fn skip(
    lowering: &mut Lowering,
    call: &Call,
    center: bool,
    beta: Option<&crate::call::Constant>,
    bias: Option<&crate::call::Constant>,
) -> Values {
    if call.node.outputs.iter().skip(1).take(2).any(|o| !o.is_empty()) {
        return Err(Fault::form("its statistics are used", "Use only its first and its last result"));
    }
    let mut sum = added(lowering, call)?;
    if let Some(bias) = bias {
        sum = lowering.add_constant(sum, &bias.name, bias.tensor.clone())?;
    }
    let axes = vec![lowering.graph.shape(sum).rank().saturating_sub(1)];
    let normalization = Normalization { axes, center, epsilon: call.float("epsilon", 1e-12)? };
    let gamma = call.optional(2)?.cloned();
    let y = affine(lowering, sum, normalization, gamma.as_ref(), beta)?;
    // Its second and third results have been refused above: only names that nothing uses stand for them.
    Ok(vec![y.clone(), y.clone(), y, Value::Encrypted(sum)])
}

/// The first two inputs, of which one may be constant.
fn added(lowering: &mut Lowering, call: &Call) -> Result<ValueId, Fault> {
    match (call.value(0)?, call.value(1)?) {
        (Value::Encrypted(x), Value::Encrypted(y)) => lowering.push(Op::Add, [*x, *y]),
        (Value::Encrypted(x), Value::Constant(c)) | (Value::Constant(c), Value::Encrypted(x)) => {
            lowering.add_constant(*x, &c.name, c.tensor.clone())
        }
        _ => Err(crate::call::after_client()),
    }
}

/// Nothing that is encrypted is not a number.
pub(crate) fn is_nan(lowering: &mut Lowering, call: &Call) -> Values {
    let shape = lowering.graph.shape(call.encrypted(0)?).clone();
    lowering.charge(shape.elements())?;
    let none = Tensor::filled(shape, 0.0);
    Ok(vec![Value::Constant(crate::call::Constant {
        name: call.node.name.clone(),
        tensor: Arc::new(none),
        kind: crate::tensor_proto::Kind::Bool,
    })])
}
