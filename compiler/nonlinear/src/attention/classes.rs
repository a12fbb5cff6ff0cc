//! Positions that differ from the others.

/// A position whose mean is further from the middle one than this many deviations has coefficients of its own.
const FAR: f64 = 2.0;

/// For each position of a sequence its class, given the mean and the variance of something there: 0 for most of them, a
/// class of its own for one that is far from the rest, as the first and the last token of a sentence often are.
pub fn classes(moments: &[(f64, f64)]) -> Vec<usize> {
    let mut means: Vec<f64> = moments.iter().map(|m| m.0).collect();
    means.sort_by(f64::total_cmp);
    let middle = means.get(means.len() / 2).copied().unwrap_or(0.0);
    let mut variances: Vec<f64> = moments.iter().map(|m| m.1).collect();
    variances.sort_by(f64::total_cmp);
    let deviation = libm::sqrt(variances.get(variances.len() / 2).copied().unwrap_or(0.0));
    let mut count = 0;
    moments
        .iter()
        .map(|(mean, _)| {
            let far = (mean - middle).abs() > FAR * deviation + 1e-9;
            count += usize::from(far);
            if far { count } else { 0 }
        })
        .collect()
}

/// How many classes there are.
pub fn count(classes: &[usize]) -> usize {
    classes.iter().max().map_or(1, |most| most + 1)
}

/// Mean and variance of some numbers.
pub fn moments(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for v in values {
        n += 1.0;
        sum += v;
        squares += v * v;
    }
    let mean = if n > 0.0 { sum / n } else { 0.0 };
    (mean, if n > 0.0 { (squares / n - mean * mean).max(0.0) } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_token_is_found() {
        let moments = [(4.9, 0.01), (0.1, 0.04), (-0.1, 0.05), (0.0, 0.04), (-3.0, 0.2)];
        assert_eq!(classes(&moments), [1, 0, 0, 0, 2]);
        assert_eq!((count(&[1, 0, 2]), count(&[])), (3, 1));
    }

    #[test]
    fn moments_of_few_numbers() {
        let of = |values: &[f64]| moments(values.iter().copied());
        assert_eq!((of(&[1.0, 3.0]), of(&[])), ((2.0, 1.0), (0.0, 0.0)));
    }
}
