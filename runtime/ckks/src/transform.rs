//! Double-hoisted evaluation of a linear plan (Bossuat et al. 2021, section 4).
//!
//! Baby rotations stay in QP, so that they cost an inner product and a permutation but no division. Everything up to
//! the sums of the giant steps is independent from prime to prime: one pass over the primes computes all baby
//! rotations of one limb, small enough for a cache, and uses them up before the next. Giant rotations are summed in
//! QP as well, and one division by P·q(ℓ) ends each output.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use hec_params::{Level, Rotation};
use rayon::prelude::*;

use crate::digits::{DigitSource, Digits, GroupDigits};
use crate::encode::embed_integers;
use crate::keys::EvaluationKey;
use crate::limb::Limb;
use crate::linear::GiantStep;
use crate::poly::{Basis, Poly, for_each_limb_pair};
use crate::{
    Ciphertext, CkksError, Decomposed, Diagonal, Diagonals, Encoder, Evaluator, Integers, KeyName, LinearPlan,
};

/// Products whose reduction is shared.
const PRODUCTS: usize = 8;

/// How many bytes a linear transform may use for diagonals that it encodes and for sums of giant steps. It takes more
/// passes to stay within; one giant step is always done at once. Baby rotations, of which one limb is held by each
/// thread, come on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBudget(pub usize);

impl Default for MemoryBudget {
    /// 1 GiB.
    fn default() -> Self {
        MemoryBudget(1 << 30)
    }
}

/// An input, with its decomposition if there is one.
#[derive(Clone, Copy)]
struct Input<'a> {
    ciphertext: &'a Ciphertext,
    digits: Option<&'a Digits>,
}

/// A rotation of one input; rotation 0 has no key.
struct BabyStep<'a> {
    input: usize,
    key: Option<&'a EvaluationKey>,
}

/// A diagonal ready for the pass over the primes.
enum Ready<'a> {
    Integers(Cow<'a, Integers>),
    Residues(&'a Poly),
}

/// A transform at work.
struct Transform<'a> {
    evaluator: &'a Evaluator,
    level: Level,
    /// QP at the level.
    basis: Basis,
    inputs: &'a [Input<'a>],
    /// Digits of the inputs that are rotated.
    sources: Vec<Option<DigitSource<'a>>>,
    babies: Vec<BabyStep<'a>>,
}

impl Evaluator {
    /// Evaluate a linear plan; the result is one level below the inputs, at the canonical scale.
    ///
    /// # Errors
    /// Missing keys, inputs that do not fit the plan, each other or the canonical scale, no level left, whatever
    /// `diagonals` gives.
    pub fn linear(
        &self,
        plan: &LinearPlan,
        inputs: &[&Ciphertext],
        diagonals: &dyn Diagonals,
        budget: MemoryBudget,
    ) -> Result<Vec<Ciphertext>, CkksError> {
        let inputs: Vec<_> = inputs.iter().map(|ciphertext| Input { ciphertext, digits: None }).collect();
        self.transform(plan, &inputs, diagonals, budget)
    }

    /// As [`Evaluator::linear`], for inputs whose decomposition is shared with other operations.
    ///
    /// # Errors
    /// As [`Evaluator::linear`].
    pub fn linear_decomposed(
        &self,
        plan: &LinearPlan,
        inputs: &[&Decomposed],
        diagonals: &dyn Diagonals,
        budget: MemoryBudget,
    ) -> Result<Vec<Ciphertext>, CkksError> {
        let inputs: Vec<_> =
            inputs.iter().map(|d| Input { ciphertext: &d.ciphertext, digits: Some(&d.digits) }).collect();
        self.transform(plan, &inputs, diagonals, budget)
    }

