//! Least-squares polynomials on a range, tame enough to be written as squares.

use super::squares::Squares;
use crate::orthogonal::{Orthogonal, Point};

/// Squares may need numbers that are larger than their result by this factor: twelve bits are lost.
const MOST_LOSS: f64 = 4096.0;

/// Least leading coefficient that is tried, relative to the largest coefficient.
const LEAST_LEAD: f64 = 1.0 / 1024.0;

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

    /// A positive constant, as a polynomial of degree 1 without slope.
    pub fn constant(value: f64, range: (f64, f64)) -> Option<Self> {
        let squares = Squares::new(&[value, 0.0], (0.0, 1.0));
        (value > 0.0).then_some(Local { degree: 1, squares, range })
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
