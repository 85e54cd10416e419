//! `sarban completions`: prints a completion script for a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use super::args::Cli;
use super::output;

pub(super) fn run(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut <Cli as CommandFactory>::command(), "sarban", &mut script);
    Ok(output::line(String::from_utf8(script)?.trim_end())?)
}
