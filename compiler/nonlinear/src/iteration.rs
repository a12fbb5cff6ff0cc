//! Inverses and inverse square roots by iteration, in relative error.
//!
//! **1/x** on [a, b]: Goldschmidt's iteration keeps y ≈ 1/x and the error e = 1 − x·y and sets y ← κ·y·(1 + e), which
//! makes the error 1 − κ·(1 − e²). With κ = 1 it is squared. With κ = 2/(2 − ε²), where ε is the largest error so far,
//! it is as small as it can be (adaptive relaxation; J. Moon et al., "Adaptive successive over-relaxation method for a
//! faster iterative approximation of homomorphic operations", 2024): from y = 2/(a + b) on, K steps give the polynomial
//! of degree 2^K − 1 of least relative error, 1/T_n(w) with n = 2^K and w = (b + a)/(b − a). One level a step, two
//! products.
//!
//! **1/√x**: the polynomial of least relative error, then y ← A·y − B·(x·y)·y², where A and B give the least error that
//! a cubic of q = √x·y can have (Newton's iteration has A = 3/2, B = 1/2 and halves less). Two levels a step, three
//! products.

use crate::formula::{Formula, Term, numbers};
use crate::minimax::{Minimax, Target, minimax};
use crate::orthogonal::chebyshev_coefficients;
use hec_params::Depth;
use hec_poly::{Basis, Parity};

/// Steps at most: 2^24 between the ends of a range at 2^-10.
pub const MOST_STEPS: usize = 16;

/// Degrees of the polynomials that are looked at, alone or as a start: the largest of each depth.
const DEGREES: [usize; 8] = [1, 2, 3, 5, 7, 11, 15, 23];

/// An approximation in relative error.
#[derive(Clone, Debug, PartialEq)]
pub struct Iteration {
    /// How it is computed.
    pub formula: Formula,
    /// The degree of the polynomial at its start; 0 for a constant.
    pub start: usize,
    /// Steps after that.
    pub steps: usize,
    /// The largest error on the range, relative to the exact value.
    pub error: f64,
}

impl Iteration {
    fn cost(&self) -> (Depth, usize) {
        (self.formula.depth(), self.formula.products())
    }
}

/// 1/x on a range of one sign, ends in order: the formula of least depth, then of fewest products, whose relative error is
/// at most `error`. Where none has it, the one of least error.
pub fn inverse(range: (f64, f64), error: f64) -> Iteration {
    let polynomials = DEGREES.into_iter().map(|degree| inverse_polynomial(range, degree));
    cheapest(polynomials.chain((1..=MOST_STEPS).map(|steps| goldschmidt(range, steps))), error)
}

/// 1/√x on a range of positive numbers, ends in order; chosen as [`inverse`] is.
pub fn inverse_sqrt(range: (f64, f64), error: f64) -> Iteration {
    let candidates = DEGREES.into_iter().flat_map(|degree| {
        let start = RootStart::new(range, degree);
        (0..=MOST_STEPS / 2).map(move |steps| start.newton(steps, Root::Inverse)).take_while(useful(error))
    });
    cheapest(candidates, error)
}

/// √x on a range of numbers that are not negative, as x·1/√x; chosen as [`inverse_sqrt`] is. The error is relative to √x.
pub fn sqrt(range: (f64, f64), error: f64) -> Iteration {
    let candidates = DEGREES.into_iter().flat_map(|degree| {
        let start = RootStart::new(range, degree);
        (0..=MOST_STEPS / 2).map(move |steps| start.newton(steps, Root::Plain)).take_while(useful(error))
    });
    cheapest(candidates, error)
}

/// True until one has been seen that is good enough: more steps cost more.
fn useful(error: f64) -> impl FnMut(&Iteration) -> bool {
    let mut enough = false;
    move |i| !std::mem::replace(&mut enough, i.error <= error)
}

fn cheapest(candidates: impl Iterator<Item = Iteration>, error: f64) -> Iteration {
    let better = |best: Iteration, next: Iteration| {
        let keep = match (best.error <= error, next.error <= error) {
            (true, true) => best.cost() <= next.cost(),
            (false, false) => best.error <= next.error,
            (enough, _) => enough,
        };
        if keep { best } else { next }
    };
    candidates.reduce(better).expect("there are candidates")
}

