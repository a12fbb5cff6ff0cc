//! Best polynomials in the maximum norm, by Remez's second algorithm.
//!
//! The best polynomial of m coefficients is the one whose error has m + 1 extrema of the same size and alternating signs
//! (Chebyshev). A *reference* is a guess of where they are: the polynomial with levelled error on it solves a linear
//! system, and the extrema of that polynomial's error are the next reference (E. Remez, 1934; see L. N. Trefethen,
//! "Approximation Theory and Approximation Practice", ch. 10). The system is solved in double-double arithmetic: an odd
//! polynomial that has to approximate 1 almost from 0 on is ill-conditioned.

use crate::double_double::{DoubleDouble, solve};
use hec_poly::{Basis, Parity};
use std::f64::consts::PI;

/// Exchanges at most; from Chebyshev nodes a handful is enough.
const EXCHANGES: usize = 40;

/// Grid points between two extrema.
const GRID: usize = 24;

/// By how much of the interval the second start stops short of its end.
const OFF_CENTER: f64 = 0.07;

/// A levelled error this close to the largest one is the best error.
const LEVEL: f64 = 1e-9;

/// What is to be approximated.
pub struct Target<'a> {
    /// The function of t.
    pub value: &'a (dyn Fn(f64) -> f64 + Sync),
    /// By how much an error counts at t; positive.
    pub weight: &'a (dyn Fn(f64) -> f64 + Sync),
    /// An interval within [−1, 1]. For even and odd polynomials it lies on one side of 0 and stands for both.
    pub interval: (f64, f64),
    /// Points at which the function is not smooth.
    pub kinks: &'a [f64],
}

/// A best polynomial.
#[derive(Clone, Debug, PartialEq)]
pub struct Minimax {
    /// `degree + 1` Chebyshev coefficients on [−1, 1].
    pub coefficients: Vec<f64>,
    /// The largest weighted error on the interval.
    pub error: f64,
}

/// The best polynomial of at most that degree, of that parity.
pub fn minimax(target: &Target<'_>, degree: usize, parity: Parity) -> Minimax {
    let terms: Vec<usize> = match parity {
        Parity::General => (0..=degree).collect(),
        Parity::Even => (0..=degree).step_by(2).collect(),
        Parity::Odd => (1..=degree).step_by(2).collect(),
    };
    let count = terms.len() + 1;
    let grid = grid(target, count);
    // On a symmetric reference an even function may have the levelled error 0, which leads nowhere: then another start.
    let (best, levelled) = exchange(target, &terms, degree, &grid, 0.0);
    let other = if levelled { None } else { Some(exchange(target, &terms, degree, &grid, OFF_CENTER).0) };
    other.into_iter().fold(best, |best, other| if other.error < best.error { other } else { best })
}

/// The best polynomial on [−1, 1] for a function of that parity: odd but for a constant, or even but for a linear term.
/// These need only one side of zero, half the terms, and half the products when they are evaluated.
pub fn symmetric(target: &Target<'_>, degree: usize, parity: Parity) -> Minimax {
    let (left, right) = ((target.value)(-1.0), (target.value)(1.0));
    // An odd error vanishes at zero, so that no extremum is near it.
    let (index, free, start) = match parity {
        Parity::General => return minimax(target, degree, parity),
        Parity::Odd => (0, 0.5 * (left + right), 0.1 / (degree as f64 + 1.0)),
        Parity::Even => (1, 0.5 * (right - left), 0.0),
    };
    let rest = |t: f64| (target.value)(t) - if index == 0 { free } else { free * t };
    let half = Target { value: &rest, interval: (start, 1.0), ..*target };
    let mut best = minimax(&half, degree, parity);
    if let Some(coefficient) = best.coefficients.get_mut(index) {
        *coefficient += free;
    }
    best
}

/// The best polynomial met from a reference that stops short of the interval's end, and whether it is the best of all.
fn exchange(target: &Target<'_>, terms: &[usize], degree: usize, grid: &[f64], short: f64) -> (Minimax, bool) {
    let count = terms.len() + 1;
    let (lo, hi) = (target.interval.0, target.interval.1 - short * (target.interval.1 - target.interval.0));
    let node = |i: usize| 0.5 * (lo + hi) - 0.5 * (hi - lo) * libm::cos(PI * i as f64 / (count - 1).max(1) as f64);
    let mut reference: Vec<f64> = (0..count).map(node).collect();
    let mut best = Minimax { coefficients: vec![0.0; degree + 1], error: f64::INFINITY };
    for _ in 0..EXCHANGES {
        let Some((coefficients, level)) = levelled(target, terms, &reference, degree) else {
            break;
        };
        let error =
            |t: f64| ((target.value)(t) - hec_poly::evaluate(Basis::Chebyshev, &coefficients, t)) * (target.weight)(t);
        let extrema = extrema(&error, grid, &reference);
        let largest = extrema.iter().fold(0.0f64, |m, &(_, e)| m.max(e.abs()));
        if largest < best.error {
            best = Minimax { coefficients, error: largest };
        }
        if largest <= level * (1.0 + LEVEL) {
            return (best, true);
        }
        if extrema.len() < count {
            break;
        }
        reference = window(&extrema, count);
    }
    (best, false)
}

