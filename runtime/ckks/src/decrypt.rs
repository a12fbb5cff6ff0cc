//! Decryption, with noise flooding where the result leaves the client.

use rand_chacha::ChaCha20Rng;

use crate::encode::embed_integers;
use crate::poly::Poly;
use crate::random::wide_gaussian;
use crate::{Ciphertext, CkksError, Context, Plaintext, SecretKey};

impl SecretKey {
    /// Decrypt.
    ///
    /// The result contains the noise of the ciphertext, which depends on the secret. It must not reach whoever made or
    /// evaluated the ciphertext: from enough of such results the secret can be computed (IND-CPA-D; Li, Micciancio
    /// 2021). Where it must be shared, use [`SecretKey::decrypt_flooded`].
    ///
    /// # Errors
    /// [`CkksError::WrongKey`], [`CkksError::WrongParameters`].
    pub fn decrypt(&self, context: &Context, ciphertext: &Ciphertext) -> Result<Plaintext, CkksError> {
        if self.fingerprint() != context.fingerprint() {
            return Err(CkksError::WrongParameters);
        }
        if self.id() != ciphertext.key {
            return Err(CkksError::WrongKey);
        }
        context.check_level(ciphertext.level)?;
        let basis = context.basis(ciphertext.level);
        if !ciphertext.parts.iter().all(|part| part.fits(context, basis)) {
            return Err(CkksError::WrongParameters);
        }
        let mut poly = Poly::zero(context, basis);
        poly.for_each_limb(context, |k, table, limb| {
            // Horner's rule in s.
            for part in ciphertext.parts.iter().rev() {
                hec_arith::mul_assign(table.modulus(), limb, self.limb(k));
                hec_arith::add_assign(table.modulus(), limb, part.limb(k));
            }
        });
        Ok(Plaintext { level: ciphertext.level, scale: ciphertext.scale, poly })
    }

    /// Decrypt and drown the noise in Gaussian noise of `std_dev` a coefficient (in units of 1/scale: a slot's error
    /// then has standard deviation std_dev·√(N/2)/scale).
    ///
    /// To hide noise of standard deviation e with s bits of statistical security over t results, `std_dev` must be
    /// about e·√(12·t)·2^(s/2) (Li, Micciancio, Schultz, Sorrell 2022). The scale must leave room for it.
    ///
    /// # Errors
    /// As [`SecretKey::decrypt`].
    pub fn decrypt_flooded(
        &self,
        context: &Context,
        ciphertext: &Ciphertext,
        std_dev: f64,
        rng: &mut ChaCha20Rng,
    ) -> Result<Plaintext, CkksError> {
        let mut plaintext = self.decrypt(context, ciphertext)?;
        if !(std_dev >= 0.0 && std_dev.is_finite()) {
            return Err(CkksError::BadStdDev(std_dev));
        }
        let noise = wide_gaussian(rng, context.degree(), std_dev);
        plaintext.poly.for_each_limb(context, |_, table, limb| {
            let mut flood = vec![0.0; limb.len()];
            embed_integers(table.modulus(), &noise, &mut flood);
            table.forward(&mut flood);
            hec_arith::add_assign(table.modulus(), limb, &flood);
        });
        Ok(plaintext)
    }
}
