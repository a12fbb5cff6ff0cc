//! Polynomials of each element, trained in coordinates in which no coefficient stands in for another.

use crate::kernel::WIDTH;
use crate::layout::Broadcast;
use hec_poly::Basis;
use pulp::{Arch, Simd, WithSimd};

/// Polynomials that repeat along a buffer.
///
/// What is trained are the coordinates in a basis that is orthonormal for the inputs that each polynomial sees, so that a
/// step of each coordinate changes the values by as much. The kernels read the coefficients, by powers and then by
/// positions of a period.
#[derive(Clone, Debug)]
pub struct Polynomial {
    basis: Basis,
    degree: usize,
    /// Which polynomial each position takes.
    pub broadcast: Broadcast,
    /// Which polynomial each row of the constant is.
    rows: Vec<u32>,
    /// For each polynomial a square matrix, row-major: coefficients = matrix · coordinates.
    transforms: Vec<f64>,
}

impl Polynomial {
    /// With the coefficients themselves as coordinates. Positions take rows of a constant, and `rows` has the polynomial
    /// of each, numbered from 0 on without gaps.
    pub fn new(basis: Basis, degree: usize, mut broadcast: Broadcast, rows: Vec<u32>) -> Self {
        let size = degree + 1;
        broadcast.index.iter_mut().for_each(|i| *i = rows[*i as usize]);
        broadcast.count = rows.iter().max().map_or(0, |most| *most as usize + 1);
        let identity = (0..broadcast.count * size * size).map(|i| f64::from(i / size % size == i % size)).collect();
        Polynomial { basis, degree, broadcast, rows, transforms: identity }
    }

    /// How many numbers are trained.
    pub fn trained(&self) -> usize {
        self.broadcast.count * self.size()
    }

