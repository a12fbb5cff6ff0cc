//! Kernel ridge regression: a smooth curve through noisy targets.
//!
//! In a network that is made polynomial layer by layer, one input of a layer goes with several targets. The curve is a
//! straight line plus Σ αᵢ·exp(−(t − tᵢ)²/(2h²)) with (K + λ·diag(1/wᵢ))·α = y (C. Saunders, A. Gammerman, V. Vovk, "Ridge
//! regression learning algorithm in dual variables", 1998), with weights wᵢ of the centres. Bandwidth and ridge are those of
//! the least error when each centre is left out in turn, which is αᵢ/(C⁻¹)ᵢᵢ.

use crate::orthogonal::{Orthogonal, Point};

/// Centres at most; denser ones are merged.
const CENTRES: usize = 48;

/// Bandwidths in standard deviations of the density.
const BANDWIDTHS: [f64; 3] = [0.25, 0.5, 1.0];

/// Ridges, relative to the mean weight of a centre.
const RIDGES: [f64; 4] = [1e-6, 1e-4, 1e-2, 1.0];

/// A curve through points of a density.
#[derive(Clone, Debug)]
pub struct Regression {
    line: Orthogonal,
    centres: Vec<f64>,
    alpha: Vec<f64>,
    bandwidth: f64,
}

impl Regression {
    /// Of points with positive weights on [−1, 1]; `None` for fewer than three different ones.
    pub fn fit(points: &[Point]) -> Option<Self> {
        let line = Orthogonal::fit(points, 1);
        let centres = merged(points);
        if centres.len() < 3 {
            return None;
        }
        let weight: f64 = centres.iter().map(|p| p.weight).sum();
        let mean = centres.iter().map(|p| p.weight * p.t).sum::<f64>() / weight;
        let variance = centres.iter().map(|p| p.weight * (p.t - mean) * (p.t - mean)).sum::<f64>() / weight;
        let residual: Vec<f64> = centres.iter().map(|p| p.y - line.eval(p.t)).collect();
        let mut best: Option<(f64, Regression)> = None;
        for relative in BANDWIDTHS {
            let bandwidth = (relative * libm::sqrt(variance)).max(1e-3);
            for ridge in RIDGES {
                let Some((alpha, error)) = solve(&centres, &residual, bandwidth, ridge * weight) else { continue };
                if best.as_ref().is_none_or(|(least, _)| error < *least) {
                    let centres = centres.iter().map(|p| p.t).collect();
                    best = Some((error, Regression { line: line.clone(), centres, alpha, bandwidth }));
                }
            }
        }
        best.map(|(_, regression)| regression)
    }

    /// The value at `t`, if it lies between the outermost centres.
    pub fn eval(&self, t: f64) -> Option<f64> {
        let inside = t >= self.centres[0] && t <= self.centres[self.centres.len() - 1];
        let bump = |(c, a): (&f64, &f64)| a * gaussian(t - c, self.bandwidth);
        inside.then(|| self.line.eval(t) + self.centres.iter().zip(&self.alpha).map(bump).sum::<f64>())
    }
}

fn gaussian(distance: f64, bandwidth: f64) -> f64 {
    libm::exp(-0.5 * distance * distance / (bandwidth * bandwidth))
}

/// Points in equal cells of their range, each cell at its centre of mass.
fn merged(points: &[Point]) -> Vec<Point> {
    let ends = points.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), p| (lo.min(p.t), hi.max(p.t)));
    let mut cells = vec![Point { t: 0.0, weight: 0.0, y: 0.0 }; CENTRES];
    for p in points.iter().filter(|p| p.weight > 0.0) {
        let at = (p.t - ends.0) / (ends.1 - ends.0).max(1e-12) * CENTRES as f64;
        let cell = &mut cells[(at as usize).min(CENTRES - 1)];
        cell.t += p.weight * p.t;
        cell.y += p.weight * p.y;
        cell.weight += p.weight;
    }
    let filled = cells.into_iter().filter(|c| c.weight > 0.0);
    filled.map(|c| Point { t: c.t / c.weight, y: c.y / c.weight, weight: c.weight }).collect()
}

