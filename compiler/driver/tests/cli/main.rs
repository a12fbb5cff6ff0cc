//! The command line of `hec` as its users meet it: files in, files and words out.
//!
//! In the order of a user's first hour: compiling, looking at programs, restarting from text, and what can go wrong.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

mod bootstraps;
mod compile;
mod differences;
mod failures;
mod folder;
mod mutations;
mod networks;
mod page;
mod restart;
mod show;
mod tune;

use folder::Folder;
