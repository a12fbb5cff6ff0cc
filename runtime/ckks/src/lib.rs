//! RNS-CKKS: encode, encrypt, evaluate, with hybrid key switching.
#![forbid(unsafe_code)]

mod basis;
mod ciphertext;
mod context;
mod decrypt;
mod diagonal;
mod encode;
mod encrypt;
mod error;
mod evaluator;
mod fft;
mod file;
mod keys;
mod lift;
mod linear;
pub mod noise;
mod poly;
mod random;
mod rescale;
mod rotate;
mod secret;
mod statistics;
mod switching;
mod transform;

pub use ciphertext::Ciphertext;
pub use context::Context;
pub use diagonal::{Diagonal, DiagonalValues, Diagonals, EncodedDiagonals};
pub use encode::{Complex, Encoder, ExtendedPlaintext, Integers, Plaintext};
pub use encrypt::SeededCiphertext;
pub use error::CkksError;
pub use evaluator::Evaluator;
pub use file::{FileError, FileInfo, FileKind, ProgramId, Stored};
pub use keys::{EvaluationKeys, KeyName, KeyRequest};
pub use linear::{LinearPlan, LinearTerm};
pub use random::os_rng;
pub use rotate::Decomposed;
pub use secret::{KeyId, SecretKey};
pub use statistics::PrecisionStats;
pub use transform::MemoryBudget;
