//! Linear transforms against the matrix-vector product in clear.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::borrow::Cow;

use common::{Party, party, toy};
use hec_ckks::{
    Ciphertext, CkksError, DiagonalValues, EncodedDiagonals, KeyRequest, LinearPlan, LinearTerm, MemoryBudget,
    PrecisionStats, RotationKeys, noise,
};
use hec_params::{Level, Rotation};
use rand_core::RngCore;

/// A block matrix by diagonals: (output, input, shift) and values d with out[i] += d[i]·in[i + shift].
struct Blocks {
    plan: LinearPlan,
    diagonals: Vec<(usize, usize, usize, Vec<f64>)>,
    /// Rotated for the giant steps.
    rotated: Vec<Vec<f64>>,
}

impl Blocks {
    fn new(p: &mut Party, inputs: usize, outputs: usize, shifts: &[usize], baby: usize) -> Self {
        let n = p.slots();
        let (mut terms, mut diagonals, mut rotated) = (Vec::new(), Vec::new(), Vec::new());
        for output in 0..outputs {
            for input in 0..inputs {
                for &shift in shifts.iter().filter(|&&s| (s + output + input) % 3 != 2) {
                    let values = p.random();
                    let giant = shift / baby * baby;
                    let mut turned = values.clone();
                    turned.rotate_right(giant);
                    terms.push(LinearTerm {
                        output,
                        input,
                        giant: Rotation(giant as u32),
                        baby: Rotation((shift % baby) as u32),
                        diagonal: diagonals.len(),
                    });
                    diagonals.push((output, input, shift, values));
                    rotated.push(turned);
                }
            }
        }
        assert!(shifts.iter().all(|&s| s < n));
        Blocks { plan: LinearPlan { inputs, outputs, terms, keys: RotationKeys::Each }, diagonals, rotated }
    }

    fn apply(&self, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let n = x[0].len();
        let mut out = vec![vec![0.0; n]; self.plan.outputs];
        for (output, input, shift, values) in &self.diagonals {
            for i in 0..n {
                out[*output][i] += values[i] * x[*input][(i + shift) % n];
            }
        }
        out
    }

    fn values<'a>(&'a self) -> impl Fn(usize) -> Cow<'a, [f64]> + Sync {
        |i| Cow::Borrowed(&self.rotated[i][..])
    }
}

const ROTATIONS: [u32; 9] = [1, 2, 3, 4, 8, 12, 16, 64, 508];

fn same(p: &Party, a: &[Ciphertext], b: &[Ciphertext]) -> bool {
    let bytes = |c: &[Ciphertext]| hec_ckks::Stored::to_bytes(&c.to_vec(), &p.context, &[0; 32]).unwrap();
    bytes(a) == bytes(b)
}

fn check(p: Party, inputs: usize, outputs: usize, shifts: &[usize], bound: f64) {
    check_with(RotationKeys::Each, p, inputs, outputs, shifts, bound);
}

fn check_with(keys: RotationKeys, mut p: Party, inputs: usize, outputs: usize, shifts: &[usize], bound: f64) {
    let level = p.top();
    let mut blocks = Blocks::new(&mut p, inputs, outputs, shifts, 4);
    blocks.plan.keys = keys;
    let x: Vec<Vec<f64>> = (0..inputs).map(|_| p.random()).collect();
    let encrypted: Vec<Ciphertext> = x.iter().map(|x| p.encrypt(x)).collect();
    let encrypted: Vec<&Ciphertext> = encrypted.iter().collect();
    let count = blocks.diagonals.len();
    let live = DiagonalValues::new(count, blocks.values());
    let e = p.evaluator.clone();
    let result = e.linear(&blocks.plan, &encrypted, &live, MemoryBudget::default()).unwrap();
    for (result, expected) in result.iter().zip(blocks.apply(&x)) {
        p.assert_canonical(result, level.0 - 1);
        p.assert_close(result, &expected, bound);
    }
    // The same residues, however the work is cut and wherever diagonals come from.
    let tight = e.linear(&blocks.plan, &encrypted, &live, MemoryBudget(1)).unwrap();
    assert!(same(&p, &tight, &result));
    let integers = EncodedDiagonals::integers(&p.encoder, level, count, blocks.values()).unwrap();
    let residues = EncodedDiagonals::residues(&p.encoder, level, count, blocks.values()).unwrap();
    assert!(integers.bytes() < residues.bytes());
    assert!(same(&p, &e.linear(&blocks.plan, &encrypted, &integers, MemoryBudget::default()).unwrap(), &result));
    let decomposed: Vec<_> = encrypted.iter().map(|c| e.decompose(c).unwrap()).collect();
    let decomposed: Vec<_> = decomposed.iter().collect();
    assert!(same(
        &p,
        &e.linear_decomposed(&blocks.plan, &decomposed, &residues, MemoryBudget(1 << 18)).unwrap(),
        &result
    ));
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let single = one.install(|| e.linear(&blocks.plan, &encrypted, &live, MemoryBudget::default()).unwrap());
    assert!(same(&p, &single, &result));
}