/// α, and the weighted mean square error of leaving out each centre in turn.
fn solve(centres: &[Point], residual: &[f64], bandwidth: f64, ridge: f64) -> Option<(Vec<f64>, f64)> {
    let n = centres.len();
    let entry = |i: usize, j: usize| {
        let noise = if i == j { ridge / (n as f64 * centres[i].weight) } else { 0.0 };
        gaussian(centres[i].t - centres[j].t, bandwidth) + noise
    };
    let inverse = inverse((0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect())?;
    let dot = |row: &[f64]| row.iter().zip(residual).map(|(a, b)| a * b).sum::<f64>();
    let alpha: Vec<f64> = inverse.iter().map(|row| dot(row)).collect();
    let square = |i: usize| centres[i].weight * (alpha[i] / inverse[i][i]) * (alpha[i] / inverse[i][i]);
    let error = (0..n).map(square).sum::<f64>();
    error.is_finite().then_some((alpha, error))
}

/// The inverse of a symmetric positive matrix by Gauss and Jordan's elimination; `None` where rounding leaves it not
/// positive.
fn inverse(mut a: Vec<Vec<f64>>) -> Option<Vec<Vec<f64>>> {
    let n = a.len();
    for k in 0..n {
        let pivot = a[k][k];
        if pivot.is_nan() || pivot <= 1e-13 {
            return None;
        }
        a[k][k] = 1.0;
        a[k].iter_mut().for_each(|x| *x /= pivot);
        let row = a[k].clone();
        for (_, other) in a.iter_mut().enumerate().filter(|(i, _)| *i != k) {
            let factor = std::mem::replace(&mut other[k], 0.0);
            other.iter_mut().zip(&row).for_each(|(x, r)| *x -= factor * r);
        }
    }
    Some(a)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(count: usize, f: impl Fn(f64) -> f64) -> Vec<Point> {
        let t = |i: usize| (i as f64 + 0.5) / count as f64 * 2.0 - 1.0;
        (0..count).map(|i| Point { t: t(i), weight: 1.0 / count as f64, y: f(t(i)) }).collect()
    }

    #[test]
    fn a_smooth_curve_is_found_again() {
        let curve = |t: f64| libm::sin(3.0 * t) + 0.5 * t;
        let found = Regression::fit(&points(200, curve)).unwrap();
        for i in -9..=9 {
            let t = f64::from(i) / 10.0;
            assert!((found.eval(t).unwrap() - curve(t)).abs() < 0.01, "{t}: {:?}", found.eval(t));
        }
        assert_eq!(found.eval(1.5), None);
    }

    #[test]
    fn noise_is_averaged_out() {
        let mut state = 9u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        };
        let mut noisy = points(400, |t| t.max(0.0));
        noisy.iter_mut().for_each(|p| p.y += 0.3 * noise());
        let found = Regression::fit(&noisy).unwrap();
        let square = |p: &Point| {
            let e = found.eval(p.t).unwrap_or(p.t.max(0.0)) - p.t.max(0.0);
            e * e
        };
        let rms = (noisy.iter().map(square).sum::<f64>() / 400.0).sqrt();
        assert!(rms < 0.06, "{rms}");
    }

    #[test]
    fn an_inverse_times_its_matrix_is_one() {
        let matrix: Vec<Vec<f64>> = vec![vec![4.0, 1.0, 0.5], vec![1.0, 3.0, -0.2], vec![0.5, -0.2, 2.0]];
        let found = inverse(matrix.clone()).unwrap();
        for (i, row) in matrix.iter().enumerate() {
            for j in 0..3 {
                let entry: f64 = row.iter().zip(&found).map(|(a, line)| a * line[j]).sum();
                assert!((entry - f64::from(u8::from(i == j))).abs() < 1e-14);
            }
        }
        assert_eq!(inverse(vec![vec![0.0]]), None);
        assert!(Regression::fit(&points(2, |t| t)).is_none());
    }
}
