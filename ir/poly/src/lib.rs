//! Polynomials as the compiler and the runtime both see them.
//!
//! What it is: bases and evaluation in clear, and the plans by which a polynomial is evaluated on ciphertexts.
//! Core concept: a plan (evaluation tree) has optimal depth ⌈log2(d+1)⌉ and few ciphertext products.
//! Start at [`evaluate`] and [`EvaluationTree`].
//! Invariant: the depth and the products that a plan reports are those of running it.
//! Non-goal: fitting; that is `hec-nonlinear`.
#![forbid(unsafe_code)]

mod polynomial;
mod search;
mod tree;

pub use polynomial::{Basis, evaluate};
pub use tree::{EvaluationTree, MAX_DEGREE, Parity, Part, Power, Target, TreeError};
