//! Evaluation trees: how a polynomial is evaluated on ciphertexts at optimal depth with few products.
//!
//! Recursive division as in Paterson and Stockmeyer (1973): p = q·T_m + r, down to *leaves*, which are linear
//! combinations of powers (T_i, or x^i) that are available. A leaf costs one level (its coefficients), a division one
//! level (its product). The split is not uniform: each part has a budget of levels, and the search takes the
//! divisions that need the fewest products within it. With one leaf size for all parts the same depth would take up
//! to twice as many products.
//!
//! The tree depends on the degree and the parity alone. Division is linear in the coefficients, so one tree serves
//! polynomials whose coefficients differ from slot to slot: see [`EvaluationTree::leaf_coefficients`].

use crate::Basis;
use crate::search::{self, Split};
use std::collections::BTreeSet;

/// Which coefficients may differ from zero. The constant term always may: adding it is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Parity {
    /// All.
    General,
    /// Those of odd index.
    Odd,
    /// Those of even index, and the linear term: its leaf needs no product.
    Even,
}

impl Parity {
    /// The parity of coefficients, constant term first.
    pub fn of(coefficients: &[f64]) -> Parity {
        let zero = |start: usize| coefficients.iter().skip(start).step_by(2).all(|&c| c == 0.0);
        match (zero(2), zero(3)) {
            (true, _) => Parity::Odd,
            (_, true) => Parity::Even,
            _ => Parity::General,
        }
    }

    /// The parity that allows what either allows.
    pub fn union(self, other: Parity) -> Parity {
        if self == other { self } else { Parity::General }
    }

    fn allows(self, index: usize) -> bool {
        match self {
            Parity::General => true,
            Parity::Odd => index % 2 == 1 || index == 0,
            Parity::Even => index.is_multiple_of(2) || index == 1,
        }
    }
}

/// T_index = 2·T_left·T_right − T_(left−right), or x^index = x^left·x^right; index = left + right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Power {
    /// Which power.
    pub index: usize,
    /// The larger factor.
    pub left: usize,
    /// The smaller factor; a square if it is the same.
    pub right: usize,
}

/// A part of the polynomial. Parts are numbered in the order of evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// c₀ + Σ c_i·T_i over `powers`.
    Leaf {
        /// Which powers; may be empty.
        powers: Vec<usize>,
    },
    /// quotient · T_power + remainder.
    Division {
        /// Number of the part.
        quotient: usize,
        /// Which power.
        power: usize,
        /// Number of the part.
        remainder: usize,
    },
}

/// Why there is no tree, or why it does not fit coefficients.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum TreeError {
    #[error("a constant needs no evaluation tree; the degree must be at least 1")]
    Constant,
    #[error("degree {0} is more than {max}, the largest supported; compose polynomials of lower degree", max = MAX_DEGREE)]
    Degree(usize),
    #[error("an even polynomial has no degree {0}, or an odd one has not; use Parity::General")]
    Parity(usize),
    #[error("coefficient {index} is not zero, but the tree is for degree {degree} and parity {parity:?}")]
    Coefficient { index: usize, degree: usize, parity: Parity },
}

/// The largest degree of a tree.
pub const MAX_DEGREE: usize = 4095;

/// How to evaluate polynomials of one degree and parity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvaluationTree {
    basis: Basis,
    degree: usize,
    parity: Parity,
    powers: Vec<Power>,
    parts: Vec<Part>,
}

