//! Chebyshev series of a function, and Jackson's damping of it.
//!
//! Interpolation at Chebyshev nodes is [`crate::orthogonal::chebyshev_coefficients`]. The truncated series is the
//! projection under the density 1/(π√(1−t²)). Damped by Jackson's kernel it converges without overshoot wherever the
//! function is continuous, with an error of C·ω(f, 1/d) (D. Jackson, 1912; coefficients as in A. Weiße et al., "The
//! kernel polynomial method", 2006, eq. 71), but at low degree the damping costs more than it gains.

use crate::quadrature::uniform_nodes;
use std::f64::consts::PI;

/// `degree + 1` coefficients of the truncated Chebyshev series of f on [−1, 1], smooth but for the kinks.
pub fn series(degree: usize, kinks: &[f64], f: impl Fn(f64) -> f64) -> Vec<f64> {
    // In θ with t = cos θ the coefficients are those of a Fourier series: the mean of f·cos kθ.
    let mut ends: Vec<f64> = kinks.iter().filter(|k| k.abs() < 1.0).map(|&k| libm::acos(k)).collect();
    ends.extend([0.0, PI]);
    ends.sort_by(f64::total_cmp);
    let nodes = uniform_nodes(32);
    let mut coefficients = vec![0.0; degree + 1];
    for pair in ends.windows(2) {
        // A period of cos kθ gets a piece of its own at least.
        let pieces = (degree / 2 + 4) as f64;
        let width = (pair[1] - pair[0]) / pieces;
        for piece in 0..degree / 2 + 4 {
            for &(t, weight) in &nodes {
                let angle = pair[0] + (piece as f64 + 0.5 + 0.5 * t) * width;
                let term = f(libm::cos(angle)) * weight * width / PI;
                coefficients.iter_mut().enumerate().for_each(|(k, c)| *c += term * libm::cos(k as f64 * angle));
            }
        }
    }
    coefficients.iter_mut().skip(1).for_each(|c| *c *= 2.0);
    coefficients
}

/// The same series, each coefficient multiplied by Jackson's factor for this degree.
pub fn jackson(degree: usize, kinks: &[f64], f: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut coefficients = series(degree, kinks, f);
    // n + 1 with n = degree + 1, the first factor that vanishes.
    let n = degree as f64 + 2.0;
    let cotangent = libm::cos(PI / n) / libm::sin(PI / n);
    for (k, c) in coefficients.iter_mut().enumerate() {
        let angle = PI * k as f64 / n;
        *c *= ((n - k as f64) * libm::cos(angle) + libm::sin(angle) * cotangent) / n;
    }
    coefficients
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orthogonal::chebyshev_value;

    fn largest_error(coefficients: &[f64]) -> f64 {
        let error = |i: i32| {
            let t = f64::from(i) / 2000.0;
            (chebyshev_value(coefficients, t) - t.max(0.0)).abs()
        };
        (-2000..=2000).map(error).fold(0.0, f64::max)
    }

    #[test]
    fn relu_has_the_errors_of_the_table() {
        let table =
            [(2, 0.1061, 0.2751), (4, 0.0637, 0.1910), (8, 0.0354, 0.1190), (16, 0.0187, 0.0671), (32, 0.0097, 0.0357)];
        for (degree, truncated, damped) in table {
            let relu = |t: f64| t.max(0.0);
            let found = largest_error(&series(degree, &[0.0], relu));
            assert!((found - truncated).abs() < 6e-5, "degree {degree}: {found}");
            print!("degree {degree}: truncated {found:.4}");
            let found = largest_error(&jackson(degree, &[0.0], relu));
            println!(", damped {found:.4}");
            assert!((found - damped).abs() < 6e-5, "degree {degree}, damped: {found}");
        }
    }

    #[test]
    fn series_of_relu_is_known() {
        let [a, b, c] = series(2, &[0.0], |t| t.max(0.0))[..] else { panic!("three coefficients") };
        assert!((a - 1.0 / PI).abs() < 1e-14 && (b - 0.5).abs() < 1e-14 && (c - 2.0 / (3.0 * PI)).abs() < 1e-14);
    }
}
