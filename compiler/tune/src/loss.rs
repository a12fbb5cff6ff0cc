//! How far the polynomial network is from the original one, with gradients.

use crate::layout::{Broadcast, channel_shape};
use crate::program::SlotId;
use hec_ir::tensor::{ClientOp, Output, Shape};

/// What the outputs are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// In each row of that many, the largest is a decision.
    Classes(usize),
    /// Numbers.
    Values,
}

impl Meaning {
    /// Rows of two or more logits along the last axis are classes, unless the client takes a softmax along another one.
    pub fn of(output: &Output, shape: &Shape) -> Self {
        let last = shape.rank().checked_sub(1);
        let softmax = output.client.iter().map(|ClientOp::Softmax { axis }| *axis).next();
        let axis = softmax.or(last.filter(|_| shape.rank() <= 2));
        match (axis, last) {
            (Some(axis), Some(last)) if axis == last && shape.rank() != 4 && shape.dims()[last] > 1 => {
                Meaning::Classes(shape.dims()[last])
            }
            _ => Meaning::Values,
        }
    }
}

/// Weights of the parts of the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares {
    /// Temperature of the divergence of classes.
    pub temperature: f32,
    /// Squared difference of outputs, relative to their variance; its logarithm, as in [`Hint::apply`].
    pub outputs: f32,
    /// The same for the inputs of activations, of each layer.
    pub hints: f32,
    /// How far these are beyond their ranges, of each layer.
    pub range: f32,
}

/// The loss of one output.
#[derive(Clone, Debug)]
pub struct OutputLoss {
    /// The output of the polynomial network.
    pub student: SlotId,
    /// That of the original network.
    pub teacher: SlotId,
    /// What it is for.
    pub meaning: Meaning,
    /// One over the variance and the number of elements.
    pub scale: f32,
}

impl OutputLoss {
    /// The loss; its gradient is added, times `share`.
    pub fn apply(&self, shares: &Shares, found: &[f32], wanted: &[f32], share: f32, gradient: &mut [f32]) -> f64 {
        let mut loss = 0.0;
        let squares = match self.meaning {
            Meaning::Classes(count) => {
                let rows =
                    found.chunks_exact(count).zip(wanted.chunks_exact(count)).zip(gradient.chunks_exact_mut(count));
                for ((found, wanted), gradient) in rows {
                    loss += divergence(found, wanted, shares.temperature, share, gradient);
                }
                shares.outputs
            }
            Meaning::Values => 1.0,
        };
        let error = self.scale * found.iter().zip(wanted).map(|(f, w)| (f - w) * (f - w)).sum::<f32>();
        let factor = squares * self.scale / (1.0 + error);
        for ((f, w), g) in found.iter().zip(wanted).zip(gradient) {
            *g += 2.0 * factor * share * (f - w);
        }
        loss + f64::from(squares) * libm::log1p(f64::from(error))
    }
}

/// T²·KL(softmax(wanted/T), softmax(found/T)) (Hinton et al., 2015).
fn divergence(found: &[f32], wanted: &[f32], temperature: f32, share: f32, gradient: &mut [f32]) -> f64 {
    let (p, log_p) = softmax(wanted, temperature);
    let (q, log_q) = softmax(found, temperature);
    for ((g, q), p) in gradient.iter_mut().zip(&q).zip(&p) {
        *g += share * temperature * (q - p) as f32;
    }
    let sum: f64 = p.iter().zip(log_p.iter().zip(&log_q)).map(|(p, (lp, lq))| p * (lp - lq)).sum();
    f64::from(temperature * temperature) * sum
}

/// Probabilities and their logarithms.
fn softmax(logits: &[f32], temperature: f32) -> (Vec<f64>, Vec<f64>) {
    let scaled: Vec<f64> = logits.iter().map(|&x| f64::from(x / temperature)).collect();
    let most = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total = libm::log(scaled.iter().map(|x| libm::exp(x - most)).sum()) + most;
    let logs: Vec<f64> = scaled.iter().map(|x| x - total).collect();
    (logs.iter().map(|&x| libm::exp(x)).collect(), logs)
}

/// KL(softmax(wanted), softmax(found)).
pub fn plain_divergence(found: &[f32], wanted: &[f32]) -> f64 {
    divergence(found, wanted, 1.0, 0.0, &mut vec![0.0; found.len()])
}

/// Elements whose squares are added up before they join the others.
const LINE: usize = 64;

/// What the sum of squared distances from the ranges, each in halves of a range's width, counts inside of its logarithm.
/// It is no mean: a single element that leaves its range is squared by every layer after it.
const BEYOND: f32 = 3.0;

/// What the input of an activation should be.
#[derive(Clone, Debug)]
pub struct Hint {
    /// In the polynomial network.
    pub student: SlotId,
    /// In the original one.
    pub teacher: SlotId,
    /// One over the variance and the number of elements.
    pub scale: f32,
    /// The range of each position of a period, and one over half its width.
    ranges: Vec<[f32; 3]>,
}