/// The polynomial of that degree of least relative error: 1 − x·p(x) is a Chebyshev polynomial of degree + 1.
fn inverse_polynomial((lo, hi): (f64, f64), degree: usize) -> Iteration {
    let (mid, half) = (0.5 * (lo + hi), 0.5 * (hi - lo));
    let shift = mid / half;
    let error = 1.0 / chebyshev(degree + 1, shift);
    // x = half·(t + shift), so that 1 − x·p(x) = T(t)/T(−shift).
    let coefficients = chebyshev_coefficients(degree, |t| (1.0 - chebyshev(degree + 1, -t) * error) / (mid + half * t));
    let mut formula = Formula::new();
    let unit = formula.scale(Term::X, numbers([1.0 / half]));
    let centered = formula.shift(unit, numbers([-shift]));
    formula.polynomial(centered, Basis::Chebyshev, vec![coefficients]);
    Iteration { formula, start: degree, steps: 0, error: error.abs() }
}

/// T_n(x) for any x.
fn chebyshev(n: usize, x: f64) -> f64 {
    match x.abs() <= 1.0 {
        true => libm::cos(n as f64 * libm::acos(x)),
        false => libm::cosh(n as f64 * libm::acosh(x.abs())) * if x < 0.0 && n % 2 == 1 { -1.0 } else { 1.0 },
    }
}

/// 1/x by that many adaptive Goldschmidt steps, at least one, from a constant.
pub fn goldschmidt((lo, hi): (f64, f64), steps: usize) -> Iteration {
    let start = 2.0 / (lo + hi);
    let mut error = (hi - lo) / (lo + hi).abs();
    let relaxations: Vec<f64> = (0..steps)
        .map(|_| {
            let relaxation = 2.0 / (2.0 - error * error);
            error = error * error / (2.0 - error * error);
            relaxation
        })
        .collect();
    // e = α·E and y = β·Y, with α and β such that E ← E² − c and Y ← Y·(1/α + E) need no factor.
    let mut alpha = vec![1.0; steps];
    for k in (0..steps.saturating_sub(1)).rev() {
        alpha[k] = libm::sqrt(alpha[k + 1] / relaxations[k]);
    }
    let mut formula = Formula::new();
    let scaled = formula.scale(Term::X, numbers([-start / alpha[0]]));
    let mut e = formula.shift(scaled, numbers([1.0 / alpha[0]]));
    let first: f64 = relaxations.iter().zip(&alpha).map(|(r, a)| r * a).product();
    let mut y = None;
    for k in 0..steps {
        let factor = formula.shift(e, numbers([1.0 / alpha[k]]));
        y = Some(match y {
            None => formula.scale(factor, numbers([start * first])),
            Some(y) => formula.mul(y, factor),
        });
        if k + 1 < steps {
            let square = formula.square(e);
            e = formula.shift(square, numbers([(1.0 - relaxations[k]) / alpha[k + 1]]));
        }
    }
    Iteration { formula, start: 0, steps, error }
}

/// Which root is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// 1/√x
    Inverse,
    /// √x
    Plain,
}

/// A polynomial close to 1/√x.
#[derive(Clone, Debug)]
pub struct RootStart {
    range: (f64, f64),
    best: Minimax,
}

/// A range from zero on is cut at this share of its end: √x is off by its root below.
const LEAST_RATIO: f64 = 1.0 / 65_536.0;

impl RootStart {
    /// Of least relative error on a range of positive numbers.
    pub fn new((lo, hi): (f64, f64), degree: usize) -> Self {
        let lo = lo.max(LEAST_RATIO * hi);
        let x = |t: f64| 0.5 * (lo + hi) + 0.5 * (hi - lo) * t;
        let (value, weight) = (|t: f64| 1.0 / libm::sqrt(x(t)), |t: f64| libm::sqrt(x(t)));
        let target = Target { value: &value, weight: &weight, interval: (-1.0, 1.0), kinks: &[] };
        RootStart { range: (lo, hi), best: minimax(&target, degree, Parity::General) }
    }

