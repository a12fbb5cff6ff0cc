//! Polynomials of several groups as formulas.
//!
//! Degree 1 is a scale and a shift, degree 2 a polynomial of x itself (which `optimize` completes to a square). Degrees 4
//! and 8 are completed to squares of squares here: two and three levels, where trees take one more. Other degrees map the
//! range to [−1, 1] and evaluate a tree there.

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

/// Least leading coefficient relative to the two after it, so that squares can be completed.
const LEAST_LEADING: [f64; 2] = [1.0 / 24.0, 1.0 / 256.0];

/// One formula for each polynomial, all of the same steps. The polynomials have one degree.
pub fn formulas(polynomials: &[ChebyshevPolynomial]) -> Vec<Formula> {
    let degree = polynomials.first().map_or(0, |p| p.coefficients.len().saturating_sub(1));
    if (degree == 4 || degree == 8) && polynomials.iter().any(|p| p.coefficients[degree] != 0.0) {
        let completed: Option<Vec<Completed>> = polynomials.iter().map(|p| Completed::of(&p.with_leading())).collect();
        if let Some(completed) = completed {
            return completed.iter().map(Completed::formula).collect();
        }
    }
    polynomials.iter().map(|p| p.formula(degree)).collect()
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

    /// The same with a leading coefficient that is not too small.
    fn with_leading(&self) -> Self {
        let mut raised = self.clone();
        if let [.., second, first, leading] = raised.coefficients.as_mut_slice() {
            let least = (LEAST_LEADING[0] * first.abs()).max(LEAST_LEADING[1] * second.abs());
            if leading.abs() < least {
                *leading = least.copysign(*leading);
            }
        }
        raised
    }

    /// The polynomial in s = t + shift, constant term first, with the shift that leaves no term after the leading one.
    fn depressed(&self) -> (Vec<f64>, f64) {
        let degree = self.coefficients.len() - 1;
        // T_k = 2t·T_{k−1} − T_{k−2}, in powers of t.
        let (mut before, mut now) = (vec![0.0; degree + 1], vec![0.0; degree + 1]);
        now[0] = 1.0;
        let mut powers = vec![0.0; degree + 1];
        for (k, c) in self.coefficients.iter().enumerate() {
            powers.iter_mut().zip(&now).for_each(|(p, t)| *p += c * t);
            let factor = if k == 0 { 1.0 } else { 2.0 };
            let next = (0..=degree).map(|i| if i > 0 { factor * now[i - 1] } else { 0.0 } - before[i]).collect();
            before = std::mem::replace(&mut now, next);
        }
        let shift = powers[degree - 1] / (degree as f64 * powers[degree]);
        // Horner's rule for t = s − shift.
        let mut moved = vec![0.0; degree + 1];
        for &power in powers.iter().rev() {
            for i in (1..=degree).rev() {
                moved[i] = moved[i - 1] - shift * moved[i];
            }
            moved[0] = power - shift * moved[0];
        }
        (moved, shift)
    }
}

/// The inner square is v² + half; q = (v² + half)² + slope·v + rest; the value is sign·q for degree 4, and
/// sign·(q² + v²·(cubic·v + square) + linear·v + constant) for degree 8, with v = scale·x + offset.
struct Completed {
    scale: f64,
    offset: f64,
    half: f64,
    slope: f64,
    rest: f64,
    /// Of degree 8: constant, linear, square, cubic.
    remainder: Option<[f64; 4]>,
    sign: f64,
}

impl Completed {
    /// Of a polynomial of degree 4 or 8; `None` where too much would cancel.
    fn of(p: &ChebyshevPolynomial) -> Option<Self> {
        let degree = p.coefficients.len() - 1;
        if p.coefficients[degree] == 0.0 {
            return None;
        }
        let (powers, shift) = p.depressed();
        // In v = root·s the leading coefficient is ±1.
        let leading = powers[degree];
        let root = libm::pow(leading.abs(), 1.0 / degree as f64);
        let a = |k: usize| powers[k] / (leading.signum() * libm::pow(root, k as f64));
        let quartic = match degree {
            4 => [a(0), a(1), a(2)],
            _ => {
                let (square, slope) = (0.5 * a(6), 0.5 * a(5));
                [0.5 * (a(4) - square * square), slope, square]
            }
        };
        let [constant, slope, square] = quartic;
        let remainder = (degree == 8).then(|| {
            let [b0, b1, b2] = quartic;
            [a(0) - b0 * b0, a(1) - 2.0 * b0 * b1, a(2) - 2.0 * b0 * b2 - b1 * b1, a(3) - 2.0 * b1 * b2]
        });
        let completed = Completed {
            scale: root / p.half,
            offset: root * (shift - p.mid / p.half),
            half: 0.5 * square,
            slope,
            rest: constant - 0.25 * square * square,
            remainder,
            sign: leading.signum(),
        };
        let largest = |f: &dyn Fn(f64) -> f64| (-16..=16).map(|i| f(f64::from(i) / 16.0).abs()).fold(0.0, f64::max);
        let value = largest(&|t| chebyshev_value(&p.coefficients, t));
        let parts = largest(&|t| completed.largest_part(root * (t + shift)));
        (parts <= WORST_CANCELLATION * value).then_some(completed)
    }

