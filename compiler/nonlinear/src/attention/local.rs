//! Least-squares polynomials on a range, tame enough to be written as squares.

use super::squares::Squares;
use crate::orthogonal::{Orthogonal, Point};

/// Squares may need numbers that are larger than their result by this factor: twelve bits are lost.
const MOST_LOSS: f64 = 4096.0;

/// Least leading coefficient that is tried, relative to the largest coefficient.
const LEAST_LEAD: f64 = 1.0 / 1024.0;

/// Nodes that stand for the log-uniform measure.
const NODES: usize = 48;

/// Bins of positive values.
const BINS: usize = 400;

/// A polynomial of degree 1, 2, 4 or 8 on a range.
#[derive(Clone, Debug, PartialEq)]
pub struct Local {
    /// Its degree.
    pub degree: usize,
    /// As squares.
    pub squares: Squares,
    /// The padded range.
    pub range: (f64, f64),
}

/// A value with its target and how much it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Target {
    /// The argument.
    pub x: f64,
    /// What the polynomial should be there.
    pub y: f64,
    /// Weight of the squared difference.
    pub weight: f64,
}

impl Local {
    /// The polynomial 0.
    pub fn zero(degree: usize) -> Self {
        Local { degree, squares: Squares::default(), range: (0.0, 1.0) }
    }

    /// Least squares on a range. Where the leading coefficient is so small that squares would cancel, or
    /// negative, it is raised.
    pub fn fit(targets: &[Target], range: (f64, f64), degree: usize) -> Self {
        let (mid, half) = (0.5 * (range.0 + range.1), (0.5 * (range.1 - range.0)).max(f64::MIN_POSITIVE));
        let points: Vec<Point> =
            targets.iter().map(|p| Point { t: (p.x - mid) / half, weight: p.weight, y: p.y }).collect();
        let mut coefficients = monomials(&points, degree);
        let size = coefficients.iter().fold(0.0f64, |m, c| m.max(c.abs()));
        if size <= 0.0 {
            return Local { range, ..Local::zero(degree) };
        }
        let least = LEAST_LEAD * size;
        loop {
            let lead = coefficients[degree];
            if degree == 1 || lead >= least {
                let squares = Squares::new(&coefficients, (mid, half));
                if degree == 1 || lead >= size || squares.loss(degree, range) <= MOST_LOSS {
                    return Local { degree, squares, range };
                }
            }
            let lead = (2.0 * lead).max(least);
            let rest: Vec<Point> = points.iter().map(|p| Point { y: p.y - lead * power(p.t, degree), ..*p }).collect();
            coefficients = [monomials(&rest, degree - 1), vec![lead]].concat();
        }
    }

    /// The value at x.
    pub fn eval(&self, x: f64) -> f64 {
        self.squares.eval(self.degree, x)
    }
}

fn power(t: f64, k: usize) -> f64 {
    (0..k).fold(1.0, |p, _| p * t)
}

/// Monomial coefficients of the least-squares polynomial.
fn monomials(points: &[Point], degree: usize) -> Vec<f64> {
    let chebyshev = Orthogonal::fit(points, degree).to_chebyshev(degree);
    let (mut previous, mut current) = (vec![0.0; degree + 1], vec![0.0; degree + 1]);
    current[0] = 1.0;
    let mut sum = vec![0.0; degree + 1];
    for (k, c) in chebyshev.iter().enumerate() {
        sum.iter_mut().zip(&current).for_each(|(s, t)| *s += c * t);
        let double = if k == 0 { 1.0 } else { 2.0 };
        let shifted = std::iter::once(0.0).chain(current.iter().map(|t| double * t));
        let next: Vec<f64> =
            shifted.zip(&previous).map(|(a, b)| if k == 0 { a } else { a - b }).take(degree + 1).collect();
        previous = std::mem::replace(&mut current, next);
    }
    sum
}

/// Positive values, each with another one y, and how p(x) ≈ 1/y in relative error is fitted to them.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    /// (x, y)
    pub values: Vec<(f64, f64)>,
}

/// How a fit is guarded against what was not seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guard {
    /// The range is wider than what was seen by this factor on both sides.
    pub factor: f64,
    /// Share of the log-uniform measure on it.
    pub share: f64,
}

