//! Scalar functions that are not polynomials.

use super::domain::Domain;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI};

/// A function applied to every element, to be replaced by a polynomial before packing.
///
/// Names and default parameters are those of the ONNX operators.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// max(x, 0)
    Relu,
    /// x for x ≥ 0, else αx
    LeakyRelu {
        /// Slope for negative arguments.
        alpha: f64,
    },
    /// x for x > α, else 0
    ThresholdedRelu {
        /// Where it jumps from 0 to α.
        alpha: f64,
    },
    /// x for x ≥ 0, else α(e^x − 1)
    Elu {
        /// How far it goes below zero.
        alpha: f64,
    },
    /// γx for x > 0, else γα(e^x − 1)
    Selu {
        /// How far it goes below zero, before γ.
        alpha: f64,
        /// A factor of the whole.
        gamma: f64,
    },
    /// max(x, 0) + min(α(e^(x/α) − 1), 0)
    Celu {
        /// How far it goes below zero, and how slowly.
        alpha: f64,
    },
    /// x + β for x < −λ, x − β for x > λ, else 0
    Shrink {
        /// Half the width of the flat part.
        lambda: f64,
        /// What the outer parts are shifted by.
        bias: f64,
    },
    /// min(max(x, low), high)
    Clip {
        /// The smallest value.
        low: f64,
        /// The largest value.
        high: f64,
    },
    /// min(max(αx + β, 0), 1)
    HardSigmoid {
        /// Slope in the middle.
        alpha: f64,
        /// Value at zero.
        beta: f64,
    },
    /// x·min(max(x/6 + 1/2, 0), 1)
    HardSwish,
    /// |x|
    Abs,
    /// −1, 0 or 1
    Sign,
    /// 1/(1+e^−x)
    Sigmoid,
    /// tanh x
    Tanh,
    /// x/(1+|x|)
    Softsign,
    /// ln(1+e^x)
    Softplus,
    /// xΦ(x)
    Gelu,
    /// The tanh form of GELU: x/2·(1+tanh(√(2/π)(x+0.044715x³)))
    GeluTanh,
    /// x/(1+e^−x)
    Silu,
    /// x·tanh(ln(1+e^x))
    Mish,
    /// 2/√π·∫₀ˣ e^−t² dt
    Erf,
    /// sin x
    Sin,
    /// cos x
    Cos,
    /// e^x
    Exp,
    /// ln x
    Log,
    /// √x
    Sqrt,
    /// 1/x
    Reciprocal,
    /// x^p for a constant p
    Pow {
        /// p
        exponent: f64,
    },
}

impl Function {
    /// The value at `x`; not a number outside the [domain](Function::domain).
    pub fn eval(self, x: f64) -> f64 {
        match self {
            Function::Relu => x.max(0.0),
            Function::LeakyRelu { alpha } if x < 0.0 => alpha * x,
            Function::LeakyRelu { .. } => x,
            Function::ThresholdedRelu { alpha } if x <= alpha => 0.0,
            Function::ThresholdedRelu { .. } => x,
            Function::Elu { alpha } if x < 0.0 => alpha * libm::expm1(x),
            Function::Elu { .. } => x,
            Function::Selu { alpha, gamma } if x <= 0.0 => gamma * alpha * libm::expm1(x),
            Function::Selu { gamma, .. } => gamma * x,
            Function::Celu { alpha } => x.max(0.0) + (alpha * libm::expm1(x / alpha)).min(0.0),
            Function::Shrink { lambda, bias } if x < -lambda => x + bias,
            Function::Shrink { lambda, bias } if x > lambda => x - bias,
            Function::Shrink { .. } => 0.0,
            Function::Clip { low, high } => x.max(low).min(high),
            Function::HardSigmoid { alpha, beta } => (alpha * x + beta).clamp(0.0, 1.0),
            Function::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Function::Abs => x.abs(),
            Function::Sign if x == 0.0 => 0.0,
            Function::Sign => x.signum(),
            Function::Sigmoid => 1.0 / (1.0 + libm::exp(-x)),
            Function::Tanh => libm::tanh(x),
            Function::Softsign => x / (1.0 + x.abs()),
            // The larger of 0 and x apart, so that neither overflows nor swallows the rest.
            Function::Softplus => x.max(0.0) + libm::log1p(libm::exp(-x.abs())),
            // erfc keeps the left tail, where 1 + erf cancels.
            Function::Gelu => 0.5 * x * libm::erfc(-x * FRAC_1_SQRT_2),
            // (1 + tanh u)/2 = 1/(1 + e^−2u), which does not cancel.
            Function::GeluTanh => x / (1.0 + libm::exp(-2.0 * FRAC_2_PI.sqrt() * (x + 0.044715 * x * x * x))),
            Function::Silu => x / (1.0 + libm::exp(-x)),
            Function::Mish => x * tanh_of_softplus(x),
            Function::Erf => libm::erf(x),
            Function::Sin => libm::sin(x),
            Function::Cos => libm::cos(x),
            Function::Exp => libm::exp(x),
            Function::Log => libm::log(x),
            Function::Sqrt => libm::sqrt(x),
            Function::Reciprocal => 1.0 / x,
            Function::Pow { exponent } => libm::pow(x, exponent),
        }
    }

