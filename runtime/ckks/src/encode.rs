//! Slots to integers and back.

use std::sync::Arc;

use hec_arith::Modulus;
use hec_params::{Level, Scale, Slots};
use rayon::prelude::*;

use crate::poly::{Basis, Poly};
use crate::{CkksError, Context, lift};

/// The value of one slot.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Complex {
    /// Real part.
    pub re: f64,
    /// Imaginary part.
    pub im: f64,
}

/// Encoded slots: a polynomial at a level and a scale.
#[derive(Clone, Debug)]
pub struct Plaintext {
    pub(crate) level: Level,
    pub(crate) scale: Scale,
    pub(crate) poly: Poly,
}

impl Plaintext {
    /// Level.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Scale.
    pub fn scale(&self) -> Scale {
        self.scale
    }
}

/// The integer coefficients of encoded slots, 8 N bytes whatever the level: the compact form of a plaintext factor.
#[derive(Clone, Debug, PartialEq)]
pub struct Integers {
    pub(crate) level: Level,
    pub(crate) coefficients: Vec<f64>,
}

/// A plaintext factor in QP, ready for products with ciphertexts that have not been divided by P yet. Where slots repeat
/// with a period, its limbs are shorter than N.
#[derive(Clone, Debug)]
pub struct ExtendedPlaintext {
    pub(crate) level: Level,
    pub(crate) poly: Poly,
}

/// Encodes and decodes slots by the canonical embedding.
#[derive(Clone, Debug)]
pub struct Encoder {
    context: Arc<Context>,
}

impl Encoder {
    /// An encoder for these parameters.
    pub fn new(context: &Arc<Context>) -> Self {
        Encoder { context: Arc::clone(context) }
    }

    /// The context.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Encode real values; missing ones are 0.
    ///
    /// # Errors
    /// Too many values, a value that is not finite, or one so large that `level`'s modulus cannot hold it.
    pub fn encode(&self, values: &[f64], level: Level, scale: Scale) -> Result<Plaintext, CkksError> {
        let integers = self.encode_integers(values, level, scale)?;
        Ok(Plaintext { level, scale, poly: self.residues(&integers, self.context.basis(level)) })
    }

