//! Matrix products of two encrypted tensors, as in attention.

use crate::error::Fault;
use crate::lower::Lowering;
use hec_ir::tensor::{LinearStep, Op, Shape, ValueId};

/// x · y, as NumPy's `matmul`: leading axes broadcast, and a vector is a row on the left and a column on the right.
pub(crate) fn matmul(lowering: &mut Lowering, x: ValueId, y: ValueId) -> Result<ValueId, Fault> {
    let shape = |lowering: &Lowering, id| lowering.graph.shape(id).dims().to_vec();
    let (row, column) = (shape(lowering, x).len() == 1, shape(lowering, y).len() == 1);
    let left = if row { reshape(lowering, x, [&[1], shape(lowering, x).as_slice()].concat())? } else { x };
    let right = if column { reshape(lowering, y, [shape(lowering, y).as_slice(), &[1]].concat())? } else { y };
    let product = matrices(lowering, left, right)?;
    let mut dims = shape(lowering, product);
    if column {
        dims.pop();
    }
    if row {
        dims.remove(dims.len() - if column { 1 } else { 2 });
    }
    reshape(lowering, product, dims)
}

fn matrices(lowering: &mut Lowering, x: ValueId, y: ValueId) -> Result<ValueId, Fault> {
    let (left, right) = (lowering.graph.shape(x).clone(), lowering.graph.shape(y).clone());
    let mismatch = || Fault::shape(format!("{:?} and {:?} do not multiply", left.dims(), right.dims()));
    let ([lead @ .., m, k], [other @ .., rows, n]) = (left.dims(), right.dims()) else {
        return Err(mismatch());
    };
    let batch = Shape::new(lead).broadcast(&Shape::new(other)).filter(|_| k == rows).ok_or_else(mismatch)?;
    let each = |matrix: [usize; 2]| Shape::new([batch.dims(), &matrix].concat());
    let x = lowering.linear(x, vec![LinearStep::Expand { shape: each([*m, *k]) }])?;
    let y = lowering.linear(y, vec![LinearStep::Expand { shape: each([*rows, *n]) }])?;
    lowering.push(Op::BatchMatMul, [x, y])
}

fn reshape(lowering: &mut Lowering, x: ValueId, dims: Vec<usize>) -> Result<ValueId, Fault> {
    lowering.linear(x, vec![LinearStep::Reshape { shape: Shape::new(dims) }])
}
