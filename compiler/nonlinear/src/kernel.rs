//! The Gaussian-smoothed function and its projection on degree 2 under a normal density.
//!
//! With X ~ N(μ, s²) and a Gaussian kernel of bandwidth h, the smoothed function's value, slope and curvature on average
//! over X are those of f over Y ~ N(μ, S²), S² = s² + h² (the kernel adds its variance). By Stein's identity they are the
//! Hermite coefficients, so that p(x) = F₀ + F₁·(x−μ) + F₂/2·((x−μ)²−s²) is the best quadratic under the density of X.

use crate::quadrature::{hermite_coefficients, normal_cdf, normal_density};
use hec_ir::tensor::Function;

/// Mean value, slope and curvature of a smoothed function under a normal density.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smoothed {
    /// F₀ = E f(Y)
    pub value: f64,
    /// F₁ = E f′(Y)
    pub slope: f64,
    /// F₂ = E f″(Y)
    pub curvature: f64,
}

/// Mean value, slope and curvature of `function` over N(mean, total²), total = √(s² + h²) > 0.
pub fn smoothed(function: Function, mean: f64, total: f64) -> Smoothed {
    match function {
        Function::Relu => relu(mean, total),
        Function::LeakyRelu { alpha } => {
            let r = relu(mean, total);
            Smoothed {
                value: alpha * mean + (1.0 - alpha) * r.value,
                slope: alpha + (1.0 - alpha) * r.slope,
                curvature: (1.0 - alpha) * r.curvature,
            }
        }
        Function::Gelu => gelu(mean, total),
        _ => smoothed_by(mean, total, &function.kinks(), |x| function.eval(x)),
    }
}

/// The same by quadrature, for any function that is smooth but for some points.
pub fn smoothed_by(mean: f64, total: f64, kinks: &[f64], f: impl Fn(f64) -> f64) -> Smoothed {
    let c = hermite_coefficients(2, (mean, total), kinks, f);
    Smoothed { value: c[0], slope: c[1] / total, curvature: std::f64::consts::SQRT_2 * c[2] / (total * total) }
}

/// E (Y)₊ = μΦ(ρ) + Sφ(ρ) with ρ = μ/S, and its derivatives.
fn relu(mean: f64, total: f64) -> Smoothed {
    let rho = mean / total;
    let (density, below) = (normal_density(rho), normal_cdf(rho));
    Smoothed { value: mean * below + total * density, slope: below, curvature: density / total }
}

/// GELU is the ReLU smoothed with h = 1, less the normal density.
fn gelu(mean: f64, total: f64) -> Smoothed {
    let variance = 1.0 + total * total;
    let wide = libm::sqrt(variance);
    let base = relu(mean, wide);
    let g = normal_density(mean / wide) / wide;
    Smoothed {
        value: base.value - g,
        slope: base.slope + g * mean / variance,
        curvature: base.curvature + g * (1.0 / variance - mean * mean / (variance * variance)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same means by brute force: midpoints so fine that even a kink does no harm.
    fn by_quadrature(function: Function, mean: f64, total: f64) -> Smoothed {
        const N: i32 = 400_000;
        let step = 24.0 / f64::from(N);
        let [mut value, mut slope, mut curvature] = [0.0; 3];
        for i in 0..N {
            let z = -12.0 + (f64::from(i) + 0.5) * step;
            let term = function.eval(mean + total * z) * normal_density(z) * step;
            value += term;
            slope += term * z / total;
            curvature += term * (z * z - 1.0) / (total * total);
        }
        Smoothed { value, slope, curvature }
    }

    #[test]
    fn closed_forms_agree_with_quadrature() {
        let functions = [
            Function::Relu,
            Function::LeakyRelu { alpha: 0.1 },
            Function::LeakyRelu { alpha: -1.0 },
            Function::Gelu,
            Function::GeluTanh,
            Function::Sigmoid,
            Function::Tanh,
            Function::Silu,
            Function::Clip { low: -1.0, high: 2.0 },
            Function::HardSwish,
            Function::Mish,
        ];
        for function in functions {
            for (mean, total) in [(0.0, 1.0), (-1.3, 0.4), (2.0, 3.0), (0.5, 12.0)] {
                let (found, exact) = (smoothed(function, mean, total), by_quadrature(function, mean, total));
                let error = (found.value - exact.value)
                    .abs()
                    .max((found.slope - exact.slope).abs())
                    .max((found.curvature - exact.curvature).abs());
                assert!(error < 1e-8, "{function:?} at {mean} ± {total}: {found:?}, not {exact:?}");
            }
        }
    }

    #[test]
    fn relu_under_the_standard_normal_density() {
        let s = smoothed(Function::Relu, 0.0, 1.0);
        assert!((s.value - 0.398_942_280_401).abs() < 1e-12);
        assert_eq!(s.slope, 0.5);
        assert!((s.curvature / 2.0 - 0.199_471_140_200).abs() < 1e-12);
        // What the best quadratic leaves of E relu² = 1/2 is 1/4 − 3/(4π).
        let projected = hermite_coefficients(2, (0.0, 1.0), &[0.0], |x| x.max(0.0)).iter().map(|c| c * c).sum::<f64>();
        let closed = s.value * s.value + s.slope * s.slope + s.curvature * s.curvature / 2.0;
        println!("mean square error {:.6}", 0.5 - projected);
        assert!((0.5 - projected - 0.011_267_6).abs() < 1e-7 && (projected - closed).abs() < 1e-12);
    }
}
