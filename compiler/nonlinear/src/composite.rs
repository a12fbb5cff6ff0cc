//! The sign function as a composition of odd minimax polynomials.
//!
//! On ±[ε, 1] the first polynomial approximates ±1 with an error E₁, the next one does the same on ±[1−E₁, 1+E₁], and so
//! on: the error shrinks much faster with the depth than that of one polynomial of the same total degree
//! (E. Lee, J.-W. Lee, J.-S. No, Y.-S. Kim, "Minimax approximation of sign function by composite polynomial", 2021).
//! ReLU is x·(1+sign x)/2, the maximum (a+b+(a−b)·sign(a−b))/2, |x| is x·sign x. Every function of straight pieces is a
//! sum of such terms: f(x) = a + b·x + Σ (cᵢ·(x−kᵢ) + dᵢ)·sign(x−kᵢ) with a change of slope by 2cᵢ and a jump by 2dᵢ at
//! the kink kᵢ.
//!
//! Outside the range that it is made for, a composition of degree d grows as x^d: the range must hold all that may come.

use crate::formula::{Formula, Term, numbers};
use crate::minimax::{Target, minimax};
use hec_ir::tensor::Function;
use hec_params::Depth;
use hec_poly::{Basis, EvaluationTree, Parity};
use std::ops::RangeInclusive;
use std::sync::OnceLock;

/// By how much each stage is made wider than the stage before it needs, for the noise of the scheme.
const MARGIN: f64 = 1.0 / 65_536.0;

/// The largest depth that is looked at: errors of ReLU down to 2^-16.
const MOST: u32 = 16;

/// Bits of precision that can be asked for: errors of ReLU relative to half the range of 2^-2 to 2^-14.
pub const BITS: RangeInclusive<usize> = 2..=14;

/// How much more a range is padded on each side than for one polynomial, relative to its width.
pub const MORE_PADDING: f64 = 0.1;

/// One odd polynomial, in u = x/scale.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// The largest argument that it is made for.
    pub scale: f64,
    /// Chebyshev coefficients in u; those of even index are 0.
    pub coefficients: Vec<f64>,
}

impl Stage {
    /// The value at `x`.
    pub fn eval(&self, x: f64) -> f64 {
        hec_poly::evaluate(Basis::Chebyshev, &self.coefficients, x / self.scale)
    }
}

/// An approximation of the sign of x in [−1, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct CompositeSign {
    /// The polynomials, the first one applied first.
    pub stages: Vec<Stage>,
    /// ε: where |x| is less, the value is between −1 and 1, and that is all that is known.
    pub gap: f64,
    /// How far the value is from ±1 at most, where |x| is from ε to 1.
    pub error: f64,
}

impl CompositeSign {
    /// Of these degrees, for arguments of size `gap` to 1.
    pub fn new(degrees: &[usize], gap: f64) -> Self {
        let (mut lo, mut hi, mut error) = (gap, 1.0, 1.0);
        let stage = |&degree: &usize| {
            let one = |_: f64| 1.0;
            let target = Target { value: &one, weight: &one, interval: (lo / hi, 1.0), kinks: &[] };
            let best = minimax(&target, degree, Parity::Odd);
            let stage = Stage { scale: hi, coefficients: best.coefficients };
            error = best.error;
            (lo, hi) = (1.0 - error - MARGIN, 1.0 + error + MARGIN);
            stage
        };
        let stages = degrees.iter().map(stage).collect();
        CompositeSign { stages, gap, error }
    }

    /// The cheapest one with which ReLU on [−1, 1] has at most that error: least depth, then fewest products.
    /// `None` if none of a sensible depth has.
    pub fn for_relu(error: f64) -> Option<Self> {
        (2..=MOST).find_map(|depth| {
            let lists = degree_lists(depth).into_iter().map(|degrees| CompositeSign::best_gap(&degrees));
            let enough = lists.filter(|c| c.relu_error() <= error);
            enough.map(|c| c.thinned(error)).min_by_key(CompositeSign::products)
        })
    }

    /// Of these degrees, with the power of two as gap that gives the least error of ReLU.
    pub fn best_gap(degrees: &[usize]) -> Self {
        let mut best = CompositeSign::new(degrees, 0.5);
        for log2 in 2..=24 {
            let next = CompositeSign::new(degrees, libm::exp2(-f64::from(log2)));
            // The error outside the gap only grows from here on.
            let beyond = 0.5 * next.error > best.relu_error();
            if next.relu_error() < best.relu_error() {
                best = next;
            }
            if beyond {
                break;
            }
        }
        best
    }

