//! CKKS parameters as the compiler and the runtime both see them.
//!
//! What it is: a leaf crate with the typed quantities, the choice of primes, the security table and the two
//! forms of a parameter set: [`ParametersLiteral`] is what is asked for, [`Parameters`] is what has been checked.
//! Core concept: a *level* is a set of primes; rescaling at level ℓ divides by the product of the primes of level ℓ.
//! Start at [`ParametersLiteral::new`] and [`Parameters::check`]; for bootstrapping at [`BootstrapLiteral::search`].
//! Invariants: every prime is below 2^50 and is 1 modulo 2N; `log2(QP)` never exceeds the 128-bit bound unless
//! `insecure_toy` is set, and then every report says INSECURE.
//! Non-goal: arithmetic; that is `hec-arith`.
#![forbid(unsafe_code)]

mod bootstrap;
mod chain;
mod parameters;
mod prime;
mod quantity;
mod security;

pub use bootstrap::{
    BootstrapChoice, BootstrapError, BootstrapLiteral, BootstrapParameters, EncapsulationReport, Order, PreciseChoices,
    Sine, baby_steps, log2_failure, overflow_bound, overflow_probability,
};
pub use chain::ChainRequest;
pub use parameters::{Parameters, ParametersError, ParametersLiteral};
pub use prime::{PRIME_LIMIT_BITS, is_prime, nearest_ntt_prime};
pub use quantity::{Batch, Depth, Level, LogN, Rotation, Scale, Slots};
pub use security::{ERROR_STD_DEV, MAX_LOG_N, MIN_LOG_N, SecurityReport, max_log_qp};
