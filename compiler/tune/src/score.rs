//! How a polynomial network does on the validation samples: the only thing that chooses between networks.

use crate::loss::{Meaning, plain_divergence};
use std::cmp::Ordering;

/// An output this many times larger than the original network's largest is out of bounds.
pub const OVERSHOOT: f64 = 8.0;

/// What outputs in bounds are worth, as a share of the classes. One of some hundred samples out of bounds is one answer
/// lost, and no reason to keep a network that gives far more wrong ones.
const IN_BOUNDS: f64 = 0.02;

/// Agreement with the original network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Share of the rows of logits that keep their class; `None` where outputs are not classes.
    pub agreement: Option<f64>,
    /// Mean KL divergence of the classes; for other outputs the mean square error, relative to the mean square.
    pub divergence: f64,
    /// The largest output, relative to the original network's largest.
    pub overshoot: f64,
    /// Samples compared.
    pub samples: usize,
}

impl Score {
    /// Of the outputs of each sample, with what they mean.
    pub fn measure(meanings: &[Meaning], found: &[Vec<Vec<f32>>], wanted: &[Vec<Vec<f32>>]) -> Self {
        let (mut same, mut rows, mut divergence) = (0usize, 0usize, 0.0);
        let (mut errors, mut squares) = (0.0, 0.0);
        let pairs = || found.iter().zip(wanted).flat_map(|(f, w)| meanings.iter().zip(f.iter().zip(w)));
        for (meaning, (found, wanted)) in pairs() {
            match *meaning {
                Meaning::Classes(count) => {
                    for (found, wanted) in found.chunks_exact(count).zip(wanted.chunks_exact(count)) {
                        rows += 1;
                        same += usize::from(class(found) == class(wanted));
                        divergence += plain_divergence(found, wanted);
                    }
                }
                Meaning::Values => {
                    for (f, w) in found.iter().zip(wanted) {
                        errors += f64::from((f - w) * (f - w));
                        squares += f64::from(w * w);
                    }
                }
            }
        }
        let divergence = divergence / rows.max(1) as f64 + if squares > 0.0 { errors / squares } else { errors };
        let size = |list: &[Vec<Vec<f32>>]| {
            let larger = |most: f64, x: &f32| if x.is_finite() { most.max(f64::from(x.abs())) } else { f64::INFINITY };
            list.iter().flatten().flatten().fold(0.0, larger)
        };
        Score {
            agreement: (rows > 0).then(|| same as f64 / rows as f64),
            divergence: if divergence.is_finite() { divergence } else { f64::INFINITY },
            overshoot: size(found) / size(wanted).max(f64::MIN_POSITIVE),
            samples: found.len(),
        }
    }

    /// Whether some output is far larger than it should be.
    pub fn overshoots(&self) -> bool {
        self.overshoot.is_nan() || self.overshoot > OVERSHOOT
    }

    /// The better one is greater: classes, with what outputs in bounds are worth, then the divergence.
    pub fn compare(&self, other: &Score) -> Ordering {
        let worth = |s: &Score| s.agreement.unwrap_or(0.0) - if s.overshoots() { IN_BOUNDS } else { 0.0 };
        worth(self).total_cmp(&worth(other)).then(other.divergence.total_cmp(&self.divergence))
    }

    /// For a checkpoint.
    pub(crate) fn to_numbers(self) -> [f64; 4] {
        [self.agreement.unwrap_or(-1.0), self.divergence, self.overshoot, self.samples as f64]
    }

    /// From a checkpoint.
    pub(crate) fn from_numbers([agreement, divergence, overshoot, samples]: [f64; 4]) -> Self {
        let agreement = (agreement >= 0.0).then_some(agreement);
        Score { agreement, divergence, overshoot, samples: samples as usize }
    }
}

fn class(logits: &[f32]) -> Option<usize> {
    if logits.iter().any(|x| x.is_nan()) {
        return None;
    }
    (0..logits.len()).reduce(|best, i| if logits[i] > logits[best] { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_come_before_the_divergence_and_bounds_are_worth_some_classes() {
        let score =
            |agreement, divergence, overshoot| Score { agreement: Some(agreement), divergence, overshoot, samples: 9 };
        let order = [
            score(0.61, 0.1, 100.0),
            score(0.6, 0.3, 2.0),
            score(0.6, 0.2, 7.0),
            score(0.65, 0.9, 100.0),
            score(0.65, 0.1, 1.0),
        ];
        assert!(order.windows(2).all(|w| w[0].compare(&w[1]) == Ordering::Less));
        let nan = Score::measure(&[Meaning::Classes(2)], &[vec![vec![f32::NAN, 1.0]]], &[vec![vec![0.0, 1.0]]]);
        assert_eq!(nan.agreement, Some(0.0));
        assert!(nan.overshoots() && nan.divergence == f64::INFINITY);
    }
}
