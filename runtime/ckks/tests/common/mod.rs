//! A client and a server over one parameter set, with fixed seeds.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::sync::Arc;

use hec_ckks::{Ciphertext, Context, Encoder, EvaluationKeys, Evaluator, KeyRequest, PrecisionStats, SecretKey};
use hec_params::{
    BootstrapChoice, ChainRequest, Depth, Level, LogN, Order, Parameters, ParametersLiteral, Rotation, Sine, Slots,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

pub struct Party {
    pub context: Arc<Context>,
    pub encoder: Encoder,
    pub secret: SecretKey,
    pub evaluator: Evaluator,
    pub rng: ChaCha20Rng,
}

pub fn toy(log_n: u32, depth: u32, scale_bits: f64, digit_size: usize) -> ChainRequest {
    ChainRequest {
        log_n: LogN(log_n),
        depth: Depth(depth),
        scale_bits,
        base_bits: scale_bits + 9.0,
        digit_size,
        insecure_toy: true,
    }
}

/// A bootstrap with two levels left.
pub fn toy_bootstrap(log_n: u32, log_slots: u32, order: Order) -> BootstrapChoice {
    let radices = |most: u32| {
        let count = most.min(log_slots);
        (0..count).map(|i| log_slots / count + u32::from(i < log_slots % count)).collect()
    };
    BootstrapChoice {
        log_n: LogN(log_n),
        slots: Slots(1 << log_slots),
        order,
        levels: Depth(2),
        scale_bits: 40.0,
        base_bits: 49.8,
        eval_bits: 49.8,
        boost_bits: 0.0,
        coeffs_to_slots: radices(3),
        slots_to_coeffs: radices(2),
        sine: Sine { degree: 30, double_angles: 3, arcsine: 3, ratio_bits: 9.0 },
        weight: 32,
        log2_failure: -100.0,
        digit_size: 4,
        insecure_toy: true,
    }
}

pub fn parameters(request: &ChainRequest) -> Parameters {
    Parameters::check(ParametersLiteral::new(request).unwrap()).unwrap()
}

/// Keys for products, conjugation and the given rotations at the top level.
pub fn party(request: &ChainRequest, rotations: &[u32], seed: u64) -> Party {
    let context = Context::new(parameters(request)).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let secret = SecretKey::generate(&context, &mut rng);
    let top = context.parameters().top_level();
    let mut keys = KeyRequest { relinearize: Some(top), conjugate: Some(top), ..KeyRequest::default() };
    rotations.iter().for_each(|&r| keys.rotation(Rotation(r), top));
    let keys = Arc::new(EvaluationKeys::generate(&context, &secret, &keys, &mut rng).unwrap());
    let evaluator = Evaluator::new(&context, &keys).unwrap();
    Party { encoder: Encoder::new(&context), context, secret, evaluator, rng }
}

impl Party {
    pub fn top(&self) -> Level {
        self.context.parameters().top_level()
    }

    pub fn slots(&self) -> usize {
        self.context.parameters().slots().0
    }

    /// Uniform in [−1, 1].
    pub fn random(&mut self) -> Vec<f64> {
        (0..self.slots()).map(|_| f64::from(self.rng.next_u32()) / f64::from(u32::MAX) * 2.0 - 1.0).collect()
    }

    pub fn encrypt_at(&mut self, values: &[f64], level: Level) -> Ciphertext {
        let scale = self.context.scale(level).unwrap();
        let plaintext = self.encoder.encode(values, level, scale).unwrap();
        self.secret.encrypt(&self.context, &plaintext, &mut self.rng).unwrap().expand(&self.context).unwrap()
    }

    pub fn encrypt(&mut self, values: &[f64]) -> Ciphertext {
        self.encrypt_at(values, self.top())
    }

    pub fn decrypt(&self, ciphertext: &Ciphertext) -> Vec<f64> {
        self.encoder.decode(&self.secret.decrypt(&self.context, ciphertext).unwrap()).unwrap()
    }

    /// The largest error must be below 2^log2_bound.
    #[track_caller]
    pub fn assert_close(&self, ciphertext: &Ciphertext, expected: &[f64], log2_bound: f64) {
        let stats = PrecisionStats::of(&self.decrypt(ciphertext), expected);
        assert!(stats.log2_max < log2_bound, "{stats}, not below {log2_bound}");
        assert!(stats.log2_max.is_finite(), "an encrypted result is never exact");
    }

    #[track_caller]
    pub fn assert_canonical(&self, ciphertext: &Ciphertext, level: u32) {
        assert_eq!(ciphertext.level(), Level(level));
        assert_eq!(ciphertext.scale(), self.context.scale(Level(level)).unwrap());
    }
}

pub fn map(a: &[f64], f: impl Fn(f64) -> f64) -> Vec<f64> {
    a.iter().map(|&x| f(x)).collect()
}

pub fn zip(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    a.iter().zip(b).map(|(&x, &y)| f(x, y)).collect()
}

/// Rotation to the left.
pub fn rotated(a: &[f64], by: usize) -> Vec<f64> {
    let mut out = a.to_vec();
    out.rotate_left(by);
    out
}
