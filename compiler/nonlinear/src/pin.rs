//! What the user asked for one layer or one kind of function.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::RangeInclusive;

/// How a polynomial is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Projection of the Gaussian-smoothed function on degree 2 under a normal density (closed form).
    Kernel,
    /// The same with the kernel ¾(1 − u²).
    Epanechnikov,
    /// The same with a uniform kernel.
    Box,
    /// The same with the logistic density as kernel.
    Logistic,
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
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 9] = [
        Family::Kernel,
        Family::Epanechnikov,
        Family::Box,
        Family::Logistic,
        Family::Hermite,
        Family::LeastSquares,
        Family::Chebyshev,
        Family::Jackson,
        Family::Minimax,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Family::Kernel => "kernel",
            Family::Epanechnikov => "epanechnikov",
            Family::Box => "box",
            Family::Logistic => "logistic",
            Family::Hermite => "hermite",
            Family::LeastSquares => "lsq",
            Family::Chebyshev => "chebyshev",
            Family::Jackson => "jackson",
            Family::Minimax => "minimax",
        }
    }

    /// Its name in reports.
    pub fn label(self) -> &'static str {
        if self == Family::LeastSquares { "least squares" } else { self.name() }
    }

    /// Degrees that it has.
    pub fn degrees(self) -> RangeInclusive<usize> {
        match self {
            Family::Kernel | Family::Epanechnikov | Family::Box | Family::Logistic => 2..=2,
            _ => 1..=MAX_DEGREE,
        }
    }
}

/// Largest degree of a fit.
pub const MAX_DEGREE: usize = 31;

/// A family and a degree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Choice {
    /// The family.
    pub family: Family,
    /// The degree.
    pub degree: usize,
}

impl Choice {
    /// The closed form of degree 2.
    pub const KERNEL: Choice = Choice { family: Family::Kernel, degree: 2 };

    /// Least squares of a degree.
    pub const fn least_squares(degree: usize) -> Self {
        Choice { family: Family::LeastSquares, degree }
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
        "`{family}` in `{text}` is not a family: use lsq, minimax, chebyshev, jackson or hermite (degree 1 to 31), or \
         kernel, epanechnikov, box or logistic (degree 2)"
    )]
    Family { text: String, family: String },
    #[error(
        "`{degree}` in `{text}` is not a degree: {} has a degree from {} to {}",
        family.name(), family.degrees().start(), family.degrees().end()
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
        if target == "max_pool" && choice.degree % 2 == 1 {
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
            let choice = Choice { family, degree: 2 };
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
            ["relu=kernel:3", "relu=box:1", "relu=minimax:32", "relu=lsq:0", "relu=lsq:32", "relu=lsq:x", "relu=lsq:"]
        {
            assert!(message(text).contains("is not a degree"), "{text}");
        }
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
