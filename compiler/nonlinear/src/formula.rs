//! What is put in the place of a function: a few element-wise steps.
//!
//! A polynomial is one step, a composite sign several polynomials in a row, an iteration a chain of products. The
//! numbers of a step may differ from group to group.

use crate::groups::Groups;
use hec_ir::Origin;
use hec_ir::tensor::{ConstId, Graph, LinearStep, Op, Shape, ShapeError, Tensor, ValueId};
use hec_params::Depth;
use hec_poly::{Basis, EvaluationTree, Parity};

/// A value of a formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term(usize);

impl Term {
    /// The argument.
    pub const X: Term = Term(0);
}

/// Numbers of a step: a list for each group, or one list for all groups.
pub type Numbers = Vec<Vec<f64>>;

/// How a value follows from earlier ones.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// Times a number.
    Scale(Term, Numbers),
    /// Plus a number.
    Shift(Term, Numbers),
    /// A polynomial, constant term first.
    Polynomial(Term, Basis, Numbers),
    Square(Term),
    Add(Term, Term),
    Sub(Term, Term),
    Mul(Term, Term),
}

/// Element-wise steps in order; the last one is the result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Formula {
    steps: Vec<Step>,
}

/// Of one number for each group, the numbers of a step.
pub fn numbers(each: impl IntoIterator<Item = f64>) -> Numbers {
    each.into_iter().map(|x| vec![x]).collect()
}

impl Formula {
    /// The argument itself.
    pub fn new() -> Self {
        Formula::default()
    }

    /// One formula for several groups, from one for each of them. All have the same steps, each with one list of numbers;
    /// numbers that are the same for all groups stay one list.
    pub fn together(parts: &[Formula]) -> Formula {
        let mut whole = parts.first().cloned().unwrap_or_default();
        for (i, step) in whole.steps.iter_mut().enumerate() {
            if let Some(n) = step.numbers_mut() {
                let lists: Numbers = parts.iter().filter_map(|p| p.steps[i].numbers()).flatten().cloned().collect();
                *n = if lists.iter().all(|l| *l == lists[0]) { lists[..1].to_vec() } else { lists };
            }
        }
        whole
    }

    fn push(&mut self, step: Step) -> Term {
        self.steps.push(step);
        Term(self.steps.len())
    }

    /// x·n
    pub fn scale(&mut self, x: Term, n: Numbers) -> Term {
        self.push(Step::Scale(x, n))
    }

    /// x + n
    pub fn shift(&mut self, x: Term, n: Numbers) -> Term {
        self.push(Step::Shift(x, n))
    }

    /// p(x), coefficients from the constant term on; all lists have the same length.
    pub fn polynomial(&mut self, x: Term, basis: Basis, coefficients: Numbers) -> Term {
        self.push(Step::Polynomial(x, basis, coefficients))
    }

    /// x²
    pub fn square(&mut self, x: Term) -> Term {
        self.push(Step::Square(x))
    }

    /// x + y
    pub fn add(&mut self, x: Term, y: Term) -> Term {
        self.push(Step::Add(x, y))
    }

    /// x − y
    pub fn sub(&mut self, x: Term, y: Term) -> Term {
        self.push(Step::Sub(x, y))
    }

    /// x·y
    pub fn mul(&mut self, x: Term, y: Term) -> Term {
        self.push(Step::Mul(x, y))
    }

    /// The value at `x` for an element of a group.
    pub fn eval(&self, group: usize, x: f64) -> f64 {
        self.eval_with(&mut Vec::with_capacity(self.steps.len() + 1), group, x)
    }

    /// The same, for many values in a row: `scratch` saves allocations.
    pub fn eval_with(&self, scratch: &mut Vec<f64>, group: usize, x: f64) -> f64 {
        scratch.clear();
        scratch.push(x);
        for step in &self.steps {
            let at = |term: &Term| scratch[term.0];
            let value = match step {
                Step::Scale(x, n) => at(x) * of_group(n, group)[0],
                Step::Shift(x, n) => at(x) + of_group(n, group)[0],
                Step::Polynomial(x, basis, n) => hec_poly::evaluate(*basis, of_group(n, group), at(x)),
                Step::Square(x) => at(x) * at(x),
                Step::Add(x, y) => at(x) + at(y),
                Step::Sub(x, y) => at(x) - at(y),
                Step::Mul(x, y) => at(x) * at(y),
            };
            scratch.push(value);
        }
        scratch[scratch.len() - 1]
    }