impl Hint {
    /// A hint for a value of that shape, whose channels lie in the given ranges. `None` for shapes without channels.
    pub fn new(
        (student, teacher): (SlotId, SlotId),
        shape: &Shape,
        variance: f64,
        ranges: &[(f32, f32)],
    ) -> Option<Self> {
        let broadcast = Broadcast::new(&channel_shape(shape), shape)?;
        let elements = shape.elements();
        let widest = ranges.iter().map(|(lo, hi)| hi - lo).fold(f32::MIN_POSITIVE, f32::max);
        let range = |&i: &u32| {
            let (lo, hi) = ranges[i as usize];
            [lo, hi, 2.0 / (hi - lo).max(0.01 * widest)]
        };
        let scale = (1.0 / (variance.max(1e-12) * elements.max(1) as f64)) as f32;
        Some(Hint { student, teacher, scale, ranges: broadcast.index.iter().map(range).collect() })
    }

    /// The range of each position of a period.
    pub fn guard(&self) -> (SlotId, Vec<[f32; 2]>) {
        (self.student, self.ranges.iter().map(|&[lo, hi, _]| [lo, hi]).collect())
    }

    /// ln(1 + e) for e the mean of squared differences, and for e the sum of squared distances from the ranges, each
    /// weighted; the gradient is added, times `share`. The logarithms keep a sample that has gone astray from drowning the
    /// others.
    pub fn apply(&self, shares: &Shares, found: &[f32], wanted: &[f32], share: f32, gradient: &mut [f32]) -> f64 {
        let squares = |(f, w): (&f32, &f32)| (f - w) * (f - w);
        let sum: f32 =
            found.chunks(LINE).zip(wanted.chunks(LINE)).map(|(f, w)| f.iter().zip(w).map(squares).sum::<f32>()).sum();
        let error = self.scale * sum;
        let period = self.ranges.len();
        let beyond_ranges = BEYOND * self.beyond(found);
        let range = shares.range * BEYOND / (1.0 + beyond_ranges);
        let hints = shares.hints * self.scale / (1.0 + error);
        let rows = found.chunks_exact(period).zip(wanted.chunks_exact(period)).zip(gradient.chunks_exact_mut(period));
        for ((found, wanted), gradient) in rows {
            for (((f, w), g), [lo, hi, inverse]) in found.iter().zip(wanted).zip(gradient).zip(&self.ranges) {
                let beyond = (f - f.max(*lo).min(*hi)) * inverse;
                *g += 2.0 * share * (hints * (f - w) + range * beyond * inverse);
            }
        }
        let (hints, range) = (f64::from(shares.hints), f64::from(shares.range));
        hints * libm::log1p(f64::from(error)) + range * libm::log1p(f64::from(beyond_ranges))
    }

    /// The sum of squared distances from the ranges.
    fn beyond(&self, found: &[f32]) -> f32 {
        let square = |(f, [lo, hi, inverse]): (&f32, &[f32; 3])| {
            let beyond = (f - f.max(*lo).min(*hi)) * inverse;
            beyond * beyond
        };
        let row = |row: &[f32]| row.iter().zip(&self.ranges).map(square).sum::<f32>();
        found.chunks_exact(self.ranges.len()).map(row).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hec_ir::entity::Entity;

    const SHARES: Shares = Shares { temperature: 2.0, outputs: 0.3, hints: 0.7, range: 0.9 };

    fn check(loss: impl Fn(&[f32], &mut [f32]) -> f64, found: &[f32]) {
        let mut gradient = vec![0.0; found.len()];
        loss(found, &mut gradient);
        for i in 0..found.len() {
            let at = |change: f32| {
                let mut changed = found.to_vec();
                changed[i] += change;
                loss(&changed, &mut vec![0.0; found.len()])
            };
            let expected = (at(1e-2) - at(-1e-2)) / 2e-2;
            assert!((f64::from(gradient[i]) - expected).abs() < 2e-3, "{i}: {} is not {expected}", gradient[i]);
        }
    }

    #[test]
    fn gradients_are_differences_of_the_loss() {
        let slots = (SlotId::new(0), SlotId::new(1));
        let (found, wanted) = ([0.5, -1.25, 2.0, 0.1, 0.2, 3.0], [1.0, -1.0, 1.5, 0.0, 0.5, 2.5]);
        for meaning in [Meaning::Classes(3), Meaning::Values] {
            let output = OutputLoss { student: slots.0, teacher: slots.1, meaning, scale: 0.4 };
            check(|f, g| output.apply(&SHARES, f, &wanted, 1.0, g), &found);
        }
        let hint = Hint::new(slots, &Shape::new([1, 3, 1, 2]), 2.0, &[(-1.0, 1.0), (0.0, 0.4), (-5.0, 5.0)]);
        let hint = hint.expect("it has channels");
        check(|f, g| hint.apply(&SHARES, f, &wanted, 1.0, g), &found);
    }

    #[test]
    fn equal_logits_diverge_by_nothing() {
        assert!(plain_divergence(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]).abs() < 1e-12);
        assert!(plain_divergence(&[3.0, 2.0, 1.0], &[1.0, 2.0, 3.0]) > 0.5);
    }

    #[test]
    fn classes_are_rows_of_logits() {
        let output = |client| Output { name: "y".into(), value: hec_ir::tensor::ValueId(0), client };
        assert_eq!(Meaning::of(&output(vec![]), &Shape::new([1, 10])), Meaning::Classes(10));
        assert_eq!(Meaning::of(&output(vec![]), &Shape::new([1, 1])), Meaning::Values);
        assert_eq!(Meaning::of(&output(vec![]), &Shape::new([1, 8, 10])), Meaning::Values);
        let softmax = vec![ClientOp::Softmax { axis: 2 }];
        assert_eq!(Meaning::of(&output(softmax), &Shape::new([1, 8, 10])), Meaning::Classes(10));
    }
}
