//! How far apart two results are.

use hec_ir::tensor::Tensor;
use std::fmt;

/// The largest error of any output, as a part of the largest expected value of that output.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Difference(f64);

impl Difference {
    /// Between results of the same shapes.
    ///
    /// # Panics
    /// If their number or shapes differ, or a result is not finite.
    pub fn between(actual: &[Tensor], expected: &[Tensor]) -> Self {
        assert_eq!(actual.len(), expected.len(), "the number of outputs differs");
        let of_output = |(a, e): (&Tensor, &Tensor)| {
            assert_eq!(a.shape, e.shape, "the shape of an output differs");
            let size = e.data.iter().fold(f64::MIN_POSITIVE, |m, v| m.max(v.abs()));
            let errors = a.data.iter().zip(&e.data).map(|(a, e)| (a - e).abs());
            errors.inspect(|error| assert!(error.is_finite(), "a result is not finite")).fold(0.0, f64::max) / size
        };
        Difference(actual.iter().zip(expected).map(of_output).fold(0.0, f64::max))
    }

    /// log2; −∞ if there is none.
    pub fn log2(self) -> f64 {
        self.0.log2()
    }

    /// The larger one.
    pub fn max(self, other: Difference) -> Difference {
        Difference(self.0.max(other.0))
    }
}

impl Default for Difference {
    fn default() -> Self {
        Difference(0.0)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0.0 { write!(f, "none") } else { write!(f, "2^{:.0}", self.log2().ceil()) }
    }
}
