//! Products with matrices.

use crate::call::{Call, Constant, Value};
use crate::error::Fault;
use crate::lower::{Lowering, checked_elements};
use crate::{fold, operators, product};
use hec_ir::tensor::{ConvAttributes, LinearStep, Op, Shape, Tensor, ValueId};
use std::sync::Arc;

pub(crate) fn matmul(lowering: &mut Lowering, call: &Call) -> Result<Vec<Value>, Fault> {
    let id = match (call.value(0)?, call.value(1)?) {
        (Value::Encrypted(x), Value::Constant(w)) => right(lowering, *x, w)?,
        (Value::Constant(w), Value::Encrypted(x)) => left(lowering, w, *x)?,
        (Value::Encrypted(x), Value::Encrypted(y)) => product::matmul(lowering, *x, *y)?,
        _ => return Err(crate::call::after_client()),
    };
    Ok(vec![Value::Encrypted(id)])
}

/// alpha·A'·B' + beta·C
pub(crate) fn gemm(lowering: &mut Lowering, call: &Call) -> Result<Vec<Value>, Fault> {
    if let (Value::Constant(_), Value::Constant(_)) = (call.value(0)?, call.value(1)?) {
        return constant_product(lowering, call);
    }
    let (alpha, beta) = (call.float("alpha", 1.0)?, call.float("beta", 1.0)?);
    let transposed = [call.int("transA", 0)? != 0, call.int("transB", 0)? != 0];
    let product = match (call.value(0)?, call.value(1)?) {
        (Value::Encrypted(a), Value::Constant(b)) => {
            let b = factor(lowering, b, transposed[1], alpha)?;
            let a = rows_first(lowering, *a, transposed[0])?;
            right(lowering, a, &b)?
        }
        (Value::Constant(a), Value::Encrypted(b)) => {
            let a = factor(lowering, a, transposed[0], alpha)?;
            let b = rows_first(lowering, *b, transposed[1])?;
            left(lowering, &a, b)?
        }
        (Value::Encrypted(a), Value::Encrypted(b)) => {
            let a = rows_first(lowering, *a, transposed[0])?;
            let b = rows_first(lowering, *b, transposed[1])?;
            let product = product::matmul(lowering, a, b)?;
            lowering.scale(product, &format!("{}.alpha", call.node.name), Arc::new(Tensor::scalar(alpha)))?
        }
        _ => return Err(crate::call::after_client()),
    };
    let id = match call.inputs.get(2).and_then(Option::as_ref) {
        None => product,
        _ if beta == 0.0 => product,
        Some(Value::Constant(c)) => {
            fits(&c.tensor.shape, lowering.graph.shape(product))?;
            let bias = scaled(lowering, c, beta)?;
            lowering.add_constant(product, &c.name, bias)?
        }
        Some(Value::Encrypted(c)) => {
            let shape = lowering.graph.shape(product).clone();
            let c = addend(lowering, call, *c, beta, &shape)?;
            lowering.push(Op::Add, [product, c])?
        }
        Some(_) => return Err(crate::call::after_client()),
    };
    Ok(vec![Value::Encrypted(id)])
}

/// Only C is encrypted.
fn constant_product(lowering: &mut Lowering, call: &Call) -> Result<Vec<Value>, Fault> {
    let beta = call.float("beta", 1.0)?;
    let inputs = call.inputs[..2].to_vec();
    let product = fold::constants(lowering, operators::find(call.node)?, &Call { inputs, ..*call })?;
    let [Value::Constant(product)] = product.as_slice() else {
        return Err(Fault::malformed("its product is not one constant"));
    };
    let c = addend(lowering, call, call.encrypted(2)?, beta, &product.tensor.shape)?;
    Ok(vec![Value::Encrypted(lowering.add_constant(c, &product.name, product.tensor.clone())?)])
}

/// beta·C for an encrypted C, in the shape of the product.
fn addend(lowering: &mut Lowering, call: &Call, c: ValueId, beta: f64, product: &Shape) -> Result<ValueId, Fault> {
    fits(lowering.graph.shape(c), product)?;
    let scaled = lowering.scale(c, &format!("{}.beta", call.node.name), Arc::new(Tensor::scalar(beta)))?;
    lowering.expand_for(scaled, product)
}

/// The addend of a Gemm broadcasts to the product, not the other way around.
fn fits(addend: &Shape, product: &Shape) -> Result<(), Fault> {
    match addend.broadcast(product) {
        Some(shape) if shape == *product => Ok(()),
        _ => Err(Fault::shape(format!("C of shape {:?} does not broadcast to {:?}", addend.dims(), product.dims()))),
    }
}