/// What a tree is run on: numbers, ciphertexts, nodes of a circuit.
pub trait Target {
    /// A power or a part.
    type Value: Clone;
    /// Why an operation fails.
    type Error;
    /// x² [depth 1]
    fn square(&mut self, x: &Self::Value) -> Result<Self::Value, Self::Error>;
    /// x·y [depth 1]
    fn multiply(&mut self, x: &Self::Value, y: &Self::Value) -> Result<Self::Value, Self::Error>;
    /// x + y
    fn add(&mut self, x: &Self::Value, y: &Self::Value) -> Result<Self::Value, Self::Error>;
    /// x − y
    fn subtract(&mut self, x: &Self::Value, y: &Self::Value) -> Result<Self::Value, Self::Error>;
    /// x + c for a number that is the same for all slots
    fn add_number(&mut self, x: &Self::Value, c: f64) -> Result<Self::Value, Self::Error>;
    /// c₀ + Σ c_i·x_i with the coefficients of leaf number `leaf`; `powers` is not empty [depth 1]
    fn leaf(&mut self, leaf: usize, powers: &[&Self::Value]) -> Result<Self::Value, Self::Error>;
    /// x + c₀ of leaf number `leaf`, which has no powers
    fn add_leaf(&mut self, x: &Self::Value, leaf: usize) -> Result<Self::Value, Self::Error>;
}

impl EvaluationTree {
    /// The tree with the fewest products at depth ⌈log2(degree+1)⌉ that the search finds.
    ///
    /// # Errors
    /// When the degree is 0, above [`MAX_DEGREE`], or not of the parity.
    pub fn new(basis: Basis, degree: usize, parity: Parity) -> Result<Self, TreeError> {
        match degree {
            0 => return Err(TreeError::Constant),
            d if d > MAX_DEGREE => return Err(TreeError::Degree(d)),
            d if !parity.allows(d) => return Err(TreeError::Parity(d)),
            _ => {}
        }
        let (available, split) = search::best(basis, degree, parity);
        let mut tree = EvaluationTree { basis, degree, parity, powers: Vec::new(), parts: Vec::new() };
        tree.push(&split, true);
        tree.powers = powers_for(basis, &tree.parts, &available);
        Ok(tree)
    }

    /// Append the parts of a split; gives the number of its root. `lowest`: the linear term may end here.
    fn push(&mut self, split: &Split, lowest: bool) -> usize {
        let part = match split {
            Split::Leaf { powers } => {
                let mut powers = powers.clone();
                if lowest && self.parity == Parity::Even && !powers.contains(&1) {
                    powers.insert(0, 1);
                }
                Part::Leaf { powers }
            }
            Split::Division { quotient, power, remainder } => {
                let quotient = self.push(quotient, false);
                let remainder = self.push(remainder, lowest);
                Part::Division { quotient, power: *power, remainder }
            }
        };
        self.parts.push(part);
        self.parts.len() - 1
    }

    /// The basis.
    pub fn basis(&self) -> Basis {
        self.basis
    }

    /// The degree.
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// The parity.
    pub fn parity(&self) -> Parity {
        self.parity
    }

    /// Powers in the order of evaluation; the argument itself, index 1, is not among them.
    pub fn powers(&self) -> &[Power] {
        &self.powers
    }

    /// Parts in the order of evaluation; the last one is the polynomial.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Levels that evaluation uses: ⌈log2(degree+1)⌉.
    pub fn depth(&self) -> u32 {
        search::optimal_depth(self.degree)
    }

    /// Products of two ciphertexts, squares included.
    pub fn products(&self) -> usize {
        self.powers.len() + self.parts.iter().filter(|p| matches!(p, Part::Division { .. })).count()
    }

    /// The coefficients of every leaf, in the order of the leaves among the parts: the constant, then one for each
    /// power. Linear in the argument, which is the polynomial's coefficients, constant term first.
    ///
    /// # Errors
    /// When a coefficient that the degree or the parity excludes is not zero.
    pub fn leaf_coefficients(&self, coefficients: &[f64]) -> Result<Vec<Vec<f64>>, TreeError> {
        let (degree, parity) = (self.degree, self.parity);
        let excluded = |&(index, &c): &(usize, &f64)| c != 0.0 && (index > degree || !parity.allows(index));
        if let Some((index, _)) = coefficients.iter().enumerate().find(excluded) {
            return Err(TreeError::Coefficient { index, degree, parity });
        }
        let mut whole = coefficients.to_vec();
        whole.resize(degree + 1, 0.0);
        let mut of_part: Vec<Option<Vec<f64>>> = vec![None; self.parts.len()];
        if let Some(last) = of_part.last_mut() {
            *last = Some(whole);
        }
        let mut leaves = Vec::new();
        // Users come after the parts that they use: from the last part to the first.
        for (number, part) in self.parts.iter().enumerate().rev() {
            let own = of_part[number].take().unwrap_or_default();
            match part {
                Part::Leaf { powers } => {
                    let at = |i: usize| own.get(i).copied().unwrap_or(0.0);
                    leaves.push(std::iter::once(0).chain(powers.iter().copied()).map(at).collect());
                }
                Part::Division { quotient, power, remainder } => {
                    let (q, r) = divide(self.basis, &own, *power);
                    of_part[*quotient] = Some(q);
                    of_part[*remainder] = Some(r);
                }
            }
        }
        leaves.reverse();
        Ok(leaves)
    }

