//! What the caller decides.

use crate::augment::Augment;
use crate::loss::Shares;

/// How a network is tuned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Of the order of samples and of their changes.
    pub seed: u64,
    /// How often each training sample is seen.
    pub epochs: usize,
    /// Samples of a step.
    pub batch: usize,
    /// The largest step of a parameter, relative to its size.
    pub rate: f64,
    /// By which share of its width a number may leave its range in training before it is cut off: at first, and at the end.
    pub guard: [f32; 2],
    /// How many rows and columns at each border of an image have polynomials of their own.
    pub borders: usize,
    /// Parts of the loss.
    pub shares: Shares,
    /// How samples are changed.
    pub augment: Augment,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            seed: 1,
            epochs: 20,
            batch: 64,
            rate: 0.002,
            guard: [0.3, 1.0],
            borders: 1,
            shares: Shares { temperature: 4.0, outputs: 0.1, hints: 0.5, range: 2.5 },
            augment: Augment::Auto,
        }
    }
}