    /// Its degree.
    pub fn degree(&self) -> usize {
        self.best.coefficients.len() - 1
    }

    /// The start of least degree from which a step more than halves the error, or that of degree 7.
    pub fn sensible(range: (f64, f64)) -> Self {
        let close = [1, 3].into_iter().map(|d| RootStart::new(range, d)).find(|s| s.best.error < 0.5);
        close.unwrap_or_else(|| RootStart::new(range, 7))
    }

    /// That many Newton steps from here.
    pub fn newton(&self, steps: usize, root: Root) -> Iteration {
        let (lo, hi) = self.range;
        let (mid, half) = (0.5 * (lo + hi), 0.5 * (hi - lo));
        let (cubics, error) = cubics(self.best.error, steps);
        let beta = unscaled(&cubics, half, root);
        let mut formula = Formula::new();
        let unit = formula.scale(Term::X, numbers([1.0 / half]));
        let t = formula.shift(unit, numbers([-mid / half]));
        // x = half·v
        let v = unit;
        let coefficients: Vec<f64> = self.best.coefficients.iter().map(|c| c / beta[0]).collect();
        let mut w = match coefficients[..] {
            [offset, slope] => {
                let scaled = formula.scale(t, numbers([slope]));
                formula.shift(scaled, numbers([offset]))
            }
            _ => formula.polynomial(t, Basis::Chebyshev, vec![coefficients]),
        };
        for (k, &(a, b)) in cubics.iter().enumerate() {
            let product = formula.mul(v, w);
            if root == Root::Plain && k + 1 == steps {
                // √x ≈ A·(x·y) − B·(x·y)·((x·y)·y)
                let inner = formula.mul(product, w);
                let outer = formula.scale(inner, numbers([-1.0]));
                let outer = formula.shift(outer, numbers([a / (b * half * beta[k] * beta[k])]));
                w = formula.mul(product, outer);
                continue;
            }
            let square = formula.square(w);
            let cube = formula.mul(product, square);
            let kept = formula.scale(w, numbers([a * beta[k] / beta[k + 1]]));
            w = formula.sub(kept, cube);
        }
        if root == Root::Plain && steps == 0 {
            formula.mul(v, w);
        }
        Iteration { formula, start: self.degree(), steps, error }
    }
}

/// A and B of each step, and the error in the end, from a start with that error.
fn cubics(mut error: f64, steps: usize) -> (Vec<(f64, f64)>, f64) {
    let step = |_| {
        // The cubic q·(s − q²) has equal values at both ends of [lo, hi] and its largest one between them.
        let (lo, hi) = (1.0 - error, 1.0 + error);
        let s = lo * lo + lo * hi + hi * hi;
        let (least, most) = (lo * hi * (lo + hi), libm::sqrt(s / 3.0) * s * 2.0 / 3.0);
        error = (most - least) / (most + least);
        (2.0 * s / (most + least), 2.0 / (most + least))
    };
    ((0..steps).map(step).collect(), error)
}

