//! From residues back to integers.

use hec_arith::Modulus;
use rayon::prelude::*;

use crate::Context;
use crate::poly::Poly;

/// Coefficients that one task lifts: all their limbs stay in cache.
const COLUMN: usize = 1024;

/// The centred integers of a polynomial in coefficient order, each rounded to `f64`.
///
/// Mixed-radix digits by Garner's method (Knuth, TAOCP 2, 4.3.2), each balanced: small integers of either sign have
/// zeros in the upper digits, so that the sum does not cancel.
pub(crate) fn to_f64(context: &Context, poly: &Poly) -> Vec<f64> {
    let basis = poly.basis();
    let moduli: Vec<Modulus> = (0..context.limb_count(basis)).map(|k| context.table(basis, k).modulus()).collect();
    let steps: Vec<Step> = (0..moduli.len()).map(|i| Step::new(&moduli, i)).collect();
    let limbs = poly.limbs();
    let mut values = vec![0.0; context.degree()];
    values.par_chunks_mut(COLUMN).enumerate().for_each(|(c, values)| {
        let width = values.len();
        let range = c * COLUMN..c * COLUMN + width;
        let mut digits: Vec<Vec<f64>> = Vec::with_capacity(steps.len());
        for (step, limb) in steps.iter().zip(limbs) {
            digits.push(step.digit(&digits, &limb[range.clone()]));
        }
        for (digit, m) in digits.iter().zip(&moduli).rev() {
            let p = m.value() as f64;
            values.iter_mut().zip(digit).for_each(|(x, d)| *x = *x * p + d);
        }
    });
    values
}

/// What it takes to find one mixed-radix digit.
struct Step {
    modulus: Modulus,
    /// The place values of the digits below, modulo this prime.
    places: Vec<f64>,
    /// Minus the inverse of this digit's place value.
    inverse: f64,
}

impl Step {
    fn new(moduli: &[Modulus], i: usize) -> Self {
        let m = moduli[i];
        let mut place = m.reduce_u64(1);
        let mut places = Vec::with_capacity(i);
        for below in &moduli[..i] {
            places.push(place);
            place = m.mul(place, m.reduce_u64(below.value()));
        }
        Step { modulus: m, places, inverse: -m.inv(place) }
    }

    /// (residue − Σ digits below · places) / place, balanced.
    fn digit(&self, below: &[Vec<f64>], residues: &[f64]) -> Vec<f64> {
        let m = self.modulus;
        let mut digit = vec![0.0; residues.len()];
        let mut reduced = vec![0.0; residues.len()];
        for (values, &place) in below.iter().zip(&self.places) {
            // They are residues of another, perhaps larger, prime.
            reduced.copy_from_slice(values);
            hec_arith::reduce_assign(m, &mut reduced);
            hec_arith::mul_scalar_add_assign(m, &mut digit, &reduced, place);
        }
        hec_arith::sub_mul_scalar_assign(m, &mut digit, residues, self.inverse);
        let p = m.value() as f64;
        for d in &mut digit {
            *d -= p * (*d / p).round();
        }
        digit
    }
}