    fn transform(
        &self,
        plan: &LinearPlan,
        inputs: &[Input<'_>],
        diagonals: &dyn Diagonals,
        budget: MemoryBudget,
    ) -> Result<Vec<Ciphertext>, CkksError> {
        plan.check()?;
        let level = self.check_inputs(plan, inputs)?;
        let below = level.below().ok_or(CkksError::NoLevelLeft)?;
        let basis = self.context.extended_basis(level);
        let names = plan.baby_steps();
        let babies = names.iter().map(|&(input, baby)| Ok(BabyStep { input, key: self.step_key(baby, level)? }));
        let babies = babies.collect::<Result<_, CkksError>>()?;
        let steps = plan.giant_steps(&names);
        let keys = steps.iter().map(|step| self.step_key(step.giant, level)).collect::<Result<Vec<_>, _>>()?;
        let passes = self.passes(&steps, basis, budget);
        let made = self.digits_to_keep(plan, inputs, passes.len());
        let rotated = plan.rotated_inputs();
        let mut sources = Vec::with_capacity(inputs.len());
        for (i, input) in inputs.iter().enumerate() {
            let (_, c1) = input.ciphertext.two_parts()?;
            sources.push(rotated.contains(&i).then(|| match input.digits.or(made[i].as_ref()) {
                Some(digits) => DigitSource::kept(&self.context, c1, level, digits),
                None => DigitSource::made(&self.context, c1, level),
            }));
        }
        let work = Transform { evaluator: self, level, basis, inputs, sources, babies };
        let zero = || (Poly::zero(&self.context, basis), Poly::zero(&self.context, basis));
        let mut sums: Vec<_> = (0..plan.outputs).map(|_| zero()).collect();
        for range in passes {
            let pass = &steps[range.clone()];
            let inner = work.inner_sums(pass, &work.encode(pass, diagonals)?);
            for (i, step) in pass.iter().enumerate() {
                work.giant_step(keys[range.start + i], &inner, i, &mut sums[step.output]);
            }
        }
        let divider = self.context.mod_down_rescale(level)?;
        let finish = |(u0, u1): (Poly, Poly)| Ciphertext {
            key: self.keys.id(),
            level: below,
            scale: self.context.parameters().scale(below),
            parts: [u0, u1].iter().map(|u| divider.divide(&self.context, basis, u.limbs())).collect(),
        };
        Ok(sums.into_iter().map(finish).collect())
    }

    /// The level of all inputs.
    fn check_inputs(&self, plan: &LinearPlan, inputs: &[Input<'_>]) -> Result<Level, CkksError> {
        let Some(first) = inputs.first().filter(|_| inputs.len() == plan.inputs) else {
            return Err(CkksError::PlanOutOfRange { what: "input", index: plan.inputs, count: inputs.len() });
        };
        let level = first.ciphertext.level;
        for input in inputs {
            self.check(input.ciphertext)?;
            input.ciphertext.two_parts()?;
            if input.ciphertext.level != level {
                return Err(CkksError::LevelMismatch { left: level, right: input.ciphertext.level });
            }
            self.check_canonical(input.ciphertext)?;
        }
        Ok(level)
    }

    fn step_key(&self, rotation: Rotation, level: Level) -> Result<Option<&EvaluationKey>, CkksError> {
        if rotation.is_zero() { Ok(None) } else { self.keys.get(KeyName::Rotate(rotation), level).map(Some) }
    }

    /// Consecutive giant steps that stay within the budget.
    fn passes(&self, steps: &[GiantStep], basis: Basis, budget: MemoryBudget) -> Vec<Range<usize>> {
        let limb_bytes = self.context.degree() * size_of::<f64>();
        let mut passes: Vec<Range<usize>> = Vec::new();
        let mut left = 0;
        for (i, step) in steps.iter().enumerate() {
            let bytes = (2 * self.context.limb_count(basis) + step.terms.len()) * limb_bytes;
            match passes.last_mut() {
                Some(pass) if bytes <= left => {
                    pass.end = i + 1;
                    left -= bytes;
                }
                _ => {
                    passes.push(i..i + 1);
                    left = budget.0.saturating_sub(bytes);
                }
            }
        }
        passes
    }

    /// Digits that several passes need are made once.
    fn digits_to_keep(&self, plan: &LinearPlan, inputs: &[Input<'_>], passes: usize) -> Vec<Option<Digits>> {
        let rotated = plan.rotated_inputs();
        let keep = |(i, input): (usize, &Input<'_>)| {
            let is_kept = passes > 1 && input.digits.is_none() && rotated.contains(&i);
            let Ok((_, c1)) = input.ciphertext.two_parts() else { return None };
            is_kept.then(|| Digits::of(&self.context, c1, input.ciphertext.level))
        };
        inputs.iter().enumerate().map(keep).collect()
    }
}

impl Transform<'_> {
    /// The diagonals of a pass; values are encoded here.
    fn encode<'d>(
        &self,
        pass: &[GiantStep],
        diagonals: &'d dyn Diagonals,
    ) -> Result<BTreeMap<usize, Ready<'d>>, CkksError> {
        let context = &self.evaluator.context;
        let encoder = Encoder::new(context);
        let scale = context.scale(self.level)?;
        let degree = context.degree();
        let names: BTreeSet<usize> = pass.iter().flat_map(|step| step.terms.iter().map(|&(_, d)| d)).collect();
        let names: Vec<usize> = names.into_iter().collect();
        let ready = |&index: &usize| {
            let ready = match diagonals.diagonal(index)? {
                Diagonal::Values(values) => {
                    Ready::Integers(Cow::Owned(encoder.encode_integers(&values, self.level, scale)?))
                }
                Diagonal::Integers(integers) if integers.level != self.level => {
                    return Err(CkksError::DiagonalLevel { encoded: integers.level, used: self.level });
                }
                Diagonal::Residues(plaintext) if plaintext.level != self.level => {
                    return Err(CkksError::DiagonalLevel { encoded: plaintext.level, used: self.level });
                }
                Diagonal::Integers(integers) if integers.coefficients.len() == degree => Ready::Integers(integers),
                Diagonal::Residues(plaintext) if plaintext.poly.fits(context, self.basis) => {
                    Ready::Residues(&plaintext.poly)
                }
                _ => return Err(CkksError::WrongParameters),
            };
            Ok((index, ready))
        };
        names.par_iter().map(ready).collect()
    }