fn scaled(lowering: &mut Lowering, c: &Constant, by: f64) -> Result<Arc<Tensor>, Fault> {
    if by == 1.0 {
        return Ok(c.tensor.clone());
    }
    lowering.charge(c.tensor.data.len())?;
    let data = c.tensor.data.iter().map(|&v| v * by).collect();
    Ok(Arc::new(Tensor { shape: c.tensor.shape.clone(), data }))
}

/// The constant factor of a Gemm, with its transposition and scale applied.
fn factor(lowering: &mut Lowering, c: &Constant, transposed: bool, alpha: f64) -> Result<Constant, Fault> {
    if c.tensor.shape.rank() != 2 {
        return Err(Fault::shape(format!("a factor has shape {:?}, not that of a matrix", c.tensor.shape.dims())));
    }
    let tensor = scaled(lowering, c, alpha)?;
    let tensor = if transposed { swap_last(lowering, &tensor)? } else { tensor };
    Ok(Constant { tensor, ..c.clone() })
}

fn rows_first(lowering: &mut Lowering, x: ValueId, transposed: bool) -> Result<ValueId, Fault> {
    match (lowering.graph.shape(x).rank(), transposed) {
        (2, false) => Ok(x),
        (2, true) => lowering.linear(x, vec![LinearStep::Transpose { permutation: vec![1, 0] }]),
        _ => {
            Err(Fault::shape(format!("a factor has shape {:?}, not that of a matrix", lowering.graph.shape(x).dims())))
        }
    }
}

/// The last two axes exchanged.
fn swap_last(lowering: &mut Lowering, t: &Tensor) -> Result<Arc<Tensor>, Fault> {
    lowering.charge(t.data.len())?;
    let [lead @ .., rows, columns] = t.shape.dims() else {
        return Err(Fault::shape("a factor has fewer than two axes"));
    };
    let mut data = Vec::with_capacity(t.data.len());
    if rows * columns > 0 {
        for matrix in t.data.chunks_exact(rows * columns) {
            data.extend((0..*columns).flat_map(|c| (0..*rows).map(move |r| matrix[r * columns + c])));
        }
    }
    Ok(Arc::new(Tensor { shape: Shape::new([lead, &[*columns, *rows]].concat()), data }))
}

fn swap(rank: usize) -> LinearStep {
    let mut permutation: Vec<usize> = (0..rank).collect();
    permutation.swap(rank - 2, rank - 1);
    LinearStep::Transpose { permutation }
}

/// The shape with a new axis of extent 1 at `at`.
fn with_one(shape: &Shape, at: usize) -> Shape {
    let mut dims = shape.dims().to_vec();
    dims.insert(at, 1);
    Shape::new(dims)
}

/// x · w, as NumPy's `matmul`.
pub(crate) fn right(lowering: &mut Lowering, x: ValueId, w: &Constant) -> Result<ValueId, Fault> {
    let start = lowering.graph.shape(x).clone();
    let vectors = (start.rank() == 1, w.tensor.shape.rank() == 1);
    check_ranks(&start, &w.tensor.shape)?;
    let mut steps = Vec::new();
    let mut shape = start;
    if vectors.0 {
        shape = with_one(&shape, 0);
        steps.push(LinearStep::Reshape { shape: shape.clone() });
    }
    let tensor = match vectors.1 {
        true => reshaped(&w.tensor, with_one(&w.tensor.shape, 1)),
        false => w.tensor.clone(),
    };
    let product = product(lowering, &mut steps, shape, &w.name, tensor)?;
    finish(lowering, x, steps, product, vectors)
}

/// w · x = (xᵀ · wᵀ)ᵀ
fn left(lowering: &mut Lowering, w: &Constant, x: ValueId) -> Result<ValueId, Fault> {
    let start = lowering.graph.shape(x).clone();
    let vectors = (w.tensor.shape.rank() == 1, start.rank() == 1);
    check_ranks(&start, &w.tensor.shape)?;
    let mut steps = Vec::new();
    let mut shape = start;
    if vectors.1 {
        shape = with_one(&shape, 1);
        steps.push(LinearStep::Reshape { shape: shape.clone() });
    }
    let tensor = match vectors.0 {
        true => reshaped(&w.tensor, with_one(&w.tensor.shape, 0)),
        false => w.tensor.clone(),
    };
    let transposed = swap_last(lowering, &tensor)?;
    steps.push(swap(shape.rank()));
    let shape = swapped(&shape);
    let product = product(lowering, &mut steps, shape, &w.name, transposed)?;
    steps.push(swap(product.rank()));
    finish(lowering, x, steps, swapped(&product), vectors)
}

