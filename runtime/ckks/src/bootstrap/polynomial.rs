//! Chebyshev polynomials on ciphertexts: Paterson and Stockmeyer's recursion with one relinearization and one
//! rescale for each quotient, all sums before them, and scales that fall into place from the top down.

use std::collections::BTreeMap;

use hec_params::{Level, Scale};
use hec_poly::{EvaluationTree, Part, Power, TreeError};
use rayon::prelude::*;

use crate::poly::Poly;
use crate::{Ciphertext, CkksError, Evaluator};

/// A polynomial with its evaluation tree.
#[derive(Debug)]
pub(super) struct Polynomial {
    tree: EvaluationTree,
    /// The coefficients of each leaf, by part.
    leaves: BTreeMap<usize, Vec<f64>>,
}

impl Polynomial {
    /// From Chebyshev coefficients, constant term first.
    pub fn new(coefficients: &[f64]) -> Result<Self, TreeError> {
        let parity = hec_poly::Parity::of(coefficients);
        let degree = coefficients.len().saturating_sub(1);
        let tree = EvaluationTree::new(hec_poly::Basis::Chebyshev, degree, parity)?;
        let is_leaf = |part: &Part| matches!(part, Part::Leaf { .. });
        let parts = tree.parts().iter().enumerate().filter(|(_, part)| is_leaf(part)).map(|(i, _)| i);
        let leaves = parts.zip(tree.leaf_coefficients(coefficients)?).collect();
        Ok(Polynomial { tree, leaves })
    }

    /// The value at slots in [−1, 1], `depth` levels below, at the canonical scale.
    pub fn evaluate(&self, evaluator: &Evaluator, x: &Ciphertext) -> Result<Ciphertext, CkksError> {
        let below = x.level.0.checked_sub(self.tree.depth()).ok_or(CkksError::NoLevelLeft)?;
        let last = Level(below + 1);
        let canonical = evaluator.context.scale(last)?.0;
        let powers = self.powers(evaluator, x)?;
        let run = Run { polynomial: self, evaluator, powers };
        let product = run.product(self.tree.parts().len() - 1, last, canonical * canonical)?;
        evaluator.finish(product)
    }

    /// T_i for all i that the tree uses, each at the highest level that it has.
    fn powers(&self, evaluator: &Evaluator, x: &Ciphertext) -> Result<BTreeMap<usize, Ciphertext>, CkksError> {
        let mut powers = BTreeMap::from([(1, x.clone())]);
        // T_i lies ⌈log2 i⌉ levels down: those of one level do not depend on each other.
        for level in self.tree.powers().chunk_by(|a, b| a.index.next_power_of_two() == b.index.next_power_of_two()) {
            let of_level =
                level.par_iter().map(|power| Ok((power.index, product_of_powers(evaluator, &powers, power)?)));
            let of_level: Vec<(usize, Ciphertext)> = of_level.collect::<Result<_, CkksError>>()?;
            powers.extend(of_level);
        }
        Ok(powers)
    }
}

/// T_(a+b) = 2·T_a·T_b − T_(a−b), the last term brought to the scale of the product.
fn product_of_powers(
    evaluator: &Evaluator,
    powers: &BTreeMap<usize, Ciphertext>,
    power: &Power,
) -> Result<Ciphertext, CkksError> {
    let (left, right) = (&powers[&power.left], &powers[&power.right]);
    let level = left.level.min(right.level);
    let mut product = if power.left == power.right {
        evaluator.square(left)?
    } else {
        evaluator.multiply(&left.down_to(evaluator, level), &right.down_to(evaluator, level))?
    };
    evaluator.double(&mut product);
    match power.left - power.right {
        0 => product = evaluator.add_scalar(&product, -1.0)?,
        difference => {
            let term = powers[&difference].down_to(evaluator, level);
            let factor = (product.scale.0 / term.scale.0).round();
            let term = term.times_integer(evaluator, factor, product.scale);
            evaluator.sub_assign(&mut product, &term)?;
        }
    }
    evaluator.finish(product)
}

/// A polynomial at work.
struct Run<'a> {
    polynomial: &'a Polynomial,
    evaluator: &'a Evaluator,
    powers: BTreeMap<usize, Ciphertext>,
}

