//! Bootstrapping at small rings.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Arc;

use common::toy_bootstrap as toy;
use hec_ckks::{
    Bootstrapper, Ciphertext, CkksError, Complex, Content, Context, Encoder, EvaluationKeys, Evaluator, KeyName,
    KeyRequest, PrecisionStats, SecretKey,
};
use hec_params::{BootstrapChoice, BootstrapParameters, Depth, Level, Order, Sine};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

struct Party {
    context: Arc<Context>,
    encoder: Encoder,
    secret: SecretKey,
    bootstrapper: Bootstrapper,
    evaluator: Evaluator,
    rng: ChaCha20Rng,
}

fn party(choice: BootstrapChoice) -> Party {
    party_with(BootstrapParameters::check(choice).unwrap(), None)
}

fn party_with(parameters: BootstrapParameters, secret: Option<&SecretKey>) -> Party {
    let context = Context::new(parameters.parameters().clone()).unwrap();
    let bootstrapper = Bootstrapper::new(&context, &parameters).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let secret = match secret {
        None => SecretKey::generate(&context, &mut rng),
        Some(secret) => secret.in_context(&context).unwrap(),
    };
    let evaluator = evaluator(&context, &secret, |request| request.bootstrap(&parameters), &mut rng);
    Party { encoder: Encoder::new(&context), context, secret, bootstrapper, evaluator, rng }
}

fn evaluator(
    context: &Arc<Context>,
    secret: &SecretKey,
    ask: impl FnOnce(&mut KeyRequest),
    rng: &mut ChaCha20Rng,
) -> Evaluator {
    let mut request = KeyRequest::default();
    ask(&mut request);
    let keys = EvaluationKeys::generate(context, secret, &request, rng).unwrap();
    Evaluator::new(context, &Arc::new(keys)).unwrap()
}

impl Party {
    fn random(&mut self) -> f64 {
        f64::from(self.rng.next_u32()) / f64::from(u32::MAX) * 2.0 - 1.0
    }

    fn encrypt(&mut self, values: &[Complex], level: Level) -> Ciphertext {
        let slots = self.context.parameters().slots().0;
        let repeated: Vec<Complex> = values.iter().copied().cycle().take(slots).collect();
        let scale = self.context.scale(level).unwrap();
        let plaintext = self.encoder.encode_complex(&repeated, level, scale).unwrap();
        self.secret.encrypt(&self.context, &plaintext, &mut self.rng).unwrap().expand(&self.context).unwrap()
    }

    fn decrypt(&self, a: &Ciphertext) -> (Vec<f64>, Vec<f64>) {
        let slots = self.encoder.decode_complex(&self.secret.decrypt(&self.context, a).unwrap()).unwrap();
        slots.iter().map(|z| (z.re, z.im)).unzip()
    }
}

/// The error of complex slots, in root mean square, must be the one that is predicted.
#[track_caller]
fn check(choice: BootstrapChoice) {
    let mut p = party(choice);
    let choice = p.bootstrapper.parameters().choice().clone();
    let values: Vec<Complex> = (0..choice.slots.0).map(|_| Complex { re: p.random(), im: p.random() }).collect();
    let level = p.bootstrapper.parameters().input_level();
    let output = p.bootstrapper.parameters().output_level();
    let a = p.encrypt(&values, level);
    let fresh = p.bootstrapper.bootstrap(&p.evaluator, &a, Content::Complex).unwrap();
    assert_eq!((fresh.level(), fresh.scale()), (output, p.context.scale(output).unwrap()));
    let predicted = p.bootstrapper.parameters().error().noise.log2();
    let (re, im) = p.decrypt(&fresh);
    let expected: (Vec<f64>, Vec<f64>) = values.iter().cycle().take(re.len()).map(|z| (z.re, z.im)).unzip();
    for (actual, expected) in [(re, expected.0), (im, expected.1)] {
        let stats = PrecisionStats::of(&actual, &expected);
        let off = stats.log2_std - predicted;
        println!("{:?} {}: {stats}, predicted {predicted:.1}", choice.order, choice.slots);
        assert!(off.abs() < 0.6 && stats.log2_max < predicted + 4.0, "{stats}, predicted {predicted}");
    }
}

