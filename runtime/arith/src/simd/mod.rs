//! The kernels, each written once for any number of lanes, and their choice at run time.
//!
//! [`Simd`] is an instruction set; a value of such a type is the proof that the processor has it. The kernels are
//! generic over it and inlined into one function for each set, which alone enables the set's instructions. Since all sets run
//! the same operations on every element, in the same order, they give the same bits.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(test)]
mod bounds;
mod conversion;
mod fft;
mod field;
#[cfg(all(test, target_os = "linux"))]
mod inlined;
mod inner;
mod instructions;
mod ntt;
#[cfg(test)]
mod parity;
mod permute;
mod pointwise;
mod portable;
mod sums;

use crate::automorphism::Permutation;
use crate::conversion::{Source, Target};
use crate::ntt::Twiddles;
use crate::{Backend, Modulus, backend};
pub(crate) use conversion::CONVERSION_BLOCK;
pub(crate) use inner::{Multiple, Pair, Term};
pub(crate) use pointwise::Survey;
pub(crate) use sums::products_in_a_sum;

/// A local of this type in memory makes a function align its stack, as the compiler does not do for the vectors that it keeps
/// there for want of registers: each of them then lies in one cache line. Without it a transform takes up to 40 % longer,
/// depending on where the stack happens to begin.
#[cfg(target_arch = "x86_64")]
#[repr(align(64))]
struct AlignedStack([u8; 64]);

#[cfg(target_arch = "x86_64")]
impl AlignedStack {
    #[inline(always)]
    fn enter() {
        let mut local = AlignedStack([0; 64]);
        std::hint::black_box(&mut local.0);
    }
}

macro_rules! dispatch {
    ($(fn $name:ident = $kernel:path: ($($arg:ident: $type:ty),*) $(-> $result:ty)?;)*) => {$(
        pub(crate) fn $name($($arg: $type),*) $(-> $result)? {
            match backend() {
                #[cfg(target_arch = "x86_64")]
                Backend::Avx512 => {
                    #[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
                    fn run(s: avx512::Avx512, $($arg: $type),*) $(-> $result)? {
                        AlignedStack::enter();
                        $kernel(s, $($arg),*)
                    }
                    // SAFETY: `backend` only returns what `Backend::available` found the processor to have.
                    unsafe { run(avx512::Avx512::new(), $($arg),*) }
                }
                #[cfg(target_arch = "x86_64")]
                Backend::Avx2 => {
                    #[target_feature(enable = "avx2,fma")]
                    fn run(s: avx2::Avx2, $($arg: $type),*) $(-> $result)? {
                        AlignedStack::enter();
                        $kernel(s, $($arg),*)
                    }
                    // SAFETY: as above.
                    unsafe { run(avx2::Avx2::new(), $($arg),*) }
                }
                _ => $kernel(portable::Portable, $($arg),*),
            }
        }
    )*};
}

dispatch! {
    fn fft_forward = fft::fft_forward: (re: &mut [f64], im: &mut [f64], roots: (&[f64], &[f64]));
    fn fft_inverse = fft::fft_inverse: (re: &mut [f64], im: &mut [f64], roots: (&[f64], &[f64]));
    fn ntt_forward = ntt::forward: (x: &mut [f64], m: Modulus, twiddles: &Twiddles);
    fn ntt_inverse = ntt::inverse: (x: &mut [f64], m: Modulus, twiddles: &Twiddles, inverse_n: f64);
    fn add = pointwise::add: (m: Modulus, dst: &mut [f64], a: &[f64], b: &[f64]);
    fn add_assign = pointwise::add_assign: (m: Modulus, a: &mut [f64], b: &[f64]);
    fn sub = pointwise::sub: (m: Modulus, dst: &mut [f64], a: &[f64], b: &[f64]);
    fn sub_assign = pointwise::sub_assign: (m: Modulus, a: &mut [f64], b: &[f64]);
    fn mul = pointwise::mul: (m: Modulus, dst: &mut [f64], a: &[f64], b: &[f64]);
    fn mul_assign = pointwise::mul_assign: (m: Modulus, a: &mut [f64], b: &[f64]);
    fn sum_of_products = inner::sum_of_products: (m: Modulus, dst: &mut [f64], pairs: &[Pair<'_>]);
    fn inner_products = inner::inner_products: (
        m: Modulus, dst: [&mut [f64]; 2], terms: &[Term<'_>], addends: [Option<Multiple<'_>>; 2]
    );
    fn add_inner_products = inner::add_inner_products: (m: Modulus, acc: [&mut [f64]; 2], terms: &[Term<'_>]);
    fn mul_scalar_assign = pointwise::mul_scalar_assign: (m: Modulus, a: &mut [f64], w: f64);
    fn mul_scalar_add_assign = pointwise::mul_scalar_add_assign: (m: Modulus, acc: &mut [f64], a: &[f64], w: f64);
    fn sub_mul_scalar_assign = pointwise::sub_mul_scalar_assign: (m: Modulus, a: &mut [f64], b: &[f64], w: f64);
    fn permute = permute::permute: (permutation: &Permutation, dst: &mut [f64], a: &[f64]);
    fn sub_mul_scalar_permute = permute::sub_mul_scalar_permute: (
        m: Modulus, permutation: &Permutation, dst: &mut [f64], operands: (&[f64], &[f64], f64)
    );
    fn reduce_assign = pointwise::reduce_assign: (m: Modulus, a: &mut [f64]);
    fn embed_reduce = pointwise::embed_reduce: (m: Modulus, a: &mut [f64]);
    fn survey = pointwise::survey: (a: &[f64]) -> Survey;
    fn convert = conversion::convert: (
        sources: &[Source], targets: &[Target], scaled: &[&[f64]], dst: &mut [&mut [f64]], scratch: &mut [f64]
    );
}
