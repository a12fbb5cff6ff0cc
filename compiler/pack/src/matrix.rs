//! The matrix of a chain of linear steps.

use crate::sparse::SparseMatrix;
use hec_ir::tensor::{Constants, ConvAttributes, LinearStep, Shape, ShapeError, Tensor, Window};

/// Entries above which a matrix is refused: 3 GiB of memory.
const MAX_ENTRIES: u128 = 1 << 28;

/// Why a chain has no matrix.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum MatrixError {
    Shape(ShapeError),
    TooLarge,
}

impl From<ShapeError> for MatrixError {
    fn from(error: ShapeError) -> Self {
        MatrixError::Shape(error)
    }
}

/// The matrix of a chain on tensors of shape `input`, with the shape of the result.
pub(crate) fn of_chain(
    steps: &[LinearStep],
    input: &Shape,
    constants: &Constants,
) -> Result<(SparseMatrix, Shape), MatrixError> {
    let mut shape = input.clone();
    let mut matrix: Option<SparseMatrix> = None;
    for step in steps {
        let result = step.output_shape(&shape, constants)?;
        if entries(step, &shape, &result, constants) > MAX_ENTRIES {
            return Err(MatrixError::TooLarge);
        }
        // Row-major order stays under a reshape.
        if !matches!(step, LinearStep::Reshape { .. }) {
            let next = of_step(step, &shape, &result, constants);
            matrix = Some(match &matrix {
                Some(first) => next.after(first),
                None => next,
            });
        }
        shape = result;
    }
    let elements = input.elements();
    if elements as u128 > MAX_ENTRIES {
        return Err(MatrixError::TooLarge);
    }
    let identity = || SparseMatrix::from_rows(elements, elements, |row, put| put(row, 1.0));
    Ok((matrix.unwrap_or_else(identity), shape))
}

/// A bound of the number of entries.
fn entries(step: &LinearStep, input: &Shape, output: &Shape, constants: &Constants) -> u128 {
    let count = |s: &Shape| s.dims().iter().map(|&d| d as u128).product::<u128>();
    let weight = step.constant().and_then(|id| constants.get(id)).map_or(&[][..], |t| t.shape.dims());
    count(output)
        * match step {
            LinearStep::Conv { .. } => weight.iter().skip(1).map(|&d| d as u128).product(),
            LinearStep::MatMul { .. } => weight.first().map_or(1, |&d| d as u128),
            LinearStep::AveragePool(w) => w.kernel.iter().map(|&d| d as u128).product(),
            LinearStep::Mean { .. } => count(input) / count(output).max(1),
            _ => 1,
        }
}

/// The matrix of one step whose shapes have been checked.
fn of_step(step: &LinearStep, input: &Shape, output: &Shape, constants: &Constants) -> SparseMatrix {
    let constant = |id| constants.tensor(id).as_ref();
    match step {
        LinearStep::Conv { weight, attributes } => conv(constant(*weight), attributes, input, output),
        LinearStep::MatMul { weight } => matmul(constant(*weight), input, output),
        LinearStep::Scale { factor } => {
            let factor = constant(*factor).broadcast_to(input).expect("the factor broadcasts: the shape was inferred");
            SparseMatrix::from_rows(input.elements(), input.elements(), |row, put| put(row, factor.data[row]))
        }
        LinearStep::AveragePool(window) => average_pool(window, input, output),
        LinearStep::Mean { axes } => mean(axes, input, output),
        LinearStep::Reshape { .. } => {
            SparseMatrix::from_rows(input.elements(), input.elements(), |row, put| put(row, 1.0))
        }
        LinearStep::Transpose { permutation } => {
            select(input, output, |index, axis| permutation.iter().position(|&a| a == axis).map(|from| index[from]))
        }
        LinearStep::Slice { starts, steps, .. } => select(input, output, |index, axis| {
            usize::try_from(starts[axis] as i64 + steps[axis] * index[axis] as i64).ok()
        }),
        LinearStep::Pad { before, .. } => select(input, output, |index, axis| index[axis].checked_sub(before[axis])),
        LinearStep::Expand { shape } => {
            let new = shape.rank() - input.rank();
            select(input, output, |index, axis| Some(if input.dims()[axis] == 1 { 0 } else { index[new + axis] }))
        }
    }
}