    /// The largest of what is added up at v.
    fn largest_part(&self, v: f64) -> f64 {
        let inner = v * v + self.half;
        let sum = inner * inner + self.slope * v + self.rest;
        let parts = [inner * inner, self.slope * v, self.rest];
        let quartic = parts.iter().fold(0.0f64, |m, p| m.max(p.abs()));
        let Some([constant, linear, square, cubic]) = self.remainder else { return quartic };
        // An error of a part of q counts twice q in its square.
        let outer = [2.0 * sum.abs() * quartic, sum * sum, v * v * (cubic * v + square), linear * v, constant];
        outer.iter().fold(0.0f64, |m, p| m.max(p.abs()))
    }

    fn formula(&self) -> Formula {
        let one = |x: f64| numbers([x]);
        let mut formula = Formula::new();
        let scaled = formula.scale(Term::X, one(self.scale));
        let v = formula.shift(scaled, one(self.offset));
        let square = formula.square(v);
        let inner = formula.shift(square, one(self.half));
        let fourth = formula.square(inner);
        let linear = formula.scale(v, one(self.slope));
        let sum = formula.add(fourth, linear);
        let mut whole = formula.shift(sum, one(self.rest));
        if let Some([constant, linear, squared, cubic]) = self.remainder {
            let eighth = formula.square(whole);
            let line = formula.scale(v, one(cubic));
            let line = formula.shift(line, one(squared));
            let product = formula.mul(square, line);
            let below = formula.scale(v, one(linear));
            let rest = formula.add(product, below);
            let sum = formula.add(eighth, rest);
            whole = formula.shift(sum, one(constant));
        }
        formula.scale(whole, one(self.sign));
        formula
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hec_params::Depth;
    use hec_poly::{EvaluationTree, Parity};

    fn polynomial(mid: f64, half: f64, coefficients: &[f64]) -> ChebyshevPolynomial {
        ChebyshevPolynomial { mid, half, coefficients: coefficients.to_vec() }
    }

    fn check(polynomials: Vec<ChebyshevPolynomial>, depth: u32, products: usize) {
        let formulas = formulas(&polynomials);
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
        // ReLU's best octic is even but for its linear term; another one is not.
        let relu = [0.32, 0.5, 0.212, 0.0, -0.042, 0.0, 0.018, 0.0, -0.0145];
        let lopsided = [0.32, 0.5, 0.212, 0.02, -0.042, 0.01, 0.018, -0.02, -0.0145];
        check(vec![polynomial(0.4, 3.0, &relu), polynomial(0.0, 1.0, &lopsided)], 3, 4);
    }

    #[test]
    fn completed_squares_cost_less_than_trees() {
        for (degree, depth, products) in [(4, 2, 2), (8, 3, 4)] {
            let tree = EvaluationTree::new(Basis::Chebyshev, degree, Parity::General).unwrap();
            println!("degree {degree}: a tree takes {} levels, {} products", tree.depth(), tree.products());
            assert!(tree.depth() > depth && tree.products() >= products);
        }
    }

    #[test]
    fn a_quartic_that_would_cancel_stays_a_tree() {
        let small = polynomial(0.0, 1.0, &[0.0, 1e-6, 1e-4, 0.0, 1e-9]);
        let found = formulas(&[small, polynomial(0.0, 1.0, &[1.0, 0.0, 0.0, 0.0, 0.0])]);
        assert_eq!(Formula::together(&found).depth(), Depth(3));
        // One that lacks a little of its fourth power gets it.
        let found = formulas(&[polynomial(0.0, 1.0, &[0.1, 1.0, 0.1, 0.06, 0.0])]);
        assert_eq!(found[0].depth(), Depth(2));
        let cubic = |t: f64| chebyshev_value(&[0.1, 1.0, 0.1, 0.06], t);
        assert!((0..=10).map(|i| f64::from(i) / 10.0).all(|t| (found[0].eval(0, t) - cubic(t)).abs() < 0.003));
    }
}
