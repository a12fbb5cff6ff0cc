//! What was put in the place of each function.

use crate::{Choice, Errors, Fit};
use hec_params::Depth;
use hec_poly::{Basis, EvaluationTree, Parity};
use serde::{Deserialize, Serialize};

/// What was put in the place of one layer's function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replacement {
    /// The layer's name.
    pub layer: String,
    /// The function's name.
    pub function: String,
    /// Family and degree.
    pub choice: Choice,
    /// Levels that it takes, all its polynomials in a row.
    pub depth: Depth,
    /// Products of ciphertexts for one ciphertext of input.
    pub products: usize,
    /// How many channels have a polynomial of their own.
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
    pub(crate) fn of(layer: &str, function: &str, fit: &Fit, parity: Parity) -> Self {
        let Errors { rms, max, growth, outside, .. } = fit.errors;
        let (depth, products) = evaluation_cost(fit.choice.degree, parity);
        let low = fit.channels.iter().fold(f64::INFINITY, |low, c| low.min(c.mid - c.half));
        let high = fit.channels.iter().fold(f64::NEG_INFINITY, |high, c| high.max(c.mid + c.half));
        Replacement {
            layer: layer.to_owned(),
            function: function.to_owned(),
            choice: fit.choice,
            depth,
            products,
            channels: fit.channels.len(),
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
    format!("{} degree {}, {error}", choice.family.label(), choice.degree)
}

/// Levels and products of ciphertexts that a polynomial takes; a quadratic is completed to a square.
fn evaluation_cost(degree: usize, parity: Parity) -> (Depth, usize) {
    match degree {
        0 | 1 => (Depth(1), 0),
        2 => (Depth(1), 1),
        _ => EvaluationTree::new(Basis::Chebyshev, degree, parity)
            .map(|tree| (Depth(tree.depth()), tree.products()))
            .expect("fits have degrees and parities for which there are trees"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_logarithmic_in_the_degree() {
        let depths = [1, 2, 3, 5, 7, 11, 15, 23, 31].map(|d| evaluation_cost(d, Parity::General).0.0);
        assert_eq!(depths, [1, 1, 2, 3, 3, 4, 4, 5, 5]);
        for degree in (4..=30).step_by(2) {
            let (general, even) = (evaluation_cost(degree, Parity::General), evaluation_cost(degree, Parity::Even));
            assert!(even.0 == general.0 && even.1 <= general.1, "degree {degree}");
        }
    }

    #[test]
    fn the_note_reads_like_a_label() {
        assert_eq!(note(Choice::KERNEL, 0.0583), "kernel degree 2, rms 2^-4.1");
        assert_eq!(note(Choice::least_squares(7), 0.0), "least squares degree 7, exact");
    }
}