/// Points that are dense enough to see every extremum, the kinks among them.
fn grid(target: &Target<'_>, count: usize) -> Vec<f64> {
    let (lo, hi) = target.interval;
    let steps = GRID * count;
    let point = |i: usize| 0.5 * (lo + hi) - 0.5 * (hi - lo) * libm::cos(PI * i as f64 / steps as f64);
    let kinks = target.kinks.iter().copied().filter(|k| (lo..=hi).contains(k));
    let mut grid: Vec<f64> = (0..=steps).map(point).chain(kinks).collect();
    (grid[0], grid[steps]) = (lo, hi);
    grid.sort_by(f64::total_cmp);
    grid
}

/// The polynomial whose weighted error has the same size and alternating signs on the reference, and that size.
fn levelled(target: &Target<'_>, terms: &[usize], reference: &[f64], degree: usize) -> Option<(Vec<f64>, f64)> {
    let row = |(i, &t): (usize, &f64)| {
        let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
        let level = DoubleDouble::from(sign) / (target.weight)(t).into();
        let values = chebyshev(t, degree);
        terms.iter().map(|&k| values[k]).chain([level, (target.value)(t).into()]).collect()
    };
    let solution = solve(reference.iter().enumerate().map(row).collect())?;
    let (level, found) = solution.split_last()?;
    let mut coefficients = vec![0.0; degree + 1];
    for (&k, c) in terms.iter().zip(found) {
        coefficients[k] = c.to_f64();
    }
    let finite = coefficients.iter().all(|c| c.is_finite());
    finite.then(|| (coefficients, level.to_f64().abs()))
}

/// T₀(t) … T_degree(t)
fn chebyshev(t: f64, degree: usize) -> Vec<DoubleDouble> {
    let (t, two) = (DoubleDouble::from(t), DoubleDouble::from(2.0));
    let mut values = vec![DoubleDouble::from(1.0), t];
    for k in 2..=degree {
        values.push(two * t * values[k - 1] - values[k - 2]);
    }
    values
}

