//! Starts a panel from its settings, and stops it.

mod background;
mod connection_limits;
pub mod connections;
mod coordination;
mod database;
mod descriptors;
mod edge;
mod entrance;
mod health;
mod idle_tracker;
mod listener;
mod log_format;
mod log_writer;
mod notifications;
mod own_address;
mod phases;
mod preflight;
mod program;
mod read_only;
mod redis;
mod render_context;
mod serve;
mod serve_options;
pub mod server;
mod server_certificate;
mod shutdown;
mod take_over;
mod telemetry;
mod templates;
mod unix_socket;
mod unsent;
mod wiring;
mod wrong_setting;

pub use coordination::{Coordination, CoordinationParts};
pub use program::run;
pub use wiring::{Machine, Wiring};
