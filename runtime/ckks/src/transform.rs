//! Double-hoisted evaluation of a linear plan (Bossuat et al. 2021, section 4).
//!
//! Baby rotations stay in QP, so that they cost an inner product and a permutation but no division. Everything up to
//! the sums of the giant steps is independent from prime to prime: one pass over the primes computes all baby
//! rotations of one limb, small enough for a cache, and uses them up before the next. Giant rotations are summed in
//! QP as well, and one division by P·q(ℓ) ends each output. Where giant steps share one key, Horner's rule takes the
//! place of their sum.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use hec_params::{Level, Rotation};
use rayon::prelude::*;

use crate::digits::{DigitSource, Digits, GroupDigits};
use crate::encode::embed_integers;
use crate::keys::EvaluationKey;
use crate::limb::Limb;
use crate::linear::{BabyName, GiantStep};
use crate::poly::{Basis, Poly, for_each_limb_pair};
use crate::{
    Ciphertext, CkksError, Decomposed, Diagonal, Diagonals, Encoder, Evaluator, ExtendedPlaintext, Integers, KeyName,
    LinearPlan, RotationKeys,
};

/// Diagonals that are transformed before they are multiplied.
const AT_ONCE: usize = 8;

/// Columns of a limb that are worked on while the baby rotations of all of them stay in cache.
const COLUMNS: usize = 1024;

/// How many bytes a linear transform may use for diagonals that it encodes and for sums of giant steps. It takes more
/// passes to stay within; one giant step is always done at once. Baby rotations, of which one limb is held by each
/// thread, come on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBudget(pub usize);

impl MemoryBudget {
    /// 1.5 GiB: for the diagonals of a bootstrap, which are kept.
    pub const DIAGONALS: MemoryBudget = MemoryBudget(3 << 29);
}

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

/// Two parts in QP.
type Parts = [Poly; 2];