/// The largest error of each run of one sign, with its place. The old reference is among the candidates: its errors
/// alternate, so there are as many runs at least.
fn extrema(error: &dyn Fn(f64) -> f64, grid: &[f64], reference: &[f64]) -> Vec<(f64, f64)> {
    let mut found: Vec<(f64, f64)> =
        reference.iter().chain([&grid[0], &grid[grid.len() - 1]]).map(|&t| (t, error(t))).collect();
    let values: Vec<f64> = grid.iter().map(|&t| error(t)).collect();
    for i in 1..grid.len() - 1 {
        if values[i].abs() >= values[i - 1].abs() && values[i].abs() >= values[i + 1].abs() {
            found.push((grid[i], values[i]));
            found.push(refined(error, grid[i - 1], grid[i]));
            found.push(refined(error, grid[i], grid[i + 1]));
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut runs: Vec<(f64, f64)> = Vec::new();
    for (t, e) in found {
        match runs.last_mut() {
            Some(last) if last.1.is_sign_negative() == e.is_sign_negative() => {
                if e.abs() > last.1.abs() {
                    *last = (t, e);
                }
            }
            _ => runs.push((t, e)),
        }
    }
    runs
}

/// The largest |error| between two points, by golden section.
fn refined(error: &dyn Fn(f64) -> f64, mut a: f64, mut b: f64) -> (f64, f64) {
    const RATIO: f64 = 0.618_033_988_749_894_8;
    let size = |t: f64| error(t).abs();
    let (mut c, mut d) = (b - RATIO * (b - a), a + RATIO * (b - a));
    let (mut at_c, mut at_d) = (size(c), size(d));
    for _ in 0..30 {
        if at_c > at_d {
            (b, d, at_d) = (d, c, at_c);
            c = b - RATIO * (b - a);
            at_c = size(c);
        } else {
            (a, c, at_c) = (c, d, at_d);
            d = a + RATIO * (b - a);
            at_d = size(d);
        }
    }
    let t = if at_c > at_d { c } else { d };
    (t, error(t))
}

/// `count` neighbours, the largest of all among them, whose smallest is as large as it can be.
fn window(extrema: &[(f64, f64)], count: usize) -> Vec<f64> {
    let size = |i: usize| extrema[i].1.abs();
    let largest = (0..extrema.len()).fold(0, |best, i| if size(i) > size(best) { i } else { best });
    let least = |first: usize| (first..first + count).map(size).fold(f64::INFINITY, f64::min);
    let starts = largest.saturating_sub(count - 1)..=largest.min(extrema.len() - count);
    let first = starts.max_by(|&a, &b| least(a).total_cmp(&least(b))).unwrap_or(0);
    extrema[first..first + count].iter().map(|&(t, _)| t).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(value: &(dyn Fn(f64) -> f64 + Sync), kinks: &[f64], degree: usize) -> Minimax {
        minimax(&Target { value, weight: &|_| 1.0, interval: (-1.0, 1.0), kinks }, degree, Parity::General)
    }

    #[test]
    fn relu_has_the_known_errors() {
        // Degree 2 is 1/16 + t/2 + t²/2; the error times the degree tends to Bernstein's 0.2802/2.
        for (degree, error) in [(2, 0.0625), (4, 0.0338), (8, 0.0173), (16, 0.0087), (31, 0.0047)] {
            let found = plain(&|t| t.max(0.0), &[0.0], degree);
            println!("degree {degree}: {:.4}", found.error);
            assert!((found.error - error).abs() < 1e-4, "degree {degree}: {}", found.error);
        }
        let quadratic = plain(&|t| t.max(0.0), &[0.0], 2).coefficients;
        for (found, expected) in quadratic.iter().zip([1.0 / 16.0 + 0.25, 0.5, 0.25]) {
            assert!((found - expected).abs() < 1e-9, "{quadratic:?}");
        }
        let bernstein = 32.0 * plain(&|t| t.max(0.0), &[0.0], 32).error;
        println!("degree 32: {:.4}, times the degree {bernstein:.4}", bernstein / 32.0);
        assert!((bernstein - 0.1401).abs() < 1e-3, "{bernstein}");
    }

    #[test]
    fn smooth_functions_polynomials_and_one_coefficient() {
        // The best linear approximation of e^t has the slope m = sinh 1 and the error (cosh 1 − m + m·ln m)/2.
        let slope = libm::sinh(1.0);
        let exact = 0.5 * (libm::cosh(1.0) - slope + slope * libm::log(slope));
        let found = plain(&libm::exp, &[], 1);
        assert!((found.error - exact).abs() < 1e-9, "{found:?}");
        assert!((found.coefficients[1] - slope).abs() < 1e-9);
        assert!(plain(&libm::exp, &[], 13).error < 1e-13);
        assert!(plain(&libm::exp, &[], 31).error < 1e-14);
        assert!(plain(&|t| 1.0 + t * t * t, &[], 5).error < 1e-14);
        assert!((plain(&libm::exp, &[], 0).error - libm::sinh(1.0)).abs() < 1e-9);
    }

    #[test]
    fn odd_and_even_polynomials_use_one_side_of_zero() {
        let one = |_: f64| 1.0;
        let target = Target { value: &one, weight: &one, interval: (0.25, 1.0), kinks: &[] };
        let odd = minimax(&target, 7, Parity::Odd);
        assert!(odd.coefficients.iter().step_by(2).all(|&c| c == 0.0));
        let root = |t: f64| libm::sqrt(t);
        let even = minimax(&Target { value: &root, weight: &one, interval: (0.0, 1.0), kinks: &[] }, 6, Parity::Even);
        assert!(even.coefficients.iter().skip(1).step_by(2).all(|&c| c == 0.0));
        assert!(odd.error < 0.25 && even.error < 0.2, "{odd:?} {even:?}");
    }

    #[test]
    fn symmetric_functions_have_the_best_polynomial_of_their_parity() {
        type Case<'a> = (&'a (dyn Fn(f64) -> f64 + Sync), Parity, &'a [f64]);
        let functions: [Case<'_>; 4] = [
            (&|t| libm::tanh(3.0 * t), Parity::Odd, &[]),
            (&|t| 1.0 / (1.0 + libm::exp(-4.0 * t)), Parity::Odd, &[]),
            (&|t| t.max(0.0), Parity::Even, &[0.0]),
            (&|t| 0.5 * t * libm::erfc(-3.0 * t), Parity::Even, &[]),
        ];
        for (value, parity, kinks) in functions {
            for degree in [3, 6, 7] {
                let target = Target { value, weight: &|_| 1.0, interval: (-1.0, 1.0), kinks };
                let (found, best) = (symmetric(&target, degree, parity), plain(value, kinks, degree));
                let error = |i: i32| {
                    let t = f64::from(i) / 1000.0;
                    (hec_poly::evaluate(Basis::Chebyshev, &found.coefficients, t) - value(t)).abs()
                };
                let largest = (-1000..=1000).map(error).fold(0.0, f64::max);
                let what = format!("{parity:?} degree {degree}: {largest}, {} and {}", found.error, best.error);
                assert!(largest < 1.002 * best.error + 1e-12 && largest > 0.99 * best.error, "{what}");
                assert_eq!(Parity::of(&found.coefficients), parity, "{what}");
            }
        }
    }

    #[test]
    fn a_weight_shifts_the_error_to_where_it_counts_less() {
        let relative = |t: f64| 1.0 / (t + 1.25);
        let value = |t: f64| 1.0 / (t + 1.25);
        let target = Target { value: &value, weight: &|t| t + 1.25, interval: (-1.0, 1.0), kinks: &[] };
        let (weighted, plain) = (minimax(&target, 6, Parity::General), plain(&value, &[], 6));
        let at_end = |m: &Minimax| (hec_poly::evaluate(Basis::Chebyshev, &m.coefficients, 1.0) - relative(1.0)).abs();
        assert!(at_end(&weighted) < at_end(&plain) && weighted.error < 2.0 * plain.error);
    }
}
