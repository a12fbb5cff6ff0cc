//! `hec-run`: the three parties of encrypted inference, by files.
#![forbid(unsafe_code)]

mod cli;

use clap::Parser;
use hec_run::RunError;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let text = match cli::Cli::parse().run() {
        Ok(text) => text,
        Err(error) => {
            cli::complain(&message(&error));
            return ExitCode::FAILURE;
        }
    };
    // Whoever reads the output may have seen enough of it.
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

fn message(error: &RunError) -> String {
    let help = error.help();
    let help = if help.is_empty() { String::new() } else { format!("\n  help: {help}") };
    format!("error[{}]: {error}{help}", error.code())
}