#[test]
fn one_ciphertext_with_digits_of_each_size() {
    for digit_size in 1..=3 {
        let p = party(&toy(10, 2, 40.0, digit_size), &ROTATIONS, 20);
        check(p, 1, 1, &[0, 1, 2, 3, 5, 8, 11, 64, 511], -22.0);
    }
}

#[test]
fn several_ciphertexts_in_and_out() {
    check(party(&toy(10, 2, 40.0, 2), &ROTATIONS, 21), 3, 2, &[0, 1, 4, 7, 13], -22.0);
}

#[test]
fn two_primes_a_level() {
    check(party(&toy(10, 2, 64.0, 2), &ROTATIONS, 22), 2, 2, &[0, 2, 5, 9], -38.0);
}

/// The rotations that a plan asks keys for.
fn rotations(plan: &LinearPlan) -> Vec<u32> {
    let mut request = KeyRequest::default();
    plan.request_keys(Level(2), &mut request);
    request.rotations.keys().map(|rotation| rotation.0).collect()
}

#[test]
fn few_keys_are_enough() {
    let shifts = [0, 1, 2, 5, 7, 9, 14, 21];
    let mut plan = Blocks::new(&mut party(&toy(10, 2, 40.0, 2), &[], 26), 2, 2, &shifts, 4).plan;
    assert_eq!(rotations(&plan), [1, 2, 3, 4, 8, 12, 20]);
    for (keys, names) in [(RotationKeys::OneForGiants, &[1, 2, 3, 4][..]), (RotationKeys::TwoInAll, &[1, 4])] {
        plan.keys = keys;
        assert_eq!(rotations(&plan), names);
        // No party has other keys than those.
        check_with(keys, party(&toy(10, 2, 40.0, 2), names, 27), 2, 2, &shifts, -22.0);
        check_with(keys, party(&toy(10, 2, 40.0, 1), names, 28), 1, 1, &[4, 8], -22.0);
        check_with(keys, party(&toy(10, 2, 40.0, 3), names, 29), 1, 2, &[2, 3], -22.0);
        check_with(keys, party(&toy(10, 2, 40.0, 1), &[], 30), 2, 1, &[0], -22.0);
        let mut p = party(&toy(10, 2, 40.0, 2), &names[..names.len() - 1], 31);
        let x = p.random();
        let a = p.encrypt(&x);
        let none = DiagonalValues::new(0, |_| Cow::Owned(Vec::new()));
        let refused = p.evaluator.linear(&plan, &[&a, &a], &none, MemoryBudget::default());
        assert!(matches!(refused, Err(CkksError::MissingKey { .. })));
    }
}

#[test]
fn noise_with_few_keys() {
    for digit_size in 1..=3 {
        let mut p = party(&toy(10, 2, 40.0, digit_size), &ROTATIONS, 32);
        let mut blocks = Blocks::new(&mut p, 1, 1, &[1, 3, 6, 7, 9, 13, 15, 18], 4);
        let x = p.random();
        let a = p.encrypt(&x);
        let parameters = p.context.parameters().clone();
        let slots = |coefficient| noise::slot_std_dev(&parameters, coefficient, a.scale());
        let rms = (1.0f64 / 3.0).sqrt();
        let fresh = slots(noise::fresh().hypot(noise::encoding()));
        // The mean of what baby steps add in variance: as many rotations as the step is far.
        let babies =
            blocks.plan.terms.iter().map(|term| f64::from(term.baby.0)).sum::<f64>() / blocks.plan.terms.len() as f64;
        let in_turn = fresh.hypot(babies.sqrt() * slots(noise::key_switch(&parameters, p.top())));
        for (keys, input) in [(RotationKeys::OneForGiants, fresh), (RotationKeys::TwoInAll, in_turn)] {
            blocks.plan.keys = keys;
            let diagonals = DiagonalValues::new(blocks.diagonals.len(), blocks.values());
            let result = p.evaluator.linear(&blocks.plan, &[&a], &diagonals, MemoryBudget::default()).unwrap();
            let stats = PrecisionStats::of(&p.decrypt(&result[0]), &blocks.apply(std::slice::from_ref(&x))[0]);
            let predicted =
                noise::linear(&parameters, p.top(), (rms, input), &vec![rms; blocks.diagonals.len()]).log2();
            assert!((stats.log2_std - predicted).abs() < 0.7, "{keys:?}: {stats}, predicted {predicted:.1}");
        }
    }
}