    /// Where it is defined.
    pub fn domain(self) -> Domain {
        match self {
            Function::Log => Domain::Positive,
            Function::Sqrt => Domain::NonNegative,
            Function::Reciprocal => Domain::NonZero,
            Function::Pow { exponent } => match (exponent.fract() == 0.0, exponent < 0.0) {
                (true, true) => Domain::NonZero,
                (true, false) => Domain::All,
                (false, true) => Domain::Positive,
                (false, false) => Domain::NonNegative,
            },
            _ => Domain::All,
        }
    }

    /// Where it is not smooth, ascending: between these points it is analytic.
    pub fn kinks(self) -> Vec<f64> {
        let mut kinks = match self {
            Function::Relu
            | Function::LeakyRelu { .. }
            | Function::Elu { .. }
            | Function::Selu { .. }
            | Function::Celu { .. }
            | Function::Abs
            | Function::Sign
            | Function::Softsign => vec![0.0],
            Function::ThresholdedRelu { alpha } => vec![alpha],
            Function::Shrink { lambda, .. } => vec![-lambda, lambda],
            Function::Clip { low, high } => vec![low, high],
            Function::HardSigmoid { alpha, beta } => vec![-beta / alpha, (1.0 - beta) / alpha],
            Function::HardSwish => vec![-3.0, 3.0],
            _ => Vec::new(),
        };
        kinks.retain(|k| k.is_finite());
        kinks.sort_by(f64::total_cmp);
        kinks
    }

