//! How well one set of outputs follows another.

use hec_ir::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Errors are relative to the range of the reference: its largest absolute output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Samples compared.
    pub samples: usize,
    /// Samples whose largest output is the same one; `None` for networks with one output.
    pub same_class: Option<usize>,
    /// Largest absolute reference output.
    pub range: f64,
    /// log2 of the largest error.
    pub log2_max: f64,
    /// log2 of the root mean square error.
    pub log2_rms: f64,
}

impl Comparison {
    /// Compare the outputs of each sample with the reference's.
    pub fn of(actual: &[Vec<Tensor>], reference: &[Vec<Tensor>]) -> Self {
        let pairs = || actual.iter().zip(reference).flat_map(|(a, r)| a.iter().zip(r));
        let elements = || pairs().flat_map(|(a, r)| a.data.iter().zip(&r.data));
        let range = elements().fold(0.0f64, |m, (_, r)| m.max(r.abs()));
        let max = elements().fold(0.0f64, |m, (a, r)| m.max((a - r).abs()));
        let count = elements().count().max(1) as f64;
        let square: f64 = elements().map(|(a, r)| (a - r) * (a - r)).sum::<f64>() / count;
        let log2 = |error: f64| libm::log2(error / range.max(f64::MIN_POSITIVE));
        let classes = pairs().all(|(_, r)| r.data.len() > 1);
        Comparison {
            samples: actual.len().min(reference.len()),
            same_class: classes.then(|| pairs().filter(|(a, r)| class(a) == class(r)).count()),
            range,
            log2_max: log2(max),
            log2_rms: log2(libm::sqrt(square)),
        }
    }
}

/// Which output is the largest; the first of equals.
pub fn class(output: &Tensor) -> usize {
    let mut best = 0;
    for (i, v) in output.data.iter().enumerate() {
        if *v > output.data[best] {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use hec_ir::tensor::Shape;

    #[test]
    fn counts_classes_and_measures_errors_against_the_range() {
        let t = |data: &[f64]| vec![Tensor { shape: Shape::new([data.len()]), data: data.to_vec() }];
        let c = Comparison::of(&[t(&[1.0, 4.0]), t(&[2.0, 1.5])], &[t(&[1.0, 4.0]), t(&[1.0, 2.0])]);
        assert_eq!((c.samples, c.same_class, c.range), (2, Some(1), 4.0));
        assert_eq!(c.log2_max, -2.0);
        assert_eq!(c.log2_rms, libm::log2(libm::sqrt((1.0 + 0.25) / 4.0) / 4.0));
    }
}