#[test]
fn noise_is_as_the_formula_says() {
    for digit_size in 1..=3 {
        let mut p = party(&toy(10, 2, 40.0, digit_size), &ROTATIONS, 25);
        let blocks = Blocks::new(&mut p, 1, 1, &[1, 3, 6, 7, 9, 13, 15, 18], 4);
        let x = p.random();
        let a = p.encrypt(&x);
        let diagonals = DiagonalValues::new(blocks.diagonals.len(), blocks.values());
        let result = p.evaluator.linear(&blocks.plan, &[&a], &diagonals, MemoryBudget::default()).unwrap();
        let stats = PrecisionStats::of(&p.decrypt(&result[0]), &blocks.apply(&[x])[0]);
        let parameters = p.context.parameters();
        let rms = (1.0f64 / 3.0).sqrt();
        let fresh = noise::slot_std_dev(parameters, noise::fresh().hypot(noise::encoding()), a.scale());
        let predicted = noise::linear(parameters, p.top(), (rms, fresh), &vec![rms; blocks.diagonals.len()]).log2();
        assert!((stats.log2_std - predicted).abs() < 0.7, "{stats}, predicted {predicted:.1}");
    }
}

#[test]
fn rotation_0_alone_needs_no_keys() {
    check(party(&toy(10, 1, 40.0, 1), &[], 23), 2, 1, &[0], -22.0);
}

#[test]
fn plans_that_do_not_fit_are_refused() {
    let mut p = party(&toy(10, 2, 40.0, 2), &[1], 24);
    let x = p.random();
    let (a, low) = (p.encrypt(&x), p.encrypt_at(&x, Level(0)));
    let one = |baby: u32, input: usize, output: usize, diagonal: usize| LinearPlan {
        inputs: 1,
        outputs: 1,
        terms: vec![LinearTerm { output, input, giant: Rotation(0), baby: Rotation(baby), diagonal }],
        keys: RotationKeys::Each,
    };
    let values = DiagonalValues::new(1, |_| Cow::Owned(vec![1.0]));
    let run = |plan: LinearPlan, c: &Ciphertext| p.evaluator.linear(&plan, &[c], &values, MemoryBudget::default());
    assert!(run(one(1, 0, 0, 0), &a).is_ok());
    assert!(matches!(run(one(2, 0, 0, 0), &a), Err(CkksError::MissingKey { .. })));
    assert!(matches!(run(one(1, 1, 0, 0), &a), Err(CkksError::PlanOutOfRange { what: "input", .. })));
    assert!(matches!(run(one(1, 0, 1, 0), &a), Err(CkksError::PlanOutOfRange { what: "output", .. })));
    assert!(matches!(run(one(1, 0, 0, 1), &a), Err(CkksError::PlanOutOfRange { what: "diagonal", .. })));
    assert!(matches!(run(one(1, 0, 0, 0), &low), Err(CkksError::NoLevelLeft)));
    let product = p.evaluator.square(&a).unwrap();
    assert!(matches!(run(one(1, 0, 0, 0), &product), Err(CkksError::NotRelinearized { .. })));
    let plan = one(1, 0, 0, 0);
    let none = p.evaluator.linear(&plan, &[], &values, MemoryBudget::default());
    assert!(matches!(none, Err(CkksError::PlanOutOfRange { .. })));
    let encoded = EncodedDiagonals::integers(&p.encoder, Level(1), 1, |_| Cow::Owned(vec![1.0])).unwrap();
    let wrong = p.evaluator.linear(&plan, &[&a], &encoded, MemoryBudget::default());
    assert!(matches!(wrong, Err(CkksError::DiagonalLevel { .. })));
    let _ = p.rng.next_u32();
}
