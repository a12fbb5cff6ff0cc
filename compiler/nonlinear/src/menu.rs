//! What there is for a function besides the polynomial that was taken, and what that one looks like: for reports.
//!
//! Everything follows from the densities that the network so far gave the function, so that nothing is run again.

use crate::statistics::{Density, Statistics};
use crate::{Choice, Family, Fit, Robustness, fit};
use hec_ir::tensor::{Function, ValueId};
use hec_params::Depth;
use serde::{Deserialize, Serialize};

/// What is tried, in groups of the same cost, the cheapest first: of each depth the largest degree among others. A quartic
/// is a square of a square, so that it takes two levels as a cubic does. Beyond the largest degree only compositions go on,
/// for functions that are not smooth.
pub(crate) const BY_COST: [&[Choice]; 10] = [
    &[Choice::KERNEL, Choice::least_squares(2)],
    &[Choice::least_squares(3), Choice::least_squares(4)],
    &[Choice::least_squares(5)],
    &[Choice::least_squares(7)],
    &[Choice::least_squares(11)],
    &[Choice::least_squares(15)],
    &[Choice::least_squares(23)],
    &[Choice::least_squares(31)],
    &[Choice { family: Family::Composite, degree: 8 }],
    &[Choice { family: Family::Composite, degree: 11 }],
];

/// No level at all, where the layers around it become one. Never good enough everywhere, but for some functions.
const LINEAR: Choice = Choice::least_squares(1);

/// Points of a curve less one.
const PARTS: usize = 48;
/// Parts of a histogram.
const BARS: usize = 32;
/// Groups whose polynomials are drawn, at most.
const DRAWN: usize = 6;
/// Digits that are kept: more are not to be seen.
const DIGITS: i32 = 4;

/// What there is for one function of one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Menu {
    /// The layer's name.
    pub layer: String,
    /// The function that is replaced: of a maximum, the |x| that it is made of.
    pub function: String,
    /// What was taken, and what else there was, in order of levels.
    pub candidates: Vec<Candidate>,
    /// What was taken, over the density of its inputs.
    pub curve: Curve,
}

/// A polynomial for one function of one layer, with what it costs and how far it is off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Family and degree.
    pub choice: Choice,
    /// Whether it was taken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub taken: bool,
    /// Levels that it takes.
    pub depth: Depth,
    /// Products of ciphertexts for one ciphertext of input.
    pub products: usize,
    /// rms error under the calibrated density, over the rms of the function's values.
    pub relative: f64,
    /// Largest error on the padded range.
    pub max: f64,
    /// Estimated probability that a value leaves its padded range; `None` without calibration data.
    pub outside: Option<f64>,
}

/// A picture of a replacement in few numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// Ends of the padded ranges of all groups together.
    pub range: (f64, f64),
    /// Share of the calibration values in each of equal parts of the range; empty without calibration data.
    pub density: Vec<f64>,
    /// The function at equally spaced points of the range, both ends among them.
    pub exact: Vec<f64>,
    /// The polynomials of some groups, evenly spaced among all.
    pub pieces: Vec<Piece>,
}

/// The polynomial of one group on its own range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// The group's number: as a rule its channel.
    pub group: usize,
    /// Its padded range.
    pub range: (f64, f64),
    /// Values at equally spaced points of the range, both ends among them.
    pub values: Vec<f64>,
}

/// A function that was replaced, with what it saw.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Order {
    pub layer: String,
    /// The function's argument and its replacement, unless it is part of something larger.
    pub place: Option<(ValueId, ValueId)>,
    pub function: Function,
    pub statistics: Statistics,
    pub fit: Fit,
    pub robustness: Robustness,
}

impl Order {
    /// What else there is, fitted as carefully as what was taken.
    pub(crate) fn others(&self) -> Vec<Fit> {
        let suits = |choice: &Choice| choice.family.suits(self.function) && *choice != self.fit.choice;
        // The best even polynomial is the best one of the odd degree above, too.
        let new = |choice: &Choice| self.function != Function::Abs || !choice.is_odd_polynomial();
        let fitted = |&choice: &Choice| fit(self.function, &self.statistics, choice, self.robustness);
        let all = std::iter::once(&LINEAR).chain(BY_COST.into_iter().flatten());
        all.filter(|c| suits(c)).filter(|c| new(c)).map(fitted).collect()
    }

    /// What was taken beside what else there is.
    pub(crate) fn menu(&self, others: &[Fit]) -> Menu {
        let mut candidates: Vec<Candidate> = others.iter().map(|other| Candidate::of(other, false)).collect();
        candidates.push(Candidate::of(&self.fit, true));
        candidates.sort_by_key(|c| (c.depth, c.products, c.choice));
        Menu {
            layer: self.layer.clone(),
            function: self.function.name().to_owned(),
            candidates,
            curve: Curve::of(self.function, &self.statistics.whole, &self.fit),
        }
    }
}

impl Candidate {
    fn of(fit: &Fit, taken: bool) -> Self {
        Candidate {
            choice: fit.choice,
            taken,
            depth: fit.formula.depth(),
            products: fit.formula.products(),
            relative: rounded(fit.errors.relative),
            max: rounded(fit.errors.max),
            outside: fit.errors.outside.map(rounded),
        }
    }
}

