//! Four lanes: AVX2 and FMA.
//!
//! Each method is inlined into a function that enables the instructions. A call is sound because a value of the type
//! exists only where the processor has them.

use super::field::Residues;
use super::instructions::Simd;
use super::sums::Sums;
use std::arch::x86_64::*;

/// Proof that the processor has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The processor must have AVX2 and FMA.
    #[inline(always)]
    pub(crate) unsafe fn new() -> Self {
        Avx2(())
    }
}

impl Residues for Avx2 {}
impl Sums for Avx2 {}

impl Simd for Avx2 {
    const LANES: usize = 4;
    type Vector = __m256d;

    #[inline(always)]
    fn splat(self, x: f64) -> __m256d {
        // SAFETY: `self` proves the instructions; so everywhere below.
        unsafe { _mm256_set1_pd(x) }
    }
    // Loads and stores go through arrays: the pointer intrinsics are not inlined in builds with debug assertions.
    #[inline(always)]
    fn load(self, src: &[f64]) -> __m256d {
        let lanes: &[f64; 4] = src.first_chunk().expect("a whole vector");
        // SAFETY: both types are 4 floats.
        unsafe { std::mem::transmute::<[f64; 4], __m256d>(*lanes) }
    }
    #[inline(always)]
    fn store(self, dst: &mut [f64], v: __m256d) {
        let lanes: &mut [f64; 4] = dst.first_chunk_mut().expect("a whole vector");
        // SAFETY: both types are 4 floats.
        *lanes = unsafe { std::mem::transmute::<__m256d, [f64; 4]>(v) };
    }
    #[inline(always)]
    fn add(self, a: __m256d, b: __m256d) -> __m256d {
        unsafe { _mm256_add_pd(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m256d, b: __m256d) -> __m256d {
        unsafe { _mm256_sub_pd(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m256d, b: __m256d) -> __m256d {
        unsafe { _mm256_mul_pd(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: __m256d, b: __m256d, c: __m256d) -> __m256d {
        unsafe { _mm256_fmadd_pd(a, b, c) }
    }
    #[inline(always)]
    fn mul_sub(self, a: __m256d, b: __m256d, c: __m256d) -> __m256d {
        unsafe { _mm256_fmsub_pd(a, b, c) }
    }
    #[inline(always)]
    fn neg_mul_add(self, a: __m256d, b: __m256d, c: __m256d) -> __m256d {
        unsafe { _mm256_fnmadd_pd(a, b, c) }
    }
    #[inline(always)]
    fn round(self, a: __m256d) -> __m256d {
        unsafe { _mm256_round_pd::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    fn abs(self, a: __m256d) -> __m256d {
        unsafe { _mm256_andnot_pd(_mm256_set1_pd(-0.0), a) }
    }
    #[inline(always)]
    fn max(self, a: __m256d, b: __m256d) -> __m256d {
        unsafe { _mm256_max_pd(a, b) }
    }
    #[inline(always)]
    fn prefetch(self, src: &[f64]) {
        // SAFETY: it reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(src.as_ptr().cast()) }
    }
    #[inline(always)]
    fn load_transposed(self, src: &[f64]) -> [__m256d; 8] {
        let mut columns = [self.splat(0.0); 8];
        for half in [0, 4] {
            let mut rows = [self.splat(0.0); 4];
            for (k, row) in rows.iter_mut().enumerate() {
                *row = self.load(&src[8 * k + half..]);
            }
            let quarter = self.transpose(rows);
            columns[half..half + 4].copy_from_slice(&quarter);
        }
        columns
    }
    #[inline(always)]
    fn store_transposed(self, dst: &mut [f64], columns: [__m256d; 8]) {
        for half in [0, 4] {
            let rows = self.transpose([columns[half], columns[half + 1], columns[half + 2], columns[half + 3]]);
            for (k, row) in rows.into_iter().enumerate() {
                self.store(&mut dst[8 * k + half..], row);
            }
        }
    }
}

impl Avx2 {
    /// 4×4: pairs of lanes, then halves.
    #[inline(always)]
    fn transpose(self, r: [__m256d; 4]) -> [__m256d; 4] {
        const LOW: i32 = 0x20;
        const HIGH: i32 = 0x31;
        // SAFETY: `self` proves the instructions.
        unsafe {
            let (a0, a1) = (_mm256_unpacklo_pd(r[0], r[1]), _mm256_unpackhi_pd(r[0], r[1]));
            let (a2, a3) = (_mm256_unpacklo_pd(r[2], r[3]), _mm256_unpackhi_pd(r[2], r[3]));
            [
                _mm256_permute2f128_pd::<LOW>(a0, a2),
                _mm256_permute2f128_pd::<LOW>(a1, a3),
                _mm256_permute2f128_pd::<HIGH>(a0, a2),
                _mm256_permute2f128_pd::<HIGH>(a1, a3),
            ]
        }
    }
}