    /// Levels from the argument to the result. Scales of the argument count as absorbed by the linear map before, a
    /// scale of the result by the one after.
    pub fn depth(&self) -> Depth {
        // Levels of each value, and whether it is affine in the argument.
        let mut known = vec![(0, true)];
        for (i, step) in self.steps.iter().enumerate() {
            let at = |term: &Term| known[term.0];
            let product = |x: (u32, bool), y: (u32, bool)| (x.0.max(y.0) + 1, false);
            let sum = |x: (u32, bool), y: (u32, bool)| (x.0.max(y.0), x.1 && y.1);
            let value = match step {
                Step::Scale(x, n) if at(x).1 || i + 1 == self.steps.len() || all(n, 1.0) || all(n, -1.0) => at(x),
                Step::Scale(x, _) => (at(x).0 + 1, false),
                Step::Shift(x, _) => at(x),
                // A quadratic is completed to a square.
                Step::Polynomial(x, _, n) if at(x).1 && degree(n) == 2 => (1, false),
                Step::Polynomial(x, _, n) if at(x).1 && degree(n) <= 1 => at(x),
                Step::Polynomial(x, basis, n) => (at(x).0 + tree(*basis, n).depth(), false),
                Step::Square(x) => product(at(x), at(x)),
                Step::Add(x, y) | Step::Sub(x, y) => sum(at(x), at(y)),
                Step::Mul(x, y) => product(at(x), at(y)),
            };
            known.push(value);
        }
        Depth(known[known.len() - 1].0)
    }

    /// Products of ciphertexts, squares included.
    pub fn products(&self) -> usize {
        let own = |step: &Step| match step {
            Step::Polynomial(_, _, n) if degree(n) == 2 => 1,
            Step::Polynomial(_, basis, n) => tree(*basis, n).products(),
            Step::Square(_) | Step::Mul(..) => 1,
            _ => 0,
        };
        self.steps.iter().map(own).sum()
    }

    /// The same times a factor, put where it costs no level if there is such a place.
    pub fn times(mut self, factor: f64) -> Self {
        let last = Term(self.steps.len());
        if factor != 1.0 && !self.multiply(last, factor) {
            self.scale(last, vec![vec![factor]]);
        }
        self
    }

    /// Multiply a value in place, where it has one user at most and numbers to put the factor into.
    fn multiply(&mut self, term: Term, factor: f64) -> bool {
        let users: usize = self.steps.iter().map(|s| s.arguments().into_iter().filter(|&a| a == term).count()).sum();
        if term == Term::X || users > 1 {
            return false;
        }
        let scaled = |n: &mut Numbers| n.iter_mut().flatten().for_each(|c| *c *= factor);
        match &mut self.steps[term.0 - 1] {
            Step::Scale(_, n) | Step::Polynomial(_, _, n) => {
                scaled(n);
                true
            }
            Step::Shift(x, _) => {
                let x = *x;
                let done = self.multiply(x, factor);
                if let (true, Step::Shift(_, n)) = (done, &mut self.steps[term.0 - 1]) {
                    scaled(n);
                }
                done
            }
            Step::Mul(x, y) => {
                let (x, y) = (*x, *y);
                self.multiply(y, factor) || self.multiply(x, factor)
            }
            _ => false,
        }
    }

    /// Append the steps to a graph.
    ///
    /// # Errors
    /// When the groups are not those of the shape of `x`.
    pub fn emit(&self, graph: &mut Graph, x: ValueId, groups: &Groups, origin: &Origin) -> Result<ValueId, ShapeError> {
        let mut values = vec![x];
        for step in &self.steps {
            let at = |term: &Term| values[term.0];
            let (op, args) = match step {
                Step::Scale(x, n) if all(n, 1.0) => {
                    values.push(at(x));
                    continue;
                }
                Step::Shift(x, n) if all(n, 0.0) => {
                    values.push(at(x));
                    continue;
                }
                Step::Scale(x, n) if all(n, -1.0) => (Op::Negate, vec![at(x)]),
                Step::Scale(x, n) => {
                    let factor = number(graph, groups, origin, "scale", n);
                    (Op::Linear(vec![LinearStep::Scale { factor }]), vec![at(x)])
                }
                Step::Shift(x, n) => (Op::AddConstant(number(graph, groups, origin, "shift", n)), vec![at(x)]),
                Step::Polynomial(x, basis, n) => {
                    let coefficients = constant(graph, origin, "polynomial", groups.constant(n));
                    (Op::Polynomial { basis: *basis, coefficients }, vec![at(x)])
                }
                Step::Square(x) => (Op::Square, vec![at(x)]),
                Step::Add(x, y) => (Op::Add, vec![at(x), at(y)]),
                Step::Sub(x, y) => (Op::Sub, vec![at(x), at(y)]),
                Step::Mul(x, y) => (Op::Mul, vec![at(x), at(y)]),
            };
            values.push(graph.push(op, args, origin.clone())?);
        }
        Ok(values[values.len() - 1])
    }
}

impl Step {
    fn arguments(&self) -> Vec<Term> {
        match *self {
            Step::Scale(x, _) | Step::Shift(x, _) | Step::Polynomial(x, _, _) => vec![x],
            Step::Square(x) => vec![x, x],
            Step::Add(x, y) | Step::Sub(x, y) | Step::Mul(x, y) => vec![x, y],
        }
    }

    fn numbers(&self) -> Option<&Numbers> {
        match self {
            Step::Scale(_, n) | Step::Shift(_, n) | Step::Polynomial(_, _, n) => Some(n),
            _ => None,
        }
    }

