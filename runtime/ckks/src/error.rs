//! Everything that can go wrong, and what to do about it.

use crate::{FileError, KeyName};
use hec_params::{Level, Scale};

/// Why an operation is refused. No operation panics on bad input.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum CkksError {
    #[error(transparent)]
    Arithmetic(#[from] hec_arith::ArithError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Polynomial(#[from] hec_poly::TreeError),
    #[error("the operating system gives no randomness: {0}")]
    Randomness(getrandom::Error),
    #[error("operands are at levels {left} and {right}; bring the higher one down with `adjust`")]
    LevelMismatch { left: Level, right: Level },
    #[error("operands have scales 2^{:.4} and 2^{:.4}; rescale or `adjust` the larger one", left.log2(), right.log2())]
    ScaleMismatch { left: Scale, right: Scale },
    #[error("scale 2^{:.4} is not the canonical scale 2^{:.4} of level {level}; rescale first", scale.log2(), canonical.log2())]
    NotCanonical { level: Level, scale: Scale, canonical: Scale },
    #[error("scale {} is not a positive finite number", scale.0)]
    BadScale { scale: Scale },
    #[error("level {level} does not exist: the top level is {top}")]
    NoSuchLevel { level: Level, top: Level },
    #[error("a ciphertext at level {from} cannot be adjusted to level {to}: only to a lower one")]
    CannotRaise { from: Level, to: Level },
    #[error("no level is left below level 0: the program is deeper than its parameters")]
    NoLevelLeft,
    #[error("this operation takes a ciphertext of two parts, not {parts}: relinearize first")]
    NotRelinearized { parts: usize },
    #[error("this operation takes a product of three parts, not {parts}: nothing to relinearize")]
    NotAProduct { parts: usize },
    #[error("there is no key for {name}; ask for it when keys are made")]
    MissingKey { name: KeyName },
    #[error("the key for {name} reaches level {holds} only, but is needed at level {needs}; make keys for that level")]
    KeyTooLow { name: KeyName, holds: Level, needs: Level },
    #[error("rotation {rotation} is outside 0..{slots}")]
    NoSuchRotation { rotation: u32, slots: usize },
    #[error("key and ciphertext belong to different secret keys; use the keys that the ciphertext was made for")]
    WrongKey,
    #[error("made for other parameters than the ones in use")]
    WrongParameters,
    #[error("{given} values do not fit in {slots} slots")]
    TooManyValues { given: usize, slots: usize },
    #[error("value {index} is not a finite number")]
    NotFinite { index: usize },
    #[error(
        "the largest encoded coefficient has {log2_value:.1} bits, but the modulus of level {level} has {log2_modulus:.1}: \
         use smaller values or a larger base modulus"
    )]
    ValueTooLarge { level: Level, log2_value: f64, log2_modulus: f64 },
    #[error("noise of standard deviation {0} cannot be added: it must be finite and not negative")]
    BadStdDev(f64),
    #[error("the linear plan names {what} {index}, but there are {count}")]
    PlanOutOfRange { what: &'static str, index: usize, count: usize },
    #[error("the diagonals are encoded for level {encoded}, but the transform runs at level {used}")]
    DiagonalLevel { encoded: Level, used: Level },
}