/// With y = β·w and x = half·v: the β of each step for which no product needs a factor, the last one 1, except for the
/// root itself, whose last product has x once more.
fn unscaled(cubics: &[(f64, f64)], half: f64, root: Root) -> Vec<f64> {
    let mut beta = vec![1.0; cubics.len() + 1];
    if root == Root::Plain && cubics.is_empty() {
        beta[0] = 1.0 / half;
    }
    for (k, &(_, b)) in cubics.iter().enumerate().rev() {
        let last = root == Root::Plain && k + 1 == cubics.len();
        beta[k] = libm::cbrt(if last { 1.0 / (b * half * half) } else { beta[k + 1] / (b * half) });
    }
    beta
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest relative error on a grid that is dense at both ends.
    fn measured(formula: &Formula, (lo, hi): (f64, f64), exact: impl Fn(f64) -> f64) -> f64 {
        let mid = |i: i32| 0.5 * (lo + hi) - 0.5 * (hi - lo) * libm::cos(f64::from(i) * std::f64::consts::PI / 8000.0);
        let error = |x: f64| (formula.eval(0, x) / exact(x) - 1.0).abs();
        (0..=8000).map(mid).map(error).fold(0.0, f64::max)
    }

    fn check(found: &Iteration, range: (f64, f64), exact: impl Fn(f64) -> f64) {
        let error = measured(&found.formula, range, exact);
        let what = format!("start {} steps {} on {range:?}: {error}", found.start, found.steps);
        assert!(
            error <= found.error * 1.001 + 1e-12 && error > 0.99 * found.error - 1e-12,
            "{what}, not {}",
            found.error
        );
    }

    const RANGES: [(f64, f64); 5] = [(0.5, 2.0), (1.0, 10.0), (3e-3, 0.3), (20.0, 2e4), (0.1, 1e3)];

    #[test]
    fn goldschmidt_has_the_least_error_of_its_degree() {
        for (lo, hi) in RANGES {
            for steps in 1..=8 {
                let found = goldschmidt((lo, hi), steps);
                check(&found, (lo, hi), |x| 1.0 / x);
                check(&goldschmidt((-hi, -lo), steps), (-hi, -lo), |x| 1.0 / x);
                let best = 1.0 / chebyshev(1 << steps, (hi + lo) / (hi - lo));
                assert!((found.error - best).abs() < 1e-9 * best + 1e-15, "{} and {best}", found.error);
                // The first step is affine: its scales are absorbed, and so it takes no level.
                let (depth, products) = if steps == 1 { (0, 0) } else { (steps, 2 * steps - 2) };
                assert_eq!((found.formula.depth().0 as usize, found.formula.products()), (depth, products));
            }
        }
    }

    #[test]
    fn roots_have_the_error_that_they_say() {
        for range in RANGES {
            for degree in [1, 3, 7] {
                let start = RootStart::new(range, degree);
                for steps in 0..=4 {
                    check(&start.newton(steps, Root::Inverse), range, |x| 1.0 / libm::sqrt(x));
                    check(&start.newton(steps, Root::Plain), range, libm::sqrt);
                }
                let found = start.newton(2, Root::Inverse);
                let polynomial = start.newton(0, Root::Inverse);
                assert_eq!(found.formula.depth().0, polynomial.formula.depth().0 + 4);
                assert_eq!(found.formula.products(), polynomial.formula.products() + 6);
            }
        }
    }

    #[test]
    fn the_cheapest_is_chosen_by_range_and_error() {
        println!("{:>8}{:>8}   1/x: start, steps, depth, products    1/sqrt x", "ratio", "error");
        for ratio in [2.0, 10.0, 100.0, 1e4] {
            let mut last = [Depth(0); 2];
            for bits in [4, 8, 12] {
                let (range, error) = ((1.0, ratio), libm::exp2(-f64::from(bits)));
                let found = [inverse(range, error), inverse_sqrt(range, error)];
                print!("{ratio:>8}{:>8}", format!("2^-{bits}"));
                for (found, last) in found.iter().zip(&mut last) {
                    let (depth, products) = found.cost();
                    print!("   {:>6}{:>6}{:>6}{:>6}", found.start, found.steps, depth.0, products);
                    assert!(found.error <= error && depth >= *last, "ratio {ratio}, 2^-{bits}: {found:?}");
                    *last = depth;
                }
                println!();
            }
        }
        // Close to one number a few levels do; wide ranges need steps.
        assert!(inverse((1.0, 2.0), 1e-2).formula.depth() <= Depth(2));
        assert!(inverse((1.0, 1e4), 1e-3).steps >= 8 && inverse_sqrt((1.0, 1e4), 1e-3).steps >= 1);
    }

    #[test]
    fn the_root_of_numbers_from_zero_on_is_close_in_absolute_terms() {
        let found = sqrt((0.0, 4.0), 1e-2);
        let error = (0..=4000).map(|i| f64::from(i) / 1000.0).map(|x| (found.formula.eval(0, x) - libm::sqrt(x)).abs());
        assert!(error.fold(0.0, f64::max) < 0.03);
    }
}
