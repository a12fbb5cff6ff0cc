//! The languages of the compiler.
//!
//! What it is: four program levels, each a type of its own, so that stages cannot be called out of order.
//!
//! | level | type | made by | read by |
//! |---|---|---|---|
//! | tensor | [`tensor::Graph`] | import, nonlinear, optimize | nonlinear, optimize, pack |
//! | circuit | [`circuit::Circuit`] | pack | plan |
//! | leveled | [`leveled::Circuit`] | plan | schedule |
//! | program | [`program::Program`] | schedule | the runtime, simulation |
//!
//! Core concepts: values are typed ids into a list in topological order; every value carries its [`Origin`], the ONNX
//! node that it came from; constants are shared and named. Each level has a printer and a parser ([`text`]), a
//! verifier and an interpreter.
//! Start at [`tensor::Graph`], or at [`evaluate::Evaluator`] for what slot operations mean.
//! Invariants: arguments precede their users; names of constants are unique; nothing here knows how a stage decides.
//! Non-goals: ONNX, cryptography.
#![forbid(unsafe_code)]

pub mod array;
pub mod artifact;
pub mod entity;
mod layout;
mod origin;
pub mod samples;

pub mod tensor;

mod slots;

pub mod circuit;

pub mod leveled;

pub mod program;

pub mod evaluate;

pub mod cost;

pub mod text;

pub use hec_params::{
    Batch, BootstrapChoice, BootstrapParameters, Depth, Level, LogN, Parameters, ParametersError, ParametersLiteral,
    Rotation, Scale, Slots,
};
pub use layout::{Digit, Layout, LayoutError, SlotIndex};
pub use origin::Origin;
pub use slots::{Plain, SlotMap};
