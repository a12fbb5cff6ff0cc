//! Averages of a function under the uniform and the normal density.

use std::f64::consts::PI;

/// Nodes in (−1, 1) and weights of sum 1 that average polynomials of degree below 2n exactly (Gauss–Legendre).
pub fn uniform_nodes(n: usize) -> Vec<(f64, f64)> {
    (0..n)
        .map(|i| {
            let mut x = -libm::cos(PI * (i as f64 + 0.75) / (n as f64 + 0.5));
            // Newton's iteration is quadratic from this start; eight steps are far more than it needs.
            for _ in 0..8 {
                let (value, slope) = legendre(n, x);
                x -= value / slope;
            }
            let (_, slope) = legendre(n, x);
            (x, 1.0 / ((1.0 - x * x) * slope * slope))
        })
        .collect()
}

/// The Legendre polynomial of degree n and its derivative at |x| < 1.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut previous, mut value) = (0.0, 1.0);
    for k in 0..n {
        let k = k as f64;
        (previous, value) = (value, ((2.0 * k + 1.0) * x * value - k * previous) / (k + 1.0));
    }
    (value, n as f64 * (x * value - previous) / (x * x - 1.0))
}

/// Density of the standard normal distribution.
pub fn normal_density(x: f64) -> f64 {
    libm::exp(-0.5 * x * x) / libm::sqrt(2.0 * PI)
}

/// Distribution function of the standard normal distribution.
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// The first `degree + 1` Hermite coefficients of f under N(mean, std²): the means of f(mean + std·z)·h_k(z), with h_k
/// the polynomial of degree k that is orthonormal under the standard normal density of z.
///
/// Between its kinks f is integrated by Gauss's rule on short intervals.
pub fn hermite_coefficients(degree: usize, (mean, std): (f64, f64), kinks: &[f64], f: impl Fn(f64) -> f64) -> Vec<f64> {
    /// Beyond it, less than 2^-45 of the mean square of any h_k of degree up to 31 is left.
    const REACH: f64 = 16.0;
    let nodes = uniform_nodes(16);
    let mut ends: Vec<f64> = kinks.iter().map(|k| (k - mean) / std).filter(|z| z.abs() < REACH).collect();
    ends.extend([-REACH, REACH]);
    ends.sort_by(f64::total_cmp);
    let longest = 1.0 / std.clamp(2.0, 64.0);
    let mut coefficients = vec![0.0; degree + 1];
    for pair in ends.windows(2) {
        let pieces = libm::ceil((pair[1] - pair[0]) / longest).max(1.0);
        let width = (pair[1] - pair[0]) / pieces;
        for piece in 0..pieces as usize {
            let middle = pair[0] + (piece as f64 + 0.5) * width;
            for &(t, weight) in &nodes {
                let z = middle + 0.5 * width * t;
                let term = f(mean + std * z) * normal_density(z) * weight * width;
                let values = hermite_values(degree, z);
                coefficients.iter_mut().zip(values).for_each(|(c, h)| *c += term * h);
            }
        }
    }
    coefficients
}

/// h₀(z) … h_degree(z), orthonormal under the standard normal density.
pub fn hermite_values(degree: usize, z: f64) -> Vec<f64> {
    let mut values = vec![1.0, z];
    for k in 1..degree {
        let next = (z * values[k] - libm::sqrt(k as f64) * values[k - 1]) / libm::sqrt(k as f64 + 1.0);
        values.push(next);
    }
    values.truncate(degree + 1);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_nodes_average_polynomials_exactly() {
        let nodes = uniform_nodes(64);
        for degree in [0, 1, 2, 30, 62] {
            let mean: f64 = nodes.iter().map(|(x, w)| w * libm::pow(*x, f64::from(degree))).sum();
            let exact = if degree % 2 == 0 { 1.0 / f64::from(degree + 1) } else { 0.0 };
            assert!((mean - exact).abs() < 1e-14, "degree {degree}: {mean}");
        }
    }

    #[test]
    fn hermite_coefficients_of_a_cubic_and_of_a_step() {
        // 2 + 3z + 5z² + z³ = 7h₀ + 6h₁ + 5√2h₂ + √6h₃
        let cubic = hermite_coefficients(4, (0.0, 1.0), &[], |z| 2.0 + 3.0 * z + 5.0 * z * z + z * z * z);
        for (found, exact) in cubic.iter().zip([7.0, 6.0, 5.0 * libm::sqrt(2.0), libm::sqrt(6.0), 0.0]) {
            assert!((found - exact).abs() < 1e-13, "{found}");
        }
        let step = hermite_coefficients(2, (1.0, 2.0), &[0.0], |x| f64::from(u8::from(x > 0.0)));
        let exact = [normal_cdf(0.5), normal_density(0.5), -0.5 * normal_density(0.5) / libm::sqrt(2.0)];
        for (found, exact) in step.iter().zip(exact) {
            assert!((found - exact).abs() < 1e-14, "{found}");
        }
    }

    #[test]
    fn hermite_polynomials_are_orthonormal() {
        for k in [0, 1, 7, 31] {
            let row = hermite_coefficients(31, (0.0, 1.0), &[], |z| hermite_values(31, z)[k]);
            let error = |(j, c): (usize, &f64)| (c - if j == k { 1.0 } else { 0.0 }).abs();
            assert!(row.iter().enumerate().map(error).fold(0.0, f64::max) < 1e-11, "{k}: {row:?}");
        }
    }
}
