//! What the user asked for one layer or one kind of function.

use crate::composite;
use crate::iteration::MOST_STEPS;
use hec_ir::tensor::Function;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::RangeInclusive;

/// How a replacement is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// The Gaussian-smoothed function: its projection under a normal density for degree 2 (closed form), else its
    /// least-squares polynomial.
    Kernel,
    /// The same with the kernel ¾(1 − u²).
    Epanechnikov,
    /// The same with a uniform kernel.
    Box,
    /// The same with the logistic density as kernel.
    Logistic,
    /// Least squares for the curve that kernel ridge regression draws through the targets.
    Ridge,
    /// Projection under a normal density.
    Hermite,
    /// Least squares under the calibrated density with a little uniform measure on the padded range.
    LeastSquares,
    /// Interpolation at the Chebyshev nodes of the padded range.
    Chebyshev,
    /// The Chebyshev series on the padded range, damped by Jackson's kernel.
    Jackson,
    /// The least maximum of the error on the padded range (Remez).
    Minimax,
    /// The same where an error counts by the root of the calibrated density.
    WeightedMinimax,
    /// Composite minimax signs, for functions of straight pieces.
    Composite,
    /// Goldschmidt's iteration, for 1/x.
    Goldschmidt,
    /// Newton's iteration, for 1/√x and √x.
    Newton,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 14] = [
        Family::Kernel,
        Family::Epanechnikov,
        Family::Box,
        Family::Logistic,
        Family::Ridge,
        Family::Hermite,
        Family::LeastSquares,
        Family::Chebyshev,
        Family::Jackson,
        Family::Minimax,
        Family::WeightedMinimax,
        Family::Composite,
        Family::Goldschmidt,
        Family::Newton,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Family::Kernel => "kernel",
            Family::Epanechnikov => "epanechnikov",
            Family::Box => "box",
            Family::Logistic => "logistic",
            Family::Ridge => "ridge",
            Family::Hermite => "hermite",
            Family::LeastSquares => "lsq",
            Family::Chebyshev => "chebyshev",
            Family::Jackson => "jackson",
            Family::Minimax => "minimax",
            Family::WeightedMinimax => "wminimax",
            Family::Composite => "composite",
            Family::Goldschmidt => "goldschmidt",
            Family::Newton => "newton",
        }
    }

    /// Its name in reports.
    pub fn label(self) -> &'static str {
        match self {
            Family::LeastSquares => "least squares",
            Family::WeightedMinimax => "weighted minimax",
            _ => self.name(),
        }
    }

    /// What its number counts.
    pub fn counts(self) -> &'static str {
        match self {
            Family::Composite => "number of bits",
            Family::Goldschmidt | Family::Newton => "number of steps",
            _ => "degree",
        }
    }

    /// Numbers that it takes: degrees, or what it counts.
    pub fn degrees(self) -> RangeInclusive<usize> {
        match self {
            Family::Composite => composite::BITS,
            Family::Goldschmidt => 1..=MOST_STEPS,
            Family::Newton => 0..=MOST_STEPS / 2,
            _ => 1..=MAX_DEGREE,
        }
    }

    /// Whether it can stand for a function.
    pub fn suits(self, function: Function) -> bool {
        match (self, function) {
            (Family::Composite, _) => composite::is_piecewise_linear(function),
            (Family::Goldschmidt, Function::Reciprocal) => true,
            (Family::Goldschmidt, Function::Pow { exponent }) => exponent == -1.0,
            (Family::Newton, Function::Sqrt) => true,
            (Family::Newton, Function::Pow { exponent }) => exponent.abs() == 0.5,
            (Family::Goldschmidt | Family::Newton, _) => false,
            _ => true,
        }
    }
}

/// Largest degree of a fit.
pub const MAX_DEGREE: usize = 31;

/// A family and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Choice {
    /// The family.
    pub family: Family,
    /// The degree; of `composite` the bits of precision, of iterations the steps.
    pub degree: usize,
}

impl Choice {
    /// The closed form of degree 2.
    pub const KERNEL: Choice = Choice { family: Family::Kernel, degree: 2 };

    /// Least squares of a degree.
    pub const fn least_squares(degree: usize) -> Self {
        Choice { family: Family::LeastSquares, degree }
    }

    /// This one if its family suits the function, else least squares of the largest degree.
    pub fn suited_to(self, function: Function) -> Self {
        if self.family.suits(function) { self } else { Choice::least_squares(MAX_DEGREE) }
    }

    /// Whether it is one polynomial of odd degree.
    pub fn is_odd_polynomial(self) -> bool {
        self.family.counts() == "degree" && self.degree % 2 == 1
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.family.name(), self.degree)
    }
}

/// A choice for a function (`relu`, `max_pool`) or for one layer by its name. A layer's pin goes before its function's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Function name or layer name.
    pub target: String,
    /// The polynomial to use there.
    pub choice: Choice,
}

