//! The compiler's command line.
//!
//! What it is: the driver. [`pipeline::compile`] calls the stages in order; the rest reads files, chooses the ring by
//! predicted cost, writes artifacts and reports.
//! Core concepts: [`How`], the choices a user makes; [`Report`](report::Report), what is told of a program.
//! Start at [`pipeline`].
//! Invariants: same model and same options, same bytes; every failure has a code, a reason and what to do.
//! Non-goals: cryptography; running on ciphertexts is `hec-run`'s.
#![forbid(unsafe_code)]

mod check;
mod cli;
mod command;
mod comparison;
mod diagnostic;
pub mod diff;
pub mod explain;
mod front;
pub mod menus;
pub mod page;
pub mod pipeline;
mod preprocess;
mod progress;
pub mod report;
pub mod rings;
mod samples;
mod simulate;
mod text;
mod tune;

pub use cli::{
    Augmentation, Bootstrapping, Check, Cli, Command, Compile, DiffArgs, ExplainArgs, How, Opt, ReportArgs, Simulate,
    Stage, Tune,
};
pub use command::run;
pub use comparison::{Comparison, class};
pub use diagnostic::Failure;
pub use preprocess::Preprocess;
pub use progress::Progress;
pub use simulate::{Simulated, simulate};
