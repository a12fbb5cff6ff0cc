//! One lane, by `f64::mul_add`.

use super::field::Residues;
use super::instructions::Simd;
use super::sums::Sums;

#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Residues for Portable {}
impl Sums for Portable {}

impl Simd for Portable {
    const LANES: usize = 1;
    type Vector = f64;

    #[inline(always)]
    fn splat(self, x: f64) -> f64 {
        x
    }
    #[inline(always)]
    fn load(self, src: &[f64]) -> f64 {
        src[0]
    }
    #[inline(always)]
    fn store(self, dst: &mut [f64], v: f64) {
        dst[0] = v;
    }
    #[inline(always)]
    fn add(self, a: f64, b: f64) -> f64 {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: f64, b: f64) -> f64 {
        a - b
    }
    #[inline(always)]
    fn mul(self, a: f64, b: f64) -> f64 {
        a * b
    }
    #[inline(always)]
    fn mul_add(self, a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn mul_sub(self, a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, -c)
    }
    #[inline(always)]
    fn neg_mul_add(self, a: f64, b: f64, c: f64) -> f64 {
        (-a).mul_add(b, c)
    }
    #[inline(always)]
    fn round(self, a: f64) -> f64 {
        a.round_ties_even()
    }
    #[inline(always)]
    fn abs(self, a: f64) -> f64 {
        a.abs()
    }
    #[inline(always)]
    fn max(self, a: f64, b: f64) -> f64 {
        if a > b { a } else { b }
    }
    #[inline(always)]
    fn prefetch(self, _: &[f64]) {}
    #[inline(always)]
    fn load_transposed(self, src: &[f64]) -> [f64; 8] {
        let mut columns = [0.0; 8];
        columns.copy_from_slice(&src[..8]);
        columns
    }
    #[inline(always)]
    fn store_transposed(self, dst: &mut [f64], columns: [f64; 8]) {
        dst[..8].copy_from_slice(&columns);
    }
}
