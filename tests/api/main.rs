//! What the HTTP API promises: a real server on a real socket, on both engines.
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;
#[path = "../support/test_node/mod.rs"]
mod test_node;

mod admins;
mod boundary;
mod cluster;
mod engines;
mod health;
mod hosts;
mod nodes;
mod notifications;
mod panel;
mod services;
mod subscription;
mod tokens;
mod users;
