//! Tests of the `sarban` program: each runs the real binary in its own folder, with its own environment.

mod admin;
mod audit;
mod backup;
mod check;
mod dotenv;
mod export;
mod export_proof;
mod healthcheck;
mod import;
mod import_report;
mod mariadb;
mod migrating;
mod mysql_addresses;
mod old_settings;
mod plan;
mod postgres_addresses;
mod preflight;
mod quota;
mod role;
mod second_factor;
mod secrets;
mod settings;
mod token;
mod user;

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A temporary folder that commands run in.
struct WorkDir(TempDir);

/// The result of a command.
#[derive(Debug)]
struct Output {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl WorkDir {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).expect("the folder is private");
        Self(folder)
    }

    /// Writes a file, and returns its path.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    }

    /// Runs `sarban`, without a terminal.
    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        self.run_with(arguments, variables.iter().map(|(name, value)| (OsStr::new(name), OsStr::new(value))))
    }

    fn run_with<'a>(&self, arguments: &[&str], variables: impl IntoIterator<Item = (&'a OsStr, &'a OsStr)>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sarban"));
        command.args(arguments).env_clear();
        // These two try the port. Two tests at once would each find the default one in use.
        if arguments.iter().any(|it| matches!(*it, "plan" | "--dry-run")) {
            command.env("UVICORN_PORT", crate::support::ports::free_port().to_string());
        }
        let output =
            command.envs(variables).current_dir(self.0.path()).stdin(Stdio::null()).output().expect("sarban runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Output { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Output {
    /// Asserts success without a remark, and returns the output.
    #[track_caller]
    fn expect_success(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert_eq!(self.stderr, "", "{self:?}");
        self.stdout
    }

    /// Asserts this exit code and a single line of error, and returns the line.
    #[track_caller]
    fn expect_failure(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        self.stderr
    }
}
