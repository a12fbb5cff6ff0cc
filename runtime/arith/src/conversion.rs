//! From residues modulo one set of primes to residues modulo another.

use crate::simd::products_in_a_sum;
use crate::{ArithError, Modulus, REDUCED, simd};
use hec_params::is_prime;
use std::ops::Range;

/// Base conversion by the Chinese remainder theorem with the floating-point correction of
/// Halevi, Polyakov, Shoup (CT-RSA 2019, section 2.2).
///
/// With P the product of the primes p_i: y_i = x_i·(P/p_i)^-1 mod p_i, v = round(Σ y_i/p_i), and
/// x = Σ y_i·(P/p_i) − v·P is the representative of least magnitude, |x| ≤ P/2. The sum is taken modulo each target prime.
///
/// The y_i do not depend on the target: a conversion starts from them, and an inverse transform gives them for nothing
/// ([`NttTable::inverse_times`](crate::NttTable::inverse_times)).
#[derive(Clone, Debug)]
pub struct BaseConverter {
    pub(crate) from: Vec<Source>,
    pub(crate) to: Vec<Target>,
}

/// A prime to convert from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    pub(crate) modulus: Modulus,
    /// (P/p_i)^-1 mod p_i.
    inverse_cofactor: f64,
}

/// A prime q to convert to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) modulus: Modulus,
    /// P/p_i mod q for every source prime, then −P mod q; balanced.
    pub(crate) factors: Vec<f64>,
    /// How many products one sum modulo q has room for.
    pub(crate) terms: usize,
}

impl BaseConverter {
    /// The conversion from residues modulo the primes `from` to residues modulo the primes `to`.
    ///
    /// # Errors
    /// If `from` is empty or has a prime twice, or if a modulus is not an odd prime below 2^50.
    pub fn new(from: &[u64], to: &[u64]) -> Result<Self, ArithError> {
        if let Some(&bad) = from.iter().chain(to).find(|&&p| !Modulus::fits(p) || !is_prime(p)) {
            return Err(ArithError::NotAPrime(bad));
        }
        if from.is_empty() || (1..from.len()).any(|i| from[..i].contains(&from[i])) {
            return Err(ArithError::Base(from.to_vec()));
        }
        let product_without = |skip: Option<usize>, q: Modulus| {
            let factors = from.iter().enumerate().filter(|&(i, _)| Some(i) != skip);
            factors.fold(1, |product, (_, &p)| q.mul_u64(product, p % q.value()))
        };
        let source = |i: usize| {
            let modulus = Modulus::new(from[i]);
            let cofactor = modulus.balance(product_without(Some(i), modulus));
            Source { modulus, inverse_cofactor: modulus.inv(cofactor) }
        };
        let from_values = (0..from.len()).map(source).collect::<Vec<_>>();
        let largest = from_values.iter().fold(0.0, |largest: f64, source| largest.max(REDUCED * source.modulus.p));
        let target = |&q: &u64| {
            let modulus = Modulus::new(q);
            let cofactors = (0..from.len()).map(|i| modulus.balance(product_without(Some(i), modulus)));
            let minus_product = -modulus.balance(product_without(None, modulus));
            let factors = cofactors.chain([minus_product]).collect();
            // |v| is below any |y_i| that matters here: it is at most 2/3 of the number of primes, plus 1.
            let largest = largest.max(from.len() as f64 + 1.0) * modulus.p / 2.0;
            Target { modulus, factors, terms: products_in_a_sum(modulus, largest) }
        };
        Ok(BaseConverter { to: to.iter().map(target).collect(), from: from_values })
    }

    /// (P/p_i)^-1 modulo the source prime number `i`: y_i is x_i times this.
    ///
    /// # Panics
    /// If there is no such prime.
    pub fn source_factor(&self, i: usize) -> f64 {
        self.from[i].inverse_cofactor
    }

    /// Converts coefficients to the target primes number `targets`: `scaled` has the reduced limb y_i for each source
    /// prime, `dst` one limb for each of the targets.
    ///
    /// The result is that of the representative of least magnitude, exactly, unless x/P is within k·2^-52 of a half-integer
    /// (k source primes): then it may be that of the neighbour x ± P.
    ///
    /// # Panics
    /// If there are no such targets, or if the number of limbs or their lengths do not match.
    pub fn convert(&self, targets: Range<usize>, scaled: &[&[f64]], dst: &mut [&mut [f64]]) {
        let targets = &self.to[targets];
        assert_eq!((scaled.len(), dst.len()), (self.from.len(), targets.len()), "one limb for each prime");
        let n = scaled[0].len();
        assert!(scaled.iter().all(|limb| limb.len() == n), "source limbs of one length");
        assert!(dst.iter().all(|limb| limb.len() == n), "target limbs as long as the source's");
        if targets.is_empty() {
            return;
        }
        let scratch = &mut vec![0.0; (scaled.len() + 1) * simd::CONVERSION_BLOCK];
        simd::convert(&self.from, targets, scaled, dst, scratch);
    }
}