    /// Its name in text and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Function::Relu => "relu",
            Function::LeakyRelu { .. } => "leaky_relu",
            Function::ThresholdedRelu { .. } => "thresholded_relu",
            Function::Elu { .. } => "elu",
            Function::Selu { .. } => "selu",
            Function::Celu { .. } => "celu",
            Function::Shrink { .. } => "shrink",
            Function::Clip { .. } => "clip",
            Function::HardSigmoid { .. } => "hard_sigmoid",
            Function::HardSwish => "hard_swish",
            Function::Abs => "abs",
            Function::Sign => "sign",
            Function::Sigmoid => "sigmoid",
            Function::Tanh => "tanh",
            Function::Softsign => "softsign",
            Function::Softplus => "softplus",
            Function::Gelu => "gelu",
            Function::GeluTanh => "gelu_tanh",
            Function::Silu => "silu",
            Function::Mish => "mish",
            Function::Erf => "erf",
            Function::Sin => "sin",
            Function::Cos => "cos",
            Function::Exp => "exp",
            Function::Log => "log",
            Function::Sqrt => "sqrt",
            Function::Reciprocal => "reciprocal",
            Function::Pow { .. } => "pow",
        }
    }

    /// Its parameters with their names, in the order of the text.
    pub fn parameters(self) -> Vec<(&'static str, f64)> {
        match self {
            Function::LeakyRelu { alpha }
            | Function::ThresholdedRelu { alpha }
            | Function::Elu { alpha }
            | Function::Celu { alpha } => vec![("alpha", alpha)],
            Function::Selu { alpha, gamma } => vec![("alpha", alpha), ("gamma", gamma)],
            Function::Shrink { lambda, bias } => vec![("lambda", lambda), ("bias", bias)],
            Function::Clip { low, high } => vec![("low", low), ("high", high)],
            Function::HardSigmoid { alpha, beta } => vec![("alpha", alpha), ("beta", beta)],
            Function::Pow { exponent } => vec![("exponent", exponent)],
            _ => Vec::new(),
        }
    }

    /// The function of that name, with `parameter` giving the value of each parameter in order; `None` if there is none.
    ///
    /// # Errors
    /// The first one of `parameter`.
    pub fn read<E>(name: &str, mut parameter: impl FnMut(&'static str) -> Result<f64, E>) -> Result<Option<Self>, E> {
        let Some(plain) = Function::all().into_iter().find(|f| f.name() == name) else {
            return Ok(None);
        };
        Ok(Some(match plain {
            Function::LeakyRelu { .. } => Function::LeakyRelu { alpha: parameter("alpha")? },
            Function::ThresholdedRelu { .. } => Function::ThresholdedRelu { alpha: parameter("alpha")? },
            Function::Elu { .. } => Function::Elu { alpha: parameter("alpha")? },
            Function::Selu { .. } => Function::Selu { alpha: parameter("alpha")?, gamma: parameter("gamma")? },
            Function::Celu { .. } => Function::Celu { alpha: parameter("alpha")? },
            Function::Shrink { .. } => Function::Shrink { lambda: parameter("lambda")?, bias: parameter("bias")? },
            Function::Clip { .. } => Function::Clip { low: parameter("low")?, high: parameter("high")? },
            Function::HardSigmoid { .. } => {
                Function::HardSigmoid { alpha: parameter("alpha")?, beta: parameter("beta")? }
            }
            Function::Pow { .. } => Function::Pow { exponent: parameter("exponent")? },
            plain => plain,
        }))
    }

    /// Every function, with the default parameters of ONNX where it has some.
    pub fn all() -> [Function; 28] {
        [
            Function::Relu,
            Function::LeakyRelu { alpha: 0.01 },
            Function::ThresholdedRelu { alpha: 1.0 },
            Function::Elu { alpha: 1.0 },
            Function::Selu { alpha: 1.673_263_192_176_818_8, gamma: 1.050_701_022_148_132_3 },
            Function::Celu { alpha: 1.0 },
            Function::Shrink { lambda: 0.5, bias: 0.0 },
            Function::Clip { low: 0.0, high: 6.0 },
            Function::HardSigmoid { alpha: 0.2, beta: 0.5 },
            Function::HardSwish,
            Function::Abs,
            Function::Sign,
            Function::Sigmoid,
            Function::Tanh,
            Function::Softsign,
            Function::Softplus,
            Function::Gelu,
            Function::GeluTanh,
            Function::Silu,
            Function::Mish,
            Function::Erf,
            Function::Sin,
            Function::Cos,
            Function::Exp,
            Function::Log,
            Function::Sqrt,
            Function::Reciprocal,
            Function::Pow { exponent: 0.5 },
        ]
    }
}

