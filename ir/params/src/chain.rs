//! Build a prime chain for a depth and a scale.

use crate::security::log2_product;
use crate::{Depth, LogN, ParametersError, ParametersLiteral, Scale, max_log_qp, nearest_ntt_prime};

/// What a leveled program needs of its chain.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainRequest {
    /// Ring.
    pub log_n: LogN,
    /// Levels above level 0.
    pub depth: Depth,
    /// log2 of the scale.
    pub scale_bits: f64,
    /// log2 of the modulus of level 0: scale plus headroom for the largest output and its sign.
    pub base_bits: f64,
    /// Primes a key-switching digit.
    pub digit_size: usize,
    /// Accept less than 128 bits.
    pub insecure_toy: bool,
}

impl ParametersLiteral {
    /// Choose the primes, top level first: each is the nearest to the scale of its level, so that
    /// Δ(ℓ−1) = Δ(ℓ)²/q(ℓ) stays close to 2^scale_bits all the way down. A base or scale of 50 bits or more is
    /// spread over several primes.
    ///
    /// # Errors
    /// [`ParametersError::NoPrime`] when the ring has too few primes of that size, [`ParametersError::TooDeep`]
    /// when 128-bit security does not leave room for the depth.
    pub fn new(request: &ChainRequest) -> Result<Self, ParametersError> {
        let ChainRequest { log_n, depth, scale_bits, base_bits, digit_size, insecure_toy } = *request;
        let mut taken = Vec::new();
        let top_scale = Scale(libm::exp2(scale_bits));
        let mut scale = top_scale.0;
        let mut levels = Vec::new();
        for _ in 0..depth.0 {
            let group = prime_group(scale, log_n, &mut taken)?;
            scale *= scale / group.iter().fold(1.0, |q, &p| q * p as f64);
            levels.push(group);
        }
        levels.push(prime_group(libm::exp2(base_bits), log_n, &mut taken)?);
        levels.reverse();
        let primes: Vec<u64> = levels.iter().flatten().copied().collect();
        let digit = primes.chunks(digit_size.max(1)).map(log2_product).fold(0.0, f64::max);
        // P at least as large as the largest digit, so that key switching adds little more than rounding.
        let special = special_primes(digit, log_n, &mut taken)?;
        let literal = ParametersLiteral {
            log_n,
            levels,
            special,
            digit_size: digit_size.clamp(1, primes.len()),
            top_scale,
            insecure_toy,
        };
        let log_qp = log2_product(literal.levels.iter().flatten().chain(&literal.special));
        match max_log_qp(log_n) {
            Some(max) if log_qp > max && !insecure_toy => {
                Err(ParametersError::TooDeep { depth: depth.0, log_qp, max, log_n: log_n.0 })
            }
            _ => Ok(literal),
        }
    }
}

/// The fewest primes whose product is near `target`.
pub(crate) fn prime_group(target: f64, log_n: LogN, taken: &mut Vec<u64>) -> Result<Vec<u64>, ParametersError> {
    let count = (libm::log2(target) / 49.9).ceil().max(1.0);
    let mut rest = target;
    let mut group = Vec::new();
    for left in (1..=count as u32).rev() {
        let each = libm::pow(rest, 1.0 / f64::from(left));
        let p = nearest_ntt_prime(each, log_n, taken).ok_or(ParametersError::NoPrime(libm::log2(each)))?;
        taken.push(p);
        rest /= p as f64;
        group.push(p);
    }
    Ok(group)
}

/// The fewest equal primes whose product has at least `bits` bits.
pub(crate) fn special_primes(bits: f64, log_n: LogN, taken: &mut Vec<u64>) -> Result<Vec<u64>, ParametersError> {
    let count = (bits / 49.9).ceil().max(1.0);
    // Half a bit of reserve covers primes that lie a little below their target.
    let each = libm::exp2(((bits + 0.5) / count).min(49.99));
    (0..count as u32)
        .map(|_| {
            let p = nearest_ntt_prime(each, log_n, taken).ok_or(ParametersError::NoPrime(libm::log2(each)))?;
            taken.push(p);
            Ok(p)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Level, Parameters};

    fn request(log_n: u32, depth: u32, scale_bits: f64) -> ChainRequest {
        ChainRequest {
            log_n: LogN(log_n),
            depth: Depth(depth),
            scale_bits,
            base_bits: scale_bits + 8.0,
            digit_size: 2,
            insecure_toy: false,
        }
    }

    #[test]
    fn scales_do_not_drift() {
        for bits in [32.0, 36.0, 40.0, 45.0] {
            let literal = ParametersLiteral::new(&request(15, 14, bits)).expect("fits");
            let parameters = Parameters::check(literal).expect("valid");
            for level in 0..=parameters.top_level().0 {
                let drift = (parameters.scale(Level(level)).log2() - bits).abs();
                assert!(drift < 0.01, "level {level} at {bits} bits drifts by {drift}");
            }
        }
    }

    #[test]
    fn depth_that_does_not_fit_is_refused() {
        assert!(matches!(ParametersLiteral::new(&request(13, 14, 40.0)), Err(ParametersError::TooDeep { .. })));
        let toy = ChainRequest { insecure_toy: true, ..request(13, 14, 40.0) };
        let literal = ParametersLiteral::new(&toy).expect("toy");
        let mut honest = literal.clone();
        honest.insecure_toy = false;
        assert!(matches!(Parameters::check(honest), Err(ParametersError::Insecure { .. })));
        let line = Parameters::check(literal).expect("toy").security().to_string();
        assert!(line.contains("INSECURE"), "{line}");
    }
}
