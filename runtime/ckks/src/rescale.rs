//! Levels down: rescaling, relinearization and exact drops.

use hec_params::{Level, Scale};

use crate::basis::TailDivider;
use crate::digits::DigitSource;
use crate::poly::Poly;
use crate::switch::{Addend, KeySwitch};
use crate::{Ciphertext, CkksError, Evaluator, KeyName};

impl Evaluator {
    /// Divide by the primes of the level: a product of canonical scale Δ(ℓ)² gets the canonical scale Δ(ℓ−1), exactly.
    ///
    /// # Errors
    /// [`CkksError::NoLevelLeft`], another key, other parameters.
    pub fn rescale(&self, a: &Ciphertext) -> Result<Ciphertext, CkksError> {
        self.check(a)?;
        let divider = self.context.rescale(a.level)?;
        let basis = self.context.basis(a.level);
        let parts = a.parts.iter().map(|part| divider.divide(&self.context, basis, part.limbs())).collect();
        let (level, scale) = self.below(a.level, a.scale)?;
        Ok(Ciphertext { parts, level, scale, ..*a })
    }

    /// From three parts to two.
    ///
    /// # Errors
    /// A missing key, not a product, another key, other parameters.
    pub fn relinearize(&self, a: &Ciphertext) -> Result<Ciphertext, CkksError> {
        self.check(a)?;
        Ok(Ciphertext { parts: self.switch_square(a, self.context.mod_down(a.level))?, ..*a })
    }

    /// Relinearize and rescale in one division by P·q(ℓ), which rounds once.
    ///
    /// # Errors
    /// As [`Evaluator::relinearize`] and [`Evaluator::rescale`].
    pub fn relinearize_rescale(&self, a: &Ciphertext) -> Result<Ciphertext, CkksError> {
        self.check(a)?;
        let parts = self.switch_square(a, self.context.mod_down_rescale(a.level)?)?;
        let (level, scale) = self.below(a.level, a.scale)?;
        Ok(Ciphertext { parts, level, scale, ..*a })
    }

    /// a·b, relinearized and rescaled: what [`Evaluator::multiply`] and [`Evaluator::relinearize_rescale`] give, without
    /// two of the three parts ever being in memory.
    ///
    /// # Errors
    /// As both.
    pub fn multiply_relinearize_rescale(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext, CkksError> {
        let product = self.switch_product(a, b, self.context.mod_down_rescale(a.level)?)?;
        let (level, scale) = self.below(product.level, product.scale)?;
        Ok(Ciphertext { level, scale, ..product })
    }

    /// a·b, relinearized: what [`Evaluator::multiply`] and [`Evaluator::relinearize`] give, without two of the three parts
    /// ever being in memory.
    ///
    /// # Errors
    /// As both.
    pub fn multiply_relinearize(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext, CkksError> {
        self.switch_product(a, b, self.context.mod_down(a.level))
    }

    /// The same slots at a lower level, at the canonical scale there: drop the primes above level `to` + 1, multiply by
    /// the integer nearest to Δ(to+1)²/Δ(ℓ), rescale. The integer has about as many bits as the scale, so that its
    /// rounding changes the slots by a factor of 1 ± 2^−bits only.
    ///
    /// # Errors
    /// [`CkksError::NotCanonical`], [`CkksError::CannotRaise`], another key, other parameters.
    pub fn adjust(&self, a: &Ciphertext, to: Level) -> Result<Ciphertext, CkksError> {
        self.check(a)?;
        self.check_canonical(a)?;
        if to > a.level {
            return Err(CkksError::CannotRaise { from: a.level, to });
        }
        if to == a.level {
            return Ok(a.clone());
        }
        let above = Level(to.0 + 1);
        let scale = self.context.scale(above)?;
        let product = Scale(scale.0 * scale.0);
        let factor = (scale.0 * (scale.0 / a.scale.0)).round();
        let q = self.context.basis(above).q;
        let parts = a.parts.iter().map(|part| part.prefix(q)).collect();
        let dropped = self.times(&Ciphertext { parts, level: above, ..*a }, factor);
        self.rescale(&Ciphertext { scale: product, ..dropped })
    }

    pub(crate) fn check_canonical(&self, a: &Ciphertext) -> Result<(), CkksError> {
        let canonical = self.context.scale(a.level)?;
        if a.scale.0.to_bits() == canonical.0.to_bits() {
            Ok(())
        } else {
            Err(CkksError::NotCanonical { level: a.level, scale: a.scale, canonical })
        }
    }

    /// Level and scale after a rescale.
    fn below(&self, level: Level, scale: Scale) -> Result<(Level, Scale), CkksError> {
        let below = level.below().ok_or(CkksError::NoLevelLeft)?;
        let canonical = self.context.scale(level)?.0;
        if scale.0.to_bits() == (canonical * canonical).to_bits() {
            return Ok((below, self.context.scale(below)?));
        }
        // The canonical quotient defines q(ℓ) = Δ(ℓ)²/Δ(ℓ−1).
        Ok((below, Scale(scale.0 / (canonical * canonical) * self.context.scale(below)?.0)))
    }

    /// Two parts of a product, divided; level and scale are those of the product.
    fn switch_product(&self, a: &Ciphertext, b: &Ciphertext, divider: &TailDivider) -> Result<Ciphertext, CkksError> {
        self.check_factors(a, b)?;
        let ((a0, a1), (b0, b1)) = (a.two_parts()?, b.two_parts()?);
        let key = self.keys.get(KeyName::Relinearize, a.level)?;
        let third = self.sum_of_products(a1.basis(), &[(a1, b1)]);
        let source = DigitSource::made(&self.context, &third, a.level);
        let addends = [Addend::Products(&[(a0, b0)]), Addend::Products(&[(a0, b1), (a1, b0)])];
        let parts = KeySwitch { context: &self.context, source, key, addends }.divide(divider);
        Ok(Ciphertext { parts, scale: Scale(a.scale.0 * b.scale.0), ..*a })
    }

    /// Two parts of a product, divided.
    fn switch_square(&self, a: &Ciphertext, divider: &TailDivider) -> Result<Vec<Poly>, CkksError> {
        let (c0, c1, c2) = a.three_parts()?;
        let key = self.keys.get(KeyName::Relinearize, a.level)?;
        let source = DigitSource::made(&self.context, c2, a.level);
        let addends = [Addend::Poly(c0), Addend::Poly(c1)];
        Ok(KeySwitch { context: &self.context, source, key, addends }.divide(divider))
    }
}
