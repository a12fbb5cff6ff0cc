//! How well a replaced network agrees with the original one.

use crate::Options;
use hec_ir::tensor::{ClientOp, Graph, Output, Tensor};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// Agreement of two networks on validation samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// How many samples were compared.
    pub samples: usize,
    /// For classifiers: share of the rows of the outputs that keep their largest entry.
    pub classes: Option<f64>,
    /// Root mean square of the difference of the outputs, relative to the root mean square of the original outputs.
    pub relative_error: f64,
}

impl Agreement {
    /// Compare outputs, sample by sample; `found[i]` and `expected[i]` are the outputs on sample i.
    pub fn measure(graph: &Graph, found: &[Vec<&Tensor>], expected: &[&[Tensor]]) -> Self {
        let (mut same, mut rows, mut difference, mut size) = (0usize, 0usize, 0.0, 0.0);
        for (found, expected) in found.iter().zip(expected) {
            for ((output, f), e) in graph.outputs.iter().zip(found).zip(expected.iter()) {
                for (f, e) in f.data.iter().zip(&e.data) {
                    difference += (f - e) * (f - e);
                    size += e * e;
                }
                if let Some(axis) = class_axis(output, e) {
                    let pairs = classes(f, axis).into_iter().zip(classes(e, axis));
                    for (f, e) in pairs {
                        rows += 1;
                        same += usize::from(f == e);
                    }
                }
            }
        }
        let relative = if size > 0.0 { libm::sqrt(difference / size) } else { libm::sqrt(difference) };
        Agreement {
            samples: found.len(),
            classes: (rows > 0).then(|| same as f64 / rows as f64),
            relative_error: if relative.is_finite() { relative } else { f64::INFINITY },
        }
    }

    /// Whether it is what the user asks for.
    pub fn suffices(&self, options: &Options) -> bool {
        match self.classes {
            Some(share) => share >= options.min_agreement && !self.explodes(),
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

    fn graph(client: Vec<ClientOp>) -> Graph {
        let mut graph = Graph::new("g");
        graph.outputs.push(Output { name: "y".to_owned(), value: ValueId(0), client });
        graph
    }

    fn tensor(dims: &[usize], data: &[f64]) -> Tensor {
        Tensor::new(Shape::new(dims), data.to_vec()).unwrap()
    }

    #[test]
    fn classes_are_counted_along_the_right_axis() {
        let expected = [tensor(&[1, 3], &[0.0, 2.0, 1.0])];
        let (same, other) = (tensor(&[1, 3], &[0.0, 1.0, 0.9]), tensor(&[1, 3], &[0.0, 0.9, 1.0]));
        let found = [vec![&same], vec![&other]];
        let a = Agreement::measure(&graph(vec![]), &found, &[&expected, &expected]);
        assert_eq!((a.samples, a.classes), (2, Some(0.5)));

        let expected = [tensor(&[1, 2, 2], &[1.0, 4.0, 3.0, 2.0])];
        let found = [vec![&expected[0]]];
        let softmax = graph(vec![ClientOp::Softmax { axis: 1 }]);
        assert_eq!(Agreement::measure(&softmax, &found, &[&expected]).classes, Some(1.0));
        assert_eq!(classes(&expected[0], 1), [Some(1), Some(0)]);
    }

    #[test]
    fn a_regression_is_judged_by_its_error() {
        let expected = [tensor(&[1, 1], &[2.0])];
        let close = tensor(&[1, 1], &[2.02]);
        let a = Agreement::measure(&graph(vec![]), &[vec![&close]], &[&expected]);
        assert_eq!(a.classes, None);
        assert!((a.relative_error - 0.01).abs() < 1e-12 && a.suffices(&Options::default()));
        let wild = Agreement { samples: 9, classes: Some(0.9), relative_error: 1e9 };
        let tame = Agreement { classes: Some(0.8), relative_error: 0.3, ..wild };
        assert_eq!(tame.compare(&wild), Ordering::Greater);
        let nan = tensor(&[1, 1], &[f64::NAN]);
        let b = Agreement::measure(&graph(vec![]), &[vec![&nan]], &[&expected]);
        assert!(!b.suffices(&Options::default()));
        assert_eq!(a.compare(&b), Ordering::Greater);
    }
}
