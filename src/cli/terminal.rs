//! Questions to the person at the terminal; without one, the error says how to answer beforehand.

use std::io::{self, IsTerminal, Write};

use anyhow::Context;

use super::Usage;
use crate::config::Settings;
use crate::config::secret::Secret;

/// Whether there is somebody to ask.
fn is_here() -> bool {
    io::stdin().is_terminal()
}

/// The name that was given, or else asked for.
pub(super) fn username(given: Option<String>) -> anyhow::Result<String> {
    let username = match given {
        Some(username) => username,
        None if is_here() => ask("Username: ")?,
        None => return Err(Usage("whose? Give the name with --username".to_owned()).into()),
    };
    if username.is_empty() { Err(Usage("a name can't be empty".to_owned()).into()) } else { Ok(username) }
}

/// The password of the environment, or else asked for, twice and hidden.
pub(super) fn password(settings: &Settings) -> anyhow::Result<Secret> {
    if let Some(password) = &settings.admins.password {
        return Ok(password.clone());
    }
    if !is_here() {
        return Err(Usage("there is no terminal to ask for the password; set SARBAN_ADMIN_PASSWORD".to_owned()).into());
    }
    let password = hidden("Password: ")?;
    if password.is_empty() {
        return Err(Usage("a password can't be empty".to_owned()).into());
    }
    if hidden("The same again: ")? != password {
        return Err(Usage("the two passwords differ; nothing was changed".to_owned()).into());
    }
    Ok(Secret::new(password))
}

/// The password of somebody who has one: of the environment, or else asked for, once and hidden.
pub(super) fn known_password(settings: &Settings) -> anyhow::Result<Secret> {
    match &settings.admins.password {
        Some(password) => Ok(password.clone()),
        None if is_here() => hidden("Password: ").map(Secret::new),
        None => Err(Usage("there is no terminal to ask for the password; set SARBAN_ADMIN_PASSWORD".to_owned()).into()),
    }
}

/// What was chosen, or else asked for; without a terminal, no.
pub(super) fn choice(chosen: Option<bool>, question: &str) -> anyhow::Result<bool> {
    match chosen {
        Some(chosen) => Ok(chosen),
        None if is_here() => yes(question),
        None => Ok(false),
    }
}

/// Asks before something that can't be undone, unless `-y` said yes already. Not agreed: an error that ends the command.
pub(super) fn confirm(agreed: bool, question: &str) -> anyhow::Result<()> {
    if agreed {
        return Ok(());
    }
    if !is_here() {
        return Err(Usage(format!("{question} There is no terminal to ask; agree with -y")).into());
    }
    if yes(question)? { Ok(()) } else { anyhow::bail!("nothing was changed") }
}

fn yes(question: &str) -> anyhow::Result<bool> {
    Ok(matches!(ask(&format!("{question} [y/N] "))?.to_lowercase().as_str(), "y" | "yes"))
}

/// Asks on stderr: stdout is for what the command gives.
fn ask(question: &str) -> anyhow::Result<String> {
    let mut terminal = io::stderr().lock();
    write!(terminal, "{question}").and_then(|()| terminal.flush()).context("the terminal can't be written to")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("the terminal can't be read")?;
    Ok(answer.trim().to_owned())
}

fn hidden(question: &str) -> anyhow::Result<String> {
    rpassword::prompt_password(question).context("the terminal can't be read")
}
