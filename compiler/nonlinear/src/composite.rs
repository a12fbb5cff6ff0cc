//! The sign function as a composition of odd minimax polynomials.
//!
//! On ±[ε, 1] the first polynomial approximates ±1 with an error E₁, the next one does the same on ±[1−E₁, 1+E₁], and so
//! on: the error shrinks much faster with the depth than that of one polynomial of the same total degree
//! (E. Lee, J.-W. Lee, J.-S. No, Y.-S. Kim, "Minimax approximation of sign function by composite polynomial", 2021).
//! ReLU is x·(1+sign x)/2, the maximum (a+b+(a−b)·sign(a−b))/2, |x| is x·sign x.

use crate::minimax::{Target, minimax};
use hec_params::Depth;
use hec_poly::{Basis, EvaluationTree, Parity};

/// By how much each stage is made wider than the stage before it needs, for the noise of the scheme.
const MARGIN: f64 = 1.0 / 65_536.0;

/// The largest depth that is looked at: errors of ReLU down to 2^-16.
const MOST: u32 = 16;

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
