//! How precise a bootstrap will be, before there are primes.
//!
//! Standard deviations of real parts of slots, for a uniform ternary secret; the independent contributions add up in
//! variance.

use super::overflow::Overflow;
use super::{BootstrapChoice, Order, Sine};
use crate::ERROR_STD_DEV;
use std::f64::consts::{PI, TAU};

/// What one bootstrap adds to the slots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BootstrapError {
    /// Standard deviation of the noise, which is new in every bootstrap.
    pub noise: f64,
    /// Bound of the error of the polynomials for messages up to 1: the same in every bootstrap of one message.
    pub systematic: f64,
}

impl BootstrapError {
    /// −log2 of the mean absolute error of normal noise, and the systematic error at worst.
    pub fn bits(&self) -> f64 {
        -libm::log2(self.noise * libm::sqrt(2.0 / PI) + self.systematic)
    }

    /// Predict it.
    pub fn of(choice: &BootstrapChoice) -> BootstrapError {
        Self::given(choice, &Overflow::new(choice.weight, 2 * choice.slots.0, choice.log2_failure))
    }

    pub(super) fn given(choice: &BootstrapChoice, overflow: &Overflow) -> BootstrapError {
        let n = choice.log_n.degree() as f64;
        let sine = choice.sine;
        let range = f64::from(overflow.bound) + 0.25;
        // Rounding in a rescale, in coefficients and in slots.
        let rounding = libm::sqrt((1.0 + 2.0 * n / 3.0) / 12.0);
        let spread = libm::sqrt(n / 2.0);
        let ratio = libm::exp2(sine.ratio_bits);
        // Gains are those of an error to the result in units of q(0), d sin(2πx)/2π, for |cos 2πx| = 1.
        let boost = libm::exp2(choice.boost_bits);
        let argument = libm::sqrt(1.0 + KEY_SWITCH * KEY_SWITCH) * range / boost.sqrt();
        // y = (x − 1/4)/range and T₂ = 2y² − 1, and so on from T₂ to T₄, where T₂ is near −1.
        let square = libm::sqrt(overflow.mean(|i| libm::pow(range * range / (4.0 * (i - 0.25)), 2.0)));
        let powers = [square / boost, square / 4.0 / boost.sqrt(), square / 15.5];
        // From level to level the scale falls by half of what it is above that of the program.
        let (excess, below) = (choice.eval_bits - choice.scale_bits, choice.levels_below_double_angles());
        let angle = |k: u32| {
            let loss = libm::exp2(excess / libm::exp2(f64::from(below + k)));
            loss * amplification(overflow, k) / TAU * if k == sine.double_angles { libm::sqrt(2.0) } else { 1.0 }
        };
        let angles = (1..=sine.double_angles).map(angle);
        let gain = OTHERS * angles.chain(powers).fold(argument, libm::hypot);
        let eval_mod = gain * rounding * spread / libm::exp2(choice.eval_bits) * ratio;
        let eval_mod = libm::hypot(eval_mod, diagonals(choice, overflow, range) * ratio);
        // Slots-to-coeffs first: the message is the coefficients, and the switch to the sparse secret adds its own.
        let message = libm::exp2(choice.base_bits) / ratio;
        let (noise, base) = match choice.order {
            Order::CoeffsFirst => {
                (eval_mod, libm::hypot(rounding / libm::exp2(choice.scale_bits), switch(n) / message))
            }
            Order::CoeffsLast => {
                let grown = eval_mod * libm::sqrt(choice.slots.0 as f64);
                (grown, rounding * spread / libm::exp2(choice.scale_bits) + switch(n) * spread / message)
            }
        };
        let overall = libm::hypot(noise, base);
        // The result is rescaled to the program's scale.
        let last = rounding * spread / libm::exp2(choice.scale_bits);
        BootstrapError {
            noise: libm::hypot(overall, last),
            systematic: systematic(choice, range, amplification(overflow, sine.double_angles)),
        }
    }
}

