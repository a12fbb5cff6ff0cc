//! Products of matrices in `f32`, where the rows of the left one are runs of a larger buffer.
//!
//! A convolution over channels-last images is such a product without any copy: what a kernel row meets at one output is
//! one contiguous run of the (padded) input. All three products that training needs (the values, the gradient of the
//! weights, the gradient of the input) sum tiles of 6 rows and 16 columns in registers.
//!
//! Loops are plain; `pulp` compiles them for the vector units that the machine has. Sums are fused and their order
//! depends on nothing but the shapes.

use pulp::{Arch, Simd, WithSimd};

/// Columns of a tile: two AVX2 registers.
pub const WIDTH: usize = 16;
/// Rows of a tile: with these 12 registers hold sums, and four are left for factors.
const HEIGHT: usize = 6;
/// Rows of the weights' gradient are summed over this many rows of the input at a time, which stay in the nearest cache.
const BLOCK: usize = 128;

/// One row of a panel: 16 neighbouring columns of a matrix.
pub type Lane = [f32; WIDTH];

/// Panels of 16 columns over `columns` columns.
pub fn panels(columns: usize) -> usize {
    columns.div_ceil(WIDTH)
}

/// Rows of a matrix inside a buffer: row r is the runs `starts[r] + runs[i] ..` of the same `length`, one after another.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Where each row starts.
    pub starts: Vec<usize>,
    /// Where each run starts, from the start of its row.
    pub runs: Vec<usize>,
    /// Elements of a run.
    pub length: usize,
}

/// Columns of a dense matrix beside others: `count` columns of rows that are `stride` apart.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    /// How many.
    pub count: usize,
    /// Distance of rows.
    pub stride: usize,
}

impl Rows {
    /// Elements of a row.
    pub fn inner(&self) -> usize {
        self.runs.len() * self.length
    }

    /// out = rows(x) · weights, the weights in panels of [`Rows::inner`] lanes.
    pub fn product(&self, x: &[f32], weights: &[Lane], out: &mut [f32], columns: Columns) {
        Arch::new().dispatch(Product { rows: self, x, weights, out, columns });
    }

    /// gradient += rows(x)ᵀ · d, in panels as the weights. `d` has 16 elements more than its rows need.
    pub fn outer(&self, x: &[f32], d: &[f32], gradient: &mut [Lane], columns: Columns) {
        Arch::new().dispatch(Outer { rows: self, x, d, gradient, columns });
    }

    /// rows(dx) += d · weightsᵀ. The transposed weights are, for each run, panels of as many lanes as there are columns.
    pub fn scatter(&self, dx: &mut [f32], transposed: &[Lane], d: &[f32], columns: Columns) {
        Arch::new().dispatch(Scatter { rows: self, dx, transposed, d, columns });
    }
}

#[inline(always)]
fn multiply_add(sums: &mut Lane, factor: f32, lane: &Lane) {
    for (sum, x) in sums.iter_mut().zip(lane) {
        *sum = factor.mul_add(*x, *sum);
    }
}

struct Product<'a> {
    rows: &'a Rows,
    x: &'a [f32],
    weights: &'a [Lane],
    out: &'a mut [f32],
    columns: Columns,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        let count = self.rows.starts.len();
        let whole = count - count % HEIGHT;
        for (n, panel) in self.weights.chunks_exact(self.rows.inner().max(1)).enumerate() {
            for row in (0..whole).step_by(HEIGHT) {
                self.tile::<HEIGHT>(panel, row, n * WIDTH);
            }
            for row in whole..count {
                self.tile::<1>(panel, row, n * WIDTH);
            }
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn tile<const R: usize>(&mut self, panel: &[Lane], row: usize, first: usize) {
        let sums = run_tile::<R>(self.rows, self.x, panel, row);
        let width = WIDTH.min(self.columns.count - first);
        for (r, sums) in sums.iter().enumerate() {
            let to = &mut self.out[(row + r) * self.columns.stride + first..][..width];
            match to.first_chunk_mut::<WIDTH>() {
                Some(to) => *to = *sums,
                None => to.copy_from_slice(&sums[..width]),
            }
        }
    }
}

