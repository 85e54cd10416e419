//! What the HTTP API promises: a real server on a real socket, on both engines.
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod admins;
mod boundary;
mod health;
mod hosts;
mod limits;
mod nodes;
mod panel;
mod services;
mod subscription;
mod tokens;
mod users;
