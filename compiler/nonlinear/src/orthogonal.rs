//! Least squares by orthogonal polynomials of a discrete measure (the Stieltjes procedure).

use hec_poly::Basis;
use std::f64::consts::PI;

/// A point of a discrete measure on [−1, 1] with the value to approximate there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Where.
    pub t: f64,
    /// Its mass, not negative.
    pub weight: f64,
    /// The value to approximate.
    pub y: f64,
}

/// A polynomial in the monic orthogonal polynomials of a measure:
/// π₀ = 1, π_{k+1} = (t − α_k)·π_k − β_k·π_{k−1}.
#[derive(Clone, Debug, PartialEq)]
pub struct Orthogonal {
    alpha: Vec<f64>,
    beta: Vec<f64>,
    /// Coefficient of each π_k.
    pub coefficients: Vec<f64>,
}

impl Orthogonal {
    /// The least-squares polynomial of at most that degree. The degree is lower where the measure has too few points.
    pub fn fit(points: &[Point], degree: usize) -> Self {
        let mut fit = Orthogonal { alpha: Vec::new(), beta: Vec::new(), coefficients: Vec::new() };
        let mut previous = vec![0.0; points.len()];
        let mut current = vec![1.0; points.len()];
        let mut residual: Vec<f64> = points.iter().map(|p| p.y).collect();
        let mut norm_before = 0.0;
        for k in 0..=degree {
            let sum = |g: &dyn Fn(usize) -> f64| (0..points.len()).map(|i| points[i].weight * g(i)).sum::<f64>();
            let norm = sum(&|i| current[i] * current[i]);
            if norm <= 0.0 {
                break;
            }
            // Projecting the residual, not y itself, keeps the coefficients accurate when π loses orthogonality.
            let coefficient = sum(&|i| residual[i] * current[i]) / norm;
            let alpha = sum(&|i| points[i].t * current[i] * current[i]) / norm;
            let beta = if k == 0 { 0.0 } else { norm / norm_before };
            for i in 0..points.len() {
                residual[i] -= coefficient * current[i];
                let next = (points[i].t - alpha) * current[i] - beta * previous[i];
                previous[i] = std::mem::replace(&mut current[i], next);
            }
            fit.coefficients.push(coefficient);
            fit.alpha.push(alpha);
            fit.beta.push(beta);
            norm_before = norm;
        }
        fit
    }

    /// The value at `t`.
    pub fn eval(&self, t: f64) -> f64 {
        let (mut previous, mut current, mut sum) = (0.0, 1.0, 0.0);
        for (k, c) in self.coefficients.iter().enumerate() {
            sum += c * current;
            (previous, current) = (current, (t - self.alpha[k]) * current - self.beta[k] * previous);
        }
        sum
    }

    /// `degree + 1` coefficients in the Chebyshev basis.
    pub fn to_chebyshev(&self, degree: usize) -> Vec<f64> {
        chebyshev_coefficients(degree, |t| self.eval(t))
    }
}

/// Coefficients of the polynomial of that degree that takes the values of `f` at the Chebyshev nodes.
pub fn chebyshev_coefficients(degree: usize, f: impl Fn(f64) -> f64) -> Vec<f64> {
    let n = degree + 1;
    let angle = |j: usize| PI * (j as f64 + 0.5) / n as f64;
    let values: Vec<f64> = (0..n).map(|j| f(libm::cos(angle(j)))).collect();
    (0..n)
        .map(|k| {
            let sum: f64 = values.iter().enumerate().map(|(j, v)| v * libm::cos(k as f64 * angle(j))).sum();
            sum * if k == 0 { 1.0 } else { 2.0 } / n as f64
        })
        .collect()
}

/// A polynomial of degree at most 2 from the Chebyshev to the monomial basis, both in t.
pub fn quadratic_monomials(chebyshev: &[f64]) -> [f64; 3] {
    let at = |k: usize| chebyshev.get(k).copied().unwrap_or(0.0);
    [at(0) - at(2), at(1), 2.0 * at(2)]
}

/// The value of Chebyshev coefficients at `t`.
pub fn chebyshev_value(coefficients: &[f64], t: f64) -> f64 {
    hec_poly::evaluate(Basis::Chebyshev, coefficients, t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quadrature::uniform_nodes;

    fn measure(f: impl Fn(f64) -> f64) -> Vec<Point> {
        uniform_nodes(64).into_iter().map(|(t, weight)| Point { t, weight, y: f(t) }).collect()
    }

    #[test]
    fn a_polynomial_is_its_own_fit_in_every_basis() {
        let cubic = |t: f64| 1.0 - 2.0 * t + 0.5 * t * t * t;
        let fit = Orthogonal::fit(&measure(cubic), 3);
        let chebyshev = fit.to_chebyshev(3);
        for t in [-1.0, -0.3, 0.2, 1.0] {
            assert!((fit.eval(t) - cubic(t)).abs() < 1e-14);
            assert!((chebyshev_value(&chebyshev, t) - cubic(t)).abs() < 1e-14);
        }
        let [a, b, c] = quadratic_monomials(&chebyshev_coefficients(2, |t| 3.0 - t + 4.0 * t * t));
        assert!((a - 3.0).abs() < 1e-14 && (b + 1.0).abs() < 1e-14 && (c - 4.0).abs() < 1e-14);
    }

    #[test]
    fn degree_31_is_stable_on_a_lopsided_measure() {
        // Nearly all mass on [-0.1, 0.1], as when outliers set the range.
        let mut points = measure(|t| libm::exp(2.0 * t));
        for point in &mut points {
            point.weight *= 1e-3;
        }
        points.extend(measure(|t| libm::exp(0.2 * t)).into_iter().map(|p| Point { t: p.t * 0.1, ..p }));
        let chebyshev = Orthogonal::fit(&points, 31).to_chebyshev(31);
        let worst = (-20..=20)
            .map(|i| f64::from(i) / 20.0)
            .fold(0.0f64, |worst, t| worst.max((chebyshev_value(&chebyshev, t) - libm::exp(2.0 * t)).abs()));
        assert!(worst < 1e-9, "{worst}");
    }

    #[test]
    fn relu_by_uniform_least_squares_is_the_known_quadratic() {
        // (3/32)R + x/2 + (15/32)x²/R with R = 1; the kink limits the quadrature.
        let points: Vec<Point> = (0..20_000)
            .map(|i| (f64::from(i) + 0.5) / 10_000.0 - 1.0)
            .map(|t| Point { t, weight: 1.0, y: t.max(0.0) })
            .collect();
        let [a, b, c] = quadratic_monomials(&Orthogonal::fit(&points, 2).to_chebyshev(2));
        assert!((a - 3.0 / 32.0).abs() < 1e-6 && (b - 0.5).abs() < 1e-6 && (c - 15.0 / 32.0).abs() < 1e-6);
    }

    #[test]
    fn one_point_gives_a_constant() {
        let fit = Orthogonal::fit(&[Point { t: 0.5, weight: 1.0, y: 2.0 }], 7);
        assert_eq!(fit.coefficients.len(), 1);
        assert_eq!(fit.eval(-1.0), 2.0);
    }
}
