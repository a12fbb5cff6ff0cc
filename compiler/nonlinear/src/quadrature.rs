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

/// Means of g(z)·1, g(z)·z and g(z)·(z²−1) for a standard normal z: the first three Hermite coefficients of g.
///
/// The trapezoidal rule converges geometrically under a Gaussian weight. `stretch` is by how much g varies faster than
/// a function of unit scale; the step shrinks with it.
pub fn hermite_means(stretch: f64, g: impl Fn(f64) -> f64) -> [f64; 3] {
    const REACH: f64 = 9.0;
    let half = libm::ceil(REACH * (4.0 * stretch).clamp(8.0, 256.0)) as i32;
    let step = REACH / f64::from(half);
    let mut means = [0.0; 3];
    for i in -half..=half {
        let z = f64::from(i) * step;
        let term = g(z) * normal_density(z) * step;
        means[0] += term;
        means[1] += term * z;
        means[2] += term * (z * z - 1.0);
    }
    means
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
    fn hermite_means_of_a_cubic_and_of_a_step() {
        let means = hermite_means(1.0, |z| 2.0 + 3.0 * z + 5.0 * z * z + z * z * z);
        for (mean, exact) in means.iter().zip([7.0, 6.0, 10.0]) {
            assert!((mean - exact).abs() < 1e-13, "{mean}");
        }
        // 1/(1+e^(-50z)) is nearly a step, whose first coefficient is the density at zero.
        let steep = hermite_means(50.0, |z| 1.0 / (1.0 + libm::exp(-50.0 * z)));
        assert!((steep[0] - 0.5).abs() < 1e-12 && (steep[1] - normal_density(0.0)).abs() < 1e-3);
    }
}