    fn numbers_mut(&mut self) -> Option<&mut Numbers> {
        match self {
            Step::Scale(_, n) | Step::Shift(_, n) | Step::Polynomial(_, _, n) => Some(n),
            _ => None,
        }
    }
}

/// Whether a step's numbers are all this one.
fn all(numbers: &Numbers, value: f64) -> bool {
    numbers.iter().flatten().all(|&n| n == value)
}

fn of_group(numbers: &Numbers, group: usize) -> &[f64] {
    if numbers.len() == 1 { &numbers[0] } else { &numbers[group] }
}

/// The largest coefficients in size, of all groups.
fn largest(coefficients: &Numbers) -> Vec<f64> {
    let mut largest = vec![0.0f64; coefficients.iter().map(Vec::len).max().unwrap_or(0)];
    for list in coefficients {
        largest.iter_mut().zip(list).for_each(|(m, c)| *m = m.max(c.abs()));
    }
    largest
}

fn degree(coefficients: &Numbers) -> usize {
    largest(coefficients).iter().rposition(|&c| c != 0.0).unwrap_or(0)
}

/// How polynomials with these coefficients are evaluated when they are packed; a constant counts as degree 1.
fn tree(basis: Basis, coefficients: &Numbers) -> EvaluationTree {
    let parity = Parity::of(&largest(coefficients));
    EvaluationTree::new(basis, degree(coefficients).max(1), parity).expect("coefficients have a tree of their parity")
}

fn constant(graph: &mut Graph, origin: &Origin, suffix: &str, tensor: Tensor) -> ConstId {
    graph.constants.add(&format!("{}.{suffix}", origin.layer()), tensor)
}

/// A constant of one number for each group, without the axis of its coefficients.
fn number(graph: &mut Graph, groups: &Groups, origin: &Origin, suffix: &str, n: &Numbers) -> ConstId {
    let mut tensor = groups.constant(n);
    let lead = tensor.shape.dims().split_last().map_or(Vec::new(), |(_, lead)| lead.to_vec());
    tensor.shape = Shape::new(lead);
    constant(graph, origin, suffix, tensor)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ((2x + 1)² − x)·T₃(x) + x for one group, with other numbers for a second one.
    fn example() -> Formula {
        let mut f = Formula::new();
        let scaled = f.scale(Term::X, numbers([2.0, -3.0]));
        let shifted = f.shift(scaled, numbers([1.0, 0.5]));
        let square = f.square(shifted);
        let left = f.sub(square, Term::X);
        let right = f.polynomial(Term::X, Basis::Chebyshev, vec![vec![0.0, 0.0, 0.0, 1.0]]);
        let product = f.mul(left, right);
        f.add(product, Term::X);
        f
    }

    #[test]
    fn a_formula_is_the_same_as_numbers_and_as_nodes() {
        let shape = Shape::new([1, 2, 3, 1]);
        let mut graph = Graph::new("net");
        let x = graph.input("x", shape.clone());
        let groups = Groups::channels(&shape);
        let value = example().emit(&mut graph, x, &groups, &Origin::node("f")).unwrap();
        graph.outputs.push(hec_ir::tensor::Output { name: "y".to_owned(), value, client: Vec::new() });
        graph.verify().unwrap();
        let input = Tensor { shape: shape.clone(), data: vec![-1.0, 0.25, 0.5, -0.5, 0.1, 2.0] };
        let found = graph.run(std::slice::from_ref(&input)).unwrap().remove(0);
        for ((&x, y), group) in input.data.iter().zip(found.data).zip(groups.table(&shape)) {
            let expected = example().eval(group, x);
            assert!((expected - y).abs() < 1e-12, "{x}: {y}, not {expected}");
        }
        let by_hand = (2.0f64.mul_add(0.25, 1.0).powi(2) - 0.25) * (4.0 * 0.25f64.powi(3) - 0.75) + 0.25;
        assert!((example().eval(0, 0.25) - by_hand).abs() < 1e-14);
    }

    #[test]
    fn depth_and_products_are_counted() {
        // The cubic takes two levels and two products, its product with the square one more of both.
        assert_eq!((example().depth(), example().products()), (Depth(3), 4));
        assert_eq!((Formula::new().depth(), Formula::new().products()), (Depth(0), 0));
    }

    #[test]
    fn a_factor_goes_where_there_are_numbers() {
        let mut product = Formula::new();
        let cubic = product.polynomial(Term::X, Basis::Monomial, vec![vec![1.0, 0.0, 0.0, 2.0]]);
        let shifted = product.shift(cubic, numbers([3.0]));
        product.mul(Term::X, shifted);
        let half = product.clone().times(0.5);
        assert!((half.eval(0, 0.7) - 0.5 * product.eval(0, 0.7)).abs() < 1e-15);
        assert_eq!(half.steps.len(), product.steps.len());
        let sum = example().times(0.5);
        assert!((sum.eval(1, 0.7) - 0.5 * example().eval(1, 0.7)).abs() < 1e-15);
        assert_eq!(sum.depth(), example().depth());
    }
}
