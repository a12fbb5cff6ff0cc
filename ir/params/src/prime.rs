//! Primes that are 1 modulo 2N, so that the negacyclic NTT exists.

use crate::LogN;

/// Every prime is below 2^50: residues and lazy sums then stay exact in `f64` (docs/DESIGN.md, numbers).
pub const PRIME_LIMIT_BITS: u32 = 50;

fn mul_mod(a: u64, b: u64, p: u64) -> u64 {
    ((a as u128 * b as u128) % p as u128) as u64
}

fn pow_mod(mut base: u64, mut exponent: u64, p: u64) -> u64 {
    let mut result = 1 % p;
    base %= p;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = mul_mod(result, base, p);
        }
        base = mul_mod(base, base, p);
        exponent >>= 1;
    }
    result
}

/// Deterministic Miller–Rabin: the first twelve prime bases decide every 64-bit integer (Sorenson, Webster 2015).
pub fn is_prime(n: u64) -> bool {
    const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if n < 2 {
        return false;
    }
    for b in BASES {
        if n.is_multiple_of(b) {
            return n == b;
        }
    }
    let s = (n - 1).trailing_zeros();
    let d = (n - 1) >> s;
    BASES.iter().all(|&b| {
        let mut x = pow_mod(b, d, n);
        if x == 1 || x == n - 1 {
            return true;
        }
        for _ in 1..s {
            x = mul_mod(x, x, n);
            if x == n - 1 {
                return true;
            }
        }
        false
    })
}

/// The prime ≡ 1 (mod 2N) nearest to `target` that is below 2^50 and not in `taken`.
///
/// Returns `None` when there is none between 2N and 2^50.
pub fn nearest_ntt_prime(target: f64, log_n: LogN, taken: &[u64]) -> Option<u64> {
    let step = 2 * log_n.degree() as u64;
    let limit = 1u64 << PRIME_LIMIT_BITS;
    let target = target.clamp(step as f64, (limit - 1) as f64) as u64;
    let start = (target / step) * step + 1;
    let fits = |c: u64| c > step && c < limit && !taken.contains(&c) && is_prime(c);
    // Walk outwards; `below` and `above` are the next candidates on both sides.
    let (mut below, mut above) = (start, start + step);
    while below > step || above < limit {
        if below.abs_diff(target) <= above.abs_diff(target) && below > step || above >= limit {
            if fits(below) {
                return Some(below);
            }
            below -= step;
        } else {
            if fits(above) {
                return Some(above);
            }
            above += step;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primality_of_known_numbers() {
        for p in [2u64, 3, 65537, (1 << 31) - 1, 1125899906826241] {
            assert!(is_prime(p), "{p}");
        }
        for c in [0u64, 1, 561, 65537 * 65539, 3215031751, 1 << 49] {
            assert!(!is_prime(c), "{c}");
        }
    }

    #[test]
    fn nearest_is_nearest() {
        let log_n = LogN(10);
        let target = (1u64 << 40) as f64;
        let first = nearest_ntt_prime(target, log_n, &[]).expect("exists");
        let second = nearest_ntt_prime(target, log_n, &[first]).expect("exists");
        assert_eq!(first % 2048, 1);
        assert!((first as f64 - target).abs() <= (second as f64 - target).abs());
        let top = nearest_ntt_prime(f64::MAX, log_n, &[]).expect("exists");
        assert!(top < 1 << 50);
    }
}
