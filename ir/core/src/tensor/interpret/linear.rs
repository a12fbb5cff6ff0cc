//! Linear steps on clear tensors.

use super::strided::Strided;
use crate::tensor::{Constants, ConvAttributes, LinearStep, Shape, ShapeError, Tensor, Window};
use std::ops::Range;
use std::sync::Arc;

/// How many elements of the unfolded input a convolution holds at a time, so that they stay in cache.
const UNFOLDED: usize = 1 << 16;

impl LinearStep {
    /// The result on a clear tensor.
    ///
    /// # Errors
    /// When the step does not fit the input.
    pub fn apply(&self, input: &Tensor, constants: &Constants) -> Result<Tensor, ShapeError> {
        let shape = self.output_shape(&input.shape, constants)?;
        let constant = self.constant().and_then(|id| constants.get(id)).map(Arc::as_ref);
        let dims = input.shape.dims();
        let strides: Vec<isize> = input.shape.strides().into_iter().map(|s| s as isize).collect();
        let data = match (self, constant) {
            (LinearStep::Conv { attributes, .. }, Some(weight)) => convolution(input, weight, &shape, attributes),
            (LinearStep::MatMul { .. }, Some(weight)) => {
                let mut out = vec![0.0; shape.elements()];
                let [rows, columns] = [weight.shape.dims()[0], weight.shape.dims()[1]];
                add_product(&input.data, &weight.data, &mut out, rows, columns);
                out
            }
            (LinearStep::Scale { .. }, Some(factor)) => {
                let factors = Strided::broadcast(factor.shape.dims(), &shape, 1).gather(&factor.data);
                input.data.iter().zip(factors).map(|(x, f)| x * f).collect()
            }
            (LinearStep::AveragePool(window), _) => average_pool(input, &shape, window),
            (LinearStep::Mean { axes }, _) => mean(input, &shape, axes),
            (LinearStep::Transpose { permutation }, _) => {
                let strides: Vec<_> = permutation.iter().map(|&a| strides[a]).collect();
                Strided::new(0, shape.dims(), &strides).gather(&input.data)
            }
            (LinearStep::Slice { starts, steps, extents }, _) => {
                let start = starts.iter().zip(&strides).map(|(&i, &s)| i * s as usize).sum();
                let strides: Vec<_> = steps.iter().zip(&strides).map(|(&k, &s)| k as isize * s).collect();
                Strided::new(start, extents, &strides).gather(&input.data)
            }
            (LinearStep::Pad { before, .. }, _) => {
                let strides: Vec<isize> = shape.strides().into_iter().map(|s| s as isize).collect();
                let start = before.iter().zip(&strides).map(|(&b, &s)| b * s as usize).sum();
                let mut out = vec![0.0; shape.elements()];
                let inner = Strided::new(start, dims, &strides);
                for (to, from) in inner.rows().zip(input.data.chunks_exact(inner.row.max(1))) {
                    out[to..to + inner.row].copy_from_slice(from);
                }
                out
            }
            (LinearStep::Expand { .. }, _) => Strided::broadcast(dims, &shape, 1).gather(&input.data),
            // A step without its constant has no output shape, so only a reshape is left.
            _ => input.data.clone(),
        };
        Ok(Tensor { shape, data })
    }
}

/// Product of each matrix of x with the one of y that has the same leading indices.
pub(super) fn batch_matmul(x: &Tensor, y: &Tensor, shape: &Shape) -> Tensor {
    let (&[.., m, k], &[.., n]) = (x.shape.dims(), y.shape.dims()) else {
        unreachable!("the shape was inferred from at least two axes");
    };
    let mut data = vec![0.0; shape.elements()];
    let pairs = x.data.chunks_exact((m * k).max(1)).zip(y.data.chunks_exact((k * n).max(1)));
    for (out, (a, b)) in data.chunks_exact_mut((m * n).max(1)).zip(pairs) {
        add_product(a, b, out, k, n);
    }
    Tensor { shape: shape.clone(), data }
}

/// c += a·b for row-major matrices, `inner` columns in a and `columns` in b. Four rows of b at a time, so that a row of
/// c is loaded and stored once for four products.
fn add_product(a: &[f64], b: &[f64], c: &mut [f64], inner: usize, columns: usize) {
    if inner == 0 || columns == 0 {
        return;
    }
    for (factors, sums) in a.chunks_exact(inner).zip(c.chunks_exact_mut(columns)) {
        let (fours, rest) = factors.as_chunks::<4>();
        for (&[f0, f1, f2, f3], rows) in fours.iter().zip(b.chunks_exact(4 * columns)) {
            let (b0, rows) = rows.split_at(columns);
            let (b1, rows) = rows.split_at(columns);
            let (b2, b3) = rows.split_at(columns);
            for ((((sum, x0), x1), x2), x3) in sums.iter_mut().zip(b0).zip(b1).zip(b2).zip(b3) {
                *sum += f0 * x0 + f1 * x1 + f2 * x2 + f3 * x3;
            }
        }
        for (factor, row) in rest.iter().zip(b[4 * fours.len() * columns..].chunks_exact(columns)) {
            for (sum, x) in sums.iter_mut().zip(row) {
                *sum += factor * x;
            }
        }
    }
}

