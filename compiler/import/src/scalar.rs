//! What element-wise operators compute on numbers: for folding constants, and for recognising activations that the
//! exporter took apart.

use crate::call::Call;
use crate::error::{Code, Fault};
use hec_ir::tensor::Function;
use std::ops::RangeInclusive;

/// From one element of each input to one of the result.
type Eval = dyn Fn(&[f64]) -> f64;

/// An element-wise operator with its attributes.
pub(crate) struct Scalar {
    eval: Box<Eval>,
    arity: RangeInclusive<usize>,
}

impl Scalar {
    /// The function of a node; `None` if the operator is not element-wise.
    pub fn of(call: &Call) -> Result<Option<Scalar>, Fault> {
        let found = match activation(call)? {
            Some(function) => Some(Scalar::new(1..=1, move |x| function.eval(x[0]))),
            None => arithmetic(&call.node.operator).or_else(|| comparison(&call.node.operator)),
        };
        let Some(scalar) = found.or(special(call)?) else {
            return Ok(None);
        };
        match scalar.arity.contains(&call.inputs.len()) && call.inputs.iter().all(Option::is_some) {
            true => Ok(Some(scalar)),
            // Bounds of a clip may be left out: they are not among the inputs of the function.
            false if call.node.operator == "Clip" && matches!(call.inputs.first(), Some(Some(_))) => Ok(Some(scalar)),
            false => Err(Fault::malformed(format!("{} inputs do not fit the operator", call.inputs.len()))),
        }
    }

    fn new(arity: RangeInclusive<usize>, eval: impl Fn(&[f64]) -> f64 + 'static) -> Scalar {
        Scalar { eval: Box::new(eval), arity }
    }

    /// The value at one element of each input.
    pub fn eval(&self, x: &[f64]) -> f64 {
        (self.eval)(x)
    }
}

/// The function that a node is, its parameters by the defaults of the operator sets that are read (7 and later).
pub(crate) fn activation(call: &Call) -> Result<Option<Function>, Fault> {
    Ok(Some(match call.node.operator.as_str() {
        "Relu" => Function::Relu,
        "LeakyRelu" => Function::LeakyRelu { alpha: call.float("alpha", 0.01)? },
        "ThresholdedRelu" => Function::ThresholdedRelu { alpha: call.float("alpha", 1.0)? },
        "Elu" => Function::Elu { alpha: call.float("alpha", 1.0)? },
        "Selu" => Function::Selu {
            alpha: call.float("alpha", 1.673_263_192_176_818_8)?,
            gamma: call.float("gamma", 1.050_701_022_148_132_3)?,
        },
        "Celu" => match call.float("alpha", 1.0)? {
            0.0 => return Err(Fault::new(Code::Number, "alpha is 0, and it divides by alpha", "Use Relu")),
            alpha => Function::Celu { alpha },
        },
        "Shrink" => Function::Shrink { lambda: call.float("lambd", 0.5)?, bias: call.float("bias", 0.0)? },
        "HardSigmoid" => Function::HardSigmoid { alpha: call.float("alpha", 0.2)?, beta: call.float("beta", 0.5)? },
        "HardSwish" => Function::HardSwish,
        "Abs" => Function::Abs,
        "Sign" => Function::Sign,
        "Sigmoid" => Function::Sigmoid,
        "Tanh" => Function::Tanh,
        "Softsign" => Function::Softsign,
        "Softplus" => Function::Softplus,
        "Mish" => Function::Mish,
        "Erf" => Function::Erf,
        "Sin" => Function::Sin,
        "Cos" => Function::Cos,
        "Exp" => Function::Exp,
        "Log" => Function::Log,
        "Sqrt" => Function::Sqrt,
        "Reciprocal" => Function::Reciprocal,
        "Gelu" => match call.text("approximate", "none")?.as_str() {
            "none" => Function::Gelu,
            "tanh" => Function::GeluTanh,
            other => {
                return Err(Fault::form(format!("approximate is {other:?}"), "Use `none` or `tanh`"));
            }
        },
        _ => return Ok(None),
    }))
}

