//! A tree run on numbers gives the polynomial's value, with exactly the depth and the products that it reports.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use hec_poly::{Basis, EvaluationTree, Parity, Target, TreeError, evaluate};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write;

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
    let general =
        [(7, 5), (13, 7), (15, 8), (27, 11), (31, 13), (59, 16), (63, 18), (119, 24), (127, 27), (247, 33), (255, 36)];
    let odd =
        [(7, 5), (13, 7), (15, 8), (27, 10), (31, 12), (59, 15), (63, 17), (119, 20), (127, 23), (247, 29), (255, 32)];
    for (degree, products) in general {
        let found = check(Basis::Chebyshev, degree, Parity::General);
        assert!(found <= products, "degree {degree}: {found} products, {products} are known");
    }
    for (degree, products) in odd {
        let found = check(Basis::Chebyshev, degree, Parity::Odd);
        assert!(found <= products, "odd degree {degree}: {found} products, {products} are known");
    }
}

/// Products of trees of all degrees from 2 to 127: for each depth, the number of products and the largest degree that
/// they reach. Both bases take the same.
#[test]
fn table_of_products() {
    let mut found = String::new();
    for parity in [Parity::General, Parity::Odd, Parity::Even] {
        let mut lines: BTreeMap<(u32, usize), (usize, usize)> = BTreeMap::new();
        let degrees =
            (2..=127).filter(|degree| parity == Parity::General || (degree % 2 == 1) == (parity == Parity::Odd));
        for degree in degrees {
            let tree = |basis| EvaluationTree::new(basis, degree, parity).unwrap();
            let (tree, monomial) = (tree(Basis::Chebyshev), tree(Basis::Monomial));
            assert_eq!((tree.depth(), tree.products()), (monomial.depth(), monomial.products()), "degree {degree}");
            assert_eq!(tree.depth(), (degree + 1).next_power_of_two().trailing_zeros());
            let range = lines.entry((tree.depth(), tree.products())).or_insert((degree, degree));
            range.1 = degree;
        }
        for depth in 2..=7 {
            let of_depth = lines.iter().filter(|((d, _), _)| *d == depth);
            // Within a depth, products never fall as the degree rises.
            assert!(of_depth.clone().map(|(_, range)| range).is_sorted_by(|a, b| a.1 < b.0));
            let reach: Vec<String> = of_depth.map(|((_, products), range)| format!("{products}:{}", range.1)).collect();
            writeln!(found, "{parity:?}, depth {depth}: {}", reach.join(" ")).unwrap();
        }
    }
    assert_eq!(found, TABLE, "\n{found}");
}

const TABLE: &str = "\
General, depth 2: 1:2 2:3
General, depth 3: 2:4 3:5 4:6 5:7
General, depth 4: 4:8 5:10 6:12 7:14 8:15
General, depth 5: 7:16 8:20 9:22 10:24 11:28 12:30 13:31
General, depth 6: 11:34 12:40 13:44 14:48 15:56 16:60 17:62 18:63
General, depth 7: 16:64 17:72 18:80 19:88 20:92 21:98 22:106 23:112 24:120 25:124 26:126 27:127
Odd, depth 2: 2:3
Odd, depth 3: 3:5 5:7
Odd, depth 4: 5:9 6:11 7:13 8:15
Odd, depth 5: 8:19 9:23 10:27 11:29 12:31
Odd, depth 6: 11:39 12:43 13:47 14:55 15:59 16:61 17:63
Odd, depth 7: 15:69 16:79 17:87 18:97 19:111 20:119 21:123 22:125 23:127
Even, depth 2: 1:2
Even, depth 3: 2:4 3:6
Even, depth 4: 3:8 4:10 5:12 6:14
Even, depth 5: 5:16 6:20 7:24 8:28 9:30
Even, depth 6: 8:32 9:40 10:44 11:48 12:56 13:60 14:62
Even, depth 7: 12:68 13:80 14:88 15:96 16:112 17:120 18:124 19:126
";

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
