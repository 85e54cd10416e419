//! What the integration tests share.
#![allow(dead_code, unused_imports, unused_macros, reason = "each test binary uses a part of it")]

pub mod database;
pub mod ports;
pub mod servers;
pub mod test_node;
pub mod threads;

use std::path::PathBuf;

/// Where the PostgreSQL of the tests is: an address that may create databases.
pub fn postgres_url() -> String {
    told("SARBAN_TEST_POSTGRES_URL")
}

/// The folder with `initdb` and `postgres`, for tests that start their own.
pub fn postgres_bin() -> String {
    told("SARBAN_TEST_POSTGRES_BIN")
}

/// Where the Redis of the tests is.
pub fn redis_url() -> String {
    told("SARBAN_TEST_REDIS_URL")
}

/// The folder with the programs that subscriptions are made for.
pub fn programs() -> PathBuf {
    told("SARBAN_TEST_PROGRAMS").into()
}

#[expect(clippy::disallowed_methods, reason = "tests have no settings: `make test` tells them where its servers are")]
fn told(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `make test`, or once in this shell `eval \"$(make -s services)\"`")
    })
}