fn arithmetic(operator: &str) -> Option<Scalar> {
    let unary = |f: fn(f64) -> f64| Some(Scalar::new(1..=1, move |x| f(x[0])));
    let binary = |f: fn(f64, f64) -> f64| Some(Scalar::new(2..=2, move |x| f(x[0], x[1])));
    let fold = |f: fn(f64, f64) -> f64| {
        Some(Scalar::new(1..=usize::MAX, move |x| x.iter().copied().reduce(f).unwrap_or(f64::NAN)))
    };
    match operator {
        "Add" => binary(|a, b| a + b),
        "Sub" => binary(|a, b| a - b),
        "Mul" => binary(|a, b| a * b),
        "Div" => binary(|a, b| a / b),
        "Pow" => binary(libm::pow),
        "PRelu" => binary(|x, slope| if x >= 0.0 { x } else { slope * x }),
        "Sum" => fold(|a, b| a + b),
        "Max" => fold(f64::max),
        "Min" => fold(f64::min),
        "Mean" => Some(Scalar::new(1..=usize::MAX, |x| x.iter().sum::<f64>() / x.len() as f64)),
        "Neg" => unary(|x| -x),
        "Floor" => unary(f64::floor),
        "Ceil" => unary(f64::ceil),
        "Round" => unary(f64::round_ties_even),
        _ => None,
    }
}

fn comparison(operator: &str) -> Option<Scalar> {
    let binary = |f: fn(f64, f64) -> bool| Some(Scalar::new(2..=2, move |x| f64::from(u8::from(f(x[0], x[1])))));
    match operator {
        "Equal" => binary(|a, b| a == b),
        "Greater" => binary(|a, b| a > b),
        "GreaterOrEqual" => binary(|a, b| a >= b),
        "Less" => binary(|a, b| a < b),
        "LessOrEqual" => binary(|a, b| a <= b),
        "And" => binary(|a, b| a != 0.0 && b != 0.0),
        "Or" => binary(|a, b| a != 0.0 || b != 0.0),
        "Xor" => binary(|a, b| (a != 0.0) != (b != 0.0)),
        "Not" => Some(Scalar::new(1..=1, |x| f64::from(u8::from(x[0] == 0.0)))),
        "Where" => Some(Scalar::new(3..=3, |x| if x[0] != 0.0 { x[1] } else { x[2] })),
        _ => None,
    }
}

/// Functions with attributes.
fn special(call: &Call) -> Result<Option<Scalar>, Fault> {
    Ok(Some(match call.node.operator.as_str() {
        "Swish" => {
            let alpha = call.float("alpha", 1.0)?;
            Scalar::new(1..=1, move |x| x[0] / (1.0 + libm::exp(-alpha * x[0])))
        }
        "Mod" => match call.int("fmod", 0)? {
            0 => Scalar::new(2..=2, |x| x[0] - x[1] * (x[0] / x[1]).floor()),
            _ => Scalar::new(2..=2, |x| x[0] % x[1]),
        },
        "Clip" => {
            let (low, high) = clip_bounds(call)?;
            let (low, high) = (low.unwrap_or(f64::NEG_INFINITY), high.unwrap_or(f64::INFINITY));
            Scalar::new(1..=3, move |x| x[0].max(low).min(high))
        }
        _ => return Ok(None),
    }))
}

/// The bounds of a clip, where it has them: inputs since operator set 11, attributes before. The largest numbers of
/// single precision, the attributes' defaults, are no bounds.
pub(crate) fn clip_bounds(call: &Call) -> Result<(Option<f64>, Option<f64>), Fault> {
    let bound = |index, attribute, none: f64| match call.optional(index)? {
        Some(constant) => constant.uniform().ok_or_else(|| Fault::malformed(format!("{attribute} is not a scalar"))),
        None => call.float(attribute, none),
    };
    let (low, high) = (bound(1, "min", f64::MIN)?, bound(2, "max", f64::MAX)?);
    if low.is_nan() || high.is_nan() {
        return Err(Fault::new(Code::Number, "a bound is not a number", "Check the bounds of the clip"));
    }
    let largest = f64::from(f32::MAX);
    Ok((Some(low).filter(|&b| b > -largest), Some(high).filter(|&b| b < largest)))
}

/// Whether an operator's results are truth values.
pub(crate) fn is_predicate(operator: &str) -> bool {
    operator != "Where" && comparison(operator).is_some()
}
