//! The secret key.

use hec_arith::sample;
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;
use zeroize::Zeroizing;

use crate::poly::{Poly, SecretPoly};
use crate::{CkksError, Context};

/// A public name of a secret key, drawn at random with it: everything made with the key carries it, so that what does
/// not belong together is refused instead of giving noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 16]);

/// A uniform ternary secret; wiped from memory when dropped.
pub struct SecretKey {
    id: KeyId,
    fingerprint: [u8; 32],
    coefficients: Zeroizing<Vec<i8>>,
    /// In QP of the top level, evaluation order.
    poly: SecretPoly,
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretKey({:?})", self.id)
    }
}

impl SecretKey {
    /// Draw a secret; use [`os_rng`](crate::os_rng) outside tests.
    pub fn generate(context: &Context, rng: &mut ChaCha20Rng) -> SecretKey {
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        Self::from_coefficients(context, KeyId(id), Zeroizing::new(sample::ternary(rng, context.degree())))
    }

    /// The same secret for other parameters of the same ring, under the same name.
    ///
    /// # Errors
    /// [`CkksError::WrongParameters`] if the ring differs.
    pub fn in_context(&self, context: &Context) -> Result<SecretKey, CkksError> {
        if context.degree() != self.coefficients.len() {
            return Err(CkksError::WrongParameters);
        }
        Ok(Self::from_coefficients(context, self.id, self.coefficients.clone()))
    }

    /// The name of this key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn from_coefficients(context: &Context, id: KeyId, coefficients: Zeroizing<Vec<i8>>) -> Self {
        let top = context.parameters().top_level();
        let mut poly = SecretPoly(Poly::zero(context, context.extended_basis(top)));
        poly.0.for_each_limb(context, |_, table, limb| {
            hec_arith::embed_i64(table.modulus(), &coefficients, limb);
            table.forward(limb);
        });
        SecretKey { id, fingerprint: context.fingerprint(), coefficients, poly }
    }

    pub(crate) fn coefficients(&self) -> &[i8] {
        &self.coefficients
    }

    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// The limb of one prime, by its position among all primes.
    pub(crate) fn limb(&self, prime_index: usize) -> &[f64] {
        // The top level's extended basis holds every prime in order.
        self.poly.0.limb(prime_index)
    }
}