fn swapped(shape: &Shape) -> Shape {
    let mut dims = shape.dims().to_vec();
    let rank = dims.len();
    dims.swap(rank - 2, rank - 1);
    Shape::new(dims)
}

fn reshaped(tensor: &Tensor, shape: Shape) -> Arc<Tensor> {
    Arc::new(Tensor { shape, data: tensor.data.clone() })
}

fn check_ranks(x: &Shape, w: &Shape) -> Result<(), Fault> {
    match x.rank() == 0 || w.rank() == 0 {
        true => Err(Fault::shape("a factor is a scalar")),
        false => Ok(()),
    }
}

/// Drop the axes that were added for vectors, and emit the chain.
fn finish(
    lowering: &mut Lowering,
    x: ValueId,
    mut steps: Vec<LinearStep>,
    product: Shape,
    (row, column): (bool, bool),
) -> Result<ValueId, Fault> {
    let mut dims = product.dims().to_vec();
    if column {
        dims.pop();
    }
    if row {
        dims.remove(dims.len() - if column { 1 } else { 2 });
    }
    steps.push(LinearStep::Reshape { shape: Shape::new(dims) });
    lowering.linear(x, steps)
}

/// Steps from […, m, k] to […, m, n] for a constant […, k, n]; returns the result's shape.
fn product(
    lowering: &mut Lowering,
    steps: &mut Vec<LinearStep>,
    x: Shape,
    name: &str,
    w: Arc<Tensor>,
) -> Result<Shape, Fault> {
    let mismatch = || Fault::shape(format!("{:?} and {:?} do not multiply", x.dims(), w.shape.dims()));
    let ([lead @ .., m, k], [batches @ .., rows, n]) = (x.dims(), w.shape.dims()) else {
        return Err(mismatch());
    };
    if k != rows {
        return Err(mismatch());
    }
    let batch = Shape::new(lead).broadcast(&Shape::new(batches)).ok_or_else(mismatch)?;
    let result = Shape::new([batch.dims(), &[*m, *n]].concat());
    if w.data.is_empty() {
        return Err(mismatch());
    }
    if batches.iter().all(|&b| b == 1) {
        let matrix = if batches.is_empty() { w.clone() } else { reshaped(&w, Shape::new([*k, *n])) };
        let weight = lowering.constant(name, matrix)?;
        steps.push(LinearStep::MatMul { weight });
        steps.push(LinearStep::Reshape { shape: result.clone() });
    } else {
        let each = Shape::new([batch.dims(), &[*m, *k]].concat());
        steps.push(LinearStep::Expand { shape: each });
        batched(lowering, steps, [checked_elements(&batch)?, *m, *k, *n], name, &w, &batch)?;
        steps.push(LinearStep::Reshape { shape: result.clone() });
    }
    Ok(result)
}

/// Another matrix for each batch entry: a convolution of width m with a group for each entry.
fn batched(
    lowering: &mut Lowering,
    steps: &mut Vec<LinearStep>,
    [b, m, k, n]: [usize; 4],
    name: &str,
    w: &Tensor,
    batch: &Shape,
) -> Result<(), Fault> {
    let full = Shape::new([batch.dims(), &[k, n]].concat());
    lowering.charge(checked_elements(&full)?)?;
    let full = w.broadcast_to(&full).ok_or_else(|| Fault::shape("the factors' leading axes do not broadcast"))?;
    let kernels = swap_last(lowering, &full)?;
    let weight = lowering.constant(name, reshaped(&kernels, Shape::new([b * n, k, 1, 1])))?;
    let attributes = ConvAttributes { strides: [1, 1], pads: [0; 4], dilations: [1, 1], groups: b };
    let exchange = || LinearStep::Transpose { permutation: vec![0, 2, 1] };
    steps.extend([
        LinearStep::Reshape { shape: Shape::new([b, m, k]) },
        exchange(),
        LinearStep::Reshape { shape: Shape::new([1, b * k, 1, m]) },
        LinearStep::Conv { weight, attributes },
        LinearStep::Reshape { shape: Shape::new([b, n, m]) },
        exchange(),
    ]);
    Ok(())
}