// The sums of a tile are a function's result of their own: written where they are stored, they would live in memory.
#[inline(always)]
fn run_tile<const R: usize>(rows: &Rows, x: &[f32], panel: &[Lane], row: usize) -> [Lane; R] {
    let mut sums = [[0.0; WIDTH]; R];
    let starts: [usize; R] = std::array::from_fn(|r| rows.starts[row + r]);
    for (&run, lanes) in rows.runs.iter().zip(panel.chunks_exact(rows.length)) {
        let rows: [&[f32]; R] = std::array::from_fn(|r| &x[starts[r] + run..][..lanes.len()]);
        for (j, lane) in lanes.iter().enumerate() {
            for r in 0..R {
                multiply_add(&mut sums[r], rows[r][j], lane);
            }
        }
    }
    sums
}

struct Outer<'a> {
    rows: &'a Rows,
    x: &'a [f32],
    d: &'a [f32],
    gradient: &'a mut [Lane],
    columns: Columns,
}

impl WithSimd for Outer<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Rows { starts, runs, length } = self.rows;
        let stride = self.columns.stride;
        for (block, starts) in starts.chunks(BLOCK).enumerate() {
            let d = &self.d[block * BLOCK * stride..];
            for (n, panel) in self.gradient.chunks_exact_mut(self.rows.inner().max(1)).enumerate() {
                let d = &d[n * WIDTH..];
                for (&run, lanes) in runs.iter().zip(panel.chunks_exact_mut(*length)) {
                    let (tiles, rest) = lanes.as_chunks_mut::<HEIGHT>();
                    let done = tiles.len() * HEIGHT;
                    for (t, tile) in tiles.iter_mut().enumerate() {
                        outer_tile((self.x, run + t * HEIGHT), starts, (d, stride), tile);
                    }
                    for (t, lane) in rest.iter_mut().enumerate() {
                        outer_tile((self.x, run + done + t), starts, (d, stride), std::array::from_mut(lane));
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn outer_tile<const R: usize>(
    (x, at): (&[f32], usize),
    starts: &[usize],
    (d, stride): (&[f32], usize),
    tile: &mut [Lane; R],
) {
    let mut sums = *tile;
    for (row, &start) in starts.iter().enumerate() {
        let (Some(x), Some(lane)) = (x[start + at..].first_chunk::<R>(), d[row * stride..].first_chunk()) else {
            return;
        };
        for r in 0..R {
            multiply_add(&mut sums[r], x[r], lane);
        }
    }
    *tile = sums;
}

struct Scatter<'a> {
    rows: &'a Rows,
    dx: &'a mut [f32],
    transposed: &'a [Lane],
    d: &'a [f32],
    columns: Columns,
}

impl WithSimd for Scatter<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        let Rows { starts, runs, length } = self.rows;
        let in_run = panels(*length);
        let whole = starts.len() - starts.len() % HEIGHT;
        for (n, panel) in self.transposed.chunks_exact(self.columns.count.max(1)).enumerate() {
            let first = n % in_run * WIDTH;
            let (at, width) = (runs[n / in_run] + first, WIDTH.min(length - first));
            for row in (0..whole).step_by(HEIGHT) {
                self.tile::<HEIGHT>(panel, row, at, width);
            }
            for row in whole..starts.len() {
                self.tile::<1>(panel, row, at, width);
            }
        }
    }
}

impl Scatter<'_> {
    #[inline(always)]
    fn tile<const R: usize>(&mut self, panel: &[Lane], row: usize, at: usize, width: usize) {
        let sums = dense_tile::<R>(self.d, self.columns.stride, panel, row);
        for (r, sums) in sums.iter().enumerate() {
            let to = &mut self.dx[self.rows.starts[row + r] + at..][..width];
            match to.first_chunk_mut::<WIDTH>() {
                Some(to) => add(to, sums),
                None => to.iter_mut().zip(&sums[..width]).for_each(|(to, sum)| *to += sum),
            }
        }
    }
}

