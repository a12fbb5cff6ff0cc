//! How well a replaced network agrees with the original one.

use crate::Options;
use hec_ir::tensor::{ClientOp, Output, Tensor};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// Agreement of two networks on validation samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// How many samples were compared.
    pub samples: usize,
    /// For classifiers: share of the rows of the outputs that keep their largest entry.
    pub classes: Option<f64>,
    /// The share that also keeps it with errors as much larger as the caution that is asked for says.
    pub surely: Option<f64>,
    /// Root mean square of the difference of the outputs, relative to the root mean square of the original outputs.
    pub relative_error: f64,
}

/// What is counted to tell how well outputs agree.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Rows that are decisions, and those that stay the same.
    rows: usize,
    same: usize,
    surely: usize,
    /// Sums of squares: of the difference, and of the original output.
    difference: f64,
    size: f64,
}

impl Tally {
    /// Of one output on one sample. A decision surely stays if it does with an error `margin` times as large.
    pub fn of(output: &Output, found: &Tensor, expected: &Tensor, margin: f64) -> Self {
        let mut tally = Tally::default();
        for (f, e) in found.data.iter().zip(&expected.data) {
            tally.difference += (f - e) * (f - e);
            tally.size += e * e;
        }
        if let Some(axis) = class_axis(output, expected) {
            let further = found.data.iter().zip(&expected.data).map(|(f, e)| e + margin * (f - e));
            let further = Tensor { shape: found.shape.clone(), data: further.collect() };
            let further = classes(&further, axis);
            for ((f, further), e) in classes(found, axis).into_iter().zip(further).zip(classes(expected, axis)) {
                tally.rows += 1;
                tally.same += usize::from(f == e);
                tally.surely += usize::from(f == e && further == e);
            }
        }
        tally
    }

    /// Both together.
    pub fn and(self, other: Tally) -> Self {
        Tally {
            rows: self.rows + other.rows,
            same: self.same + other.same,
            surely: self.surely + other.surely,
            difference: self.difference + other.difference,
            size: self.size + other.size,
        }
    }
}

impl Agreement {
    /// Over so many samples.
    pub fn of(samples: usize, tally: Tally) -> Self {
        let Tally { rows, same, surely, difference, size } = tally;
        let relative = if size > 0.0 { libm::sqrt(difference / size) } else { libm::sqrt(difference) };
        Agreement {
            samples,
            classes: (rows > 0).then(|| same as f64 / rows as f64),
            surely: (rows > 0).then(|| surely as f64 / rows as f64),
            relative_error: if relative.is_finite() { relative } else { f64::INFINITY },
        }
    }

    /// Whether it is what the user asks for. A share is only known up to chance: one that falls short by less than the
    /// standard error of a count over these samples is taken for it, so that more samples do not ask for more depth.
    pub fn suffices(&self, options: &Options) -> bool {
        let wanted = options.min_agreement;
        let chance = libm::sqrt(wanted * (1.0 - wanted) / self.samples.max(1) as f64);
        match self.surely {
            Some(share) => share >= wanted - chance && !self.explodes(),
            None => self.relative_error <= options.max_relative_error,
        }
    }

    /// Whether some output is far larger than it should be: a polynomial was used far outside its range. Such a network
    /// may still keep most classes, but it cannot be trusted, nor encrypted with a fixed number of bits.
    pub fn explodes(&self) -> bool {
        self.relative_error > 1.0
    }

    /// The better one is greater: sound ones, then classes, then the error.
    pub fn compare(&self, other: &Agreement) -> Ordering {
        let classes = |a: &Agreement| a.classes.unwrap_or(0.0);
        (other.explodes().cmp(&self.explodes()))
            .then(classes(self).total_cmp(&classes(other)))
            .then(other.relative_error.total_cmp(&self.relative_error))
    }
}

/// The axis along which the largest entry is a decision: that of a softmax, or the last one of [batch, classes].
fn class_axis(output: &Output, value: &Tensor) -> Option<usize> {
    let softmax = output.client.iter().map(|ClientOp::Softmax { axis }| *axis).next();
    let axis = softmax.or(matches!(value.shape.rank(), 1 | 2).then(|| value.shape.rank() - 1))?;
    value.shape.dims().get(axis).is_some_and(|&extent| extent > 1).then_some(axis)
}

