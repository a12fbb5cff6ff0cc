//! What is computed of whole rows: look-up, softmax and normalisation.

use super::strided::Strided;
use crate::tensor::{Normalization, Shape, ShapeError, Tensor};

/// e^(x−max) / Σ e^(x−max) along an axis; the maximum is taken off so that nothing overflows.
pub(super) fn softmax(x: &Tensor, axis: usize) -> Result<Tensor, ShapeError> {
    let dims = x.shape.dims();
    let Some(&extent) = dims.get(axis) else {
        let reason = format!("axis {axis} does not exist");
        return Err(ShapeError::Invalid { op: "softmax", shape: dims.to_vec(), reason });
    };
    let stride = x.shape.strides()[axis];
    let mut out = x.clone();
    for block in out.data.chunks_exact_mut((extent * stride).max(1)) {
        for offset in 0..stride {
            let line = |block: &[f64]| block[offset..].iter().step_by(stride).copied().collect::<Vec<f64>>();
            let max = line(block).into_iter().fold(f64::NEG_INFINITY, f64::max);
            for x in block[offset..].iter_mut().step_by(stride) {
                *x = libm::exp(*x - max);
            }
            let sum: f64 = line(block).into_iter().sum();
            for x in block[offset..].iter_mut().step_by(stride) {
                *x /= sum;
            }
        }
    }
    Ok(out)
}

/// Row / √(mean square + ε), for rows along some axes; centred first if asked.
pub(super) fn normalize(x: &Tensor, n: &Normalization) -> Tensor {
    let collapsed: Vec<usize> =
        x.shape.dims().iter().enumerate().map(|(a, &d)| if n.axes.contains(&a) { 1 } else { d }).collect();
    let rows = Shape::new(collapsed);
    // For each element the index of its row.
    let indices: Vec<f64> = (0..rows.elements()).map(|i| i as f64).collect();
    let row_of: Vec<usize> =
        Strided::broadcast(rows.dims(), &x.shape, 1).gather(&indices).into_iter().map(|i| i as usize).collect();
    let count = (x.shape.elements() / rows.elements().max(1)) as f64;
    let mean = |values: &mut dyn Iterator<Item = f64>| {
        let mut sums = vec![0.0; rows.elements()];
        values.zip(&row_of).for_each(|(v, &row)| sums[row] += v);
        sums.into_iter().map(|s| s / count).collect::<Vec<f64>>()
    };
    let mut data = x.data.clone();
    if n.center {
        let means = mean(&mut data.iter().copied());
        data.iter_mut().zip(&row_of).for_each(|(v, &row)| *v -= means[row]);
    }
    let squares = mean(&mut data.iter().map(|v| v * v));
    let factors: Vec<f64> = squares.into_iter().map(|s| 1.0 / libm::sqrt(s + n.epsilon)).collect();
    data.iter_mut().zip(&row_of).for_each(|(v, &row)| *v *= factors[row]);
    Tensor { shape: x.shape.clone(), data }
}

/// The rows of the table with these numbers.
pub(super) fn lookup(x: &Tensor, table: &Tensor, shape: &Shape) -> Result<Tensor, ShapeError> {
    let rows = table.shape.dims().first().copied().unwrap_or(0);
    let row = table.data.len() / rows.max(1);
    let mut data = Vec::with_capacity(x.data.len() * row);
    for &number in &x.data {
        let index = number as usize;
        if index as f64 != number || index >= rows {
            let reason = format!("{number} is not the number of one of {rows} rows");
            return Err(ShapeError::Invalid { op: "lookup", shape: x.shape.dims().to_vec(), reason });
        }
        data.extend_from_slice(&table.data[index * row..][..row]);
    }
    Ok(Tensor { shape: shape.clone(), data })
}