    /// The same depth with the least degrees that keep the error, from the last stage on.
    fn thinned(self, error: f64) -> Self {
        let mut best = self;
        for stage in (0..best.stages.len()).rev() {
            loop {
                let mut degrees = best.degrees();
                degrees[stage] = degrees[stage].saturating_sub(2).max(1);
                let next = CompositeSign::best_gap(&degrees);
                if degrees[stage] < 3 || next.relu_error() > error || next.products() > best.products() {
                    break;
                }
                best = next;
            }
        }
        best
    }

    /// The degree of each stage.
    pub fn degrees(&self) -> Vec<usize> {
        self.stages.iter().map(|s| s.coefficients.len() - 1).collect()
    }

    /// Levels that the sign takes; a ReLU takes one more.
    pub fn depth(&self) -> Depth {
        Depth(self.trees().map(|t| t.depth()).sum())
    }

    /// Products of ciphertexts.
    pub fn products(&self) -> usize {
        self.trees().map(|t| t.products()).sum()
    }

    fn trees(&self) -> impl Iterator<Item = EvaluationTree> {
        let tree = |d| EvaluationTree::new(Basis::Chebyshev, d, Parity::Odd).expect("odd degrees have trees");
        self.degrees().into_iter().map(tree)
    }

    /// The value at `x` in [−1, 1].
    pub fn eval(&self, x: f64) -> f64 {
        self.stages.iter().fold(x, |x, stage| stage.eval(x))
    }

    /// Append factor·sign(u) + offset to a formula. Scales between stages go into the coefficients.
    fn append(&self, formula: &mut Formula, u: Term, factor: f64, offset: f64) -> Term {
        let mut value = u;
        for (i, stage) in self.stages.iter().enumerate() {
            let next = self.stages.get(i + 1);
            let scale = next.map_or(factor, |next| 1.0 / next.scale);
            let mut coefficients: Vec<f64> = stage.coefficients.iter().map(|c| c * scale).collect();
            if next.is_none() {
                coefficients[0] += offset;
            }
            value = formula.polynomial(value, Basis::Chebyshev, vec![coefficients]);
        }
        value
    }

    /// x·(1 + sign x)/2
    pub fn relu(&self, x: f64) -> f64 {
        0.5 * x * (1.0 + self.eval(x))
    }

    /// The largest error of [`CompositeSign::relu`] on [−1, 1].
    pub fn relu_error(&self) -> f64 {
        // The error is |x|·|1 − sign|/2, the same on both sides. Inside the gap it is a smooth bump; outside, the last
        // stage ripples about 1 as often as all degrees together let it.
        const STEPS: i32 = 4096;
        let error = |x: f64| 0.5 * x * (1.0 - self.eval(x)).abs();
        let inside = (0..STEPS).map(|i| self.gap * f64::from(i) / f64::from(STEPS));
        let outside = (0..=STEPS).map(|i| libm::exp(libm::log(self.gap) * (1.0 - f64::from(i) / f64::from(STEPS))));
        inside.chain(outside).map(error).fold(0.0, f64::max)
    }
}

/// The cheapest sign with which ReLU on [−1, 1] has at most the error 2^-bits; made once.
fn of_precision(bits: usize) -> &'static CompositeSign {
    static MADE: [OnceLock<CompositeSign>; 15] = [const { OnceLock::new() }; 15];
    let bits = bits.clamp(*BITS.start(), *BITS.end());
    let make = || {
        let best = CompositeSign::for_relu(libm::exp2(-(bits as f64)));
        best.unwrap_or_else(|| CompositeSign::best_gap(&[15, 15, 31]))
    };
    MADE[bits].get_or_init(make)
}

/// Whether a function consists of straight pieces.
pub fn is_piecewise_linear(function: Function) -> bool {
    matches!(
        function,
        Function::Relu
            | Function::LeakyRelu { .. }
            | Function::ThresholdedRelu { .. }
            | Function::Shrink { .. }
            | Function::Clip { .. }
            | Function::HardSigmoid { .. }
            | Function::Abs
            | Function::Sign
    )
}

/// A function of straight pieces in each range, to a precision in bits relative to half the range. All formulas have the
/// same steps.
pub fn formulas(function: Function, ranges: &[(f64, f64)], bits: usize) -> Vec<Formula> {
    let kinks = function.kinks();
    let inside = |k: f64| ranges.iter().any(|&(lo, hi)| lo < k && k < hi);
    // A kink between two others counts too, so that the pieces stay neighbours.
    let first = kinks.iter().position(|&k| inside(k)).unwrap_or(kinks.len());
    let end = kinks.iter().rposition(|&k| inside(k)).map_or(first, |i| i + 1);
    let pieces = Pieces::of(function, &kinks, first..end);
    ranges.iter().map(|&range| pieces.formula(range, of_precision(bits))).collect()
}