#[inline(always)]
fn dense_tile<const R: usize>(d: &[f32], stride: usize, panel: &[Lane], row: usize) -> [Lane; R] {
    let mut sums = [[0.0; WIDTH]; R];
    let rows: [&[f32]; R] = std::array::from_fn(|r| &d[(row + r) * stride..][..panel.len()]);
    for (j, lane) in panel.iter().enumerate() {
        for r in 0..R {
            multiply_add(&mut sums[r], rows[r][j], lane);
        }
    }
    sums
}

#[inline(always)]
fn add(to: &mut Lane, sums: &Lane) {
    let mut total = *to;
    for i in 0..WIDTH {
        total[i] += sums[i];
    }
    *to = total;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 1009.0 - 0.5).collect()
    }

    /// Every product against its definition, for sizes with and without rests.
    #[test]
    fn products_are_what_they_are_defined_to_be() {
        for (rows, runs, length, count) in [(13, 3, 7, 5), (6, 1, 6, 16), (131, 2, 20, 33), (1, 1, 1, 1)] {
            let stride = count + 2;
            let starts: Vec<usize> = (0..rows).map(|r| r * 3).collect();
            let lines = Rows { starts, runs: (0..runs).map(|i| i * (length + 1)).collect(), length };
            let size = rows * 3 + runs * (length + 1);
            let (x, d) = (numbers(size, 1), numbers(rows * stride + WIDTH, 2));
            let inner = lines.inner();
            let weight = |k: usize, m: usize| ((k * 31 + m * 17) % 101) as f32 / 101.0 - 0.5;
            let at = |r: usize, k: usize| lines.starts[r] + lines.runs[k / length] + k % length;
            let columns = Columns { count, stride };

            let lane = |n: usize, k: usize| -> Lane { std::array::from_fn(|m| weight(k, n * WIDTH + m)) };
            let weights: Vec<Lane> = (0..panels(count)).flat_map(|n| (0..inner).map(move |k| lane(n, k))).collect();
            let mut out = vec![0.0; rows * stride];
            lines.product(&x, &weights, &mut out, columns);
            let mut gradient = vec![[1.0; WIDTH]; weights.len()];
            lines.outer(&x, &d, &mut gradient, columns);
            let in_run = panels(length);
            let back = |n: usize, m: usize| -> Lane {
                let first = n % in_run * WIDTH;
                std::array::from_fn(
                    |k| if first + k < length { weight(n / in_run * length + first + k, m) } else { 0.0 },
                )
            };
            let transposed: Vec<Lane> = (0..runs * in_run).flat_map(|n| (0..count).map(move |m| back(n, m))).collect();
            let mut dx = vec![0.0; size];
            lines.scatter(&mut dx, &transposed, &d, columns);

            let mut expected = vec![0.0f64; size];
            for r in 0..rows {
                for m in 0..count {
                    let sum: f32 = (0..inner).map(|k| x[at(r, k)] * weight(k, m)).sum();
                    assert!((out[r * stride + m] - sum).abs() < 1e-4);
                    (0..inner).for_each(|k| expected[at(r, k)] += f64::from(d[r * stride + m] * weight(k, m)));
                }
            }
            assert!(dx.iter().zip(&expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-3));
            for (k, m) in (0..inner).flat_map(|k| (0..count).map(move |m| (k, m))) {
                let sum: f32 = (0..rows).map(|r| x[at(r, k)] * d[r * stride + m]).sum();
                assert!((gradient[m / WIDTH * inner + k][m % WIDTH] - 1.0 - sum).abs() < 1e-3);
            }
        }
    }
}
