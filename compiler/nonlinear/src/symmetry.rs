//! Functions that are odd or even but for what costs nothing: such polynomials take about half the products.

use hec_ir::tensor::{Domain, Function};
use hec_poly::Parity;

/// Where a function is compared with its mirror image.
const POINTS: [f64; 7] = [0.13, 0.4, 0.9, 1.7, 2.6, 4.3, 7.1];

/// `Odd`: f(x) + f(−x) is constant (tanh, sigmoid). `Even`: f(x) − f(−x) is linear (|x|, ReLU, GELU, cosine).
pub fn parity(function: Function) -> Parity {
    if function.domain() != Domain::All {
        return Parity::General;
    }
    let same = |a: f64, b: f64| (a - b).abs() <= 1e-12 * (1.0 + a.abs().max(b.abs()));
    let sum = |x: f64| function.eval(x) + function.eval(-x);
    let slope = |x: f64| (function.eval(x) - function.eval(-x)) / x;
    if POINTS.iter().all(|&x| same(sum(x), sum(1.0))) {
        Parity::Odd
    } else if POINTS.iter().all(|&x| same(slope(x), slope(1.0))) {
        Parity::Even
    } else {
        Parity::General
    }
}

/// Set to zero what a parity excludes: these are rounding errors, where the function and the measure have it.
pub fn clean(coefficients: &mut [f64], parity: Parity) {
    let (first, step) = match parity {
        Parity::General => return,
        Parity::Odd => (2, 2),
        Parity::Even => (3, 2),
    };
    coefficients.iter_mut().skip(first).step_by(step).for_each(|c| *c = 0.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_the_parity_that_they_are_known_for() {
        let of = |wanted: Parity| -> Vec<&str> {
            Function::all().into_iter().filter(|f| parity(*f) == wanted).map(Function::name).collect()
        };
        assert_eq!(of(Parity::Odd), ["shrink", "hard_sigmoid", "sign", "sigmoid", "tanh", "softsign", "erf", "sin"]);
        assert_eq!(
            of(Parity::Even),
            ["relu", "leaky_relu", "hard_swish", "abs", "softplus", "gelu", "gelu_tanh", "silu", "cos"]
        );
    }

    #[test]
    fn the_constant_and_the_linear_term_stay() {
        let mut odd = [1.0; 6];
        clean(&mut odd, Parity::Odd);
        assert_eq!(odd, [1.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
        let mut even = [1.0; 6];
        clean(&mut even, Parity::Even);
        assert_eq!(even, [1.0, 1.0, 1.0, 0.0, 1.0, 0.0]);
    }
}