#[test]
fn errors_are_as_predicted() {
    for order in [Order::CoeffsFirst, Order::CoeffsLast] {
        check(toy(10, 9, order));
        check(BootstrapChoice { boost_bits: 5.0, ..toy(10, 9, order) });
        check(BootstrapChoice {
            sine: Sine { degree: 46, double_angles: 2, arcsine: 5, ratio_bits: 6.0 },
            ..toy(10, 9, order)
        });
    }
}

#[test]
fn sparse_slots() {
    for order in [Order::CoeffsFirst, Order::CoeffsLast] {
        check(toy(10, 6, order));
        check(toy(10, 2, order));
    }
}

/// Also checks that the systematic part of the error does not accumulate: a hundred bootstraps of one ciphertext.
#[test]
fn many_bootstraps_walk_at_random() {
    let mut p = party(BootstrapChoice {
        sine: Sine { degree: 30, double_angles: 3, arcsine: 5, ratio_bits: 7.5 },
        ..toy(8, 7, Order::CoeffsFirst)
    });
    let values: Vec<Complex> = (0..128).map(|_| Complex { re: p.random(), im: 0.0 }).collect();
    let expected: Vec<f64> = values.iter().map(|z| z.re).collect();
    let mut a = p.encrypt(&values, p.bootstrapper.parameters().input_level());
    let step = p.bootstrapper.parameters().error().noise;
    for i in 1..=100 {
        a = p.bootstrapper.bootstrap(&p.evaluator, &a, Content::Real).unwrap();
        let stats = PrecisionStats::of(&p.decrypt(&a).0, &expected);
        let walk = (step * f64::from(i).sqrt()).log2();
        assert!(stats.log2_std < walk + 1.0 && stats.log2_max < walk + 4.0, "{i}: {stats}, walk {walk}");
    }
}

/// Real slots with an imaginary part that does not belong there.
fn reals(p: &mut Party) -> Vec<Complex> {
    (0..p.context.parameters().slots().0).map(|_| Complex { re: p.random(), im: 0.01 }).collect()
}

#[test]
fn imaginary_drift_is_removed() {
    for order in [Order::CoeffsFirst, Order::CoeffsLast] {
        let mut p = party(toy(10, 9, order));
        let values = reals(&mut p);
        let a = p.encrypt(&values, p.bootstrapper.parameters().input_level());
        let fresh = p.bootstrapper.bootstrap(&p.evaluator, &a, Content::Real).unwrap();
        let (re, im) = p.decrypt(&fresh);
        let expected: Vec<f64> = values.iter().map(|z| z.re).collect();
        let (stats, drift) = (PrecisionStats::of(&re, &expected), PrecisionStats::of(&im, &vec![0.0; im.len()]));
        println!("{order:?}: {stats} / {drift}");
        assert!(stats.log2_mean < -17.0 && drift.log2_max < -16.0, "{order:?}: {stats}, {drift}");
    }
}

#[test]
fn two_real_ciphertexts_in_one() {
    for order in [Order::CoeffsFirst, Order::CoeffsLast] {
        let mut p = party(toy(10, 9, order));
        let level = p.bootstrapper.parameters().input_level();
        let real = |p: &mut Party| -> Vec<Complex> { (0..512).map(|_| Complex { re: p.random(), im: 0.0 }).collect() };
        let values = [real(&mut p), real(&mut p)];
        let a = [p.encrypt(&values[0], level), p.encrypt(&values[1], level)];
        let fresh = p.bootstrapper.bootstrap_pair(&p.evaluator, [&a[0], &a[1]]).unwrap();
        for (fresh, values) in fresh.iter().zip(&values) {
            let expected: Vec<f64> = values.iter().map(|z| z.re).collect();
            let stats = PrecisionStats::of(&p.decrypt(fresh).0, &expected);
            println!("{order:?} {stats}");
            assert!(stats.log2_mean < -17.0, "{order:?}: {stats}");
        }
    }
}

