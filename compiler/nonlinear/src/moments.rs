//! Sums of products over samples, from which least-squares problems of any size of data are solved.

use rayon::prelude::*;

/// Columns that are multiplied at a time: their sums stay in registers.
const TILE: usize = 4;

/// A matrix of rows that are added to [`Moments`] together.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Row-major.
    pub data: Vec<f64>,
    /// A weight for each row.
    pub weights: Vec<f64>,
}

/// Means of x, y, x·xᵀ, x·yᵀ and y² over weighted rows, all about the origin.
#[derive(Clone, Debug)]
pub struct Moments {
    /// Numbers of x.
    pub inputs: usize,
    /// Numbers of y.
    pub outputs: usize,
    /// Sum of the weights.
    pub weight: f64,
    /// Σ w·zzᵀ for z = (x, y, 1) in tiles of the lower triangle.
    tiles: Vec<[[f64; TILE]; TILE]>,
}

impl Moments {
    /// Of no rows.
    pub fn new(inputs: usize, outputs: usize) -> Self {
        let panels = (inputs + outputs + 1).div_ceil(TILE);
        Moments { inputs, outputs, weight: 0.0, tiles: vec![[[0.0; TILE]; TILE]; panels * (panels + 1) / 2] }
    }

    fn width(&self) -> usize {
        self.inputs + self.outputs + 1
    }

    /// Add rows of (x, y). The order of the rows fixes the result, the number of threads does not matter.
    pub fn add(&mut self, rows: &Rows) {
        let (width, count) = (self.width(), rows.weights.len());
        let panels = width.div_ceil(TILE);
        // Panel p holds columns 4p to 4p+3 of every row, one row after the other.
        let panel = |p: usize, scaled: bool| -> Vec<[f64; TILE]> {
            (0..count)
                .map(|r| {
                    let factor = if scaled { rows.weights[r] } else { 1.0 };
                    std::array::from_fn(|c| match p * TILE + c {
                        column if column + 1 < width => factor * rows.data[r * (width - 1) + column],
                        column if column + 1 == width => factor,
                        _ => 0.0,
                    })
                })
                .collect()
        };
        let plain: Vec<Vec<[f64; TILE]>> = (0..panels).into_par_iter().map(|p| panel(p, false)).collect();
        let mut lines: Vec<&mut [[[f64; TILE]; TILE]]> = Vec::with_capacity(panels);
        let mut rest = self.tiles.as_mut_slice();
        for p in 0..panels {
            let (line, after) = rest.split_at_mut(p + 1);
            lines.push(line);
            rest = after;
        }
        lines.into_par_iter().enumerate().for_each(|(p, line)| {
            let left = panel(p, true);
            line.iter_mut().zip(&plain).for_each(|(tile, right)| multiply(&left, right, tile));
        });
        self.weight += rows.weights.iter().sum::<f64>();
    }

    /// Mean of z[i]·z[j] with z = (x, y, 1).
    fn mean(&self, i: usize, j: usize) -> f64 {
        let (i, j) = (i.max(j), i.min(j));
        let (p, q) = (i / TILE, j / TILE);
        self.tiles[p * (p + 1) / 2 + q][i % TILE][j % TILE] / self.weight
    }

    /// Covariances about the means.
    pub fn covariance(&self) -> Covariance {
        let last = self.width() - 1;
        let means: Vec<f64> = (0..last).map(|i| self.mean(i, last)).collect();
        let centered = |i: usize, j: usize| self.mean(i, j) - means[i] * means[j];
        let (k, n) = (self.inputs, self.outputs);
        Covariance {
            gram: (0..k).map(|i| (0..=i).map(|j| centered(i, j)).collect()).collect(),
            cross: (0..n).map(|o| (0..k).map(|i| centered(k + o, i)).collect()).collect(),
            energy: (0..n).map(|o| self.mean(k + o, k + o)).collect(),
            input_means: means[..k].to_vec(),
            output_means: means[k..].to_vec(),
        }
    }
}