impl BootstrapChoice {
    /// Levels between the program's and the last double angle.
    fn levels_below_double_angles(&self) -> u32 {
        let angles = Sine { arcsine: 1, ..self.sine }.depth();
        let transform = if self.order == Order::CoeffsLast { self.slots_to_coeffs.len() as u32 } else { 0 };
        transform + self.sine.depth() - angles
    }
}

/// What the other powers and the quotients add: measured, 1.2 to 1.35.
const OTHERS: f64 = 1.35;

/// Noise of a key switch over that of a rescale, with the special primes as large as the chain makes them.
const KEY_SWITCH: f64 = 0.5;

/// Error of the cosine that is fitted where overflows are probable, over that of a Chebyshev expansion.
const FIT: f64 = 1.0 / 128.0;

/// What the rounded diagonals of coeffs-to-slots add to x: the overflow, in root mean square, times the relative error of
/// each factor. All factors together make x smaller by far, so that the diagonals are small and their rounding is not.
fn diagonals(choice: &BootstrapChoice, overflow: &Overflow, range: f64) -> f64 {
    let scale = libm::exp2(choice.eval_bits);
    let (slots, all) = (choice.slots.0 as f64, choice.log_n.slots().0 as f64);
    let factors = choice.coeffs_to_slots.len().max(1) as f64;
    let share = scale / (libm::exp2(choice.base_bits) * range * 2.0 * all / slots * libm::sqrt(slots));
    let error = libm::sqrt(all / 12.0) / scale / libm::pow(share, 1.0 / factors);
    let diagonals: f64 = choice.coeffs_to_slots.iter().map(|&radix| libm::exp2(f64::from(radix) + 1.0)).sum();
    libm::sqrt(overflow.mean(|i| i * i) * diagonals) * error
}

/// The switch to the sparse secret, a coefficient: one digit, and rounding under few coefficients.
fn switch(n: f64) -> f64 {
    libm::sqrt(n / 12.0) * ERROR_STD_DEV
}

/// d cos θ / d cos(θ/2^r) at θ = 2π(I − 1/4), in root mean square over the overflows I.
fn amplification(overflow: &Overflow, double_angles: u32) -> f64 {
    let power = libm::exp2(f64::from(double_angles));
    let square = |i: f64| libm::pow(power / libm::sin(TAU * (i - 0.25) / power), 2.0);
    libm::sqrt(overflow.mean(square))
}

/// Error of sine and cosine polynomials, in messages.
fn systematic(choice: &BootstrapChoice, range: f64, amplification: f64) -> f64 {
    let sine = choice.sine;
    let ratio = libm::exp2(sine.ratio_bits);
    let x = TAU / ratio;
    // The first term that the odd polynomial of degree d lacks, c·x^(d+2), economized: 2^−(d+1) of it.
    let mut term = 1.0;
    for k in (1..=sine.arcsine).step_by(2) {
        let k = k as f64;
        term *= k * k / ((k + 1.0) * (k + 2.0));
    }
    let arcsine = term * libm::pow(x, sine.arcsine as f64 + 1.0) / libm::exp2(sine.arcsine as f64 + 1.0);
    // The Chebyshev coefficient of cos(a·y) of the first degree that is missing, 2·J_k(a) ≤ 2(a/2)^k/k!.
    let a = TAU * range / libm::exp2(f64::from(sine.double_angles));
    let k = sine.degree as f64 + 2.0;
    let log2_bessel = 1.0 + k * libm::log2(a / 2.0) - libm::lgamma(k + 1.0) / std::f64::consts::LN_2;
    let cosine = FIT * libm::exp2(log2_bessel) * amplification / TAU * ratio;
    let grown = if choice.order == Order::CoeffsLast { libm::sqrt(choice.slots.0 as f64) } else { 1.0 };
    arcsine + cosine * grown
}
