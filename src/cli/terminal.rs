//! Questions to the person at the terminal. Without a terminal, the error names the argument or setting to use instead.

use std::io::{self, IsTerminal, Write};

use anyhow::Context;

use super::usage_error::UsageError;
use crate::config::Settings;
use crate::config::secret::Secret;

const NO_TERMINAL_FOR_PASSWORD: &str = "no terminal to ask for the password; set SARBAN_ADMIN_PASSWORD";

fn is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Returns the name that is given as an argument, or asks for it.
pub(super) fn username(argument: Option<String>) -> anyhow::Result<String> {
    let username = match argument {
        Some(username) => username,
        None if is_terminal() => ask("Username: ")?,
        None => return Err(UsageError::new("the username is missing; give it with --username").into()),
    };
    if username.is_empty() {
        return Err(UsageError::new("the username is empty; give it with --username").into());
    }
    Ok(username)
}

/// Returns `SARBAN_ADMIN_PASSWORD`, or asks for a new password, twice and without echo.
pub(super) fn new_password(settings: &Settings) -> anyhow::Result<Secret> {
    if let Some(password) = &settings.admins.password {
        return Ok(password.clone());
    }
    if !is_terminal() {
        return Err(UsageError::new(NO_TERMINAL_FOR_PASSWORD).into());
    }
    let password = ask_hidden("Password: ")?;
    if password.is_empty() {
        return Err(UsageError::new("the password is empty; nothing was changed").into());
    }
    if ask_hidden("Repeat the password: ")? != password {
        return Err(UsageError::new("the two passwords differ; nothing was changed").into());
    }
    Ok(Secret::new(password))
}

/// Returns `SARBAN_ADMIN_PASSWORD`, or asks for the password of an existing admin, once and without echo.
pub(super) fn existing_password(settings: &Settings) -> anyhow::Result<Secret> {
    match &settings.admins.password {
        Some(password) => Ok(password.clone()),
        None if is_terminal() => ask_hidden("Password: ").map(Secret::new),
        None => Err(UsageError::new(NO_TERMINAL_FOR_PASSWORD).into()),
    }
}

/// Returns the choice that is given as an argument, or asks; without a terminal the answer is no.
pub(super) fn choice(argument: Option<bool>, question: &str) -> anyhow::Result<bool> {
    match argument {
        Some(chosen) => Ok(chosen),
        None if is_terminal() => ask_yes_or_no(question),
        None => Ok(false),
    }
}

/// Asks for confirmation, unless `-y` was given. A refusal is an error, which ends the command.
pub(super) fn confirm(confirmed: bool, question: &str) -> anyhow::Result<()> {
    if confirmed {
        return Ok(());
    }
    if !is_terminal() {
        return Err(UsageError(format!("{question} No terminal to ask; confirm with -y")).into());
    }
    if ask_yes_or_no(question)? { Ok(()) } else { anyhow::bail!("not confirmed; nothing was changed") }
}

fn ask_yes_or_no(question: &str) -> anyhow::Result<bool> {
    Ok(matches!(ask(&format!("{question} [y/N] "))?.to_lowercase().as_str(), "y" | "yes"))
}

/// Asks on stderr, because stdout is for the command's result.
fn ask(question: &str) -> anyhow::Result<String> {
    let mut terminal = io::stderr().lock();
    write!(terminal, "{question}").and_then(|()| terminal.flush()).context("could not write to the terminal")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("could not read from the terminal")?;
    Ok(answer.trim().to_owned())
}

fn ask_hidden(question: &str) -> anyhow::Result<String> {
    rpassword::prompt_password(question).context("could not read from the terminal")
}
