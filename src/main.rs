//! The `sarban` program: parses the command line, runs the command, and sets the exit code.

use std::process::ExitCode;

use clap::Parser;
use sarban::app;
use sarban::cli::{Cli, UsageError};
use sarban::config::SettingsErrors;
use sarban::foundation::escaped;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code for wrong arguments or settings; clap uses the same code.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    match app::run(Cli::parse().command()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in format!("{error:#}").lines() {
                eprintln!("sarban: {}", escaped(line));
            }
            let usage = error.is::<SettingsErrors>() || error.is::<UsageError>();
            if usage { ExitCode::from(WRONG_USAGE) } else { ExitCode::FAILURE }
        }
    }
}