/// A change of direction at a kink.
struct Kink {
    at: f64,
    /// Half the change of slope.
    slope: f64,
    /// Half the jump.
    jump: f64,
}

/// offset + slope·x + Σ (kink.slope·(x − kink.at) + kink.jump)·sign(x − kink.at)
struct Pieces {
    offset: f64,
    slope: f64,
    kinks: Vec<Kink>,
}

impl Pieces {
    /// Of a function with those kinks, on the pieces around some of them.
    fn of(function: Function, kinks: &[f64], used: std::ops::Range<usize>) -> Self {
        // Each piece as (slope, value at 0 of its line), from two points well inside.
        let line = |piece: usize| {
            let left = piece.checked_sub(1).map(|i| kinks[i]);
            let (lo, hi) = match (left, kinks.get(piece).copied()) {
                (None, None) => (-1.0, 1.0),
                (None, Some(hi)) => (hi - 1.0, hi),
                (Some(lo), None) => (lo, lo + 1.0),
                (Some(lo), Some(hi)) => (lo, hi),
            };
            let (p, q) = (lo + 0.25 * (hi - lo), lo + 0.75 * (hi - lo));
            let slope = (function.eval(q) - function.eval(p)) / (q - p);
            (slope, function.eval(p) - slope * p)
        };
        let lines: Vec<(f64, f64)> = (used.start..=used.end).map(line).collect();
        let kink = |(pair, &at): (&[(f64, f64)], &f64)| {
            let (left, right) = (pair[0], pair[1]);
            let slope = 0.5 * (right.0 - left.0);
            Kink { at, slope, jump: 0.5 * (right.1 - left.1) + slope * at }
        };
        let (first, last) = (lines[0], lines[lines.len() - 1]);
        Pieces {
            offset: 0.5 * (first.1 + last.1),
            slope: 0.5 * (first.0 + last.0),
            kinks: lines.windows(2).zip(&kinks[used]).map(kink).filter(|k| k.slope != 0.0 || k.jump != 0.0).collect(),
        }
    }

    fn formula(&self, (lo, hi): (f64, f64), sign: &CompositeSign) -> Formula {
        let radius = self.kinks.iter().fold(0.0f64, |r, k| r.max(hi - k.at).max(k.at - lo));
        let mut formula = Formula::new();
        if self.kinks.is_empty() {
            let scaled = formula.scale(Term::X, numbers([self.slope]));
            formula.shift(scaled, numbers([self.offset]));
            return formula;
        }
        let unit = formula.scale(Term::X, numbers([1.0 / radius]));
        let bent = self.kinks.iter().position(|k| k.slope != 0.0);
        let (mut sum, mut offset) = (None, self.offset);
        for (i, kink) in self.kinks.iter().enumerate() {
            let u = formula.shift(unit, numbers([-kink.at / radius]));
            // The straight part b·x goes with the first change of slope: (c·(x−k) + d)·(sign + b/c).
            let straight = if Some(i) == bent { self.slope / kink.slope } else { 0.0 };
            offset += straight * (kink.slope * kink.at - kink.jump);
            let factor = if kink.slope == 0.0 { kink.jump } else { kink.slope * radius };
            let mut value = sign.append(&mut formula, u, factor, straight * factor);
            if kink.slope != 0.0 {
                let argument = formula.shift(u, numbers([kink.jump / (kink.slope * radius)]));
                value = formula.mul(argument, value);
            }
            sum = Some(sum.map_or(value, |sum| formula.add(sum, value)));
        }
        if let (Some(value), None) = (sum, bent) {
            let straight = formula.scale(Term::X, numbers([self.slope]));
            sum = Some(if self.slope == 0.0 { value } else { formula.add(value, straight) });
        }
        if let Some(sum) = sum {
            formula.shift(sum, numbers([offset]));
        }
        formula
    }
}

