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
    /// The share of the steps during which the functions give way to their polynomials.
    pub blend: f64,
    /// Parts of the loss.
    pub shares: Shares,
    /// How samples are changed.
    pub augment: Augment,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            seed: 1,
            epochs: 40,
            batch: 128,
            rate: 0.002,
            blend: 0.4,
            shares: Shares { temperature: 4.0, outputs: 0.1, hints: 1.0, range: 1500.0 },
            augment: Augment::Auto,
        }
    }
}
