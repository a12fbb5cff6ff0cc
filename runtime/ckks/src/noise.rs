//! Standard deviations of the noise of each operation, a coefficient, in units of the encoding's integers.
//!
//! Model: independent errors with mean 0; the secret is uniform ternary, so that a polynomial with independent
//! coefficients of variance v, times the secret, has coefficients of variance v·2N/3 (Costache, Curtis, Hales, Murphy,
//! Ogilvie, Player 2022). Noise from different operations adds up in variance. See [`slot_std_dev`] for slots.

use hec_params::{ERROR_STD_DEV, Level, Parameters, Scale};

/// Variance of rounding to an integer.
const ROUNDING: f64 = 1.0 / 12.0;

fn degree(parameters: &Parameters) -> f64 {
    parameters.log_n().degree() as f64
}

/// Error of the real part of a slot for noise of standard deviation `coefficient` a coefficient:
/// coefficient·√(N/2)/Δ, as Σ cos² over the N coefficients is N/2.
pub fn slot_std_dev(parameters: &Parameters, coefficient: f64, scale: Scale) -> f64 {
    coefficient * (degree(parameters) / 2.0).sqrt() / scale.0
}

/// Rounding of an encoded plaintext: √(1/12).
pub fn encoding() -> f64 {
    ROUNDING.sqrt()
}

/// A fresh ciphertext under the secret key: σ. The rounding of the plaintext comes on top.
pub fn fresh() -> f64 {
    ERROR_STD_DEV
}

/// Rounding both parts in a rescale, or in a division by P: √((1 + 2N/3)/12).
pub fn rescale(parameters: &Parameters) -> f64 {
    (ROUNDING * (1.0 + degree(parameters) * 2.0 / 3.0)).sqrt()
}

/// Rescaling a product of three parts: √((1 + 2N/3 + 8N²/9)/12), as the coefficients of s² have variance 8N/9. It is
/// why [`relinearize_rescale`](crate::Evaluator::relinearize_rescale) is more precise than rescaling first.
pub fn rescale_product(parameters: &Parameters) -> f64 {
    let n = degree(parameters);
    (ROUNDING * (1.0 + n * 2.0 / 3.0 + n * n * 8.0 / 9.0)).sqrt()
}

/// The inner product of key switching at a level, divided by P but not yet rounded: √(N·σ²·Σ_j D_j²/12)/P for the
/// products D_j of the primes of each digit.
pub fn key_switch_product(parameters: &Parameters, level: Level) -> f64 {
    let product = |primes: &[u64]| primes.iter().fold(1.0, |product, &p| product * p as f64);
    let p = product(parameters.special());
    let primes: Vec<u64> = parameters.primes_at(level).collect();
    let digits: f64 = primes.chunks(parameters.digit_size()).map(|digit| (product(digit) / p).powi(2)).sum();
    (degree(parameters) * ROUNDING * digits).sqrt() * ERROR_STD_DEV
}

/// A rotation, conjugation or relinearization: the inner product and the rounding of the division by P.
pub fn key_switch(parameters: &Parameters, level: Level) -> f64 {
    key_switch_product(parameters, level).hypot(rescale(parameters))
}

/// A product of slots a·b whose factors have the given slot errors: √(rms(a)²·err(b)² + rms(b)²·err(a)²), in slots.
pub fn product(rms_a: f64, error_a: f64, rms_b: f64, error_b: f64) -> f64 {
    (rms_a * error_b).hypot(rms_b * error_a)
}

/// A linear transform from `level`, in slots of its result: `inputs` has the root mean square and the slot error of the
/// rotated inputs, `diagonals` the root mean square of each diagonal of one output. Inner products of baby steps are not
/// rounded, giant steps act at the scale Δ(ℓ)² where their noise is nothing, and one division rounds:
/// √(Σ_d rms_d²·(err² + key_switch_product²) + count·rms²·encoding² + rescale²).
pub fn linear(parameters: &Parameters, level: Level, inputs: (f64, f64), diagonals: &[f64]) -> f64 {
    let slots = |coefficient: f64, level: Level| slot_std_dev(parameters, coefficient, parameters.scale(level));
    let (rms, error) = inputs;
    let below = level.below().unwrap_or(level);
    let energy: f64 = diagonals.iter().map(|d| d * d).sum();
    let rotated = error.hypot(slots(key_switch_product(parameters, level), level));
    let encoded = (diagonals.len() as f64).sqrt() * rms * slots(encoding(), level);
    (energy.sqrt() * rotated).hypot(encoded).hypot(slots(rescale(parameters), below))
}