/// Rows and columns of a result that are summed at a time, so that the sums stay in registers.
const TILE_ROWS: usize = 2;
const TILE_COLUMNS: usize = 8;

/// c = a·b for row-major matrices, `inner` columns in a and `columns` in b, tile by tile. What one strip of columns needs
/// of b stays in the nearest cache for all rows of a.
fn tiled_product(a: &[f64], b: &[f64], c: &mut [f64], inner: usize, columns: usize) {
    let rows = a.len() / inner;
    for first in (0..columns).step_by(TILE_COLUMNS) {
        let width = TILE_COLUMNS.min(columns - first);
        for row in (0..rows).step_by(TILE_ROWS) {
            let height = TILE_ROWS.min(rows - row);
            let mut sums = [[0.0; TILE_COLUMNS]; TILE_ROWS];
            let factors = |r: usize| &a[(row + r.min(height - 1)) * inner..][..inner];
            if width == TILE_COLUMNS {
                tile([factors(0), factors(1)], b, columns, first, &mut sums);
            } else {
                for (sums, factors) in sums.iter_mut().zip([factors(0), factors(1)]) {
                    for (f, line) in factors.iter().zip(b.chunks_exact(columns)) {
                        sums.iter_mut().zip(&line[first..]).for_each(|(sum, x)| *sum += f * x);
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate().take(height) {
                c[(row + r) * columns + first..][..width].copy_from_slice(&sums[..width]);
            }
        }
    }
}

/// sums = a·b for two rows of a and the columns of b from `first` on.
fn tile(
    [a0, a1]: [&[f64]; TILE_ROWS],
    b: &[f64],
    columns: usize,
    first: usize,
    sums: &mut [[f64; TILE_COLUMNS]; TILE_ROWS],
) {
    let [mut s0, mut s1] = [[0.0; TILE_COLUMNS]; TILE_ROWS];
    for ((f0, f1), line) in a0.iter().zip(a1).zip(b.chunks_exact(columns)) {
        let Some(line) = line[first..].first_chunk::<TILE_COLUMNS>() else { break };
        for ((t0, t1), x) in s0.iter_mut().zip(&mut s1).zip(line) {
            *t0 += f0 * x;
            *t1 += f1 * x;
        }
    }
    *sums = [s0, s1];
}

/// Convolution as a product of the weight with the unfolded input (im2col), a few output rows at a time.
fn convolution(input: &Tensor, weight: &Tensor, shape: &Shape, a: &ConvAttributes) -> Vec<f64> {
    let (&[_, _, h, w], &[batch, out_channels, oh, ow]) = (input.shape.dims(), shape.dims()) else {
        unreachable!("the output shape was inferred from four axes");
    };
    let &[_, in_group, kh, kw] = weight.shape.dims() else {
        unreachable!("the output shape was inferred from four axes");
    };
    let (taps, out_group) = (in_group * kh * kw, out_channels / a.groups);
    let mut out = vec![0.0; shape.elements()];
    if out.is_empty() || taps == 0 {
        return out;
    }
    let rows_at_once = (UNFOLDED / (taps * ow)).clamp(1, oh);
    let mut unfolded = vec![0.0; taps * rows_at_once * ow];
    let mut product = vec![0.0; out_group * rows_at_once * ow];
    for item in 0..batch * a.groups {
        let group = item % a.groups;
        let planes = &input.data[item * in_group * h * w..][..in_group * h * w];
        let weights = &weight.data[group * out_group * taps..][..out_group * taps];
        for first in (0..oh).step_by(rows_at_once) {
            let rows = first..(first + rows_at_once).min(oh);
            let columns = rows.len() * ow;
            unfold(planes, &mut unfolded[..taps * columns], rows, [h, w, kh, kw, ow], a);
            let product = &mut product[..out_group * columns];
            tiled_product(weights, &unfolded[..taps * columns], product, taps, columns);
            for (channel, values) in product.chunks_exact(columns).enumerate() {
                let at = ((item * out_group + channel) * oh + first) * ow;
                out[at..at + columns].copy_from_slice(values);
            }
        }
    }
    out
}

/// For each channel and kernel tap one row: the input element that the tap meets at each output of `rows`, or zero.
fn unfold(planes: &[f64], unfolded: &mut [f64], rows: Range<usize>, sizes: [usize; 5], a: &ConvAttributes) {
    let [h, w, kh, kw, ow] = sizes;
    let mut lines = unfolded.chunks_exact_mut(ow);
    for plane in planes.chunks_exact(h * w) {
        for (ky, kx) in (0..kh).flat_map(|ky| (0..kw).map(move |kx| (ky, kx))) {
            for (oy, line) in rows.clone().zip(&mut lines) {
                let y = (oy * a.strides[0] + ky * a.dilations[0]).checked_sub(a.pads[0]).filter(|&y| y < h);
                let Some(source) = y.map(|y| &plane[y * w..(y + 1) * w]) else {
                    line.fill(0.0);
                    continue;
                };
                let shift = kx * a.dilations[1];
                let inside = taps_inside(shift, a.pads[1], a.strides[1], w, ow);
                line[..inside.start].fill(0.0);
                line[inside.end..].fill(0.0);
                if !inside.is_empty() {
                    let x = inside.start * a.strides[1] + shift - a.pads[1];
                    for (to, from) in line[inside].iter_mut().zip(source[x..].iter().step_by(a.strides[1])) {
                        *to = *from;
                    }
                }
            }
        }
    }
}

/// The outputs o < `count` with 0 ≤ o·stride + shift − pad < size.
fn taps_inside(shift: usize, pad: usize, stride: usize, size: usize, count: usize) -> Range<usize> {
    let end = (size + pad).saturating_sub(shift).div_ceil(stride).min(count);
    pad.saturating_sub(shift).div_ceil(stride).min(end)..end
}

/// Call `visit` with the output position, and the rows and columns of the input, of every window of one plane.
pub(super) fn windows(
    window: &Window,
    [h, w]: [usize; 2],
    [oh, ow]: [usize; 2],
    mut visit: impl FnMut(usize, Range<usize>, Range<usize>),
) {
    let covered = |o: usize, axis: usize, size: usize| {
        let first = o * window.strides[axis];
        let clip = |at: usize| at.saturating_sub(window.pads[axis]).min(size);
        clip(first)..clip(first + window.kernel[axis])
    };
    for oy in 0..oh {
        for ox in 0..ow {
            visit(oy * ow + ox, covered(oy, 0, h), covered(ox, 1, w));
        }
    }
}

/// Reduce every window of every plane: `reduce` gets the plane and the rows and columns that the window covers.
pub(super) fn pool(
    input: &Tensor,
    shape: &Shape,
    window: &Window,
    reduce: impl Fn(&[f64], Range<usize>, Range<usize>) -> f64,
) -> Vec<f64> {
    let (&[.., h, w], &[.., oh, ow]) = (input.shape.dims(), shape.dims()) else {
        unreachable!("the output shape was inferred from four axes");
    };
    let mut out = vec![0.0; shape.elements()];
    for (plane, result) in input.data.chunks_exact((h * w).max(1)).zip(out.chunks_exact_mut((oh * ow).max(1))) {
        windows(window, [h, w], [oh, ow], |at, rows, columns| result[at] = reduce(plane, rows, columns));
    }
    out
}

fn average_pool(input: &Tensor, shape: &Shape, window: &Window) -> Vec<f64> {
    let width = input.shape.dims()[3];
    let area = window.kernel[0] * window.kernel[1];
    pool(input, shape, window, |plane, rows, columns| {
        let count = if window.count_include_pad { area } else { rows.len() * columns.len() };
        let sum: f64 = rows.flat_map(|y| &plane[y * width..][columns.clone()]).sum();
        sum / count as f64
    })
}

/// Mean over axes: every input row is added to the output row that it collapses to.
fn mean(input: &Tensor, shape: &Shape, axes: &[usize]) -> Vec<f64> {
    let mut out = vec![0.0; shape.elements()];
    let target = Strided::broadcast(shape.dims(), &input.shape, 1);
    for (to, row) in target.rows().zip(input.data.chunks_exact(target.row.max(1))) {
        if target.step == 0 {
            out[to] += row.iter().sum::<f64>();
        } else {
            for (sum, x) in out[to..to + target.row].iter_mut().zip(row) {
                *sum += x;
            }
        }
    }
    let count: usize = (0..input.shape.rank()).filter(|a| axes.contains(a)).map(|a| input.shape.dims()[a]).product();
    out.iter_mut().for_each(|sum| *sum /= count as f64);
    out
}