    /// The coefficients of each polynomial from the rows of the constant.
    pub fn of_rows(&self, numbers: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.trained()];
        for (row, &which) in numbers.chunks_exact(self.size()).zip(&self.rows) {
            out[which as usize * self.size()..][..self.size()].copy_from_slice(row);
        }
        out
    }

    /// The reverse of [`Polynomial::of_rows`].
    pub fn to_rows(&self, coefficients: &[f64]) -> Vec<f64> {
        self.rows
            .iter()
            .flat_map(|&which| &coefficients[which as usize * self.size()..][..self.size()])
            .copied()
            .collect()
    }

    fn size(&self) -> usize {
        self.degree + 1
    }

    /// Choose coordinates for the moments of the inputs: `means(which)` are the means of basis function i times basis
    /// function j, row-major. Functions that the others determine keep a small scale of their own.
    pub fn condition(&mut self, means: impl Fn(usize) -> Vec<f64>) {
        let size = self.size();
        for which in 0..self.broadcast.count {
            let means = means(which);
            let mut columns: Vec<Vec<f64>> = Vec::new();
            let dot = |a: &[f64], b: &[f64]| -> f64 {
                (0..size)
                    .flat_map(|i| (0..size).map(move |j| (i, j)))
                    .map(|(i, j)| a[i] * b[j] * means[i * size + j])
                    .sum()
            };
            for k in 0..size {
                let mut column: Vec<f64> = (0..size).map(|i| f64::from(i == k)).collect();
                let own = dot(&column, &column);
                for other in &columns {
                    let share = dot(&column, other);
                    column.iter_mut().zip(other).for_each(|(c, o)| *c -= share * o);
                }
                let norm = libm::sqrt(dot(&column, &column).max(own * 1e-6).max(1e-8));
                column.iter_mut().for_each(|c| *c /= norm);
                columns.push(column);
            }
            let matrix = &mut self.transforms[which * size * size..][..size * size];
            for (j, column) in columns.iter().enumerate() {
                column.iter().enumerate().for_each(|(i, c)| matrix[i * size + j] = *c);
            }
        }
    }

    /// The coefficients of every polynomial.
    pub fn coefficients(&self, coordinates: &[f32]) -> Vec<f64> {
        let size = self.size();
        let rows = self.transforms.chunks_exact(size).enumerate();
        let dot = |(row, factors): (usize, &[f64])| -> f64 {
            factors.iter().zip(&coordinates[row / size * size..]).map(|(f, &c)| f * f64::from(c)).sum()
        };
        rows.map(dot).collect()
    }

    /// The coordinates of coefficients. The matrices are upper triangular.
    pub fn coordinates(&self, coefficients: &[f64]) -> Vec<f32> {
        let size = self.size();
        let mut out = Vec::with_capacity(coefficients.len());
        for (matrix, c) in self.transforms.chunks_exact(size * size).zip(coefficients.chunks_exact(size)) {
            let mut solved = vec![0.0; size];
            for i in (0..size).rev() {
                let known: f64 = (i + 1..size).map(|j| matrix[i * size + j] * solved[j]).sum();
                solved[i] = (c[i] - known) / matrix[i * size + i];
            }
            out.extend(solved.into_iter().map(|x| x as f32));
        }
        out
    }

    /// Numbers that the kernels read, and of their gradient.
    pub fn working(&self) -> usize {
        self.size() * self.broadcast.period()
    }

    /// Lay the coefficients out for the kernels.
    pub fn derive(&self, coordinates: &[f32], working: &mut [f32]) {
        let (size, coefficients) = (self.size(), self.coefficients(coordinates));
        for (k, line) in working.chunks_exact_mut(self.broadcast.period()).enumerate() {
            let of_power: Vec<f32> = coefficients.iter().skip(k).step_by(size).map(|&c| c as f32).collect();
            self.broadcast.spread(&of_power, line);
        }
    }

    /// Add the gradient of the spread coefficients to that of the coordinates.
    pub fn pull_back(&self, gradient: &[f32], coordinates: &mut [f32]) {
        let size = self.size();
        let mut sums = vec![0.0; self.broadcast.count];
        for (k, line) in gradient.chunks_exact(self.broadcast.period()).enumerate() {
            sums.fill(0.0);
            self.broadcast.gather(line, &mut sums);
            for (which, &sum) in sums.iter().enumerate() {
                let row = &self.transforms[(which * size + k) * size..][..size];
                let own = &mut coordinates[which * size..][..size];
                own.iter_mut().zip(row).for_each(|(own, &m)| *own += (m * f64::from(sum)) as f32);
            }
        }
    }

    /// The values.
    pub fn forward(&self, working: &[f32], x: &[f32], out: &mut [f32]) {
        Arch::new().dispatch(Forward { polynomial: self, working, x, out });
    }

    /// Add to the gradients of the spread coefficients and of the input.
    pub fn backward(&self, working: &[f32], x: &[f32], d: &[f32], gradient: &mut [f32], dx: &mut [f32]) {
        Arch::new().dispatch(Backward { polynomial: self, working, x, d, gradient, dx });
    }

    /// All basis functions at x.
    pub fn basis_functions(&self, x: f64) -> Vec<f64> {
        let unit = |k: usize| (0..=k).map(|i| f64::from(i == k)).collect::<Vec<_>>();
        (0..self.size()).map(|k| hec_poly::evaluate(self.basis, &unit(k), x)).collect()
    }
}

type Block = [f32; WIDTH];

/// Positions of a period that are worked on together, from `first` on.
#[inline(always)]
fn blocks(period: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..period).step_by(WIDTH).map(move |first| (first, WIDTH.min(period - first)))
}

#[inline(always)]
fn read(from: &[f32], width: usize) -> Block {
    match from.first_chunk::<WIDTH>() {
        Some(chunk) if width == WIDTH => *chunk,
        _ => std::array::from_fn(|i| if i < width { from[i] } else { 0.0 }),
    }
}

#[inline(always)]
fn write(to: &mut [f32], width: usize, block: &Block) {
    match to.first_chunk_mut::<WIDTH>() {
        Some(chunk) if width == WIDTH => *chunk = *block,
        _ => to[..width].copy_from_slice(&block[..width]),
    }
}

/// The coefficients of a block, by powers.
#[inline(always)]
fn of_block(working: &[f32], period: usize, first: usize, width: usize) -> Vec<Block> {
    working.chunks_exact(period).map(|line| read(&line[first..], width)).collect()
}

