//! What was put in the place of each function.

use crate::{Choice, Errors, Fit};
use hec_params::Depth;
use serde::{Deserialize, Serialize};

/// What was put in the place of one layer's function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replacement {
    /// The layer's name.
    pub layer: String,
    /// The function's name.
    pub function: String,
    /// Family and degree, or what else the family counts.
    pub choice: Choice,
    /// Levels that it takes, all its polynomials in a row.
    pub depth: Depth,
    /// Products of ciphertexts for one ciphertext of input.
    pub products: usize,
    /// How many groups of elements, as a rule channels, have numbers of their own.
    pub channels: usize,
    /// Smallest and largest end of the channels' padded ranges.
    pub range: (f64, f64),
    /// Root mean square error under the calibrated density.
    pub rms: f64,
    /// Largest error on the padded range.
    pub max: f64,
    /// Largest error where the input is outside by a quarter of the range's width.
    pub growth: f64,
    /// Estimated probability that a value leaves its padded range; `None` without calibration data.
    pub outside: Option<f64>,
    /// The price of this layer and what could be done instead, where that is worth knowing.
    pub advice: Option<String>,
}

/// Levels of all replacements together, and products of ciphertexts.
pub(crate) fn cost(replacements: &[Replacement]) -> (u32, usize) {
    replacements.iter().fold((0, 0), |(levels, products), r| (levels + r.depth.0, products + r.products))
}

/// How a linear layer was corrected.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Nothing that was tried helped on the validation samples.
    None,
    /// A new bias.
    Bias,
    /// New weights and a new bias by ridge regression, with this penalty relative to the inputs' mean variance.
    Ridge(f64),
}

/// What was done to a linear layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Correction {
    /// The layer's name.
    pub layer: String,
    /// How.
    pub method: Method,
    /// rms error of its result, with all that is added to it, on the validation samples, relative to its rms: before.
    /// Samples that are far off for whatever reason count less.
    pub before: f64,
    /// After.
    pub after: f64,
}

impl Replacement {
    /// Of one fit.
    pub(crate) fn of(layer: &str, function: &str, fit: &Fit) -> Self {
        let Errors { rms, max, growth, outside, .. } = fit.errors;
        let low = fit.ranges.iter().fold(f64::INFINITY, |low, range| low.min(range.0));
        let high = fit.ranges.iter().fold(f64::NEG_INFINITY, |high, range| high.max(range.1));
        Replacement {
            layer: layer.to_owned(),
            function: function.to_owned(),
            choice: fit.choice,
            // A scale and a shift take a level where no linear map is next to them.
            depth: fit.formula.depth(),
            products: fit.formula.products(),
            channels: fit.groups.count(),
            range: (low, high),
            rms,
            max,
            growth,
            outside,
            advice: None,
        }
    }

    /// Both, where one layer needs several polynomials: errors are the worst, products add up.
    pub(crate) fn and(mut self, other: &Replacement) -> Self {
        self.products += other.products;
        self.range = (self.range.0.min(other.range.0), self.range.1.max(other.range.1));
        self.rms = self.rms.max(other.rms);
        self.max = self.max.max(other.max);
        self.growth = self.growth.max(other.growth);
        self.outside = self.outside.zip(other.outside).map(|(a, b)| a.max(b));
        self
    }
}

/// `kernel degree 2, rms 2^-4.1`
pub(crate) fn note(choice: Choice, rms: f64) -> String {
    let error = if rms > 0.0 { format!("rms 2^{:.1}", libm::log2(rms)) } else { "exact".to_owned() };
    let what = choice.family.counts().trim_start_matches("number of ");
    format!("{} {what} {}, {error}", choice.family.label(), choice.degree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_reads_like_a_label() {
        assert_eq!(note(Choice::KERNEL, 0.0583), "kernel degree 2, rms 2^-4.1");
        assert_eq!(note(Choice::least_squares(7), 0.0), "least squares degree 7, exact");
    }
}
