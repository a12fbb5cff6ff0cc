//! Sums and products of ciphertexts, plaintexts and scalars.

use std::sync::Arc;

use hec_arith::Modulus;
use hec_params::{Level, Scale};

use crate::encode::{check_fits, check_scale};
use crate::poly::{Basis, Poly};
use crate::{Ciphertext, CkksError, Context, EvaluationKeys, Plaintext};

/// Computes on ciphertexts with evaluation keys; needs no secret.
///
/// Scales are exact: operands of a sum must have bitwise equal scales. A ciphertext at level ℓ has the canonical scale
/// Δ(ℓ), or Δ(ℓ)² as a product until it is rescaled to Δ(ℓ−1).
#[derive(Clone, Debug)]
pub struct Evaluator {
    pub(crate) context: Arc<Context>,
    pub(crate) keys: Arc<EvaluationKeys>,
}

impl Evaluator {
    /// An evaluator for ciphertexts of the secret key that `keys` belong to.
    ///
    /// # Errors
    /// [`CkksError::WrongParameters`].
    pub fn new(context: &Arc<Context>, keys: &Arc<EvaluationKeys>) -> Result<Self, CkksError> {
        if keys.fingerprint() != context.fingerprint() {
            return Err(CkksError::WrongParameters);
        }
        Ok(Evaluator { context: Arc::clone(context), keys: Arc::clone(keys) })
    }

