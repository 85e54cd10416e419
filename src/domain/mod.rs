//! What a panel knows, as pure values and functions: no I/O, no clock, no async. `now` is always an argument.

pub mod admin;
pub mod ids;
pub mod moment;
pub mod node;
pub mod node_edit;
pub mod service;
pub mod term;
pub mod user;
