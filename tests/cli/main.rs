//! What the program promises to whoever starts it: settings, exit codes, `plan`, admins. The real binary, in a folder
//! and with an environment of its own.
#![cfg(test)]

mod admin;
mod check;
mod export;
mod healthcheck;
mod import;
mod mariadb;
mod plan;
mod secrets;
mod settings;
#[path = "../support/mod.rs"]
mod support;
mod user;

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// An empty folder that commands are run in.
struct Box(TempDir);

/// What a command left behind.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Box {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    /// Writes a file and tells where.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    }

    /// Runs `sarban`, without a terminal.
    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        self.run_with(arguments, variables.iter().map(|(name, value)| (OsStr::new(name), OsStr::new(value))))
    }

    fn run_with<'a>(&self, arguments: &[&str], variables: impl IntoIterator<Item = (&'a OsStr, &'a OsStr)>) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_sarban"))
            .args(arguments)
            .env_clear()
            .envs(variables)
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .expect("sarban runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ran {
    /// The output of a command that went well.
    #[track_caller]
    fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert_eq!(self.stderr, "", "{self:?}");
        self.stdout
    }

    /// The one line of a command that ended with this code.
    #[track_caller]
    fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        self.stderr
    }
}
