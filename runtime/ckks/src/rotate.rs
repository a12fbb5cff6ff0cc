//! Rotations and conjugation, with the decomposition shared where there are several of one ciphertext.

use hec_params::{Level, Rotation, Scale};

use crate::digits::{DigitSource, Digits};
use crate::switch::{Addend, KeySwitch};
use crate::{Ciphertext, CkksError, Evaluator, KeyName};

/// A ciphertext with its decomposition: any number of rotations share one mod_up (Halevi, Shoup 2018).
#[derive(Clone, Debug)]
pub struct Decomposed {
    pub(crate) ciphertext: Ciphertext,
    pub(crate) digits: Digits,
}

impl Decomposed {
    /// The ciphertext itself.
    pub fn ciphertext(&self) -> &Ciphertext {
        &self.ciphertext
    }

    /// Level.
    pub fn level(&self) -> Level {
        self.ciphertext.level
    }

    /// Scale.
    pub fn scale(&self) -> Scale {
        self.ciphertext.scale
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.ciphertext.bytes() + self.digits.bytes()
    }
}

impl Evaluator {
    /// Rotate the slots to the left.
    ///
    /// # Errors
    /// A missing key, three parts, another key, other parameters.
    pub fn rotate(&self, a: &Ciphertext, rotation: Rotation) -> Result<Ciphertext, CkksError> {
        self.check(a)?;
        if rotation.is_zero() {
            return Ok(a.clone());
        }
        self.permute(a, None, KeyName::Rotate(rotation))
    }

    /// Conjugate every slot.
    ///
    /// # Errors
    /// As [`Evaluator::rotate`].
    pub fn conjugate(&self, a: &Ciphertext) -> Result<Ciphertext, CkksError> {
        self.check(a)?;
        self.permute(a, None, KeyName::Conjugate)
    }

    /// Decompose once for many rotations. Holds a copy of the ciphertext.
    ///
    /// # Errors
    /// Three parts, another key, other parameters.
    pub fn decompose(&self, a: &Ciphertext) -> Result<Decomposed, CkksError> {
        self.check(a)?;
        let (_, c1) = a.two_parts()?;
        Ok(Decomposed { digits: Digits::of(&self.context, c1, a.level), ciphertext: a.clone() })
    }

    /// Rotate the slots of a decomposed ciphertext to the left.
    ///
    /// # Errors
    /// A missing key, another key, other parameters.
    pub fn rotate_decomposed(&self, a: &Decomposed, rotation: Rotation) -> Result<Ciphertext, CkksError> {
        self.check(&a.ciphertext)?;
        if rotation.is_zero() {
            return Ok(a.ciphertext.clone());
        }
        self.permute(&a.ciphertext, Some(&a.digits), KeyName::Rotate(rotation))
    }

    /// The image of a ciphertext under the automorphism of a key.
    pub(crate) fn permute(
        &self,
        a: &Ciphertext,
        digits: Option<&Digits>,
        name: KeyName,
    ) -> Result<Ciphertext, CkksError> {
        let (c0, c1) = a.two_parts()?;
        let key = self.keys.get(name, a.level)?;
        let source = match digits {
            Some(digits) => DigitSource::kept(&self.context, c1, a.level, digits),
            None => DigitSource::made(&self.context, c1, a.level),
        };
        let switch = KeySwitch { context: &self.context, source, key, addends: [Addend::Poly(c0), Addend::Zero] };
        Ok(Ciphertext { parts: switch.divide(self.context.mod_down(a.level)), ..*a })
    }
}
