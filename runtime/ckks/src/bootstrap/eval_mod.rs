//! Eval-mod: from x = I + m/ratio to m, slot by slot.

use hec_params::BootstrapParameters;

use super::fit::ModOne;
use super::polynomial::Polynomial;
use crate::{Ciphertext, CkksError, Evaluator};

/// Cosine, double angles, arcsine.
#[derive(Debug)]
pub(super) struct EvalMod {
    range: f64,
    cosine: Polynomial,
    shifts: Vec<f64>,
    arcsine: Option<Polynomial>,
}

impl EvalMod {
    pub fn new(parameters: &BootstrapParameters, ratio: f64) -> Result<Self, CkksError> {
        let fit = ModOne::new(parameters, ratio);
        let arcsine = if fit.arcsine.is_empty() { None } else { Some(Polynomial::new(&fit.arcsine)?) };
        Ok(EvalMod { range: fit.range, cosine: Polynomial::new(&fit.cosine)?, shifts: fit.shifts, arcsine })
    }

    /// The factor by which x comes too small: the argument is x/range, in [−1, 1].
    pub fn range(&self) -> f64 {
        self.range
    }

    /// m from x/range, for two of them.
    pub fn apply_both(&self, evaluator: &Evaluator, [x, y]: &[Ciphertext; 2]) -> Result<[Ciphertext; 2], CkksError> {
        let (x, y) = rayon::join(|| self.apply(evaluator, x), || self.apply(evaluator, y));
        Ok([x?, y?])
    }

    /// m from x/range.
    pub fn apply(&self, evaluator: &Evaluator, x: &Ciphertext) -> Result<Ciphertext, CkksError> {
        let y = evaluator.add_scalar(x, -0.25 / self.range)?;
        let mut wave = self.cosine.evaluate(evaluator, &y)?;
        for &shift in &self.shifts {
            let square = evaluator.square(&wave)?;
            wave = evaluator.relinearize_rescale(&evaluator.add_scalar(&square, -shift)?)?;
        }
        match &self.arcsine {
            Some(arcsine) => arcsine.evaluate(evaluator, &wave),
            None => Ok(wave),
        }
    }
}