/// tile += Σ left[r]·right[r]ᵀ
fn multiply(left: &[[f64; TILE]], right: &[[f64; TILE]], tile: &mut [[f64; TILE]; TILE]) {
    let mut sums = *tile;
    for (a, b) in left.iter().zip(right) {
        for (line, x) in sums.iter_mut().zip(a) {
            for (sum, y) in line.iter_mut().zip(b) {
                *sum += x * y;
            }
        }
    }
    *tile = sums;
}

/// Second moments of x and y.
#[derive(Clone, Debug)]
pub struct Covariance {
    /// Lower triangle of the covariance of x.
    gram: Vec<Vec<f64>>,
    /// For each number of y its covariances with x.
    cross: Vec<Vec<f64>>,
    /// E y², about the origin.
    energy: Vec<f64>,
    input_means: Vec<f64>,
    output_means: Vec<f64>,
}

/// y ≈ slopes·x + offsets.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    /// For each number of y a factor for each number of x.
    pub slopes: Vec<Vec<f64>>,
    /// One for each number of y.
    pub offsets: Vec<f64>,
}

impl Covariance {
    /// The least-squares map with a penalty on the slopes, `ridge` times the mean variance of x; `None` where rounding
    /// leaves the matrix not positive.
    pub fn ridge(&self, ridge: f64) -> Option<Affine> {
        let k = self.gram.len();
        let trace: f64 = self.gram.iter().enumerate().map(|(i, row)| row[i]).sum();
        let penalty = ridge * trace / k as f64;
        let factor = cholesky(&self.gram, penalty)?;
        let slopes: Vec<Vec<f64>> = self.cross.par_iter().map(|right| solve(&factor, right)).collect();
        let offset = |(slopes, mean): (&Vec<f64>, &f64)| mean - dot(slopes, &self.input_means);
        let offsets = slopes.iter().zip(&self.output_means).map(offset).collect();
        Some(Affine { slopes, offsets })
    }

    /// No change.
    pub fn zero(&self) -> Affine {
        let zeros = vec![0.0; self.gram.len()];
        Affine { slopes: vec![zeros; self.energy.len()], offsets: vec![0.0; self.energy.len()] }
    }

    /// The best constant for each number of y.
    pub fn offsets(&self) -> Affine {
        Affine { offsets: self.output_means.clone(), ..self.zero() }
    }

    /// Mean of |y − f(x)|² over these rows.
    pub fn error(&self, affine: &Affine) -> f64 {
        let each = |o: usize| {
            let slopes = &affine.slopes[o];
            let product = |i: usize| {
                let below = dot(&self.gram[i][..i], &slopes[..i]);
                slopes[i] * (2.0 * below + self.gram[i][i] * slopes[i])
            };
            let quadratic: f64 = (0..slopes.len()).map(product).sum();
            let mean = self.output_means[o];
            let shift = mean - affine.offsets[o] - dot(slopes, &self.input_means);
            self.energy[o] - mean * mean - 2.0 * dot(slopes, &self.cross[o]) + quadratic + shift * shift
        };
        (0..self.energy.len()).into_par_iter().map(each).collect::<Vec<f64>>().iter().sum()
    }
}

/// Lower factor of matrix + penalty·I.
fn cholesky(matrix: &[Vec<f64>], penalty: f64) -> Option<Vec<Vec<f64>>> {
    let mut factor: Vec<Vec<f64>> = Vec::with_capacity(matrix.len());
    for (i, row) in matrix.iter().enumerate() {
        let mut line = Vec::with_capacity(i + 1);
        for (j, above) in factor.iter().enumerate() {
            let left: f64 = row[j] - dot(&line, &above[..j]);
            line.push(left / above[j]);
        }
        let square = row[i] + penalty - dot(&line, &line);
        if square.is_nan() || square <= 1e-12 * (row[i] + penalty) {
            return None;
        }
        line.push(libm::sqrt(square));
        factor.push(line);
    }
    Some(factor)
}

