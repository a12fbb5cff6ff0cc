//! Attention as one node: softmax(Q·Kᵀ·scale + mask)·V for each head.

use crate::call::{Call, Constant, Value, natural};
use crate::error::Fault;
use crate::lower::Lowering;
use crate::rows::masked_softmax;
use crate::{matrix, product};
use hec_ir::tensor::{LinearStep, Shape, Tensor, ValueId};
use std::sync::Arc;

type Values = Result<Vec<Value>, Fault>;

/// ONNX's operator: three or four axes, heads that may share keys and values.
pub(crate) fn attention(lowering: &mut Lowering, call: &Call) -> Values {
    refuse(call, &[4, 5, 6], "keys and values of the past")?;
    if call.float("softcap", 0.0)? != 0.0 {
        return Err(Fault::form("its logits are capped", "Export it without softcap"));
    }
    let packed = lowering.graph.shape(call.encrypted(0)?).rank() == 3;
    let heads = |name: &str| natural(call.int(name, 0)?, name);
    let (q_heads, kv_heads) = if packed { (heads("q_num_heads")?, heads("kv_num_heads")?) } else { (0, 0) };
    let mut parts = Vec::with_capacity(3);
    for (index, heads) in [q_heads, kv_heads, kv_heads].into_iter().enumerate() {
        let x = call.encrypted(index)?;
        parts.push(if packed { split_heads(lowering, x, heads)? } else { x });
    }
    let &[q, k, v] = parts.as_slice() else { return Err(Fault::malformed("it has not three inputs")) };
    let mask = call.optional(3)?.cloned();
    let core = Core { scale: call.float("scale", 0.0)?, causal: call.int("is_causal", 0)? != 0, mask };
    let y = core.lower(lowering, call, [q, k, v])?;
    Ok(vec![Value::Encrypted(if packed { join_heads(lowering, y)? } else { y })])
}

/// The operator of com.microsoft, with the projections to Q, K and V in one weight.
pub(crate) fn projected_attention(lowering: &mut Lowering, call: &Call) -> Values {
    refuse(call, &[3, 4, 6], "a mask of lengths, or keys and values of the past")?;
    if call.ints("qkv_hidden_sizes")?.is_some() || call.int("do_rotary", 0)? != 0 {
        return Err(Fault::form("parts of different size, or rotary positions inside", "Export it decomposed"));
    }
    let heads = natural(call.int("num_heads", 0)?, "num_heads")?;
    let mut all = matrix::right(lowering, call.encrypted(0)?, &call.constant(1)?.clone())?;
    if let Some(bias) = call.optional(2)?.cloned() {
        all = lowering.add_constant(all, &bias.name, bias.tensor)?;
    }
    let dims = lowering.graph.shape(all).dims().to_vec();
    let &[batch, length, width] = dims.as_slice() else {
        return Err(Fault::shape(format!("its input has shape {dims:?}, not three axes")));
    };
    let mut parts = Vec::with_capacity(3);
    for part in 0..3 {
        let starts = vec![0, 0, part * (width / 3)];
        let cut = LinearStep::Slice { starts, steps: vec![1; 3], extents: vec![batch, length, width / 3] };
        let x = lowering.linear(all, vec![cut])?;
        parts.push(split_heads(lowering, x, heads)?);
    }
    let &[q, k, v] = parts.as_slice() else { return Err(Fault::malformed("it has not three parts")) };
    let mask = call.optional(5)?.cloned();
    let core = Core { scale: call.float("scale", 0.0)?, causal: call.int("unidirectional", 0)? != 0, mask };
    let y = core.lower(lowering, call, [q, k, v])?;
    Ok(vec![Value::Encrypted(join_heads(lowering, y)?)])
}

fn refuse(call: &Call, inputs: &[usize], what: &str) -> Result<(), Fault> {
    match inputs.iter().any(|&i| matches!(call.inputs.get(i), Some(Some(_)))) {
        true => Err(Fault::form(format!("it takes {what}"), "Export whole sentences of one length, without a cache")),
        false => Ok(()),
    }
}

struct Core {
    /// 0: one over the root of a head's width.
    scale: f64,
    causal: bool,
    /// Added to the logits; or truth values of what is attended to.
    mask: Option<Constant>,
}