    /// For each prime of QP: the two parts of every giant step's sum, one after the other.
    fn inner_sums(&self, pass: &[GiantStep], diagonals: &BTreeMap<usize, Ready<'_>>) -> Vec<Vec<Limb>> {
        let context = &self.evaluator.context;
        let of_group = |g: usize| -> Vec<Vec<Limb>> {
            let digits: Vec<_> = self.sources.iter().map(|s| s.as_ref().map(|s| s.group(context, g))).collect();
            let group = context.groups(self.level)[g].clone();
            group.into_par_iter().map(|k| self.inner_sums_of_limb(k, &digits, pass, diagonals)).collect()
        };
        (0..context.groups(self.level).len()).into_par_iter().flat_map_iter(of_group).collect()
    }

    fn inner_sums_of_limb(
        &self,
        k: usize,
        digits: &[Option<GroupDigits<'_>>],
        pass: &[GiantStep],
        diagonals: &BTreeMap<usize, Ready<'_>>,
    ) -> Vec<Limb> {
        let context = &self.evaluator.context;
        let table = context.table(self.basis, k);
        let m = table.modulus();
        let babies = self.baby_limbs(k, digits, pass);
        let mut encoded: Vec<Limb> = (0..PRODUCTS).map(|_| context.pool().any()).collect();
        let mut sums: Vec<Limb> = (0..2 * pass.len()).map(|_| context.pool().zero()).collect();
        for (step, sum) in pass.iter().zip(sums.chunks_exact_mut(2)) {
            for terms in step.terms.chunks(PRODUCTS) {
                for (&(_, d), limb) in terms.iter().zip(&mut encoded) {
                    if let Ready::Integers(integers) = &diagonals[&d] {
                        embed_integers(m, &integers.coefficients, limb);
                        table.forward(limb);
                    }
                }
                let factors = terms.iter().zip(&encoded).map(|(&(_, d), limb)| match &diagonals[&d] {
                    Ready::Integers(_) => &limb[..],
                    Ready::Residues(poly) => poly.limb(k),
                });
                let factors: Vec<&[f64]> = factors.collect();
                for (part, sum) in sum.iter_mut().enumerate() {
                    let pairs =
                        factors.iter().zip(terms).map(|(&factor, &(baby, _))| (factor, &babies[&baby][part][..]));
                    hec_arith::mul_add_many(m, sum, &pairs.collect::<Vec<_>>());
                }
            }
        }
        sums
    }

    /// One limb of both parts of every baby rotation that the pass uses, times P.
    fn baby_limbs(
        &self,
        k: usize,
        digits: &[Option<GroupDigits<'_>>],
        pass: &[GiantStep],
    ) -> BTreeMap<usize, [Limb; 2]> {
        let context = &self.evaluator.context;
        let used: BTreeSet<usize> = pass.iter().flat_map(|step| step.terms.iter().map(|&(baby, _)| baby)).collect();
        let digits: Vec<Vec<&[f64]>> = digits.iter().map(|d| d.as_ref().map_or(Vec::new(), |d| d.limb(k))).collect();
        let rotated = |i: usize| {
            let BabyStep { input, key } = self.babies[i];
            let parts = &self.inputs[input].ciphertext.parts;
            let times_p = |part: Option<&Poly>| context.times_special_product(part, k);
            let Some(key) = key else { return (i, [times_p(parts.first()), times_p(parts.get(1))]) };
            let mut sums = [times_p(parts.first()), context.pool().zero()];
            key.switching.accumulate(context, self.basis, k, &digits[input], &mut sums);
            (i, sums.map(|sum| key.image(context, sum)))
        };
        used.into_iter().map(rotated).collect()
    }

    /// Add the rotation of the pass's sum number `i` to the sums of its output.
    fn giant_step(&self, key: Option<&EvaluationKey>, inner: &[Vec<Limb>], i: usize, (out0, out1): &mut (Poly, Poly)) {
        let context = &self.evaluator.context;
        let part = |k: usize, part: usize| &inner[k][2 * i + part][..];
        let Some(key) = key else {
            for_each_limb_pair(context, out0, out1, |k, table, x0, x1| {
                hec_arith::add_assign(table.modulus(), x0, part(k, 0));
                hec_arith::add_assign(table.modulus(), x1, part(k, 1));
            });
            return;
        };
        let second: Vec<&[f64]> = (0..inner.len()).map(|k| part(k, 1)).collect();
        let c1 = context.mod_down(self.level).divide(context, self.basis, &second);
        let source = DigitSource::made(context, &c1, self.level);
        let groups = context.groups(self.level);
        let add_group = |(g, (out0, out1)): (usize, (&mut [Limb], &mut [Limb]))| {
            let digits = source.group(context, g);
            for ((k, x0), x1) in digits.range().zip(out0).zip(out1) {
                let m = context.table(self.basis, k).modulus();
                let mut sums = [context.pool().copy(part(k, 0)), context.pool().zero()];
                key.switching.accumulate(context, self.basis, k, &digits.limb(k), &mut sums);
                let [u0, u1] = sums.map(|sum| key.image(context, sum));
                hec_arith::add_assign(m, x0, &u0);
                hec_arith::add_assign(m, x1, &u1);
            }
        };
        let outs = out0.limb_groups_mut(groups).into_iter().zip(out1.limb_groups_mut(groups));
        outs.collect::<Vec<_>>().into_par_iter().enumerate().for_each(add_group);
    }
}
