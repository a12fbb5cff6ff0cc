//! RNS-CKKS (Cheon, Kim, Kim, Song 2017; Cheon, Han, Kim, Kim, Song 2018): encode, encrypt, evaluate.
//!
//! What it is: a library for approximate arithmetic on encrypted vectors of real or complex slots, usable alone: hybrid
//! key switching, double-hoisted linear transforms, bootstrapping, exact scales, files. The client holds a
//! [`SecretKey`]; the server an [`Evaluator`] with [`EvaluationKeys`].
//! Core concept: a [`Ciphertext`] at level ℓ has the canonical scale Δ(ℓ), or Δ(ℓ)² as a product; rescaling leads from
//! Δ(ℓ)² to Δ(ℓ−1) exactly, and a level is a group of one or more primes.
//! Start at [`Context::new`], then the example.
//! Invariants: operands that do not belong together (levels, scales, keys, parameters) give an error, never a panic or
//! noise; results do not depend on the number of threads; secrets are wiped when dropped.
//! Non-goals: public-key encryption, and secrecy against whoever sees decrypted results without flooding (see
//! [`SecretKey::decrypt`]).
//!
//! ```
//! use hec_ckks::{Context, Encoder, EvaluationKeys, Evaluator, KeyRequest, PrecisionStats, SecretKey, os_rng};
//! use hec_params::{ChainRequest, Depth, LogN, Parameters, ParametersLiteral, Rotation};
//! use std::sync::Arc;
//!
//! // Two levels at 128-bit security.
//! let literal = ParametersLiteral::new(&ChainRequest {
//!     log_n: LogN(13),
//!     depth: Depth(2),
//!     scale_bits: 36.0,
//!     base_bits: 44.0,
//!     digit_size: 1,
//!     insecure_toy: false,
//! })?;
//! let context = Context::new(Parameters::check(literal)?)?;
//! let top = context.parameters().top_level();
//! let encoder = Encoder::new(&context);
//!
//! // The client: keys and two vectors.
//! let rng = &mut os_rng()?;
//! let secret = SecretKey::generate(&context, rng);
//! let mut request = KeyRequest { relinearize: Some(top), ..KeyRequest::default() };
//! request.rotation(Rotation(1), top);
//! let keys = Arc::new(EvaluationKeys::generate(&context, &secret, &request, rng)?);
//! let scale = context.scale(top)?;
//! let x = secret.encrypt(&context, &encoder.encode(&[0.5, -0.25, 0.125], top, scale)?, rng)?;
//! let y = secret.encrypt(&context, &encoder.encode(&[2.0, 3.0, 4.0], top, scale)?, rng)?;
//!
//! // The server: multiply slot by slot, rotate to the left.
//! let evaluator = Evaluator::new(&context, &keys)?;
//! let product = evaluator.multiply(&x.expand(&context)?, &y.expand(&context)?)?;
//! let product = evaluator.relinearize_rescale(&product)?;
//! let turned = evaluator.rotate(&product, Rotation(1))?;
//!
//! // The client again.
//! let slots = encoder.decode(&secret.decrypt(&context, &turned)?)?;
//! let stats = PrecisionStats::of(&slots[..3], &[-0.75, 0.5, 0.0]);
//! assert!(stats.log2_max < -12.0, "{stats}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod basis;
mod block;
mod bootstrap;
mod ciphertext;
mod context;
mod decrypt;
mod diagonal;
mod digits;
mod encode;
mod encrypt;
mod error;
mod evaluator;
mod fft;
mod file;
mod keys;
mod lift;
mod limb;
mod linear;
pub mod noise;
mod periodic;
mod poly;
mod random;
mod reference;
mod rescale;
mod rotate;
mod secret;
mod statistics;
mod switch;
mod switching;
mod transform;

pub use bootstrap::{BootstrapMemory, Bootstrapper, Content};
pub use ciphertext::{Ciphertext, Snapshot};
pub use context::Context;
pub use diagonal::{Diagonal, DiagonalValues, Diagonals, EncodedDiagonals};
pub use encode::{Complex, Encoder, ExtendedPlaintext, Integers, Plaintext};
pub use encrypt::SeededCiphertext;
pub use error::CkksError;
pub use evaluator::Evaluator;
pub use file::{FileError, FileInfo, FileKind, ProgramId, Stored};
pub use keys::{EvaluationKeys, KeyName, KeyRequest};
pub use linear::{LinearPlan, LinearTerm, RotationKeys};
pub use random::os_rng;
pub use reference::{REFERENCE_SETS, ReferenceSet};
pub use rotate::Decomposed;
pub use secret::{KeyId, SecretKey};
pub use statistics::PrecisionStats;
pub use transform::MemoryBudget;
