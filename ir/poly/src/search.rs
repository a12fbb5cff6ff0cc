//! Search for the divisions that need the fewest products within a budget of levels.

use crate::Basis;
use crate::tree::{Parity, Power};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// How a polynomial is taken apart.
#[derive(Debug)]
pub(crate) enum Split {
    Leaf { powers: Vec<usize> },
    Division { quotient: Rc<Split>, power: usize, remainder: Rc<Split> },
}

/// ⌈log2(degree+1)⌉: the depth below which no circuit of products reaches the degree with a leading coefficient.
pub(crate) fn optimal_depth(degree: usize) -> u32 {
    (degree + 1).next_power_of_two().trailing_zeros()
}

/// Depth of the power T_index, or x^index.
fn power_depth(index: usize) -> u32 {
    index.next_power_of_two().trailing_zeros()
}

/// The available powers and the split with the fewest products.
///
/// Candidates for the powers are all those of the parity up to a bound (the leaves), and a geometric sequence
/// g, 2g, 4g, … (the divisors). For each candidate the best division is found exactly, by dynamic programming.
pub(crate) fn best(basis: Basis, degree: usize, parity: Parity) -> (BTreeSet<usize>, Rc<Split>) {
    let budget = optimal_depth(degree);
    let mut found: Option<(usize, BTreeSet<usize>, Rc<Split>)> = None;
    let largest = (1..).find(|b| b * b > 4 * degree).unwrap_or(degree).min(degree);
    let mut tried = BTreeSet::new();
    for leaf in 1..=largest {
        for first in [1, 3, 5, 7] {
            let available = candidate(degree, parity, leaf, first);
            if !tried.insert(available.clone()) {
                continue;
            }
            let mut search = Search { basis, available: &available, memo: BTreeMap::new() };
            let Some((divisions, split)) = search.best(degree, budget, parity) else { continue };
            let mut used = BTreeSet::new();
            uses(&split, &mut used);
            let products = divisions + closure(basis, used, &available).len();
            if found.as_ref().is_none_or(|f| products < f.0) {
                found = Some((products, available, split));
            }
        }
    }
    let (_, available, split) = found.expect("powers of two alone allow every degree at optimal depth");
    (available, split)
}

/// Powers of the parity up to `leaf`, and `first`·2^k below the degree.
fn candidate(degree: usize, parity: Parity, leaf: usize, first: usize) -> BTreeSet<usize> {
    let in_leaf = |&i: &usize| match parity {
        Parity::General => true,
        Parity::Odd => i % 2 == 1,
        Parity::Even => i % 2 == 0,
    };
    let divisors = |g: usize| std::iter::successors(Some(g), |g| Some(2 * g)).take_while(move |&g| g <= degree);
    let mut all: BTreeSet<usize> = (1..=leaf).filter(in_leaf).chain(divisors(first)).chain(divisors(1)).collect();
    all.insert(1);
    all
}

fn uses(split: &Split, used: &mut BTreeSet<usize>) {
    match split {
        Split::Leaf { powers } => used.extend(powers.iter().copied()),
        Split::Division { quotient, power, remainder } => {
            used.insert(*power);
            uses(quotient, used);
            uses(remainder, used);
        }
    }
}

/// The products that give all `needed` powers, in the order of evaluation. Each power is the product of two at
/// minimal depth; where several are, the one that needs the fewest powers not already needed.
pub(crate) fn closure(basis: Basis, needed: BTreeSet<usize>, available: &BTreeSet<usize>) -> Vec<Power> {
    let mut pending = needed;
    let mut products = BTreeMap::new();
    while let Some(index) = pending.pop_last() {
        if index < 2 {
            continue;
        }
        let half = power_depth(index) - 1;
        let missing = |power: &Power| {
            let difference = if basis == Basis::Chebyshev { power.left - power.right } else { 0 };
            let extra = |&i: &usize| i > 1 && !pending.contains(&i);
            let both = BTreeSet::from([power.left, power.right, difference]);
            let unplanned = both.iter().filter(|i| **i > 1 && !available.contains(i)).count();
            (both.iter().filter(|i| extra(i)).count(), unplanned, power.left - power.right)
        };
        let power = (index.div_ceil(2)..index)
            .filter(|&left| power_depth(left) <= half)
            .map(|left| Power { index, left, right: index - left })
            .min_by_key(missing)
            .expect("the two halves of an index have a smaller depth");
        pending.extend([power.left, power.right]);
        if basis == Basis::Chebyshev && power.left > power.right {
            pending.insert(power.left - power.right);
        }
        products.insert(index, power);
    }
    products.into_values().collect()
}

type Found = Option<(usize, Rc<Split>)>;

struct Search<'a> {
    basis: Basis,
    available: &'a BTreeSet<usize>,
    memo: BTreeMap<(usize, u32, Parity), Found>,
}

impl Search<'_> {
    /// The fewest divisions for a degree within a budget of levels.
    fn best(&mut self, degree: usize, budget: u32, parity: Parity) -> Found {
        let degree = match parity {
            Parity::Odd if degree.is_multiple_of(2) => degree.saturating_sub(1),
            Parity::Even if degree % 2 == 1 => degree - 1,
            _ => degree,
        };
        let key = (degree, budget, parity);
        if let Some(known) = self.memo.get(&key) {
            return known.clone();
        }
        let found = self.leaf(degree, budget, parity).or_else(|| self.division(degree, budget, parity));
        self.memo.insert(key, found.clone());
        found
    }

    fn leaf(&self, degree: usize, budget: u32, parity: Parity) -> Found {
        let depth = if degree == 0 { 0 } else { 1 + power_depth(degree) };
        let step = if parity == Parity::General { 1 } else { 2 };
        let start = if parity == Parity::Even { 2 } else { 1 };
        let powers: Vec<usize> = (start..=degree).step_by(step).collect();
        let fits = depth <= budget && powers.iter().all(|i| self.available.contains(i));
        fits.then(|| (0, Rc::new(Split::Leaf { powers })))
    }

    fn division(&mut self, degree: usize, budget: u32, parity: Parity) -> Found {
        let mut found: Found = None;
        for &power in self.available.range(2..degree) {
            // Below a third of the degree, Chebyshev division does not lower the remainder's degree below the divisor's.
            let reduces = self.basis == Basis::Monomial || degree < 3 * power;
            if !reduces || power_depth(power) + 1 > budget {
                continue;
            }
            let flipped = match (parity, power % 2) {
                (Parity::Odd, 1) => Parity::Even,
                (Parity::Even, 1) => Parity::Odd,
                _ => parity,
            };
            let Some((q, quotient)) = self.best(degree - power, budget - 1, flipped) else { continue };
            let Some((r, remainder)) = self.best(power - 1, budget, parity) else { continue };
            if found.as_ref().is_none_or(|f| q + r + 1 < f.0) {
                found = Some((q + r + 1, Rc::new(Split::Division { quotient, power, remainder })));
            }
        }
        found
    }
}