/// Position of the largest entry along an axis, for every other index; `None` where an entry is not a number.
fn classes(value: &Tensor, axis: usize) -> Vec<Option<usize>> {
    let extent = value.shape.dims()[axis];
    let stride = value.shape.strides()[axis];
    let lines = value.data.chunks(extent * stride).flat_map(|block| (0..stride).map(move |i| &block[i..]));
    lines
        .map(|line| {
            let entries: Vec<f64> = line.iter().step_by(stride).copied().collect();
            let largest = entries.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            entries.iter().all(|x| x.is_finite()).then(|| entries.iter().position(|&x| x == largest)).flatten()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hec_ir::tensor::{Shape, ValueId};

    fn output(client: Vec<ClientOp>) -> Output {
        Output { name: "y".to_owned(), value: ValueId(0), client }
    }

    /// Of one sample.
    fn agreement(client: Vec<ClientOp>, found: &Tensor, expected: &Tensor) -> Agreement {
        Agreement::of(1, Tally::of(&output(client), found, expected, 1.5))
    }

    fn tensor(dims: &[usize], data: &[f64]) -> Tensor {
        Tensor::new(Shape::new(dims), data.to_vec()).unwrap()
    }

    #[test]
    fn classes_are_counted_along_the_right_axis() {
        let expected = tensor(&[1, 3], &[0.0, 2.0, 1.0]);
        let found = [[0.0, 1.0, 0.9], [0.0, 0.9, 1.0]]
            .map(|row| Tally::of(&output(vec![]), &tensor(&[1, 3], &row), &expected, 1.0));
        let a = Agreement::of(2, found[0].and(found[1]));
        assert_eq!((a.samples, a.classes), (2, Some(0.5)));

        let expected = tensor(&[1, 2, 2], &[1.0, 4.0, 3.0, 2.0]);
        assert_eq!(agreement(vec![ClientOp::Softmax { axis: 1 }], &expected, &expected).classes, Some(1.0));
        assert_eq!(classes(&expected, 1), [Some(1), Some(0)]);
    }

    #[test]
    fn a_decision_by_a_hair_is_not_sure() {
        let expected = tensor(&[1, 2], &[1.0, 0.0]);
        let surely = |found: [f64; 2]| {
            let a = agreement(vec![], &tensor(&[1, 2], &found), &expected);
            (a.classes.unwrap(), a.surely.unwrap())
        };
        assert_eq!(surely([0.8, 0.2]), (1.0, 1.0));
        assert_eq!(surely([0.6, 0.5]), (1.0, 0.0));
        assert_eq!(surely([0.4, 0.5]), (0.0, 0.0));
    }

    #[test]
    fn a_share_is_known_up_to_chance() {
        let suffices = |samples: usize, wrong: usize, min_agreement: f64| {
            let classes = Some((samples - wrong) as f64 / samples as f64);
            Agreement { samples, classes, surely: classes, relative_error: 0.1 }
                .suffices(&Options { min_agreement, ..Options::default() })
        };
        assert!(suffices(100, 1, 0.99) && suffices(200, 3, 0.99) && !suffices(200, 4, 0.99));
        assert!(suffices(10_000, 105, 0.99) && !suffices(10_000, 120, 0.99));
        assert!(suffices(100, 0, 1.0) && !suffices(100, 1, 1.0));
    }

    #[test]
    fn a_regression_is_judged_by_its_error() {
        let expected = tensor(&[1, 1], &[2.0]);
        let a = agreement(vec![], &tensor(&[1, 1], &[2.02]), &expected);
        assert_eq!(a.classes, None);
        assert!((a.relative_error - 0.01).abs() < 1e-12 && a.suffices(&Options::default()));
        let wild = Agreement { samples: 9, classes: Some(0.9), surely: Some(0.9), relative_error: 1e9 };
        let tame = Agreement { classes: Some(0.8), relative_error: 0.3, ..wild };
        assert_eq!(tame.compare(&wild), Ordering::Greater);
        let b = agreement(vec![], &tensor(&[1, 1], &[f64::NAN]), &expected);
        assert!(!b.suffices(&Options::default()));
        assert_eq!(a.compare(&b), Ordering::Greater);
    }
}
