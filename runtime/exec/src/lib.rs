//! Runs compiled programs on encrypted data.
//!
//! What it is: the three parties of encrypted inference over `hec-ckks`. A [`Client`] makes keys, encrypts and decrypts;
//! a [`Server`] holds a program and evaluates requests without any secret. The binary `hec-run` is both, by files.
//! Core concepts: [`Prepared`] is a program with its constants encoded, made once and shared by all requests; a value
//! of the program is a bundle of ciphertexts, which a [`hec_ir::evaluate::Machine`] drives through the instructions.
//! Invariants: a program is verified before it runs; keys, requests and responses carry the program that they belong
//! to, and others are refused; nothing here panics on bad input.
//! Non-goals: deciding anything about a program. Its levels, rotations and order are the compiler's.
#![forbid(unsafe_code)]

mod checkpoint;
mod client;
mod error;
mod execute;
mod keys;
mod measure;
mod memory;
mod pace;
mod prepare;
mod progress;
mod server;
mod session;
mod shared;
mod text;
mod trace;

pub use checkpoint::Checkpoint;
pub use client::{Client, Decryption};
pub use error::RunError;
pub use hec_ir::samples::{InputFile, Samples, read_array};
pub use measure::{Calibration, Measurement, Prediction, bench, bench_rings, calibrate};
pub use memory::{DiagonalForm, MemoryPlan, bytes, parse_size, peak_memory};
pub use prepare::Prepared;
pub use progress::Progress;
pub use server::{Evaluated, Server};
pub use session::{Inference, Session};
pub use text::{TextInput, Tokenized};
pub use trace::{LayerTime, Step, Trace};
