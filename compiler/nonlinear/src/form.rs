//! Polynomials of several groups as formulas.
//!
//! Degree 1 is a scale and a shift, degree 2 a polynomial of x itself (which `optimize` completes to a square), degree 4
//! is completed to a square of a square here: two levels and two squarings instead of three levels and three products.
//! Other degrees map the range to [−1, 1] and evaluate a tree there.

use crate::formula::{Formula, Term, numbers};
use crate::orthogonal::{chebyshev_value, quadratic_monomials};
use hec_poly::Basis;

/// The polynomial of one group: Chebyshev coefficients in t = (x − mid)/half.
#[derive(Clone, Debug, PartialEq)]
pub struct ChebyshevPolynomial {
    /// Middle of the range.
    pub mid: f64,
    /// Half its width, positive.
    pub half: f64,
    /// `degree + 1` coefficients.
    pub coefficients: Vec<f64>,
}

/// How much larger than the polynomial the parts of its completed form may be; the noise grows with them.
const WORST_CANCELLATION: f64 = 256.0;

/// Least coefficient of T₄ relative to those of T₃ and T₂, so that a square of a square can be completed.
const LEAST_FOURTH: [f64; 2] = [1.0 / 24.0, 1.0 / 256.0];

/// One formula for each polynomial, all of the same steps. The polynomials have one degree.
pub fn formulas(mut polynomials: Vec<ChebyshevPolynomial>) -> Vec<Formula> {
    let degree = polynomials.first().map_or(0, |p| p.coefficients.len().saturating_sub(1));
    if degree == 4 && polynomials.iter().any(|p| p.coefficients[4] != 0.0) {
        let completed: Vec<ChebyshevPolynomial> = polynomials.iter().map(ChebyshevPolynomial::with_fourth).collect();
        let quartics: Option<Vec<Quartic>> = completed.iter().map(Quartic::of).collect();
        if let Some(quartics) = quartics {
            return quartics.iter().map(Quartic::formula).collect();
        }
    }
    polynomials.iter_mut().map(|p| p.formula(degree)).collect()
}

impl ChebyshevPolynomial {
    fn formula(&self, degree: usize) -> Formula {
        let mut formula = Formula::new();
        match degree {
            0 | 1 => {
                let [offset, slope, _] = self.monomials();
                let scaled = formula.scale(Term::X, numbers([slope]));
                formula.shift(scaled, numbers([offset]));
            }
            2 => {
                formula.polynomial(Term::X, Basis::Monomial, vec![self.monomials().to_vec()]);
            }
            _ => {
                let unit = formula.scale(Term::X, numbers([1.0 / self.half]));
                let centered = formula.shift(unit, numbers([-self.mid / self.half]));
                formula.polynomial(centered, Basis::Chebyshev, vec![self.coefficients.clone()]);
            }
        }
        formula
    }

    /// The quadratic in x itself.
    fn monomials(&self) -> [f64; 3] {
        let [a, b, square] = quadratic_monomials(&self.coefficients);
        let (slope, square, mid) = (b / self.half, square / (self.half * self.half), self.mid);
        [a - slope * mid + square * mid * mid, slope - 2.0 * square * mid, square]
    }

    /// The same with a coefficient of T₄ that is not too small.
    fn with_fourth(&self) -> Self {
        let mut raised = self.clone();
        let c = &mut raised.coefficients;
        let least = (LEAST_FOURTH[0] * c[3].abs()).max(LEAST_FOURTH[1] * c[2].abs());
        if c[4].abs() < least {
            c[4] = least.copysign(c[4]);
        }
        raised
    }
}

/// sign·(((v² + half_square)² + slope·v) + rest) with v = scale·x + shift.
struct Quartic {
    scale: f64,
    shift: f64,
    half_square: f64,
    slope: f64,
    rest: f64,
    sign: f64,
}

