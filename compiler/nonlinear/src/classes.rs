//! Positions of a sequence that look different from the rest.
//!
//! The first token of a sequence often carries values far larger than all others ("massive activations"; M. Sun et al.,
//! "Massive activations in large language models", 2024). Which slots these are is public, so that they can have
//! coefficients of their own at no cost. The border of an image, which is convolved with zeros, differs less: a class of
//! its own fits the samples better there, but costs a ResNet-20 of degree 2 ten points of accuracy on other images.

use hec_ir::tensor::{Shape, Tensor};

/// Samples below which positions are not told apart.
const LEAST_SAMPLES: usize = 16;

/// Samples that are looked at at most.
const ENOUGH: usize = 64;

/// How many positions of a sequence get a class of their own at most.
const MOST: usize = 3;

/// A position is different if its channels' means are shifted by this many standard deviations (root mean square).
const SHIFT: f64 = 1.0;

/// A class for each position, 0 the usual one; `None` where all look alike, or it cannot be told.
pub fn classes(shape: &Shape, samples: &[&Tensor]) -> Option<Vec<usize>> {
    if samples.len() < LEAST_SAMPLES {
        return None;
    }
    let spread: Vec<&Tensor> = samples.iter().step_by(samples.len().div_ceil(ENOUGH)).copied().collect();
    let samples = &spread;
    match *shape.dims() {
        [batch, positions, channels] if positions > 2 => {
            let at = move |p: usize, c: usize| (0..batch).map(move |b| (b * positions + p) * channels + c);
            let found = shifts(samples, positions, channels, at);
            let mut different: Vec<usize> = (0..positions).filter(|&p| found[p] > SHIFT).collect();
            different.sort_by(|&p, &q| found[q].total_cmp(&found[p]));
            different.truncate(MOST);
            different.sort_unstable();
            let class = |p: usize| different.iter().position(|&d| d == p).map_or(0, |i| i + 1);
            (!different.is_empty()).then(|| (0..positions).map(class).collect())
        }
        _ => None,
    }
}

/// For each position, how far its channels' means are from the usual ones, in standard deviations within a position.
fn shifts<I: Iterator<Item = usize>>(
    samples: &[&Tensor],
    positions: usize,
    channels: usize,
    at: impl Fn(usize, usize) -> I,
) -> Vec<f64> {
    let mut sums = vec![0.0; positions];
    for c in 0..channels {
        let each: Vec<(f64, f64)> = (0..positions).map(|p| moments(samples, || at(p, c))).collect();
        let mean = median(each.iter().map(|m| m.0).collect());
        let std = median(each.iter().map(|m| m.1).collect());
        if std > 0.0 {
            sums.iter_mut().zip(&each).for_each(|(s, m)| *s += ((m.0 - mean) / std) * ((m.0 - mean) / std));
        }
    }
    sums.iter().map(|s| libm::sqrt(s / channels.max(1) as f64)).collect()
}

fn moments<I: Iterator<Item = usize>>(samples: &[&Tensor], at: impl Fn() -> I) -> (f64, f64) {
    let (mut count, mut sum, mut square) = (0.0, 0.0, 0.0);
    for sample in samples {
        for i in at() {
            let x = sample.data[i];
            (count, sum, square) = (count + 1.0, sum + x, square + x * x);
        }
    }
    let mean = sum / f64::max(count, 1.0);
    (mean, libm::sqrt((square / f64::max(count, 1.0) - mean * mean).max(0.0)))
}

/// The lower one of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    let middle = values.len().saturating_sub(1) / 2;
    values.sort_by(f64::total_cmp);
    values.get(middle).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(dims: &[usize], count: usize, shift: impl Fn(usize) -> f64) -> Vec<Tensor> {
        let mut state = 3u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        };
        let shape = Shape::new(dims);
        let mut tensor =
            || Tensor { shape: shape.clone(), data: (0..shape.elements()).map(|i| next() + shift(i)).collect() };
        (0..count).map(|_| tensor()).collect()
    }

    fn found(dims: &[usize], count: usize, shift: impl Fn(usize) -> f64) -> Option<Vec<usize>> {
        let all = samples(dims, count, shift);
        classes(&Shape::new(dims), &all.iter().collect::<Vec<_>>())
    }

    #[test]
    fn tokens_that_differ_get_classes() {
        let first_and_last = |i: usize| match i / 4 {
            0 => 5.0,
            5 => -3.0,
            _ => 0.0,
        };
        assert_eq!(found(&[1, 6, 4], 20, first_and_last), Some(vec![1, 0, 0, 0, 0, 2]));
        assert_eq!(found(&[1, 6, 4], 20, |_| 7.0), None);
        assert_eq!(found(&[1, 6, 4], 3, first_and_last), None);
    }

    #[test]
    fn images_and_features_have_no_classes() {
        assert_eq!(found(&[1, 3, 5, 5], 20, |i| if i % 5 == 0 { 2.0 } else { 0.0 }), None);
        assert_eq!(found(&[1, 30], 20, |i| i as f64), None);
    }
}