/// Why a pin cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum PinError {
    #[error("`{0}` is not an activation choice: write FUNCTION=FAMILY:DEGREE, as in relu=kernel:2 or conv1_relu=lsq:7")]
    Form(String),
    #[error(
        "`{family}` in `{text}` is not a family: use lsq, minimax, wminimax, chebyshev, jackson, hermite, ridge, kernel, \
         epanechnikov, box or logistic (degree 1 to 31), composite (bits, for functions of straight pieces), goldschmidt \
         (steps, for 1/x) or newton (steps, for roots)"
    )]
    Family { text: String, family: String },
    #[error(
        "`{degree}` in `{text}` is not a {what}: {} has {} to {}",
        family.name(), family.degrees().start(), family.degrees().end(), what = family.counts()
    )]
    Degree { text: String, family: Family, degree: String },
    #[error("`{0}`: max_pool is built on |x|, which is even: its degree must be even, as in max_pool=lsq:6")]
    OddMaxPool(String),
    #[error("`{0}` is not a range: write LAYER=LO,HI with two finite numbers, LO below HI, as in relu1=-4,6.5")]
    Range(String),
}

impl Pin {
    /// Read `relu=kernel:2`, `relu=lsq:4` or `"layer name"=lsq:7`. Quotes around the name are optional.
    ///
    /// # Errors
    /// Which part is wrong, and what it may be.
    pub fn parse(text: &str) -> Result<Pin, PinError> {
        let form = || PinError::Form(text.to_owned());
        let (target, choice) = split_target(text).ok_or_else(form)?;
        let (family, degree) = choice.split_once(':').ok_or_else(form)?;
        let named = Family::ALL.into_iter().find(|f| f.name() == family.trim());
        let family =
            named.ok_or_else(|| PinError::Family { text: text.to_owned(), family: family.trim().to_owned() })?;
        let number = degree.trim().parse().ok().filter(|d| family.degrees().contains(d));
        let choice = match number {
            Some(degree) => Choice { family, degree },
            None => return Err(PinError::Degree { text: text.to_owned(), family, degree: degree.to_owned() }),
        };
        if target == "max_pool" && choice.is_odd_polynomial() {
            return Err(PinError::OddMaxPool(text.to_owned()));
        }
        Ok(Pin { target, choice })
    }
}

/// Read `layer=lo,hi`, the range of a layer's input. Quotes around the name are optional.
///
/// # Errors
/// When it is not a name and two finite numbers in order.
pub fn parse_range(text: &str) -> Result<(String, (f64, f64)), PinError> {
    let bad = || PinError::Range(text.to_owned());
    let (layer, range) = split_target(text).ok_or_else(bad)?;
    let (lo, hi) = range.split_once(',').ok_or_else(bad)?;
    let number = |s: &str| s.trim().parse::<f64>().ok().filter(|x| x.is_finite());
    match (number(lo), number(hi)) {
        (Some(lo), Some(hi)) if lo < hi => Ok((layer, (lo, hi))),
        _ => Err(bad()),
    }
}

/// Name and value around the last `=` (names may hold one), the name without quotes.
fn split_target(text: &str) -> Option<(String, &str)> {
    let (target, value) = text.rsplit_once('=')?;
    let target = target.trim();
    let unquoted = target.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(target);
    (!unquoted.is_empty()).then(|| (unquoted.to_owned(), value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_names_a_function_or_a_layer() {
        let pin = |target: &str, choice| Ok(Pin { target: target.to_owned(), choice });
        assert_eq!(Pin::parse("relu=kernel:2"), pin("relu", Choice::KERNEL));
        assert_eq!(Pin::parse(" gelu = lsq:4 "), pin("gelu", Choice::least_squares(4)));
        assert_eq!(Pin::parse("\"block 1=a/relu\"=lsq:31"), pin("block 1=a/relu", Choice::least_squares(31)));
        for family in Family::ALL {
            let choice = Choice { family, degree: 4 };
            assert_eq!(Pin::parse(&format!("relu={choice}")), pin("relu", choice));
        }
        assert_eq!(Pin::parse("max_pool=lsq:6"), pin("max_pool", Choice::least_squares(6)));
    }

    #[test]
    fn a_bad_pin_says_what_is_wrong_with_it() {
        let message = |text: &str| Pin::parse(text).unwrap_err().to_string();
        assert!(message("relu").contains("FUNCTION=FAMILY:DEGREE"));
        assert!(message("=lsq:3").contains("FUNCTION=FAMILY:DEGREE"));
        assert!(message("relu=remez:3").contains("`remez`"));
        for text in
            ["relu=kernel:0", "relu=box:32", "relu=minimax:32", "relu=lsq:0", "relu=lsq:32", "relu=lsq:x", "relu=lsq:"]
        {
            assert!(message(text).contains("is not a degree"), "{text}");
        }
        assert!(message("relu=composite:1").contains("is not a number of bits: composite has 2 to 14"));
        assert!(message("max_pool=lsq:5").contains("even"));
    }

    #[test]
    fn a_range_needs_two_numbers_in_order() {
        assert_eq!(parse_range("relu1=-4,6.5"), Ok(("relu1".to_owned(), (-4.0, 6.5))));
        for text in ["relu1", "relu1=1", "relu1=2,1", "relu1=0,inf", "relu1=nan,1", "=0,1"] {
            assert!(parse_range(text).is_err(), "{text}");
        }
    }
}
