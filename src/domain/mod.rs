//! What a panel knows, as pure values and functions: no I/O, no clock, no async. `now` is always an argument.

pub mod admin;
pub mod ids;
pub mod lease;
pub mod moment;
pub mod node;
pub mod schedule;
pub mod service;
pub mod term;
pub mod usage;
pub mod user;
pub mod workers;
