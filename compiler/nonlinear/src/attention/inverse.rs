//! Inverses of positive numbers by polynomials: close where numbers were seen, bounded far beyond.
//!
//! A sum of a row that is twice the largest one seen need not be inverted well, but it must not blow up: p(x)·y has to
//! stay in an interval there. Where least squares on what was seen leaves it, the ends of the interval become targets,
//! with growing weights. That costs far less accuracy than asking for p(x)·y = 1 beyond what was seen.

use super::local::{Local, Target};

/// Bins of positive values.
const BINS: usize = 400;

/// Places at which the bounds are checked.
const NODES: usize = 64;

/// Times that targets are moved.
const ROUNDS: usize = 25;

/// What a bound may be missed by.
const TOLERANCE: f64 = 1e-3;

/// The first weight of a bound that is missed, relative to everything that was seen, and by what it grows.
const FIRST: f64 = 1e-4;

/// The latter.
const GROWTH: f64 = 3.0;

/// Weight of a place where no bound was ever missed: enough to determine the polynomial where little was seen.
const FAINT: f64 = 1e-9;

/// Positive values, each with another one y, and how p(x) ≈ 1/y in relative error is fitted to them.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    /// (x, y)
    pub values: Vec<(f64, f64)>,
}

/// How a fit is guarded against what was not seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guard {
    /// How far beyond the largest x p is bounded, as a factor.
    pub reach: f64,
    /// Where p(x)·y has to stay.
    pub bounds: (f64, f64),
    /// Largest weight of a bound, relative to everything that was seen.
    pub most: f64,
    /// Least exponent of the power law by which y follows x.
    pub exponent: f64,
}

impl Pairs {
    /// The constant of least mean square of c·y − 1, as a polynomial of degree 1.
    pub fn constant(&self) -> Option<Local> {
        let (sum, squares) = self.values.iter().fold((0.0, 0.0), |(s, q), (_, y)| (s + y, q + y * y));
        let lo = self.values.iter().fold(f64::INFINITY, |m, v| m.min(v.0));
        let hi = self.values.iter().fold(0.0f64, |m, v| m.max(v.0));
        Local::constant(sum / squares, (lo, hi))
    }

    /// The polynomial of least mean square of p(x)·y − 1, as far as the bounds allow.
    pub fn inverse(&self, degree: usize, guard: Guard) -> Option<Local> {
        let seen = self.seen()?;
        let range = (seen.range.0, seen.range.1 * guard.reach);
        let place = |k: usize| range.0 * libm::pow(range.1 / range.0, k as f64 / (NODES - 1) as f64);
        let mut bounds: Vec<Bound> = (0..NODES).map(|k| Bound::new(place(k), &seen, guard.exponent)).collect();
        let mut fitted = None;
        for _ in 0..ROUNDS {
            let targets: Vec<Target> = seen.targets.iter().copied().chain(bounds.iter().map(|b| b.target)).collect();
            let polynomial = Local::fit(&targets, range, degree);
            let missed = bounds.iter_mut().filter_map(|b| b.update(&polynomial, guard).then_some(())).count();
            fitted = Some(polynomial);
            if missed == 0 {
                break;
            }
        }
        fitted
    }

    /// What was seen, in bins.
    fn seen(&self) -> Option<Seen> {
        let usable = || self.values.iter().filter(|(x, y)| *x > 0.0 && *y > 0.0 && x.is_finite() && y.is_finite());
        let lo = usable().fold(f64::INFINITY, |m, v| m.min(v.0));
        let hi = usable().fold(0.0f64, |m, v| m.max(v.0));
        if !(lo > 0.0 && hi > 0.0) {
            return None;
        }
        let (low, high) = (libm::log(lo), libm::log(hi));
        let mut bins = vec![[0.0f64; 4]; BINS];
        let mut count = 0.0;
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
        let exponent = if uu - u * u > 1e-9 { (uv - u * v) / (uu - u * u) } else { 1.0 };
        let target = |&[n, x, y, yy]: &[f64; 4]| Target { x: x / n, y: y / yy, weight: yy / count };
        let targets = bins.iter().filter(|b| b[0] > 0.0).map(target).collect();
        Some(Seen { targets, range: (lo, hi), middle: (u, v), exponent })
    }
}