impl Quartic {
    /// Of a polynomial of degree 4; `None` where too much would cancel.
    fn of(p: &ChebyshevPolynomial) -> Option<Self> {
        let &[c0, c1, c2, c3, c4] = p.coefficients.as_slice() else { return None };
        let [m0, m1, m2, m3, m4] = [c0 - c2 + c4, c1 - 3.0 * c3, 2.0 * c2 - 8.0 * c4, 4.0 * c3, 8.0 * c4];
        if m4 == 0.0 {
            return None;
        }
        // In s = t + r the cubic term vanishes: m4·(s⁴ + a·s² + b·s + c).
        let r = m3 / (4.0 * m4);
        let a = m2 / m4 - 6.0 * r * r;
        let b = m1 / m4 - 2.0 * r * m2 / m4 + 8.0 * r * r * r;
        let c = m0 / m4 - r * m1 / m4 + r * r * m2 / m4 - 3.0 * r * r * r * r;
        let (size, root) = (m4.abs(), libm::sqrt(libm::sqrt(m4.abs())));
        let (half_square, slope) = (0.5 * a * root * root, b * size / root);
        let quartic = Quartic {
            scale: root / p.half,
            shift: root * (r - p.mid / p.half),
            half_square,
            slope,
            rest: c * size - half_square * half_square,
            sign: m4.signum(),
        };
        let largest = |f: &dyn Fn(f64) -> f64| (-16..=16).map(|i| f(f64::from(i) / 16.0).abs()).fold(0.0, f64::max);
        let v = |t: f64| root * (t + r);
        let part = |t: f64| libm::pow(v(t) * v(t) + half_square, 2.0).max((slope * v(t)).abs());
        let value = largest(&|t| chebyshev_value(&p.coefficients, t));
        let parts = largest(&part).max(quartic.rest.abs()).max(half_square.abs());
        (parts <= WORST_CANCELLATION * value).then_some(quartic)
    }

    fn formula(&self) -> Formula {
        let mut formula = Formula::new();
        let scaled = formula.scale(Term::X, numbers([self.scale]));
        let v = formula.shift(scaled, numbers([self.shift]));
        let square = formula.square(v);
        let inner = formula.shift(square, numbers([self.half_square]));
        let fourth = formula.square(inner);
        let linear = formula.scale(v, numbers([self.slope]));
        let sum = formula.add(fourth, linear);
        let whole = formula.shift(sum, numbers([self.rest]));
        formula.scale(whole, numbers([self.sign]));
        formula
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hec_params::Depth;

    fn polynomial(mid: f64, half: f64, coefficients: &[f64]) -> ChebyshevPolynomial {
        ChebyshevPolynomial { mid, half, coefficients: coefficients.to_vec() }
    }

    fn check(polynomials: Vec<ChebyshevPolynomial>, depth: u32, products: usize) {
        let formulas = formulas(polynomials.clone());
        let together = Formula::together(&formulas);
        assert_eq!((together.depth(), together.products()), (Depth(depth), products), "{polynomials:?}");
        for (group, p) in polynomials.iter().enumerate() {
            for i in -8..=8 {
                let t = f64::from(i) / 8.0;
                let (expected, found) = (chebyshev_value(&p.coefficients, t), together.eval(group, p.mid + p.half * t));
                assert!((found - expected).abs() < 1e-11, "{p:?} at {t}: {found}, not {expected}");
            }
        }
    }

    #[test]
    fn every_degree_is_the_polynomial_at_its_depth() {
        check(vec![polynomial(1.0, 2.0, &[0.3, 0.5])], 0, 0);
        check(vec![polynomial(1.0, 2.0, &[0.3, 0.5, 0.2])], 1, 1);
        check(vec![polynomial(1.0, 2.0, &[0.3, 0.5, 0.2, -0.1])], 2, 2);
        // A quartic for each of two groups, of different signs.
        let relu = polynomial(0.3, 2.0, &[0.6, 1.0, 0.42, 0.01, -0.08]);
        check(vec![relu.clone(), polynomial(-0.3, 1.0, &[0.6, 1.0, 0.42, 0.1, 0.08])], 2, 2);
        check(vec![relu.clone(), relu], 2, 2);
        let degree_five = polynomial(0.0, 2.0, &[0.6, 1.0, 0.42, 0.01, -0.08, 0.1]);
        check(vec![degree_five], 3, 3);
    }

    #[test]
    fn a_quartic_that_would_cancel_stays_a_tree() {
        let small = polynomial(0.0, 1.0, &[0.0, 1e-6, 1e-4, 0.0, 1e-9]);
        let found = formulas(vec![small.clone(), polynomial(0.0, 1.0, &[1.0, 0.0, 0.0, 0.0, 0.0])]);
        assert_eq!(Formula::together(&found).depth(), Depth(3));
        // One that lacks a little of its fourth power gets it.
        let found = formulas(vec![polynomial(0.0, 1.0, &[0.1, 1.0, 0.1, 0.06, 0.0])]);
        assert_eq!(found[0].depth(), Depth(2));
        let cubic = |t: f64| chebyshev_value(&[0.1, 1.0, 0.1, 0.06], t);
        assert!((0..=10).map(|i| f64::from(i) / 10.0).all(|t| (found[0].eval(0, t) - cubic(t)).abs() < 0.003));
    }
}
