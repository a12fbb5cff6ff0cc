//! Bootstrapping at small rings.

mod common;

use std::sync::Arc;

use hec_ckks::{
    Bootstrapper, Ciphertext, Complex, Context, EncapsulationKeys, Encoder, EvaluationKeys, Evaluator, KeyRequest,
    PrecisionStats, SecretKey,
};
use hec_params::{BootstrapChoice, BootstrapParameters, Depth, Level, LogN, Order, Sine, Slots};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

fn toy(log_n: u32, log_slots: u32, order: Order) -> BootstrapChoice {
    let radices = |count: u32| (0..count).map(|i| log_slots / count + u32::from(i < log_slots % count)).collect();
    BootstrapChoice {
        log_n: LogN(log_n),
        slots: Slots(1 << log_slots),
        order,
        levels: Depth(2),
        scale_bits: 40.0,
        base_bits: 49.8,
        eval_bits: 49.8,
        slots_bits: 49.8,
        coeffs_to_slots: radices(3),
        slots_to_coeffs: radices(2),
        sine: Sine { degree: 30, double_angles: 3, arcsine: 1, ratio_bits: 9.9 },
        weight: 32,
        log2_failure: -100.0,
        digit_size: 4,
        insecure_toy: true,
    }
}

struct Party {
    context: Arc<Context>,
    encoder: Encoder,
    secret: SecretKey,
    bootstrapper: Bootstrapper,
    evaluator: Evaluator,
    keys: EncapsulationKeys,
    rng: ChaCha20Rng,
}

fn party(choice: BootstrapChoice) -> Party {
    let parameters = BootstrapParameters::check(choice).unwrap();
    let context = Context::new(parameters.parameters().clone()).unwrap();
    let bootstrapper = Bootstrapper::new(&context, &parameters).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let secret = SecretKey::generate(&context, &mut rng);
    let mut request = KeyRequest::default();
    bootstrapper.request_keys(&mut request);
    let evaluation = Arc::new(EvaluationKeys::generate(&context, &secret, &request, &mut rng).unwrap());
    let keys = bootstrapper.encapsulate(&secret, &mut rng).unwrap();
    let evaluator = Evaluator::new(&context, &evaluation).unwrap();
    Party { encoder: Encoder::new(&context), context, secret, bootstrapper, evaluator, keys, rng }
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

#[track_caller]
fn check(log_n: u32, log_slots: u32, order: Order, bits: f64) {
    let mut p = party(toy(log_n, log_slots, order));
    let values: Vec<Complex> = (0..1 << log_slots).map(|_| Complex { re: p.random(), im: p.random() }).collect();
    let level = p.bootstrapper.parameters().input_level();
    let output = p.bootstrapper.parameters().output_level();
    let a = p.encrypt(&values, level);
    let fresh = p.bootstrapper.bootstrap_complex(&p.evaluator, &p.keys, &a).unwrap();
    assert_eq!((fresh.level(), fresh.scale()), (output, p.context.scale(output).unwrap()));
    let (re, im) = p.decrypt(&fresh);
    let expected: (Vec<f64>, Vec<f64>) = values.iter().cycle().take(re.len()).map(|z| (z.re, z.im)).unzip();
    let stats = (PrecisionStats::of(&re, &expected.0), PrecisionStats::of(&im, &expected.1));
    println!("{order:?} {log_n} {log_slots}: {} / {}", stats.0, stats.1);
    assert!(stats.0.log2_mean < -bits && stats.1.log2_mean < -bits);
}

#[test]
fn full_slots_coeffs_first() {
    check(10, 9, Order::CoeffsFirst, 19.5);
}

#[test]
fn full_slots_coeffs_last() {
    check(10, 9, Order::CoeffsLast, 17.0);
}

#[test]
fn sparse_slots() {
    check(10, 6, Order::CoeffsFirst, 19.5);
    check(10, 6, Order::CoeffsLast, 17.0);
}