/// Pairs in bins, with the power law y ≈ e^v·(x/e^u)^exponent.
struct Seen {
    targets: Vec<Target>,
    range: (f64, f64),
    middle: (f64, f64),
    exponent: f64,
}

/// A place where p(x)·y is bounded.
struct Bound {
    target: Target,
    /// y by the power law.
    y: f64,
    missed: bool,
}

impl Bound {
    fn new(x: f64, seen: &Seen, least: f64) -> Self {
        let (u, v) = seen.middle;
        let y = libm::exp(v + seen.exponent.max(least) * (libm::log(x) - u));
        Bound { target: Target { x, y: 1.0 / y, weight: FAINT * y * y }, y, missed: false }
    }

    /// Move the target to where the polynomial should be; whether the bound is missed.
    fn update(&mut self, polynomial: &Local, guard: Guard) -> bool {
        let value = polynomial.eval(self.target.x) * self.y;
        let inside = value.clamp(guard.bounds.0, guard.bounds.1);
        let misses = value.is_nan() || (value - inside).abs() > TOLERANCE;
        if misses {
            let unit = self.y * self.y;
            self.target.weight = (GROWTH * self.target.weight).max(FIRST * unit).min(guard.most * unit);
            self.missed = true;
        }
        if self.missed && inside.is_finite() {
            self.target.y = inside / self.y;
        }
        misses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUARD: Guard = Guard { reach: 1.05, bounds: (0.0, 2.0), most: 1.0, exponent: 0.5 };

    fn spread(ratio: f64) -> Vec<(f64, f64)> {
        (0..=1000).map(|i| libm::pow(ratio, f64::from(i) / 1000.0)).map(|x| (x, x)).collect()
    }

    #[test]
    fn inverses_get_better_with_the_degree_and_worse_with_the_range() {
        let error = |degree: usize, ratio: f64| {
            let values = spread(ratio);
            let p = Pairs { values: values.clone() }.inverse(degree, GUARD).unwrap();
            libm::sqrt(values.iter().map(|(x, y)| (p.eval(*x) * y - 1.0).powi(2)).sum::<f64>() / 1001.0)
        };
        for ratio in [2.0, 5.0, 20.0] {
            let errors = [1, 2, 4, 8].map(|d| error(d, ratio));
            assert!(errors.is_sorted_by(|a, b| a > b), "{ratio}: {errors:?}");
        }
        assert!(error(2, 2.0) < 0.03 && error(4, 5.0) < 0.03 && error(8, 5.0) < 0.003);
    }

    /// Nearly all numbers are close together; least squares alone explodes at twice the largest one.
    #[test]
    fn beyond_what_was_seen_an_inverse_stays_bounded() {
        let mut values: Vec<(f64, f64)> = spread(4.0).into_iter().cycle().take(20_000).collect();
        values.push((8.0, 8.0));
        let pairs = Pairs { values };
        let fit = |bounds: (f64, f64)| pairs.inverse(4, Guard { reach: 2.0, bounds, ..GUARD }).unwrap();
        let largest = |p: &Local| {
            (0..=100).map(|i| 8.0 + 0.08 * f64::from(i)).map(|x| (p.eval(x) * x - 1.0).abs()).fold(0.0, f64::max)
        };
        let (free, bounded) = (fit((f64::NEG_INFINITY, f64::INFINITY)), fit((0.0, 2.0)));
        assert!(largest(&free) > 3.0 && largest(&bounded) < 1.05, "{} {}", largest(&free), largest(&bounded));
        let error =
            |p: &Local| pairs.values.iter().map(|(x, y)| (p.eval(*x) * y - 1.0).powi(2)).sum::<f64>() / 20_001.0;
        assert!(libm::sqrt(error(&bounded)) < 0.06, "{}", libm::sqrt(error(&bounded)));
    }

    #[test]
    fn one_value_and_none() {
        let one = Pairs { values: vec![(2.0, 4.0); 3] }.inverse(4, GUARD).unwrap();
        assert!((one.eval(2.0) - 0.25).abs() < 1e-3);
        assert_eq!(Pairs::default().inverse(2, GUARD), None);
    }
}
