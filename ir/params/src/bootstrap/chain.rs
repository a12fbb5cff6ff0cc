//! The primes of a bootstrap.

use super::{BootstrapChoice, BootstrapParameters, Order};
use crate::chain::{prime_group, special_primes};
use crate::security::log2_product;
use crate::{Level, Parameters, ParametersError, ParametersLiteral, Scale};

/// By how many bits the special primes exceed a digit: the noise of the conjugation before eval-mod, which is not
/// followed by a rescale, would else be several times that of a rescale.
pub(super) const MARGIN: f64 = 4.0;

/// The program's levels have scale and primes of `scale_bits`. Above them Δ(ℓ)² = Δ(ℓ−1)·q(ℓ) fixes the scales, which
/// rise within a few levels to the size of the primes there, so that no prime is spent on a change of scale.
pub(super) fn literal(choice: &BootstrapChoice) -> Result<ParametersLiteral, ParametersError> {
    let (log_n, mut taken) = (choice.log_n, Vec::new());
    let before = if choice.order == Order::CoeffsFirst { choice.slots_to_coeffs.len() as u32 } else { 0 };
    let output = libm::exp2(choice.scale_bits);
    let mut scale = output;
    let mut levels = Vec::new();
    for _ in 0..before + choice.levels.0 {
        let group = prime_group(scale, log_n, &mut taken)?;
        scale *= scale / product(&group);
        levels.push(group);
    }
    levels.push(prime_group(libm::exp2(choice.base_bits), log_n, &mut taken)?);
    levels.reverse();
    let mut scale = output;
    for bits in upper_bits(choice) {
        let group = prime_group(libm::exp2(bits), log_n, &mut taken)?;
        scale = libm::sqrt(scale * product(&group));
        levels.push(group);
    }
    finish(choice, levels, scale, &mut taken)
}

/// The chain of a bootstrap without the highest of the program's levels.
pub(super) fn shortened(
    whole: &BootstrapParameters,
    choice: &BootstrapChoice,
) -> Result<ParametersLiteral, ParametersError> {
    let literal = whole.parameters.literal();
    let output = Level(whole.input_level().0 + choice.levels.0);
    let (program, upper) = (&literal.levels[..=output.index()], &literal.levels[whole.output_level().index() + 1..]);
    let up = |scale: f64, group: &Vec<u64>| libm::sqrt(scale * product(group));
    let scale = upper.iter().fold(whole.parameters.scale(output).0, up);
    let mut taken = literal.levels.concat();
    finish(choice, [program, upper].concat(), scale, &mut taken)
}

/// Add the special primes.
fn finish(
    choice: &BootstrapChoice,
    levels: Vec<Vec<u64>>,
    top_scale: f64,
    taken: &mut Vec<u64>,
) -> Result<ParametersLiteral, ParametersError> {
    let primes = levels.concat();
    let digit_size = choice.digit_size.clamp(1, primes.len());
    let digit = primes.chunks(digit_size).map(log2_product).fold(0.0, f64::max);
    Ok(ParametersLiteral {
        log_n: choice.log_n,
        levels,
        special: special_primes(digit + MARGIN, choice.log_n, taken)?,
        digit_size,
        top_scale: Scale(top_scale),
        insecure_toy: choice.insecure_toy,
    })
}

/// log2 of q(ℓ) for the levels above the program's, the lowest first.
///
/// The levels of T₄, T₂ and of the argument have the scales Δ + b/2, Δ + b and Δ + b/2 for a boost of b bits, which
/// Δ(ℓ)² = Δ(ℓ−1)·q(ℓ) gives for primes of Δ + b, Δ + 3b/2 and Δ bits; the next one takes b/2 back.
pub(super) fn upper_bits(choice: &BootstrapChoice) -> Vec<f64> {
    let after = if choice.order == Order::CoeffsLast { choice.slots_to_coeffs.len() } else { 0 };
    let eval = after + choice.sine.depth() as usize;
    let mut bits = vec![choice.eval_bits; eval + choice.coeffs_to_slots.len()];
    let boost = choice.boost_bits;
    for (from_top, share) in [(3, 1.0), (2, 1.5)] {
        if let Some(level) = eval.checked_sub(from_top) {
            bits[level] += boost * share;
        }
    }
    if let Some(last) = bits.get_mut(eval) {
        *last -= boost / 2.0;
    }
    bits
}

/// q(0) and one special prime of its size.
pub(super) fn encapsulation(parameters: &Parameters) -> Result<ParametersLiteral, ParametersError> {
    let literal = parameters.literal();
    let base = literal.levels[0].clone();
    let mut taken = base.clone();
    Ok(ParametersLiteral {
        log_n: literal.log_n,
        special: special_primes(log2_product(&base), literal.log_n, &mut taken)?,
        levels: vec![base],
        digit_size: 1,
        top_scale: parameters.scale(Level(0)),
        insecure_toy: literal.insecure_toy,
    })
}

fn product(group: &[u64]) -> f64 {
    group.iter().fold(1.0, |q, &p| q * p as f64)
}
