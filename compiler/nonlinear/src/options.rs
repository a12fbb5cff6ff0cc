//! What the caller gives besides the network.

use crate::Pin;
use hec_ir::tensor::Tensor;
use std::collections::{BTreeMap, BTreeSet};

/// Inputs on which the network is run to see what each layer sees.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    /// One list of input tensors for each sample, in the order of the network's inputs.
    pub samples: Vec<Vec<Tensor>>,
}

/// How replacements are chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Choices the user made.
    pub pins: Vec<Pin>,
    /// Functions and layers that stay as they are, by name: to measure what the others do. What is left is no polynomial
    /// network.
    pub keep: BTreeSet<String>,
    /// Range of a layer's input, by the layer's name. It is taken as given, without padding.
    pub ranges: BTreeMap<String, (f64, f64)>,
    /// For classifiers: the share of validation samples that must keep the class of the original network, 0 to 1.
    pub min_agreement: f64,
    /// For other networks: the largest rms error of the outputs, relative to their rms. Without calibration data it
    /// bounds the same ratio at every layer.
    pub max_relative_error: f64,
    /// The largest relative error of each softmax and each normalisation. Without it, it follows the degree of the
    /// activations.
    pub max_row_error: Option<f64>,
    /// Whether linear layers are re-fitted to make good what the polynomials change; it takes calibration data.
    pub correct: bool,
    /// Whether each function is fitted to what it gets in the network built so far, and not to what it gets in the original
    /// one.
    pub sequential: bool,
    /// How unlike the samples other inputs may be: the position of the boldest of [`ROBUSTNESS`] that is tried, by whose
    /// margin classes are to be kept. Validation cannot see what is too rare for it, nor how an input is
    /// decided that the network has not learned by heart.
    pub caution: usize,
    /// At most this many calibration samples are used, evenly spaced.
    pub max_samples: usize,
    /// Bytes of memory for the values of all samples; what does not fit goes to a scratch file. It changes no result.
    pub memory: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            pins: Vec::new(),
            keep: BTreeSet::new(),
            ranges: BTreeMap::new(),
            min_agreement: 0.99,
            max_relative_error: 0.05,
            max_row_error: None,
            correct: true,
            sequential: true,
            caution: 0,
            max_samples: 2000,
            memory: 1 << 30,
        }
    }
}

/// How much a fit gives up on the calibrated density for good behaviour outside it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Robustness {
    /// Least squares: share of the uniform measure on the padded range, at least.
    pub share: f64,
    /// Padding on each side, relative to the width of the seen range.
    pub width: f64,
    /// Least squares: how much further from the function the polynomial may be beyond the padded range than the fit to
    /// the uniform measure is; the share is raised until it is not.
    pub growth: f64,
    /// How many times as large errors may be for a class to count as kept, where nothing bolder is tried.
    pub margin: f64,
    /// Softmax: up to how many times the largest sum of a row that was seen the row stays in bounds.
    pub reach: f64,
    /// Kernel: bandwidth of the Gaussian, in standard deviations of the channel.
    pub bandwidth: f64,
    /// Re-fitted layers: how much larger the error on validation samples may be, relatively, for a change that is held back
    /// more. Weights that follow the samples closely answer strongly to inputs that are unlike them.
    pub caution: f64,
}

/// The settings among which validation chooses, from the closest to the data to the most careful.
///
/// One of them holds for the whole network: what a bold fit does to rare inputs shows only several layers later. A layer
/// may take a more careful one where it is better for the validation samples.
pub const ROBUSTNESS: [Robustness; 4] = [
    Robustness { share: 0.002, width: 0.05, growth: 8.0, margin: 1.0, reach: 2.0, bandwidth: 0.0, caution: 0.0 },
    Robustness { share: 0.004, width: 0.1, growth: 3.0, margin: 1.5, reach: 2.0, bandwidth: 0.5, caution: 0.01 },
    Robustness { share: 0.01, width: 0.15, growth: 1.5, margin: 2.0, reach: 4.0, bandwidth: 0.75, caution: 0.02 },
    Robustness { share: 0.1, width: 0.3, growth: 1.1, margin: 3.0, reach: 8.0, bandwidth: 1.0, caution: 0.05 },
];
