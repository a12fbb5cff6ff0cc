//! Eight lanes: AVX-512.
//!
//! Each method is inlined into a function that enables the instructions. A call is sound because a value of the type
//! exists only where the processor has them.

use super::field::Residues;
use super::instructions::Simd;
use super::sums::Sums;
use std::arch::x86_64::*;

/// Proof that the processor has AVX-512F and AVX-512DQ.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// # Safety
    /// The processor must have AVX-512F and AVX-512DQ.
    #[inline(always)]
    pub(crate) unsafe fn new() -> Self {
        Avx512(())
    }
}

impl Residues for Avx512 {}
impl Sums for Avx512 {}

impl Simd for Avx512 {
    const LANES: usize = 8;
    type Vector = __m512d;

    #[inline(always)]
    fn splat(self, x: f64) -> __m512d {
        // SAFETY: `self` proves the instructions; so everywhere below.
        unsafe { _mm512_set1_pd(x) }
    }
    // Loads and stores go through arrays: the pointer intrinsics are not inlined in builds with debug assertions.
    #[inline(always)]
    fn load(self, src: &[f64]) -> __m512d {
        let lanes: &[f64; 8] = src.first_chunk().expect("a whole vector");
        // SAFETY: both types are 8 floats.
        unsafe { std::mem::transmute::<[f64; 8], __m512d>(*lanes) }
    }
    #[inline(always)]
    fn store(self, dst: &mut [f64], v: __m512d) {
        let lanes: &mut [f64; 8] = dst.first_chunk_mut().expect("a whole vector");
        // SAFETY: both types are 8 floats.
        *lanes = unsafe { std::mem::transmute::<__m512d, [f64; 8]>(v) };
    }
    #[inline(always)]
    fn add(self, a: __m512d, b: __m512d) -> __m512d {
        unsafe { _mm512_add_pd(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m512d, b: __m512d) -> __m512d {
        unsafe { _mm512_sub_pd(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m512d, b: __m512d) -> __m512d {
        unsafe { _mm512_mul_pd(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        unsafe { _mm512_fmadd_pd(a, b, c) }
    }
    #[inline(always)]
    fn mul_sub(self, a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        unsafe { _mm512_fmsub_pd(a, b, c) }
    }
    #[inline(always)]
    fn neg_mul_add(self, a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        unsafe { _mm512_fnmadd_pd(a, b, c) }
    }
    #[inline(always)]
    fn round(self, a: __m512d) -> __m512d {
        unsafe { _mm512_roundscale_pd::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    fn abs(self, a: __m512d) -> __m512d {
        unsafe { _mm512_andnot_pd(_mm512_set1_pd(-0.0), a) }
    }
    #[inline(always)]
    fn max(self, a: __m512d, b: __m512d) -> __m512d {
        unsafe { _mm512_max_pd(a, b) }
    }
    #[inline(always)]
    fn prefetch(self, src: &[f64]) {
        // SAFETY: it reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(src.as_ptr().cast()) }
    }
    #[inline(always)]
    fn load_transposed(self, src: &[f64]) -> [__m512d; 8] {
        let mut rows = [self.splat(0.0); 8];
        for (k, row) in rows.iter_mut().enumerate() {
            *row = self.load(&src[8 * k..]);
        }
        self.transpose(rows)
    }
    #[inline(always)]
    fn store_transposed(self, dst: &mut [f64], columns: [__m512d; 8]) {
        for (k, row) in self.transpose(columns).into_iter().enumerate() {
            self.store(&mut dst[8 * k..], row);
        }
    }
}

impl Avx512 {
    /// 8×8: pairs of lanes first, then 128-bit quarters twice.
    #[inline(always)]
    fn transpose(self, r: [__m512d; 8]) -> [__m512d; 8] {
        /// Even quarters of both operands, and odd ones.
        const EVEN: i32 = 0b10_00_10_00;
        const ODD: i32 = 0b11_01_11_01;
        // SAFETY: `self` proves the instructions.
        unsafe {
            // a[2i] holds columns 0 2 4 6 of rows 2i and 2i+1, a[2i+1] columns 1 3 5 7.
            let mut a = r;
            for i in [0, 2, 4, 6] {
                a[i] = _mm512_unpacklo_pd(r[i], r[i + 1]);
                a[i + 1] = _mm512_unpackhi_pd(r[i], r[i + 1]);
            }
            // b[4h + k]: column k, k + 4 (k = 0..4) of rows 4h to 4h+3.
            let mut b = a;
            for h in [0, 4] {
                for k in [0, 1] {
                    b[h + k] = _mm512_shuffle_f64x2::<EVEN>(a[h + k], a[h + k + 2]);
                    b[h + k + 2] = _mm512_shuffle_f64x2::<ODD>(a[h + k], a[h + k + 2]);
                }
            }
            let mut c = b;
            for k in 0..4 {
                c[k] = _mm512_shuffle_f64x2::<EVEN>(b[k], b[k + 4]);
                c[k + 4] = _mm512_shuffle_f64x2::<ODD>(b[k], b[k + 4]);
            }
            c
        }
    }
}