/// How giant steps are rotated.
enum Giants<'a> {
    /// Each by its own key.
    Each(BTreeMap<Rotation, Option<&'a EvaluationKey>>),
    /// By Horner's rule from the largest to the smallest, all by one key; `at` is where the sum of each output stands.
    InTurn { turn: Rotation, key: Option<&'a EvaluationKey>, at: Vec<Rotation> },
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
        if plan.keys == RotationKeys::TwoInAll {
            let (names, rotated) = self.babies_in_turn(plan, inputs)?;
            let inputs: Vec<_> = rotated.iter().map(|ciphertext| Input { ciphertext, digits: None }).collect();
            return self.transform(&plan.over_babies(&names), &inputs, diagonals, budget);
        }
        let basis = self.context.extended_basis(level);
        let names = plan.baby_steps();
        let babies = names.iter().map(|&(input, baby)| Ok(BabyStep { input, key: self.step_key(baby, level)? }));
        let babies = babies.collect::<Result<_, CkksError>>()?;
        let mut steps = plan.giant_steps(&names);
        let mut giants = self.giants(plan, &mut steps, level)?;
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
        let mut sums: Vec<Option<Parts>> = vec![None; plan.outputs];
        for range in passes {
            let pass = &steps[range.clone()];
            let inner = work.inner_sums(pass, &work.encode(pass, diagonals)?);
            for (step, parts) in pass.iter().zip(inner) {
                giants.add(&work, step, parts, &mut sums[step.output]);
            }
        }
        sums.iter_mut().enumerate().for_each(|(output, sum)| giants.finish(&work, output, sum));
        let sums = sums.into_iter().map(|sum| sum.unwrap_or_else(|| work.zero()));
        let divider = self.context.mod_down_rescale(level)?;
        let finish = |parts: Parts| Ciphertext {
            key: self.keys.id(),
            level: below,
            scale: self.context.parameters().scale(below),
            parts: parts.iter().map(|u| divider.divide(&self.context, basis, u.limbs())).collect(),
        };
        Ok(sums.map(finish).collect())
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

    /// How giant steps are rotated; puts `steps` in order for it.
    fn giants(&self, plan: &LinearPlan, steps: &mut [GiantStep], level: Level) -> Result<Giants<'_>, CkksError> {
        if plan.keys == RotationKeys::Each {
            let named = |step: &GiantStep| Ok((step.giant, self.step_key(step.giant, level)?));
            return Ok(Giants::Each(steps.iter().map(named).collect::<Result<_, CkksError>>()?));
        }
        steps.reverse();
        let turn = plan.giant_turn();
        Ok(Giants::InTurn { turn, key: self.step_key(turn, level)?, at: vec![Rotation(0); plan.outputs] })
    }

    /// Every baby step of every input, each from the one before it, and what they are.
    fn babies_in_turn(
        &self,
        plan: &LinearPlan,
        inputs: &[Input<'_>],
    ) -> Result<(Vec<BabyName>, Vec<Ciphertext>), CkksError> {
        let turn = plan.baby_turn();
        let (mut names, mut all) = (Vec::new(), Vec::new());
        for (i, input) in inputs.iter().enumerate() {
            let babies: BTreeSet<Rotation> = plan.terms.iter().filter(|t| t.input == i).map(|t| t.baby).collect();
            let last = babies.last().copied().unwrap_or(Rotation(0));
            let (mut at, mut rotated) = (Rotation(0), input.ciphertext.clone());
            while at < last {
                let next = self.permute(&rotated, input.digits.filter(|_| at.is_zero()), KeyName::Rotate(turn))?;
                let before = std::mem::replace(&mut rotated, next);
                if at.is_zero() || babies.contains(&at) {
                    names.push((i, at));
                    all.push(before);
                }
                at.0 += turn.0;
            }
            names.push((i, at));
            all.push(rotated);
        }
        Ok((names, all))
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

impl Giants<'_> {
    /// Add a step to the sum of its output; by Horner's rule that is turned first, until it stands where the step does.
    fn add(&mut self, work: &Transform<'_>, step: &GiantStep, parts: Parts, sum: &mut Option<Parts>) {
        match self {
            Giants::Each(keys) => {
                let key = keys.get(&step.giant).copied().flatten();
                match (key, &mut *sum) {
                    (None, None) => *sum = Some(parts),
                    (None, Some(sum)) => work.add(sum, &parts),
                    (Some(key), _) => work.add_rotated(key, &parts, sum.get_or_insert_with(|| work.zero())),
                }
            }
            Giants::InTurn { turn, key, at } => {
                let at = &mut at[step.output];
                work.turn(*key, *turn, at, step.giant, Some(parts), sum);
            }
        }
    }

    /// Turn the sum of an output after its last step.
    fn finish(&mut self, work: &Transform<'_>, output: usize, sum: &mut Option<Parts>) {
        if let Giants::InTurn { turn, key, at } = self {
            work.turn(*key, *turn, &mut at[output], Rotation(0), None, sum);
        }
    }
}

impl Transform<'_> {
    fn zero(&self) -> Parts {
        [(); 2].map(|()| Poly::zero(&self.evaluator.context, self.basis))
    }

    fn add(&self, [sum0, sum1]: &mut Parts, parts: &Parts) {
        for_each_limb_pair(&self.evaluator.context, sum0, sum1, |k, table, x0, x1| {
            hec_arith::add_assign(table.modulus(), x0, parts[0].limb(k));
            hec_arith::add_assign(table.modulus(), x1, parts[1].limb(k));
        });
    }

    /// Rotate a sum by `turn` until it stands `at` the rotation `to`, and add `parts` there.
    fn turn(
        &self,
        key: Option<&EvaluationKey>,
        turn: Rotation,
        at: &mut Rotation,
        to: Rotation,
        mut parts: Option<Parts>,
        sum: &mut Option<Parts>,
    ) {
        while let (Some(key), Some(before)) = (key.filter(|_| *at > to), &mut *sum) {
            at.0 -= turn.0;
            // What is to be added is where the image goes.
            let start = parts.take_if(|_| *at == to).unwrap_or_else(|| self.zero());
            let before = std::mem::replace(before, start);
            sum.iter_mut().for_each(|sum| self.add_rotated(key, &before, sum));
        }
        match (parts, &mut *sum) {
            (Some(parts), Some(sum)) => self.add(sum, &parts),
            (Some(parts), None) => *sum = Some(parts),
            (None, _) => (),
        }
        *at = to;
    }

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
                Diagonal::Residues(ExtendedPlaintext { poly, .. }) if poly.basis() == self.basis => {
                    if poly.degree() < 8 || !degree.is_multiple_of(poly.degree()) {
                        return Err(CkksError::WrongParameters);
                    }
                    Ready::Residues(poly)
                }
                _ => return Err(CkksError::WrongParameters),
            };
            Ok((index, ready))
        };
        names.par_iter().map(ready).collect()
    }

    /// The sum of every giant step.
    fn inner_sums(&self, pass: &[GiantStep], diagonals: &BTreeMap<usize, Ready<'_>>) -> Vec<Parts> {
        let context = &self.evaluator.context;
        let of_group = |g: usize| -> Vec<Vec<Limb>> {
            let digits: Vec<_> = self.sources.iter().map(|s| s.as_ref().map(|s| s.group(context, g))).collect();
            let group = context.groups(self.level)[g].clone();
            group.into_par_iter().map(|k| self.inner_sums_of_limb(k, &digits, pass, diagonals)).collect()
        };
        let groups = 0..context.groups(self.level).len();
        let mut by_prime: Vec<_> =
            groups.into_par_iter().flat_map_iter(of_group).map(Vec::into_iter).collect::<Vec<_>>();
        let mut next = || Poly::from_limbs(self.basis, by_prime.iter_mut().filter_map(Iterator::next).collect());
        pass.iter().map(|_| [next(), next()]).collect()
    }

    /// For one prime: the two parts of every giant step's sum, one after the other.
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
        let mut sums: Vec<Limb> = (0..2 * pass.len()).map(|_| context.pool().any()).collect();
        let n = context.degree();
        for start in (0..n).step_by(COLUMNS) {
            let columns = start..n.min(start + COLUMNS);
            for (step, sum) in pass.iter().zip(sums.chunks_exact_mut(2)) {
                let ready = step.terms.iter().filter_map(|&(baby, d)| match &diagonals[&d] {
                    Ready::Integers(_) => None,
                    Ready::Residues(poly) => Some((part(poly.limb(k), n, &columns), &babies[&baby])),
                });
                let terms: Vec<_> =
                    ready.map(|(factor, baby)| (factor, [0, 1].map(|part| &baby[part][columns.clone()]))).collect();
                let [first, second] = sum else { continue };
                let mut sum = [first, second].map(|sum| &mut sum[columns.clone()]);
                sum.iter_mut().for_each(|sum| sum.fill(0.0));
                hec_arith::add_inner_products(m, sum, &terms);
            }
        }
        let mut encoded: Vec<Limb> = (0..AT_ONCE).map(|_| context.pool().any()).collect();
        for (step, sum) in pass.iter().zip(sums.chunks_exact_mut(2)) {
            let integers = step.terms.iter().filter_map(|&(baby, d)| match &diagonals[&d] {
                Ready::Integers(integers) => Some((&integers.coefficients, &babies[&baby])),
                Ready::Residues(_) => None,
            });
            for some in integers.collect::<Vec<_>>().chunks(AT_ONCE) {
                for ((integers, _), limb) in some.iter().zip(&mut encoded) {
                    embed_integers(m, integers, limb);
                    table.forward(limb);
                }
                let terms: Vec<_> =
                    encoded.iter().zip(some).map(|(f, (_, [b, c]))| (&f[..], [&b[..], &c[..]])).collect();
                let [first, second] = sum else { continue };
                hec_arith::add_inner_products(m, [first, second], &terms);
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
        let m = context.table(self.basis, k).modulus();
        let digits: Vec<Vec<&[f64]>> = digits.iter().map(|d| d.as_ref().map_or(Vec::new(), |d| d.limb(k))).collect();
        let rotated = |i: usize| {
            let BabyStep { input, key } = self.babies[i];
            let parts = &self.inputs[input].ciphertext.parts;
            let times_p = |i: usize| parts.get(i).and_then(|part: &Poly| context.times_special_product(part, k));
            let Some(key) = key else {
                let [mut first, mut second] = [context.pool().any(), context.pool().any()];
                hec_arith::inner_products(m, [&mut first, &mut second], &[], [times_p(0), times_p(1)]);
                return (i, [first, second]);
            };
            let addends = [times_p(0), None];
            let sums = key.switching.inner_products(context, self.basis, k, &digits[input], addends);
            (i, sums.map(|sum| key.image(context, sum)))
        };
        used.into_iter().map(rotated).collect()
    }

    /// Add a rotation of two parts in QP to a sum.
    fn add_rotated(&self, key: &EvaluationKey, parts: &Parts, [sum0, sum1]: &mut Parts) {
        let context = &self.evaluator.context;
        let c1 = context.mod_down(self.level).divide(context, self.basis, parts[1].limbs());
        let source = DigitSource::made(context, &c1, self.level);
        let groups = context.groups(self.level);
        let add_group = |(g, (sum0, sum1)): (usize, (&mut [Limb], &mut [Limb]))| {
            let digits = source.group(context, g);
            let limbs = digits.range().into_par_iter().zip(sum0).zip(sum1);
            limbs.for_each(|((k, x0), x1)| {
                let m = context.table(self.basis, k).modulus();
                let addends = [Some((parts[0].limb(k), 1.0)), None];
                let sums = key.switching.inner_products(context, self.basis, k, &digits.limb(k), addends);
                let [u0, u1] = sums.map(|sum| key.image(context, sum));
                hec_arith::add_assign(m, x0, &u0);
                hec_arith::add_assign(m, x1, &u1);
            });
        };
        let sums = sum0.limb_groups_mut(groups).into_iter().zip(sum1.limb_groups_mut(groups));
        sums.collect::<Vec<_>>().into_par_iter().enumerate().for_each(add_group);
    }
}

/// The part of a factor that belongs to some columns out of n; a shorter one repeats each of its octets.
fn part<'a>(factor: &'a [f64], n: usize, columns: &Range<usize>) -> &'a [f64] {
    let span = 8 * n / factor.len();
    &factor[8 * (columns.start / span)..8 * columns.end.div_ceil(span)]
}
