//! A tree run on numbers gives the polynomial's value, with exactly the depth and the products that it reports.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use hec_poly::{Basis, EvaluationTree, Parity, Target, TreeError, evaluate};
use std::convert::Infallible;

/// A number with the levels that it took.
#[derive(Clone, Copy)]
struct Counted {
    value: f64,
    depth: u32,
}

/// Arithmetic on numbers that counts products.
struct Numbers {
    leaves: Vec<Vec<f64>>,
    products: usize,
}

impl Target for Numbers {
    type Value = Counted;
    type Error = Infallible;

    fn square(&mut self, x: &Counted) -> Result<Counted, Infallible> {
        self.multiply(x, x)
    }
    fn multiply(&mut self, x: &Counted, y: &Counted) -> Result<Counted, Infallible> {
        self.products += 1;
        Ok(Counted { value: x.value * y.value, depth: x.depth.max(y.depth) + 1 })
    }
    fn add(&mut self, x: &Counted, y: &Counted) -> Result<Counted, Infallible> {
        Ok(Counted { value: x.value + y.value, depth: x.depth.max(y.depth) })
    }
    fn subtract(&mut self, x: &Counted, y: &Counted) -> Result<Counted, Infallible> {
        Ok(Counted { value: x.value - y.value, depth: x.depth.max(y.depth) })
    }
    fn add_number(&mut self, x: &Counted, c: f64) -> Result<Counted, Infallible> {
        Ok(Counted { value: x.value + c, ..*x })
    }
    fn leaf(&mut self, leaf: usize, powers: &[&Counted]) -> Result<Counted, Infallible> {
        let c = &self.leaves[leaf];
        assert_eq!(c.len(), powers.len() + 1);
        let value = c[0] + c[1..].iter().zip(powers).map(|(c, x)| c * x.value).sum::<f64>();
        Ok(Counted { value, depth: powers.iter().map(|x| x.depth).max().unwrap() + 1 })
    }
    fn add_leaf(&mut self, x: &Counted, leaf: usize) -> Result<Counted, Infallible> {
        assert_eq!(self.leaves[leaf].len(), 1);
        Ok(Counted { value: x.value + self.leaves[leaf][0], ..*x })
    }
}

fn coefficients(degree: usize, parity: Parity) -> Vec<f64> {
    let keep = |i: usize| match parity {
        Parity::General => true,
        Parity::Odd => i % 2 == 1 || i == 0,
        Parity::Even => i.is_multiple_of(2) || i == 1,
    };
    // A fixed, irregular sequence of either sign.
    let value = |i: usize| ((i * i * 7 + 3 * i + 11) % 101) as f64 / 50.0 - 1.005;
    (0..=degree).map(|i| if keep(i) { value(i) } else { 0.0 }).collect()
}

fn check(basis: Basis, degree: usize, parity: Parity) -> usize {
    let tree = EvaluationTree::new(basis, degree, parity).unwrap();
    let c = coefficients(degree, parity);
    let magnitude: f64 = c.iter().map(|c| c.abs()).sum();
    for k in 0..=10 {
        let x = -1.0 + 0.2 * k as f64;
        let mut target = Numbers { leaves: tree.leaf_coefficients(&c).unwrap(), products: 0 };
        let Ok(y) = tree.run(Counted { value: x, depth: 0 }, &mut target);
        let error = ((y.value - evaluate(basis, &c, x)).abs() / magnitude).log2();
        assert!(error < -40.0, "{basis:?} degree {degree} {parity:?} at {x}: 2^{error:.1}");
        assert_eq!(target.products, tree.products(), "{basis:?} degree {degree} {parity:?}");
        assert_eq!(y.depth, tree.depth(), "{basis:?} degree {degree} {parity:?}");
        assert_eq!(y.depth, (degree as f64 + 1.0).log2().ceil() as u32);
    }
    tree.products()
}

#[test]
fn every_degree_has_optimal_depth_and_the_right_value() {
    for basis in [Basis::Monomial, Basis::Chebyshev] {
        for degree in (1..=64).chain([119, 127, 247]) {
            check(basis, degree, Parity::General);
            check(basis, degree, if degree % 2 == 0 { Parity::Even } else { Parity::Odd });
        }
    }
}

/// The table of the budgeted split; fewer is better.
#[test]
fn products_are_no_more_than_those_known() {
    let general = [(7, 5), (13, 7), (15, 8), (27, 11), (31, 13), (59, 16), (63, 18), (119, 24), (127, 27), (247, 33)];
    let odd = [(7, 5), (13, 7), (15, 8), (27, 10), (31, 12), (59, 15), (63, 17), (119, 20), (127, 23), (247, 29)];
    for (degree, products) in general {
        let found = check(Basis::Chebyshev, degree, Parity::General);
        assert!(found <= products, "degree {degree}: {found} products, {products} are known");
    }
    for (degree, products) in odd {
        let found = check(Basis::Chebyshev, degree, Parity::Odd);
        assert!(found <= products, "odd degree {degree}: {found} products, {products} are known");
    }
}

#[test]
fn leaf_coefficients_are_linear() {
    let tree = EvaluationTree::new(Basis::Chebyshev, 27, Parity::General).unwrap();
    let (a, b) = (coefficients(27, Parity::General), coefficients(27, Parity::Odd));
    let sum: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a + 2.0 * b).collect();
    let [a, b, sum] = [a, b, sum].map(|c| tree.leaf_coefficients(&c).unwrap().concat());
    for ((a, b), s) in a.iter().zip(&b).zip(&sum) {
        assert!((a + 2.0 * b - s).abs() < 1e-12);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    assert_eq!(EvaluationTree::new(Basis::Monomial, 0, Parity::General), Err(TreeError::Constant));
    assert_eq!(EvaluationTree::new(Basis::Monomial, 5000, Parity::General), Err(TreeError::Degree(5000)));
    assert_eq!(EvaluationTree::new(Basis::Monomial, 4, Parity::Odd), Err(TreeError::Parity(4)));
    let tree = EvaluationTree::new(Basis::Monomial, 3, Parity::Odd).unwrap();
    assert!(matches!(tree.leaf_coefficients(&[0.0, 1.0, 1.0]), Err(TreeError::Coefficient { index: 2, .. })));
    assert!(matches!(tree.leaf_coefficients(&[0.0, 1.0, 0.0, 0.0, 1.0]), Err(TreeError::Coefficient { index: 4, .. })));
}

#[test]
fn parity_is_read_from_coefficients() {
    assert_eq!(Parity::of(&[0.5, 1.0, 0.0, -1.0]), Parity::Odd);
    assert_eq!(Parity::of(&[0.5, 0.5, 0.4, 0.0, 0.1]), Parity::Even);
    assert_eq!(Parity::of(&[0.0, 1.0, 1.0, 1.0]), Parity::General);
    assert_eq!(Parity::Odd.union(Parity::Even), Parity::General);
}
