//! Arithmetic modulo primes below 2^50, on residues held in `f64`.
//!
//! What it is: the inner loops of an RNS-CKKS library: negacyclic NTT, element-wise products, base conversion,
//! automorphisms, sampling. Nothing here knows what a ciphertext is.
//! Core concept: a *limb* is a slice of N residues modulo one prime p; a residue is an `f64` that holds an exact integer.
//! It is *reduced* if its magnitude is at most 2p/3 (see [`REDUCED`]): one residue class may have two reduced
//! representatives, and [`Modulus::to_u64`] gives the canonical one. Every function takes and gives reduced residues
//! unless it says otherwise.
//! Start at [`NttTable`] and [`Modulus`].
//! Invariants: every intermediate value is an integer that `f64` holds exactly; every backend gives the same bits.
//! Only `src/simd` contains `unsafe`, and only to enter code for instructions that the processor was found to have.
//! Non-goal: secret-independent timing of anything but the element-wise kernels and the Gaussian sampler.
#![deny(unsafe_code)]

mod automorphism;
mod backend;
mod conversion;
mod embed;
mod error;
mod fft;
mod modulus;
mod ntt;
mod order;
mod pointwise;
pub mod sample;
#[allow(unsafe_code)]
mod simd;

pub use automorphism::{Automorphism, conjugation_galois_element, galois_element_for_rotation};
pub use backend::{Backend, backend, with_backend};
pub use conversion::BaseConverter;
pub use embed::{embed_f64, embed_i64};
pub use error::ArithError;
pub use fft::{fft_forward, fft_inverse};
pub use modulus::{Modulus, REDUCED};
pub use ntt::NttTable;
pub use order::evaluation_exponents;
pub use pointwise::{
    add, add_assign, add_inner_products, inner_products, mul, mul_assign, mul_scalar_add_assign, mul_scalar_assign,
    neg, neg_assign, reduce_assign, sub, sub_assign, sub_mul_scalar_assign, sum_of_products,
};