    /// Encode complex values; missing ones are 0.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub fn encode_complex(&self, values: &[Complex], level: Level, scale: Scale) -> Result<Plaintext, CkksError> {
        let integers = self.encode_complex_integers(values, level, scale)?;
        Ok(Plaintext { level, scale, poly: self.residues(&integers, self.context.basis(level)) })
    }

    /// The integers that encode real values, without residues.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub fn encode_integers(&self, values: &[f64], level: Level, scale: Scale) -> Result<Integers, CkksError> {
        let slots = self.context.parameters().slots();
        self.embed(slots, (values.iter().copied(), std::iter::empty()), level, scale)
    }

    /// The integers that encode complex values, without residues.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub fn encode_complex_integers(
        &self,
        values: &[Complex],
        level: Level,
        scale: Scale,
    ) -> Result<Integers, CkksError> {
        let slots = self.context.parameters().slots();
        self.embed(slots, (values.iter().map(|v| v.re), values.iter().map(|v| v.im)), level, scale)
    }

    /// The integers that encode a power of two of complex values in the ring that has as many slots.
    pub(crate) fn encode_period(&self, values: &[Complex], level: Level, scale: Scale) -> Result<Integers, CkksError> {
        let slots = Slots(values.len());
        self.embed(slots, (values.iter().map(|v| v.re), values.iter().map(|v| v.im)), level, scale)
    }

    /// Encode real values in QP, as a factor at the canonical scale of `level`.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub fn encode_extended(&self, values: &[f64], level: Level) -> Result<ExtendedPlaintext, CkksError> {
        let integers = self.encode_integers(values, level, self.context.scale(level)?)?;
        Ok(ExtendedPlaintext { level, poly: self.residues(&integers, self.context.extended_basis(level)) })
    }

    /// The real parts of all slots.
    ///
    /// # Errors
    /// [`CkksError::WrongParameters`].
    pub fn decode(&self, plaintext: &Plaintext) -> Result<Vec<f64>, CkksError> {
        Ok(self.slots(plaintext)?.0)
    }

    /// All slots.
    ///
    /// # Errors
    /// [`CkksError::WrongParameters`].
    pub fn decode_complex(&self, plaintext: &Plaintext) -> Result<Vec<Complex>, CkksError> {
        let (re, im) = self.slots(plaintext)?;
        Ok(re.into_iter().zip(im).map(|(re, im)| Complex { re, im }).collect())
    }

    /// The coefficients of the real and imaginary parts of so many slots.
    fn embed(
        &self,
        slots: Slots,
        (re, im): (impl ExactSizeIterator<Item = f64>, impl Iterator<Item = f64>),
        level: Level,
        scale: Scale,
    ) -> Result<Integers, CkksError> {
        self.context.check_level(level)?;
        check_scale(scale)?;
        let n = slots.0;
        if re.len() > n {
            return Err(CkksError::TooManyValues { given: re.len(), slots: n });
        }
        let mut coefficients = vec![0.0; 2 * n];
        let (left, right) = coefficients.split_at_mut(n);
        left.iter_mut().zip(re).for_each(|(x, v)| *x = v);
        right.iter_mut().zip(im).for_each(|(x, v)| *x = v);
        if let Some(i) = left.iter().zip(&*right).position(|(a, b)| !a.is_finite() || !b.is_finite()) {
            return Err(CkksError::NotFinite { index: i });
        }
        self.context.fft().inverse(left, right);
        coefficients.iter_mut().for_each(|x| *x = (*x * scale.0).round());
        let largest = coefficients.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        check_fits(&self.context, level, largest)?;
        Ok(Integers { level, coefficients })
    }

    pub(crate) fn residues(&self, integers: &Integers, basis: Basis) -> Poly {
        let mut poly = Poly::any(&self.context, basis);
        poly.for_each_limb(&self.context, |_, table, limb| {
            embed_integers(table.modulus(), &integers.coefficients, limb);
            table.forward(limb);
        });
        poly
    }

    fn slots(&self, plaintext: &Plaintext) -> Result<(Vec<f64>, Vec<f64>), CkksError> {
        self.context.check_level(plaintext.level)?;
        if !plaintext.poly.fits(&self.context, self.context.basis(plaintext.level)) {
            return Err(CkksError::WrongParameters);
        }
        let n = self.context.parameters().slots().0;
        let mut poly = plaintext.poly.clone();
        poly.inverse(&self.context);
        let mut re = lift::to_f64(&self.context, &poly);
        let share = 1.0 / plaintext.scale.0;
        re.par_iter_mut().for_each(|x| *x *= share);
        let mut im = re.split_off(n);
        self.context.fft().forward(&mut re, &mut im);
        Ok((re, im))
    }
}

/// The residues of coefficients that were rounded when they were made.
pub(crate) fn embed_integers(modulus: Modulus, coefficients: &[f64], limb: &mut [f64]) {
    hec_arith::embed_f64(modulus, coefficients, limb).expect("encoded coefficients are rounded and finite");
}

pub(crate) fn check_scale(scale: Scale) -> Result<(), CkksError> {
    if scale.0.is_finite() && scale.0 > 0.0 { Ok(()) } else { Err(CkksError::BadScale { scale }) }
}

/// Whether a coefficient of this size is represented uniquely, |x| < Q/2. Overflow of `f64` is caught as well.
pub(crate) fn check_fits(context: &Context, level: Level, largest: f64) -> Result<(), CkksError> {
    let log2_modulus = context.parameters().log_q(level);
    let log2_value = largest.log2();
    if log2_value < log2_modulus - 1.0 {
        Ok(())
    } else {
        Err(CkksError::ValueTooLarge { level, log2_value, log2_modulus })
    }
}