    /// The context.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// a + b.
    ///
    /// # Errors
    /// Levels or scales that differ, another key, other parameters.
    pub fn add(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext, CkksError> {
        if a.parts.len() != b.parts.len() {
            let mut sum = a.clone();
            self.add_assign(&mut sum, b)?;
            return Ok(sum);
        }
        self.check_pair(a, b)?;
        Ok(self.by_parts(a, b, hec_arith::add))
    }

    /// a += b.
    ///
    /// # Errors
    /// As [`Evaluator::add`].
    pub fn add_assign(&self, a: &mut Ciphertext, b: &Ciphertext) -> Result<(), CkksError> {
        self.combine(a, b, hec_arith::add_assign, |_| ())
    }

    /// a − b.
    ///
    /// # Errors
    /// As [`Evaluator::add`].
    pub fn sub(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext, CkksError> {
        if a.parts.len() != b.parts.len() {
            let mut difference = a.clone();
            self.sub_assign(&mut difference, b)?;
            return Ok(difference);
        }
        self.check_pair(a, b)?;
        Ok(self.by_parts(a, b, hec_arith::sub))
    }

    /// a −= b.
    ///
    /// # Errors
    /// As [`Evaluator::add`].
    pub fn sub_assign(&self, a: &mut Ciphertext, b: &Ciphertext) -> Result<(), CkksError> {
        self.combine(a, b, hec_arith::sub_assign, hec_arith::neg_assign)
    }

    /// −a.
    ///
    /// # Errors
    /// Another key, other parameters.
    pub fn negate(&self, a: &Ciphertext) -> Result<Ciphertext, CkksError> {
        self.check(a)?;
        let mut out = a.clone();
        out.parts.iter_mut().for_each(|part| part.for_each_limb(&self.context, |_, _, x| hec_arith::neg_assign(x)));
        Ok(out)
    }

    /// a + b for encoded slots b.
    ///
    /// # Errors
    /// Levels or scales that differ, another key, other parameters.
    pub fn add_plain(&self, a: &Ciphertext, b: &Plaintext) -> Result<Ciphertext, CkksError> {
        self.combine_plain(a, b, hec_arith::add_assign)
    }

    /// a − b for encoded slots b.
    ///
    /// # Errors
    /// As [`Evaluator::add_plain`].
    pub fn sub_plain(&self, a: &Ciphertext, b: &Plaintext) -> Result<Ciphertext, CkksError> {
        self.combine_plain(a, b, hec_arith::sub_assign)
    }

    /// a + value in every slot.
    ///
    /// # Errors
    /// A value that is not finite or too large, another key, other parameters.
    pub fn add_scalar(&self, a: &Ciphertext, value: f64) -> Result<Ciphertext, CkksError> {
        self.check(a)?;
        let scalar = self.encode_scalar(value, a.level, a.scale)?;
        let mut out = a.clone();
        out.parts[0].for_each_limb(&self.context, |_, table, x| {
            let m = table.modulus();
            let constant = residue(m, scalar);
            // A constant polynomial has one value at every point.
            x.iter_mut().for_each(|r| *r += constant);
            hec_arith::reduce_assign(m, x);
        });
        Ok(out)
    }

    /// a·b for encoded slots b; the scales multiply. A factor at the canonical scale makes the product rescale
    /// exactly.
    ///
    /// # Errors
    /// Levels that differ, another key, other parameters.
    pub fn mul_plain(&self, a: &Ciphertext, b: &Plaintext) -> Result<Ciphertext, CkksError> {
        self.check(a)?;
        self.check_plain(a, b)?;
        let parts = a.parts.iter().map(|part| self.poly_of(hec_arith::mul, part, &b.poly)).collect();
        Ok(Ciphertext { parts, scale: Scale(a.scale.0 * b.scale.0), ..*a })
    }

    /// a·value in every slot, with the value encoded at the canonical scale.
    ///
    /// # Errors
    /// A value that is not finite or too large, another key, other parameters.
    pub fn mul_scalar(&self, a: &Ciphertext, value: f64) -> Result<Ciphertext, CkksError> {
        self.check(a)?;
        let scale = self.context.scale(a.level)?;
        let scalar = self.encode_scalar(value, a.level, scale)?;
        let mut out = self.times(a, scalar);
        out.scale = Scale(a.scale.0 * scale.0);
        Ok(out)
    }

    /// a·factor for a small integer: the scale stays, no level is used, the noise grows by the factor.
    ///
    /// # Errors
    /// Another key, other parameters.
    pub fn mul_integer(&self, a: &Ciphertext, factor: i32) -> Result<Ciphertext, CkksError> {
        self.check(a)?;
        Ok(self.times(a, f64::from(factor)))
    }

    /// a·b, in three parts.
    ///
    /// # Errors
    /// Operands of three parts, levels that differ, another key, other parameters.
    pub fn multiply(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext, CkksError> {
        self.check_factors(a, b)?;
        let (a0, a1) = a.two_parts()?;
        let (b0, b1) = b.two_parts()?;
        let part = |pairs: &[(&Poly, &Poly)]| self.sum_of_products(a0.basis(), pairs);
        let parts = vec![part(&[(a0, b0)]), part(&[(a0, b1), (a1, b0)]), part(&[(a1, b1)])];
        Ok(Ciphertext { parts, scale: Scale(a.scale.0 * b.scale.0), ..*a })
    }

    /// a², in three parts: cheaper than [`Evaluator::multiply`].
    ///
    /// # Errors
    /// As [`Evaluator::multiply`].
    pub fn square(&self, a: &Ciphertext) -> Result<Ciphertext, CkksError> {
        self.check(a)?;
        let (a0, a1) = a.two_parts()?;
        let part = |pairs: &[(&Poly, &Poly)]| self.sum_of_products(a0.basis(), pairs);
        let mut middle = part(&[(a0, a1)]);
        middle.for_each_limb(&self.context, |_, table, x| {
            x.iter_mut().for_each(|r| *r += *r);
            hec_arith::reduce_assign(table.modulus(), x);
        });
        let parts = vec![part(&[(a0, a0)]), middle, part(&[(a1, a1)])];
        Ok(Ciphertext { parts, scale: Scale(a.scale.0 * a.scale.0), ..*a })
    }

    /// The integer that encodes a real constant.
    pub(crate) fn encode_scalar(&self, value: f64, level: Level, scale: Scale) -> Result<f64, CkksError> {
        check_scale(scale)?;
        if !value.is_finite() {
            return Err(CkksError::NotFinite { index: 0 });
        }
        let scalar = (value * scale.0).round();
        check_fits(&self.context, level, scalar.abs())?;
        Ok(scalar)
    }

    /// Multiply all residues by an integer.
    pub(crate) fn times(&self, a: &Ciphertext, integer: f64) -> Ciphertext {
        let mut out = a.clone();
        for part in &mut out.parts {
            part.for_each_limb(&self.context, |_, table, x| {
                let m = table.modulus();
                hec_arith::mul_scalar_assign(m, x, residue(m, integer));
            });
        }
        out
    }

    pub(crate) fn sum_of_products(&self, basis: Basis, pairs: &[(&Poly, &Poly)]) -> Poly {
        let mut out = Poly::any(&self.context, basis);
        out.for_each_limb(&self.context, |k, table, x| {
            let limbs: Vec<_> = pairs.iter().map(|(a, b)| (a.limb(k), b.limb(k))).collect();
            hec_arith::sum_of_products(table.modulus(), x, &limbs);
        });
        out
    }

    /// A new polynomial, limb by limb.
    fn poly_of(&self, with: fn(Modulus, &mut [f64], &[f64], &[f64]), a: &Poly, b: &Poly) -> Poly {
        let mut out = Poly::any(&self.context, a.basis());
        out.for_each_limb(&self.context, |k, table, x| with(table.modulus(), x, a.limb(k), b.limb(k)));
        out
    }

    /// A new ciphertext from two of as many parts.
    fn by_parts(&self, a: &Ciphertext, b: &Ciphertext, with: fn(Modulus, &mut [f64], &[f64], &[f64])) -> Ciphertext {
        let parts = a.parts.iter().zip(&b.parts).map(|(a, b)| self.poly_of(with, a, b)).collect();
        Ciphertext { parts, ..*a }
    }

    /// Whether two ciphertexts can be multiplied.
    pub(crate) fn check_factors(&self, a: &Ciphertext, b: &Ciphertext) -> Result<(), CkksError> {
        self.check(a)?;
        self.check(b)?;
        if a.level == b.level { Ok(()) } else { Err(CkksError::LevelMismatch { left: a.level, right: b.level }) }
    }

    fn check_pair(&self, a: &Ciphertext, b: &Ciphertext) -> Result<(), CkksError> {
        self.check(a)?;
        self.check(b)?;
        check_same(a.level, b.level, a.scale, b.scale)
    }

    fn combine(
        &self,
        a: &mut Ciphertext,
        b: &Ciphertext,
        with: fn(Modulus, &mut [f64], &[f64]),
        alone: fn(&mut [f64]),
    ) -> Result<(), CkksError> {
        self.check_pair(a, b)?;
        for (i, part) in b.parts.iter().enumerate() {
            match a.parts.get_mut(i) {
                Some(x) => x.for_each_limb(&self.context, |k, table, x| with(table.modulus(), x, part.limb(k))),
                None => {
                    let mut part = part.clone();
                    part.for_each_limb(&self.context, |_, _, x| alone(x));
                    a.parts.push(part);
                }
            }
        }
        Ok(())
    }

    fn combine_plain(
        &self,
        a: &Ciphertext,
        b: &Plaintext,
        with: fn(Modulus, &mut [f64], &[f64]),
    ) -> Result<Ciphertext, CkksError> {
        self.check(a)?;
        self.check_plain(a, b)?;
        check_same(a.level, b.level, a.scale, b.scale)?;
        let mut out = a.clone();
        out.parts[0].for_each_limb(&self.context, |k, table, x| with(table.modulus(), x, b.poly.limb(k)));
        Ok(out)
    }

    /// Whether a ciphertext belongs to this key and these parameters.
    pub(crate) fn check(&self, a: &Ciphertext) -> Result<(), CkksError> {
        if a.key != self.keys.id() {
            return Err(CkksError::WrongKey);
        }
        self.context.check_level(a.level)?;
        let basis = self.context.basis(a.level);
        if a.parts.iter().all(|part| part.fits(&self.context, basis)) {
            Ok(())
        } else {
            Err(CkksError::WrongParameters)
        }
    }

    fn check_plain(&self, a: &Ciphertext, b: &Plaintext) -> Result<(), CkksError> {
        if a.level != b.level {
            return Err(CkksError::LevelMismatch { left: a.level, right: b.level });
        }
        if !b.poly.fits(&self.context, self.context.basis(b.level)) {
            return Err(CkksError::WrongParameters);
        }
        Ok(())
    }
}

fn check_same(left: Level, right: Level, a: Scale, b: Scale) -> Result<(), CkksError> {
    if left != right {
        Err(CkksError::LevelMismatch { left, right })
    } else if a.0.to_bits() != b.0.to_bits() {
        Err(CkksError::ScaleMismatch { left: a, right: b })
    } else {
        Ok(())
    }
}

/// The residue of an integer that a finite `f64` holds.
pub(crate) fn residue(m: Modulus, integer: f64) -> f64 {
    let mut out = [0.0];
    crate::encode::embed_integers(m, &[integer], &mut out);
    out[0]
}
