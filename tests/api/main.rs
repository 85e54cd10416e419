//! Tests of the HTTP API, with a real server on a real socket and on both database engines.
#![cfg(test)]

#[path = "../support/ports.rs"]
mod ports;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/test_node/mod.rs"]
mod test_node;

mod admins;
mod boundary;
mod changes;
mod cluster;
mod document;
mod engines;
mod health;
mod hosts;
mod limits;
mod nodes;
mod notifications;
mod panel;
mod rights;
mod server;
mod services;
mod settings;
mod stats;
mod subscription;
mod tokens;
mod usage;
mod users;