#[test]
fn two_iterations_double_the_precision() {
    let mut p = party(BootstrapChoice {
        scale_bits: 45.0,
        base_bits: 49.5,
        levels: Depth(3),
        ..toy(10, 9, Order::CoeffsFirst)
    });
    let level = p.bootstrapper.parameters().input_level();
    let values: Vec<Complex> = (0..512).map(|_| Complex { re: p.random(), im: 0.0 }).collect();
    let a = p.encrypt(&values, level);
    let once = p.bootstrapper.bootstrap(&p.evaluator, &a, Content::Real).unwrap();
    let twice = p.bootstrapper.bootstrap_twice(&p.evaluator, &a, Content::Real, 16).unwrap();
    let expected: Vec<f64> = values.iter().map(|z| z.re).collect();
    let stats = [once, twice].map(|a| PrecisionStats::of(&p.decrypt(&a).0, &expected));
    println!("{} / {}", stats[0], stats[1]);
    assert!(stats[0].log2_mean > -28.0 && stats[1].log2_mean < stats[0].log2_mean - 8.0, "{} / {}", stats[0], stats[1]);
}

/// A bootstrap to a lower level has fewer primes, and its result is a ciphertext of the larger set as well.
#[test]
fn bootstraps_to_a_lower_level() {
    for order in [Order::CoeffsFirst, Order::CoeffsLast] {
        let mut p = party(BootstrapChoice { levels: Depth(4), ..toy(9, 8, order) });
        let parameters = p.bootstrapper.parameters().clone();
        let short = party_with(parameters.with_levels(Depth(1)).unwrap(), Some(&p.secret));
        let primes = |p: &Party| p.context.parameters().prime_count(p.context.parameters().top_level());
        assert_eq!(primes(&short) + 3, primes(&p));
        let values: Vec<Complex> = (0..256).map(|_| Complex { re: p.random(), im: 0.0 }).collect();
        let a = p.encrypt(&values, parameters.input_level());
        let a = a.into_context(&p.context, &short.context).unwrap();
        let fresh = short.bootstrapper.bootstrap(&short.evaluator, &a, Content::Real).unwrap();
        let fresh = fresh.into_context(&short.context, &p.context).unwrap();
        assert_eq!(fresh.level(), Level(parameters.input_level().0 + 1));
        let square = p.evaluator.relinearize_rescale(&p.evaluator.square(&fresh).unwrap()).unwrap();
        let expected: Vec<f64> = values.iter().map(|z| z.re * z.re).collect();
        let stats = PrecisionStats::of(&p.decrypt(&square).0, &expected);
        assert!(stats.log2_mean < -18.0, "{order:?}: {stats}");
    }
    let parameters = BootstrapParameters::check(toy(9, 8, Order::CoeffsFirst)).unwrap();
    assert!(parameters.with_levels(Depth(3)).is_err());
}

#[test]
fn refuses_what_does_not_belong_together() {
    let mut p = party(toy(8, 7, Order::CoeffsFirst));
    let values = vec![Complex { re: 0.5, im: 0.0 }; 128];
    let level = p.bootstrapper.parameters().input_level();
    let low = p.encrypt(&values, Level(0));
    assert!(p.bootstrapper.bootstrap(&p.evaluator, &low, Content::Real).is_err(), "below the input level");
    let other = party_with(BootstrapParameters::check(toy(9, 8, Order::CoeffsFirst)).unwrap(), None);
    let a = p.encrypt(&values, level);
    assert!(p.bootstrapper.bootstrap(&other.evaluator, &a, Content::Real).is_err(), "other parameters");
    let parameters = p.bootstrapper.parameters();
    let stranger = SecretKey::generate(&p.context, &mut p.rng);
    let strange = evaluator(&p.context, &stranger, |request| request.bootstrap(parameters), &mut p.rng);
    let refused = p.bootstrapper.bootstrap(&strange, &a, Content::Real);
    assert!(matches!(refused, Err(CkksError::WrongKey)));
    let without = |request: &mut KeyRequest| {
        request.bootstrap(parameters);
        request.encapsulate = None;
    };
    let without = evaluator(&p.context, &p.secret, without, &mut p.rng);
    let refused = p.bootstrapper.bootstrap(&without, &a, Content::Real);
    assert!(matches!(refused, Err(CkksError::MissingKey { name: KeyName::Encapsulate })));
    let mut request = KeyRequest::default();
    request.bootstrap(other.bootstrapper.parameters());
    assert!(EvaluationKeys::generate(&p.context, &p.secret, &request, &mut p.rng).is_err(), "of other parameters");
    assert!(Bootstrapper::new(&p.context, other.bootstrapper.parameters()).is_err());
}