struct Forward<'a> {
    polynomial: &'a Polynomial,
    working: &'a [f32],
    x: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let period = self.polynomial.broadcast.period();
        for (first, width) in blocks(period) {
            let coefficients = of_block(self.working, period, first, width);
            for (x, out) in self.x.chunks_exact(period).zip(self.out.chunks_exact_mut(period)) {
                let x = read(&x[first..], width);
                let value = match self.polynomial.basis {
                    Basis::Monomial => horner(&coefficients, &x),
                    Basis::Chebyshev => clenshaw(&coefficients, &x),
                };
                write(&mut out[first..], width, &value);
            }
        }
    }
}

#[inline(always)]
fn horner(coefficients: &[Block], x: &Block) -> Block {
    let mut sum = [0.0f32; WIDTH];
    for c in coefficients.iter().rev() {
        for i in 0..WIDTH {
            sum[i] = sum[i].mul_add(x[i], c[i]);
        }
    }
    sum
}

#[inline(always)]
fn clenshaw(coefficients: &[Block], x: &Block) -> Block {
    let (mut b1, mut b2) = ([0.0f32; WIDTH], [0.0f32; WIDTH]);
    let Some((constant, others)) = coefficients.split_first() else { return b1 };
    for c in others.iter().rev() {
        for i in 0..WIDTH {
            (b1[i], b2[i]) = ((2.0 * x[i]).mul_add(b1[i], c[i] - b2[i]), b1[i]);
        }
    }
    for i in 0..WIDTH {
        b1[i] = x[i].mul_add(b1[i], constant[i] - b2[i]);
    }
    b1
}

struct Backward<'a> {
    polynomial: &'a Polynomial,
    working: &'a [f32],
    x: &'a [f32],
    d: &'a [f32],
    gradient: &'a mut [f32],
    dx: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let period = self.polynomial.broadcast.period();
        let twice = match self.polynomial.basis {
            Basis::Monomial => 0.0,
            Basis::Chebyshev => 1.0,
        };
        for (first, width) in blocks(period) {
            let coefficients = of_block(self.working, period, first, width);
            let mut gradients = of_block(self.gradient, period, first, width);
            let lines = self.x.chunks_exact(period).zip(self.d.chunks_exact(period));
            for ((x, d), dx) in lines.zip(self.dx.chunks_exact_mut(period)) {
                let (x, d) = (read(&x[first..], width), read(&d[first..], width));
                let slope = along_basis(&coefficients, &mut gradients, &x, &d, twice);
                let mut to = read(&dx[first..], width);
                for i in 0..WIDTH {
                    to[i] = slope[i].mul_add(d[i], to[i]);
                }
                write(&mut dx[first..], width, &to);
            }
            for (line, block) in self.gradient.chunks_exact_mut(period).zip(&gradients) {
                write(&mut line[first..], width, block);
            }
        }
    }
}

/// Add d·(basis function k) to gradient k; returns the polynomials' derivatives.
///
/// Both bases follow f(k+1) = (1 + twice)·x·f(k) − twice·f(k−1), except that Chebyshev's first step is x alone.
#[inline(always)]
fn along_basis(coefficients: &[Block], gradients: &mut [Block], x: &Block, d: &Block, twice: f32) -> Block {
    let mut slope = [0.0; WIDTH];
    let (mut before, mut f) = ([0.0; WIDTH], [1.0; WIDTH]);
    let (mut slope_before, mut f_slope) = ([0.0f32; WIDTH], [0.0f32; WIDTH]);
    for (k, (c, gradient)) in coefficients.iter().zip(gradients).enumerate() {
        let twice = if k == 0 { 0.0 } else { twice };
        for i in 0..WIDTH {
            gradient[i] = d[i].mul_add(f[i], gradient[i]);
            slope[i] = c[i].mul_add(f_slope[i], slope[i]);
            let next = (1.0 + twice) * x[i] * f[i] - twice * before[i];
            let next_slope = (1.0 + twice) * x[i].mul_add(f_slope[i], f[i]) - twice * slope_before[i];
            (before[i], f[i]) = (f[i], next);
            (slope_before[i], f_slope[i]) = (f_slope[i], next_slope);
        }
    }
    slope
}
