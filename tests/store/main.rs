//! What the store promises, on both engines and a real server.
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod admins;
mod changes;
mod clock;
mod migrate;