/// Lists of largest degrees, 2^k − 1, whose depths k add up; not decreasing, as later stages gain more from a degree.
fn degree_lists(depth: u32) -> Vec<Vec<usize>> {
    fn extend(left: u32, least: u32, list: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
        if left == 0 {
            found.push(list.clone());
        }
        for k in least..=left.min(5) {
            list.push((1 << k) - 1);
            extend(left - k, k, list, found);
            list.pop();
        }
    }
    let mut found = Vec::new();
    extend(depth, 2, &mut Vec::new(), &mut found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relu_has_the_errors_of_the_table() {
        let rows: [(&[usize], f64, u32, f64); 6] = [
            (&[7, 7], -4.0, 6, -5.7),
            (&[15, 15], -5.0, 8, -8.8),
            (&[7, 7, 13], -6.0, 10, -9.9),
            (&[7, 15, 15], -7.0, 11, -11.1),
            (&[15, 15, 15], -8.0, 12, -12.1),
            (&[15, 15, 27], -9.0, 13, -13.1),
        ];
        for (degrees, gap, depth, error) in rows {
            let sign = CompositeSign::new(degrees, libm::exp2(gap));
            let (found, best) = (libm::log2(sign.relu_error()), CompositeSign::best_gap(degrees));
            let (best_gap, best_error) = (libm::log2(best.gap), libm::log2(best.relu_error()));
            println!(
                "{degrees:?}: depth {}, gap 2^{gap} error 2^{found:.2}, best gap 2^{best_gap} error 2^{best_error:.2}",
                sign.depth().0
            );
            assert_eq!(sign.depth(), Depth(depth), "{degrees:?}");
            assert!((found - error).abs() < 0.1, "{degrees:?}: 2^{found}");
            assert!(best_error <= found && (best_gap - gap).abs() < 1.5, "{degrees:?}: {best_gap} {best_error}");
        }
    }

    #[test]
    fn the_budget_chooses_the_degrees() {
        let mut depth = Depth(0);
        for error in [0.1, 0.03, 0.01] {
            let sign = CompositeSign::for_relu(error).expect("these are within reach");
            println!("{error}: {:?}, depth {}, products {}", sign.degrees(), sign.depth().0, sign.products());
            assert!(sign.relu_error() <= error && sign.depth() > depth, "{sign:?}");
            depth = sign.depth();
        }
    }

    #[test]
    fn functions_of_straight_pieces_have_the_precision_asked_for() {
        let range = (-3.0, 8.0);
        for function in Function::all().into_iter().filter(|f| is_piecewise_linear(*f)) {
            for bits in [4, 7] {
                let formula = &formulas(function, &[range], bits)[0];
                let sign = of_precision(bits);
                let radius = function.kinks().iter().fold(0.0f64, |r, k| r.max(range.1 - k).max(k - range.0));
                // Jumps are soft: only points outside the gap count.
                let near = |x: f64| function.kinks().iter().any(|k| (x - k).abs() < sign.gap * radius);
                let jumps =
                    matches!(function, Function::Sign | Function::ThresholdedRelu { .. } | Function::Shrink { .. });
                let error = |i: i32| {
                    let x = range.0 + (range.1 - range.0) * f64::from(i) / 4000.0;
                    if jumps && near(x) { 0.0 } else { (formula.eval(0, x) - function.eval(x)).abs() }
                };
                let worst = (0..=4000).map(error).fold(0.0, f64::max);
                // Twice the change of slope is what ReLU has, for each kink; a jump has the error of the sign.
                let slopes: f64 = function.kinks().len() as f64;
                let most =
                    slopes * 2.0 * libm::exp2(-(bits as f64)) * radius + if jumps { 1.1 * sign.error } else { 0.0 };
                assert!(worst <= most, "{function:?} {bits}: {worst} and {most}");
                let product = u32::from(function != Function::Sign);
                assert_eq!(formula.depth(), Depth(sign.depth().0 + product), "{function:?}");
            }
        }
        let relu = &formulas(Function::Relu, &[(-2.0, 2.0)], 7)[0];
        assert_eq!(relu.products(), of_precision(7).products() + 1);
    }

    #[test]
    fn a_range_without_a_kink_needs_no_sign() {
        let relu = formulas(Function::Relu, &[(0.5, 2.0)], 4);
        assert_eq!((relu[0].depth(), relu[0].eval(0, 1.7)), (Depth(0), 1.7));
        // One group with a kink gives the same steps to all of them.
        let both = formulas(Function::Clip { low: 0.0, high: 6.0 }, &[(-1.0, 2.0), (1.0, 3.0)], 4);
        let together = Formula::together(&both);
        assert!((together.eval(1, 2.5) - 2.5).abs() < 0.8 && together.eval(0, -0.7).abs() < 0.8);
    }

    #[test]
    fn values_stay_bounded_inside_the_gap() {
        let sign = CompositeSign::best_gap(&[7, 7]);
        for i in -100..=100 {
            let x = f64::from(i) / 100.0;
            assert!(sign.eval(x).abs() < 1.2, "{x}: {}", sign.eval(x));
            assert!((sign.eval(x) + sign.eval(-x)).abs() < 1e-12);
            assert!((sign.relu(x) - x.max(0.0)).abs() <= sign.relu_error() + 1e-6);
        }
    }
}
