//! What the caller gives besides the network.

use crate::Pin;
use hec_ir::tensor::Tensor;
use std::collections::BTreeMap;

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
    /// Range of a layer's input, by the layer's name. It is taken as given, without padding.
    pub ranges: BTreeMap<String, (f64, f64)>,
    /// For classifiers: the share of validation samples that must keep the class of the original network, 0 to 1.
    pub min_agreement: f64,
    /// For other networks: the largest rms error of the outputs, relative to their rms. Without calibration data it
    /// bounds the same ratio at every layer.
    pub max_relative_error: f64,
    /// At most this many calibration samples are used, evenly spaced.
    pub max_samples: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            pins: Vec::new(),
            ranges: BTreeMap::new(),
            min_agreement: 0.99,
            max_relative_error: 0.05,
            max_samples: 500,
        }
    }
}

/// How much a fit gives up on the calibrated density for good behaviour outside it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Robustness {
    /// Least squares: share of the uniform measure on the padded range.
    pub share: f64,
    /// Padding on each side, relative to the width of the seen range.
    pub width: f64,
    /// Kernel: bandwidth of the Gaussian, in standard deviations of the channel.
    pub bandwidth: f64,
}

/// The settings among which validation chooses, from the closest to the data to the most careful.
pub const ROBUSTNESS: [Robustness; 3] = [
    Robustness { share: 0.002, width: 0.05, bandwidth: 0.0 },
    Robustness { share: 0.02, width: 0.15, bandwidth: 0.5 },
    Robustness { share: 0.1, width: 0.3, bandwidth: 1.0 },
];
