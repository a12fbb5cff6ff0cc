//! Encrypted slots.

use std::borrow::Cow;

use hec_params::{Level, Scale};

use crate::poly::Poly;
use crate::{CkksError, Context, KeyId};

/// Encrypted slots: two parts (c0 + c1·s), or three after a product (c0 + c1·s + c2·s²), at a level and a scale.
#[derive(Clone, Debug)]
pub struct Ciphertext {
    pub(crate) key: KeyId,
    pub(crate) level: Level,
    pub(crate) scale: Scale,
    pub(crate) parts: Vec<Poly>,
}

/// Ciphertexts of an evaluation under way, with notes that say to their owner where it is.
#[derive(Clone, Debug)]
pub struct Snapshot<'a> {
    /// Anything.
    pub notes: Vec<u8>,
    /// At least one.
    pub ciphertexts: Vec<Cow<'a, Ciphertext>>,
}

impl Ciphertext {
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

    /// Two, or three for a product that has not been relinearized.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(Poly::bytes).sum()
    }

    /// The same ciphertext for other parameters of the same ring that have the same primes and the same scale at its
    /// level. Canonical scales that differ by less than 2^-32 of themselves are the same, as they follow from above.
    ///
    /// # Errors
    /// [`CkksError::WrongParameters`], [`CkksError::NotCanonical`].
    pub fn into_context(self, from: &Context, to: &Context) -> Result<Ciphertext, CkksError> {
        from.check_level(self.level)?;
        to.check_level(self.level)?;
        let primes = |context: &Context| context.parameters().primes_at(self.level).collect::<Vec<_>>();
        let (scale, canonical) = (from.scale(self.level)?, to.scale(self.level)?);
        if from.degree() != to.degree() || primes(from) != primes(to) {
            return Err(CkksError::WrongParameters);
        }
        let is_near = (scale.0 / canonical.0 - 1.0).abs() < 2f64.powi(-32);
        if self.scale != scale || !is_near {
            return Err(CkksError::NotCanonical { level: self.level, scale: self.scale, canonical });
        }
        Ok(Ciphertext { scale: canonical, ..self })
    }

    pub(crate) fn two_parts(&self) -> Result<(&Poly, &Poly), CkksError> {
        match &self.parts[..] {
            [c0, c1] => Ok((c0, c1)),
            parts => Err(CkksError::NotRelinearized { parts: parts.len() }),
        }
    }

    pub(crate) fn three_parts(&self) -> Result<(&Poly, &Poly, &Poly), CkksError> {
        match &self.parts[..] {
            [c0, c1, c2] => Ok((c0, c1, c2)),
            parts => Err(CkksError::NotAProduct { parts: parts.len() }),
        }
    }
}