/// Every element of the result is an element of the input, or zero where `source` leaves the tensor.
fn select(input: &Shape, output: &Shape, source: impl Fn(&[usize], usize) -> Option<usize>) -> SparseMatrix {
    let strides = input.strides();
    let mut indices = output.indices();
    SparseMatrix::from_rows(input.elements(), output.elements(), |_, put| {
        let index = indices.next().unwrap_or_default();
        let flat: Option<usize> = (0..input.rank())
            .map(|axis| source(&index, axis).filter(|&i| i < input.dims()[axis]).map(|i| i * strides[axis]))
            .sum();
        if let Some(flat) = flat {
            put(flat, 1.0);
        }
    })
}

fn matmul(weight: &Tensor, input: &Shape, output: &Shape) -> SparseMatrix {
    let (k, n) = (weight.shape.dims()[0], weight.shape.dims()[1]);
    SparseMatrix::from_rows(input.elements(), output.elements(), |row, put| {
        let (lead, column) = (row / n, row % n);
        for i in 0..k {
            put(lead * k + i, weight.data[i * n + column]);
        }
    })
}

fn mean(axes: &[usize], input: &Shape, output: &Shape) -> SparseMatrix {
    let extent = |axis: usize| if axes.contains(&axis) { input.dims()[axis] } else { 1 };
    let window = Shape::new((0..input.rank()).map(extent).collect::<Vec<_>>());
    let strides = input.strides();
    let flat = |index: &[usize]| index.iter().zip(&strides).map(|(i, s)| i * s).sum::<usize>();
    let offsets: Vec<usize> = window.indices().map(|i| flat(&i)).collect();
    let mut indices = output.indices();
    SparseMatrix::from_rows(input.elements(), output.elements(), |_, put| {
        let base = flat(&indices.next().unwrap_or_default());
        for offset in &offsets {
            put(base + offset, 1.0 / offsets.len() as f64);
        }
    })
}

/// The positions inside an axis that a window covers: (place in the window, position).
fn covered(at: usize, stride: usize, pad: usize, dilation: usize, kernel: usize, size: usize) -> Vec<(usize, usize)> {
    let place = |k: usize| (at * stride + k * dilation).checked_sub(pad).filter(|&i| i < size).map(|i| (k, i));
    (0..kernel).filter_map(place).collect()
}

fn conv(weight: &Tensor, a: &ConvAttributes, input: &Shape, output: &Shape) -> SparseMatrix {
    let (i, o, w) = (input.dims(), output.dims(), weight.shape.dims());
    let (per_group, out_per_group) = (w[1], o[1] / a.groups);
    let ys: Vec<_> = (0..o[2]).map(|y| covered(y, a.strides[0], a.pads[0], a.dilations[0], w[2], i[2])).collect();
    let xs: Vec<_> = (0..o[3]).map(|x| covered(x, a.strides[1], a.pads[1], a.dilations[1], w[3], i[3])).collect();
    SparseMatrix::from_rows(input.elements(), output.elements(), |row, put| {
        let (x, y) = (row % o[3], row / o[3] % o[2]);
        let (c, n) = (row / (o[2] * o[3]) % o[1], row / (o[1] * o[2] * o[3]));
        for local in 0..per_group {
            let channel = n * i[1] + c / out_per_group * per_group + local;
            for &(ky, iy) in &ys[y] {
                for &(kx, ix) in &xs[x] {
                    let tap = weight.data[((c * per_group + local) * w[2] + ky) * w[3] + kx];
                    put((channel * i[2] + iy) * i[3] + ix, tap);
                }
            }
        }
    })
}

fn average_pool(window: &Window, input: &Shape, output: &Shape) -> SparseMatrix {
    let (i, o, k) = (input.dims(), output.dims(), window.kernel);
    let ys: Vec<_> = (0..o[2]).map(|y| covered(y, window.strides[0], window.pads[0], 1, k[0], i[2])).collect();
    let xs: Vec<_> = (0..o[3]).map(|x| covered(x, window.strides[1], window.pads[1], 1, k[1], i[3])).collect();
    SparseMatrix::from_rows(input.elements(), output.elements(), |row, put| {
        let (x, y, plane) = (row % o[3], row / o[3] % o[2], row / (o[2] * o[3]));
        let count = if window.count_include_pad { k[0] * k[1] } else { ys[y].len() * xs[x].len() };
        for &(_, iy) in &ys[y] {
            for &(_, ix) in &xs[x] {
                put((plane * i[2] + iy) * i[3] + ix, 1.0 / count as f64);
            }
        }
    })
}