    /// Run the tree on `x`.
    ///
    /// # Errors
    /// The target's.
    pub fn run<T: Target>(&self, x: T::Value, target: &mut T) -> Result<T::Value, T::Error> {
        let mut powers: Vec<Option<T::Value>> = vec![None; self.degree + 1];
        powers[1] = Some(x);
        let get = |powers: &[Option<T::Value>], index: usize| -> T::Value {
            powers[index].clone().expect("factors precede their products")
        };
        for &Power { index, left, right } in &self.powers {
            let (l, r) = (get(&powers, left), get(&powers, right));
            let mut value = if left == right { target.square(&l)? } else { target.multiply(&l, &r)? };
            if self.basis == Basis::Chebyshev {
                value = target.add(&value, &value)?;
                value = match left - right {
                    0 => target.add_number(&value, -1.0)?,
                    difference => target.subtract(&value, &get(&powers, difference))?,
                };
            }
            powers[index] = Some(value);
        }
        let mut values: Vec<Option<T::Value>> = Vec::with_capacity(self.parts.len());
        let mut leaf_of: Vec<usize> = Vec::with_capacity(self.parts.len());
        let mut leaves = 0;
        for part in &self.parts {
            leaf_of.push(leaves);
            let value = match part {
                Part::Leaf { powers: indices } => {
                    let terms: Vec<T::Value> = indices.iter().map(|&i| get(&powers, i)).collect();
                    leaves += 1;
                    match terms.is_empty() {
                        true => None,
                        false => Some(target.leaf(leaves - 1, &terms.iter().collect::<Vec<_>>())?),
                    }
                }
                Part::Division { quotient, power, remainder } => {
                    let q = values[*quotient].clone().expect("a quotient has degree 1 at least");
                    let product = target.multiply(&q, &get(&powers, *power))?;
                    Some(match &values[*remainder] {
                        Some(r) => target.add(&product, r)?,
                        None => target.add_leaf(&product, leaf_of[*remainder])?,
                    })
                }
            };
            values.push(value);
        }
        Ok(values.pop().flatten().expect("a polynomial of degree 1 at least"))
    }
}

/// The products that give every power that the parts use.
fn powers_for(basis: Basis, parts: &[Part], available: &BTreeSet<usize>) -> Vec<Power> {
    let mut needed = BTreeSet::new();
    for part in parts {
        match part {
            Part::Leaf { powers } => needed.extend(powers.iter().copied()),
            Part::Division { power, .. } => {
                needed.insert(*power);
            }
        }
    }
    search::closure(basis, needed, available)
}

/// p = q·T_m + r. Chebyshev: T_i = 2·T_m·T_(i−m) − T_|2m−i| for i > m.
fn divide(basis: Basis, p: &[f64], m: usize) -> (Vec<f64>, Vec<f64>) {
    let mut r = p.to_vec();
    let high = r.split_off(m.min(r.len()));
    if basis == Basis::Monomial {
        return (high, r);
    }
    let q = high.iter().enumerate().map(|(i, &c)| if i == 0 { c } else { 2.0 * c }).collect();
    for (above, &c) in high.iter().enumerate().skip(1) {
        r[m.abs_diff(above)] -= c;
    }
    (q, r)
}
