//! Scalar functions that are not polynomials.

/// A function applied to every element, to be replaced by a polynomial before packing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// max(x, 0)
    Relu,
    /// x for x ≥ 0, else αx
    LeakyRelu {
        /// Slope for negative arguments.
        alpha: f64,
    },
    /// 1/(1+e^−x)
    Sigmoid,
    /// tanh x
    Tanh,
    /// xΦ(x)
    Gelu,
    /// The tanh form of GELU: x/2·(1+tanh(√(2/π)(x+0.044715x³)))
    GeluTanh,
    /// x/(1+e^−x)
    Silu,
}

impl Function {
    /// The value at `x`.
    pub fn eval(self, x: f64) -> f64 {
        match self {
            Function::Relu => x.max(0.0),
            Function::LeakyRelu { alpha } => {
                if x >= 0.0 {
                    x
                } else {
                    alpha * x
                }
            }
            Function::Sigmoid => 1.0 / (1.0 + libm::exp(-x)),
            Function::Tanh => libm::tanh(x),
            Function::Gelu => 0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2)),
            Function::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
                0.5 * x * (1.0 + libm::tanh(inner))
            }
            Function::Silu => x / (1.0 + libm::exp(-x)),
        }
    }

    /// Its name in text and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Function::Relu => "relu",
            Function::LeakyRelu { .. } => "leaky_relu",
            Function::Sigmoid => "sigmoid",
            Function::Tanh => "tanh",
            Function::Gelu => "gelu",
            Function::GeluTanh => "gelu_tanh",
            Function::Silu => "silu",
        }
    }
}