/// The solution of L·Lᵀ·x = right.
fn solve(factor: &[Vec<f64>], right: &[f64]) -> Vec<f64> {
    let mut x: Vec<f64> = Vec::with_capacity(right.len());
    for (row, b) in factor.iter().zip(right) {
        let i = x.len();
        x.push((b - dot(&row[..i], &x)) / row[i]);
    }
    for i in (0..x.len()).rev() {
        let value = x[i] / factor[i][i];
        x[i] = value;
        for (x, l) in x.iter_mut().zip(&factor[i][..i]) {
            *x -= value * l;
        }
    }
    x
}

/// Σ a·b with four sums side by side.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (fours_a, rest_a) = a.as_chunks::<4>();
    let (fours_b, rest_b) = b[..a.len()].as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (a, b) in fours_a.iter().zip(fours_b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f64 = rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// y = A·x + b + a little of something else, for x with a mean and columns of different sizes.
    fn rows(count: usize) -> Rows {
        let mut state = 5u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        };
        let mut data = Vec::new();
        for _ in 0..count {
            let x = [1.0 + next(), 3.0 * next(), 0.1 * next() - 2.0];
            let noise = 0.01 * next();
            data.extend(x);
            data.extend([2.0 * x[0] - x[1] + 0.5 + noise, 4.0 * x[2] - 1.0]);
        }
        Rows { data, weights: vec![1.0; count] }
    }

    fn moments(rows: &Rows) -> Covariance {
        let mut moments = Moments::new(3, 2);
        moments.add(rows);
        moments.covariance()
    }

    #[test]
    fn a_weak_penalty_finds_the_map_and_a_strong_one_stays_at_nothing() {
        let seen = moments(&rows(500));
        let found = seen.ridge(1e-9).unwrap();
        for (slopes, expected) in found.slopes.iter().zip([[2.0, -1.0, 0.0], [0.0, 0.0, 4.0]]) {
            slopes.iter().zip(expected).for_each(|(s, e)| assert!((s - e).abs() < 0.02, "{found:?}"));
        }
        assert!((found.offsets[0] - 0.5).abs() < 0.03 && (found.offsets[1] + 1.0).abs() < 0.03, "{found:?}");
        let held = seen.ridge(1e9).unwrap();
        assert!(held.slopes.iter().flatten().all(|s| s.abs() < 1e-6));
        held.offsets.iter().zip(seen.offsets().offsets).for_each(|(a, b)| assert!((a - b).abs() < 1e-6));
    }

    #[test]
    fn the_error_is_that_of_the_rows() {
        let (seen, unseen) = (rows(100), rows(40));
        let affine = moments(&seen).ridge(0.1).unwrap();
        let error = |row: &[f64]| -> f64 {
            let (x, y) = row.split_at(3);
            let each = |(o, y): (usize, &f64)| y - dot(&affine.slopes[o], x) - affine.offsets[o];
            y.iter().enumerate().map(each).map(|e| e * e).sum()
        };
        let direct = unseen.data.chunks(5).map(error).sum::<f64>() / 40.0;
        assert!((moments(&unseen).error(&affine) - direct).abs() < 1e-12 * direct.max(1.0));
    }

    #[test]
    fn a_row_of_weight_two_is_two_rows() {
        let once = rows(30);
        let mut twice = once.clone();
        twice.data.extend_from_within(..5);
        twice.weights.push(1.0);
        let heavy = Rows { weights: [vec![2.0], vec![1.0; 29]].concat(), ..once };
        let (a, b) = (moments(&twice).ridge(0.01).unwrap(), moments(&heavy).ridge(0.01).unwrap());
        a.offsets.iter().zip(&b.offsets).for_each(|(a, b)| assert!((a - b).abs() < 1e-12));
    }

    #[test]
    fn what_does_not_vary_has_no_solution() {
        let rows = Rows { data: [1.0, 2.0, 3.0, 4.0, 5.0].repeat(10), weights: vec![1.0; 10] };
        assert_eq!(moments(&rows).ridge(1e-3), None);
    }
}
