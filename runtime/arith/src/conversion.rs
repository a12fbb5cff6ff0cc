//! From residues modulo one set of primes to residues modulo another.

use crate::{ArithError, Modulus, simd};
use hec_params::is_prime;

/// Base conversion by the Chinese remainder theorem with the floating-point correction of
/// Halevi, Polyakov, Shoup (CT-RSA 2019, section 2.2).
///
/// With P the product of the primes p_i: y_i = x_i·(P/p_i)^-1 mod p_i, v = round(Σ y_i/p_i), and
/// x = Σ y_i·(P/p_i) − v·P is the representative of least magnitude, |x| ≤ P/2. The sum is taken modulo each target prime.
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
    pub(crate) inverse_cofactor: f64,
}

/// A prime q to convert to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) modulus: Modulus,
    /// P/p_i mod q, for every source prime.
    pub(crate) cofactors: Vec<f64>,
    /// −P mod q.
    pub(crate) minus_product: f64,
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
        let target = |&q: &u64| {
            let modulus = Modulus::new(q);
            let cofactors = (0..from.len()).map(|i| modulus.balance(product_without(Some(i), modulus))).collect();
            Target { modulus, cofactors, minus_product: -modulus.balance(product_without(None, modulus)) }
        };
        Ok(BaseConverter { from: (0..from.len()).map(source).collect(), to: to.iter().map(target).collect() })
    }

    /// Converts coefficients: `src` has one reduced limb for each source prime, `dst` one limb for each target prime.
    ///
    /// The result is that of the representative of least magnitude, exactly, unless x/P is within k·2^-52 of a half-integer
    /// (k source primes): then it may be that of the neighbour x ± P.
    ///
    /// # Panics
    /// If the number of limbs or their lengths do not match.
    pub fn convert(&self, src: &[&[f64]], dst: &mut [&mut [f64]]) {
        assert_eq!((src.len(), dst.len()), (self.from.len(), self.to.len()), "one limb for each prime");
        let n = src[0].len();
        assert!(src.iter().all(|limb| limb.len() == n), "source limbs of one length");
        assert!(dst.iter().all(|limb| limb.len() == n), "target limbs as long as the source's");
        let scratch = &mut vec![0.0; (src.len() + 1) * simd::CONVERSION_BLOCK];
        simd::convert(self, src, dst, scratch);
    }
}