/// tanh(ln(1+e^x)) = n/(n+2) with n = e^x(e^x + 2), written with e^−|x| so that nothing overflows or cancels.
fn tanh_of_softplus(x: f64) -> f64 {
    let w = libm::exp(-x.abs());
    if x > 0.0 { (1.0 + 2.0 * w) / (1.0 + 2.0 * w + 2.0 * w * w) } else { w * (w + 2.0) / (w * (w + 2.0) + 2.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Value and expected value, computed with 40 digits.
    const KNOWN: &[(Function, f64, f64)] = &[
        (Function::Softplus, -40.0, 4.248_354_255_291_589e-18),
        (Function::Softplus, 800.0, 800.0),
        (Function::Softplus, 0.0, std::f64::consts::LN_2),
        (Function::Mish, 1.0, 0.865_098_388_267_310_3),
        (Function::Mish, -30.0, -2.807_286_890_651_921e-12),
        (Function::Mish, 900.0, 900.0),
        (Function::Gelu, -10.0, -7.619_853_024_160_526e-23),
        (Function::GeluTanh, 1.0, 0.841_191_990_608_276_7),
        (Function::Elu { alpha: 2.0 }, -1e-12, -1.999_999_999_999e-12),
        (Function::Selu { alpha: 1.5, gamma: 2.0 }, -1.0, -1.896_361_676_485_673),
        (Function::Selu { alpha: 1.5, gamma: 2.0 }, 3.0, 6.0),
        (Function::Celu { alpha: 2.0 }, -1.0, -0.786_938_680_574_733_3),
        (Function::Silu, -800.0, 0.0),
        (Function::Softsign, -3.0, -0.75),
        (Function::HardSigmoid { alpha: 0.2, beta: 0.5 }, 1.0, 0.7),
        (Function::HardSwish, -1.5, -0.375),
        (Function::HardSwish, -3.5, 0.0),
        (Function::Shrink { lambda: 0.5, bias: 0.25 }, -1.0, -0.75),
        (Function::Shrink { lambda: 0.5, bias: 0.25 }, 0.5, 0.0),
        (Function::ThresholdedRelu { alpha: 1.0 }, 1.0, 0.0),
        (Function::ThresholdedRelu { alpha: 1.0 }, 1.5, 1.5),
        (Function::Clip { low: -1.0, high: 2.0 }, -3.0, -1.0),
        (Function::Clip { low: 2.0, high: 1.0 }, 0.0, 1.0),
        (Function::Sign, -0.0, 0.0),
        (Function::Pow { exponent: 1.5 }, 4.0, 8.0),
        (Function::Pow { exponent: -3.0 }, -2.0, -0.125),
        (Function::Erf, 0.5, 0.520_499_877_813_046_5),
    ];

    #[test]
    fn values_are_accurate_where_naive_formulas_cancel_or_overflow() {
        for &(function, x, expected) in KNOWN {
            let found = function.eval(x);
            assert!((found - expected).abs() <= 1e-14 * expected.abs(), "{function:?} at {x}: {found}, not {expected}");
        }
    }

    #[test]
    fn names_and_parameters_make_the_function_again() {
        for function in Function::all() {
            let mut parameters = function.parameters().into_iter();
            let next = |name: &'static str| {
                parameters.next().filter(|(n, _)| *n == name).map(|(_, value)| value).ok_or("another parameter")
            };
            assert_eq!(Function::read(function.name(), next), Ok(Some(function)));
            assert_eq!(parameters.next(), None);
        }
        assert_eq!(Function::read("step", |_| Err(())), Ok(None));
    }

    #[test]
    fn functions_are_finite_on_their_domain_and_only_there() {
        for function in Function::all() {
            for x in [-700.0, -3.0, -1e-9, 0.0, 1e-9, 3.0, 700.0] {
                let inside = function.domain().contains(x, x);
                assert_eq!(function.eval(x).is_finite(), inside, "{function:?} at {x}");
            }
        }
    }

    #[test]
    fn functions_are_smooth_except_at_their_kinks() {
        // Fourth differences of a smooth function on a fine grid are far below those across a kink.
        let h = 1e-3;
        for function in Function::all() {
            let kinks = function.kinks();
            for i in -4000..4000 {
                let x = (f64::from(i) + 0.25) * h;
                let near = kinks.iter().any(|k| (k - x).abs() < 4.0 * h);
                if near
                    || !function.domain().contains(x - 3.0 * h, x + 3.0 * h)
                    || x.abs() < 0.5 && function.domain() != Domain::All
                {
                    continue;
                }
                let at = |j: f64| function.eval(x + j * h);
                let fourth = at(-2.0) - 4.0 * at(-1.0) + 6.0 * at(0.0) - 4.0 * at(1.0) + at(2.0);
                assert!(fourth.abs() < 1e-6, "{function:?} at {x}: {fourth}");
            }
        }
    }
}
