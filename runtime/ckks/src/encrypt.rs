//! Encryption with the secret key: half of a fresh ciphertext is a seed.

use hec_arith::sample;
use hec_params::{ERROR_STD_DEV, Level, Scale};
use rand_chacha::ChaCha20Rng;
use zeroize::Zeroizing;

use crate::poly::Poly;
use crate::random::{Seed, new_seed, seeded_stream};
use crate::{Ciphertext, CkksError, Context, KeyId, Plaintext, SecretKey};

/// A fresh ciphertext whose uniform part is a seed: half the size of a [`Ciphertext`].
#[derive(Clone, Debug)]
pub struct SeededCiphertext {
    pub(crate) key: KeyId,
    pub(crate) level: Level,
    pub(crate) scale: Scale,
    pub(crate) seed: Seed,
    /// −a·s + m + e.
    pub(crate) body: Poly,
}

impl SecretKey {
    /// Encrypt; use [`os_rng`](crate::os_rng) outside tests. Its error has standard deviation σ a coefficient.
    ///
    /// # Errors
    /// [`CkksError::WrongParameters`].
    pub fn encrypt(
        &self,
        context: &Context,
        plaintext: &Plaintext,
        rng: &mut ChaCha20Rng,
    ) -> Result<SeededCiphertext, CkksError> {
        context.check_level(plaintext.level)?;
        if self.fingerprint() != context.fingerprint() || !plaintext.poly.fits(context, context.basis(plaintext.level))
        {
            return Err(CkksError::WrongParameters);
        }
        let seed = new_seed(rng);
        let error = Zeroizing::new(sample::gaussian(rng, context.degree(), ERROR_STD_DEV)?);
        let mut body = Poly::any(context, context.basis(plaintext.level));
        body.for_each_limb(context, |k, table, limb| {
            let m = table.modulus();
            hec_arith::embed_i64(m, &error, limb);
            table.forward(limb);
            let mut mask = Zeroizing::new(vec![0.0; limb.len()]);
            sample::uniform(m, &mut seeded_stream(&seed, 0, k), &mut mask);
            hec_arith::mul_assign(m, &mut mask, self.limb(k));
            hec_arith::sub_assign(m, limb, &mask);
            hec_arith::add_assign(m, limb, plaintext.poly.limb(k));
        });
        Ok(SeededCiphertext { key: self.id(), level: plaintext.level, scale: plaintext.scale, seed, body })
    }
}

impl SeededCiphertext {
    /// The secret key that it belongs to.
    pub fn key(&self) -> KeyId {
        self.key
    }

    /// Level.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Scale.
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// Expand the seed.
    ///
    /// # Errors
    /// [`CkksError::WrongParameters`].
    pub fn expand(self, context: &Context) -> Result<Ciphertext, CkksError> {
        context.check_level(self.level)?;
        if !self.body.fits(context, context.basis(self.level)) {
            return Err(CkksError::WrongParameters);
        }
        let mut mask = Poly::any(context, self.body.basis());
        mask.for_each_limb(context, |k, table, limb| {
            sample::uniform(table.modulus(), &mut seeded_stream(&self.seed, 0, k), limb);
        });
        Ok(Ciphertext { key: self.key, level: self.level, scale: self.scale, parts: vec![self.body, mask] })
    }
}