impl Pairs {
    /// The constant of least mean square of c·y − 1, as a polynomial of degree 1.
    pub fn constant(&self) -> Option<Local> {
        let (sum, squares) = self.values.iter().fold((0.0, 0.0), |(s, q), (_, y)| (s + y, q + y * y));
        let lo = self.values.iter().fold(f64::INFINITY, |m, v| m.min(v.0));
        let hi = self.values.iter().fold(0.0f64, |m, v| m.max(v.0));
        let squares = Squares::new(&[sum / squares, 0.0], (0.0, 1.0));
        (squares.eval(1, 0.0) > 0.0).then_some(Local { degree: 1, squares, range: (lo, hi) })
    }

    /// The polynomial of least mean square of p(x)·y − 1.
    pub fn inverse(&self, degree: usize, guard: Guard) -> Option<Local> {
        let usable = || self.values.iter().filter(|(x, y)| *x > 0.0 && *y > 0.0 && x.is_finite() && y.is_finite());
        let lo = usable().fold(f64::INFINITY, |m, v| m.min(v.0));
        let hi = usable().fold(0.0f64, |m, v| m.max(v.0));
        if !(lo > 0.0 && hi > 0.0) {
            return None;
        }
        let (low, high) = (libm::log(lo), libm::log(hi));
        let mut bins = vec![[0.0f64; 4]; BINS];
        let mut count = 0.0;
        // The power law y ≈ e^a·x^b for where nothing was seen.
        let mut sums = [0.0f64; 4];
        for &(x, y) in usable() {
            let (u, v) = (libm::log(x), libm::log(y));
            let at = if high > low { (u - low) / (high - low) * BINS as f64 } else { 0.0 };
            let bin = &mut bins[(at as usize).min(BINS - 1)];
            [1.0, x, y, y * y].iter().zip(bin.iter_mut()).for_each(|(v, b)| *b += v);
            [u, v, u * u, u * v].iter().zip(&mut sums).for_each(|(v, s)| *s += v);
            count += 1.0;
        }
        let [u, v, uu, uv] = sums.map(|s| s / count);
        let slope = if uu - u * u > 1e-9 { (uv - u * v) / (uu - u * u) } else { 1.0 };
        let law = |x: f64| libm::exp(v + slope * (libm::log(x) - u));
        let mut targets: Vec<Target> = bins
            .iter()
            .filter(|b| b[0] > 0.0)
            .map(|&[n, x, y, yy]| Target { x: x / n, y: y / yy, weight: (1.0 - guard.share) * yy / count })
            .collect();
        let range = (lo / guard.factor, hi * guard.factor);
        targets.extend((0..NODES).map(|k| {
            let x = range.0 * libm::pow(range.1 / range.0, (k as f64 + 0.5) / NODES as f64);
            let y = law(x);
            Target { x, y: 1.0 / y, weight: guard.share * y * y / NODES as f64 }
        }));
        Some(Local::fit(&targets, range, degree))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverses_get_better_with_the_degree_and_worse_with_the_range() {
        let error = |degree: usize, ratio: f64| {
            let values: Vec<(f64, f64)> =
                (0..=1000).map(|i| libm::pow(ratio, f64::from(i) / 1000.0)).map(|x| (x, x)).collect();
            let p = Pairs { values: values.clone() }.inverse(degree, Guard { factor: 1.05, share: 0.01 }).unwrap();
            libm::sqrt(values.iter().map(|(x, y)| (p.eval(*x) * y - 1.0).powi(2)).sum::<f64>() / 1001.0)
        };
        for ratio in [2.0, 5.0, 20.0] {
            let errors = [1, 2, 4, 8].map(|d| error(d, ratio));
            assert!(errors.is_sorted_by(|a, b| a > b), "{ratio}: {errors:?}");
        }
        assert!(error(2, 2.0) < 0.03 && error(4, 5.0) < 0.03 && error(8, 5.0) < 0.003);
    }

    #[test]
    fn one_value_and_none() {
        let one = Pairs { values: vec![(2.0, 4.0); 3] }.inverse(4, Guard { factor: 1.5, share: 0.01 }).unwrap();
        assert!((one.eval(2.0) - 0.25).abs() < 1e-3);
        assert_eq!(Pairs::default().inverse(2, Guard { factor: 1.5, share: 0.01 }), None);
    }
}
