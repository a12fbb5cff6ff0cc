//! Label-free distillation: a polynomial network is trained to give what the original network gives.
//!
//! What it is: an optional stage after `nonlinear`. Weights, biases and polynomial coefficients of the polynomial network
//! are changed by gradient descent, until its outputs and the inputs of its polynomials are those of the original one on
//! calibration inputs and changed copies of them. No labels are used.
//! Core concepts: the [`Program`], a tensor graph as steps on buffers that run forwards and backwards in `f32`; the
//! [`Trainer`], which makes steps and keeps the network that does best on samples held out for validation.
//! Start at [`Trainer`].
//! Invariants: the result is the same for any number of threads, and after any interruption. It may differ between
//! processors, whose vector units sum in other orders: what is tuned is kept as a file.
//! Non-goal: training from scratch, or with labels.
#![forbid(unsafe_code)]

mod augment;
mod average;
mod borders;
mod checkpoint;
mod compile;
mod elementwise;
mod error;
mod kernel;
pub mod layout;
mod loss;
mod optimizer;
mod options;
mod pairs;
mod parameters;
mod polynomial;
mod product;
mod program;
mod random;
mod score;
mod statistics;
mod train;
mod write;

pub use augment::Augment;
pub use checkpoint::Checkpoint;
pub use error::TuneError;
pub use loss::{Meaning, Shares};
pub use options::Options;
pub use parameters::{Parameters, Place, Sizes, pull_back};
pub use program::{Program, SlotId, Step, Weights, Workspace};
pub use score::Score;
pub use train::Trainer;