impl Run<'_> {
    /// A part at this level and scale, neither relinearized nor rescaled.
    fn product(&self, part: usize, level: Level, scale: f64) -> Result<Ciphertext, CkksError> {
        match &self.polynomial.tree.parts()[part] {
            Part::Leaf { powers } => self.leaf(&self.polynomial.leaves[&part], powers, level, scale),
            Part::Division { quotient, power, remainder } => {
                let power = self.powers[power].down_to(self.evaluator, level);
                let above = Level(level.0 + 1);
                let share = self.evaluator.rescale_factor(above)?;
                let (quotient, remainder) = rayon::join(
                    || self.evaluator.finish(self.product(*quotient, above, scale / power.scale.0 * share)?),
                    || self.product(*remainder, level, scale),
                );
                let mut quotient = quotient?;
                // The same number up to rounding of the scale itself.
                quotient.scale = Scale(scale / power.scale.0);
                let mut product = self.evaluator.multiply(&quotient, &power)?;
                product.scale = Scale(scale);
                self.evaluator.add_assign(&mut product, &remainder?)?;
                Ok(product)
            }
        }
    }

    /// c₀ + Σ c_i·T_i, each coefficient encoded at the scale that its power lacks.
    fn leaf(&self, coefficients: &[f64], powers: &[usize], level: Level, scale: f64) -> Result<Ciphertext, CkksError> {
        let context = &self.evaluator.context;
        let basis = context.basis(level);
        let terms: Vec<(&Ciphertext, f64)> = powers
            .iter()
            .zip(&coefficients[1..])
            .map(|(i, c)| (&self.powers[i], (c * (scale / self.powers[i].scale.0)).round()))
            .collect();
        let sum = |part: usize| {
            let mut sum = Poly::any(context, basis);
            sum.for_each_limb(context, |k, table, limb| {
                let m = table.modulus();
                limb.fill(0.0);
                for (power, factor) in &terms {
                    let factor = crate::evaluator::residue(m, *factor);
                    hec_arith::mul_scalar_add_assign(m, limb, power.parts[part].limb(k), factor);
                }
            });
            sum
        };
        let key = self.powers[&1].key;
        let sum = Ciphertext { key, level, scale: Scale(scale), parts: vec![sum(0), sum(1)] };
        self.evaluator.add_scalar(&sum, coefficients[0])
    }
}

impl Evaluator {
    /// Relinearize if it is a product, and rescale.
    pub(super) fn finish(&self, product: Ciphertext) -> Result<Ciphertext, CkksError> {
        if product.parts.len() == 3 { self.relinearize_rescale(&product) } else { self.rescale(&product) }
    }

    /// q(ℓ) as rescaling divides the scale by it: Δ(ℓ)²/Δ(ℓ−1).
    pub(super) fn rescale_factor(&self, level: Level) -> Result<f64, CkksError> {
        let scale = self.context.scale(level)?.0;
        let below = self.context.scale(level.below().ok_or(CkksError::NoLevelLeft)?)?.0;
        Ok(scale * (scale / below))
    }

    /// 2·a.
    pub(super) fn double(&self, a: &mut Ciphertext) {
        for part in &mut a.parts {
            part.for_each_limb(&self.context, |_, table, x| {
                x.iter_mut().for_each(|r| *r += *r);
                hec_arith::reduce_assign(table.modulus(), x);
            });
        }
    }
}

impl Ciphertext {
    /// The same ciphertext without the primes above `level`; the scale stays.
    pub(super) fn down_to(&self, evaluator: &Evaluator, level: Level) -> Ciphertext {
        if level == self.level {
            return self.clone();
        }
        let q = evaluator.context.basis(level).q;
        Ciphertext { parts: self.parts.iter().map(|part| part.prefix(q)).collect(), level, ..*self }
    }

    /// The product with an integer, said to have this scale.
    pub(super) fn times_integer(&self, evaluator: &Evaluator, factor: f64, scale: Scale) -> Ciphertext {
        Ciphertext { scale, ..evaluator.times(self, factor) }
    }
}
