//! Encrypted slots.

use hec_params::{Level, Scale};

use crate::poly::Poly;
use crate::{CkksError, KeyId};

/// Encrypted slots: two parts (c0 + c1·s), or three after a product (c0 + c1·s + c2·s²), at a level and a scale.
#[derive(Clone, Debug)]
pub struct Ciphertext {
    pub(crate) key: KeyId,
    pub(crate) level: Level,
    pub(crate) scale: Scale,
    pub(crate) parts: Vec<Poly>,
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