impl Curve {
    fn of(function: Function, seen: &Density, fit: &Fit) -> Self {
        let low = fit.ranges.iter().fold(f64::INFINITY, |low, range| low.min(range.0));
        let high = fit.ranges.iter().fold(f64::NEG_INFINITY, |high, range| high.max(range.1));
        // A pole at an end of its range has no picture.
        let exact = points((low, high)).map(|x| rounded(function.eval(x))).map(|y| if y.is_finite() { y } else { 0.0 });
        let groups = fit.ranges.len();
        let drawn = groups.min(DRAWN);
        let piece = |group: usize| Piece {
            group,
            range: (rounded(fit.ranges[group].0), rounded(fit.ranges[group].1)),
            values: points(fit.ranges[group]).map(|x| rounded(fit.formula.eval(group, x))).collect(),
        };
        Curve {
            range: (rounded(low), rounded(high)),
            density: histogram(seen, (low, high)),
            exact: exact.collect(),
            pieces: (0..drawn).map(|i| piece((2 * i + 1) * groups / (2 * drawn))).collect(),
        }
    }
}

/// Equally spaced points of a range, both ends among them.
fn points((low, high): (f64, f64)) -> impl Iterator<Item = f64> {
    (0..=PARTS).map(move |i| low + (high - low) * i as f64 / PARTS as f64)
}

/// Share of the values in each of equal parts of a range.
fn histogram(seen: &Density, (low, high): (f64, f64)) -> Vec<f64> {
    if seen.count <= 0.0 || high <= low {
        return Vec::new();
    }
    let mut bars = vec![0.0; BARS];
    for bin in &seen.bins {
        let at = ((bin.x - low) / (high - low) * BARS as f64).clamp(0.0, BARS as f64 - 1.0);
        bars[at as usize] += bin.count / seen.count;
    }
    bars.into_iter().map(rounded).collect()
}

/// To a few significant digits.
fn rounded(x: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let exponent = DIGITS - 1 - libm::floor(libm::log10(x.abs())) as i32;
    let unit = libm::pow(10.0, f64::from(exponent.abs()));
    if exponent >= 0 { libm::round(x * unit) / unit } else { libm::round(x / unit) * unit }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::Groups;
    use crate::{Observed, ROBUSTNESS};
    use hec_ir::tensor::{Shape, Tensor};

    fn order(choice: Choice) -> Order {
        let data: Vec<f64> = (0..3000).map(|i| f64::from(i % 1000) / 250.0 - 2.0).collect();
        let x = Tensor::new(Shape::new([1, 3, 1, 1000]), data).unwrap();
        let target: Vec<f32> = x.data.iter().map(|x| x.max(0.0) as f32).collect();
        let seen = [Observed { input: &x, target: &target }];
        let statistics = Statistics::measure(&x.shape, Groups::channels(&x.shape), &seen, false);
        let (function, robustness) = (Function::Relu, ROBUSTNESS[0]);
        let fit = fit(function, &statistics, choice, robustness);
        Order { layer: "relu".to_owned(), place: None, function, statistics, fit, robustness }
    }

    #[test]
    fn a_menu_has_the_taken_one_once_and_more_levels_err_less() {
        for choice in [Choice::least_squares(3), Choice { family: Family::Minimax, degree: 6 }] {
            let order = order(choice);
            let menu = order.menu(&order.others());
            let taken: Vec<Choice> = menu.candidates.iter().filter(|c| c.taken).map(|c| c.choice).collect();
            assert_eq!(taken, [choice]);
            assert!(menu.candidates.len() >= BY_COST.into_iter().flatten().count(), "{menu:?}");
            let best = |depth: u32| {
                let at = menu.candidates.iter().filter(|c| c.depth.0 <= depth);
                at.map(|c| c.relative).fold(f64::INFINITY, f64::min)
            };
            assert!((1..5).all(|depth| best(depth + 1) < best(depth)), "{menu:?}");
        }
    }

    #[test]
    fn a_curve_follows_the_function_over_all_values() {
        let curve = order(Choice::least_squares(15)).menu(&[]).curve;
        assert!((curve.density.iter().sum::<f64>() - 1.0).abs() < 0.01, "{curve:?}");
        assert!(curve.range.0 < -2.0 && curve.range.1 > 2.0);
        assert_eq!((curve.exact.len(), curve.pieces.len()), (PARTS + 1, 3));
        for piece in &curve.pieces {
            let error = |(x, &y): (f64, &f64)| (y - x.max(0.0)).abs();
            // In the padding beyond what was seen it need not follow.
            let seen = points(piece.range).zip(&piece.values).filter(|(x, _)| x.abs() <= 2.0);
            let worst = seen.map(error).fold(0.0, f64::max);
            assert!(worst < 0.1, "{worst}: {piece:?}");
        }
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([rounded(0.123_456), rounded(-98_765.4), rounded(1e-9 / 3.0)], [0.1235, -98770.0, 3.333e-10]);
        assert_eq!(rounded(0.0), 0.0);
    }
}