impl Core {
    /// For [batch, heads, length, width].
    fn lower(self, lowering: &mut Lowering, call: &Call, [q, k, v]: [ValueId; 3]) -> Result<ValueId, Fault> {
        let dims = |lowering: &Lowering, x| lowering.graph.shape(x).dims().to_vec();
        let &[_, heads, length, width] = dims(lowering, q).as_slice() else {
            return Err(Fault::shape("its query has not four axes"));
        };
        let (k, v) = (repeat(lowering, k, heads)?, repeat(lowering, v, heads)?);
        let k = lowering.linear(k, vec![LinearStep::Transpose { permutation: vec![0, 1, 3, 2] }])?;
        let logits = product::matmul(lowering, q, k)?;
        let scale = if self.scale == 0.0 { 1.0 / (width as f64).sqrt() } else { self.scale };
        let name = |role: &str| format!("{}.{role}", call.node.name);
        let mut logits = lowering.scale(logits, &name("scale"), Arc::new(Tensor::scalar(scale)))?;
        let keys = dims(lowering, logits)[3];
        if let Some(mask) = &self.mask {
            let added = match mask.kind {
                crate::tensor_proto::Kind::Bool => {
                    let data = mask.tensor.data.iter().map(|&m| if m == 0.0 { f64::NEG_INFINITY } else { 0.0 });
                    Arc::new(Tensor { shape: mask.tensor.shape.clone(), data: data.collect() })
                }
                _ => mask.tensor.clone(),
            };
            logits = lowering.add_constant(logits, &mask.name, added)?;
        }
        if self.causal {
            let later = |i: usize| if i % keys > i / keys { f64::NEG_INFINITY } else { 0.0 };
            let data = (0..length * keys).map(later).collect();
            let mask = Tensor { shape: Shape::new([length, keys]), data };
            logits = lowering.add_constant(logits, &name("causal"), Arc::new(mask))?;
        }
        let weights = masked_softmax(lowering, logits, 3)?;
        product::matmul(lowering, weights, v)
    }
}

/// [batch, length, heads·width] to [batch, heads, length, width]
fn split_heads(lowering: &mut Lowering, x: ValueId, heads: usize) -> Result<ValueId, Fault> {
    let dims = lowering.graph.shape(x).dims().to_vec();
    let &[batch, length, width] = dims.as_slice() else {
        return Err(Fault::shape(format!("a part has shape {dims:?}, not three axes")));
    };
    if heads == 0 || !width.is_multiple_of(heads) {
        return Err(Fault::shape(format!("{width} numbers do not make {heads} heads")));
    }
    let shape = Shape::new([batch, length, heads, width / heads]);
    lowering.linear(x, vec![LinearStep::Reshape { shape }, LinearStep::Transpose { permutation: vec![0, 2, 1, 3] }])
}

fn join_heads(lowering: &mut Lowering, x: ValueId) -> Result<ValueId, Fault> {
    let dims = lowering.graph.shape(x).dims().to_vec();
    let shape = Shape::new([dims[0], dims[2], dims[1] * dims[3]]);
    lowering.linear(x, vec![LinearStep::Transpose { permutation: vec![0, 2, 1, 3] }, LinearStep::Reshape { shape }])
}

/// Heads that several queries share, once for each of them.
fn repeat(lowering: &mut Lowering, x: ValueId, heads: usize) -> Result<ValueId, Fault> {
    let dims = lowering.graph.shape(x).dims().to_vec();
    let &[batch, own, length, width] = dims.as_slice() else {
        return Err(Fault::shape("its keys or values have not four axes"));
    };
    if own == heads {
        return Ok(x);
    }
    if own == 0 || !heads.is_multiple_of(own) {
        return Err(Fault::shape(format!("{heads} heads of queries do not share {own} of keys")));
    }
    let step = |dims: Vec<usize>| LinearStep::Reshape { shape: Shape::new(dims) };
    let expand = LinearStep::Expand { shape: Shape::new([batch, own, heads / own, length, width]) };
    lowering.linear(x, vec![step(vec![batch, own, 1, length, width]), expand, step(vec![batch, heads, length, width])])
}
