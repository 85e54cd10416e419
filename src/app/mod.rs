//! Starts a panel from its settings, and stops it.

mod background;
mod connection_limits;
pub mod connections;
mod coordination;
mod database;
mod descriptors;
mod fetch_writer;
mod health;
mod idle_tracker;
mod listener;
mod log_format;
mod notifications;
mod own_address;
mod phases;
mod preflight;
mod read_only;
mod redis;
mod render_context;
mod serve;
mod serve_options;
pub mod server;
mod shutdown;
mod take_over;
mod telemetry;
mod templates;
mod unix_socket;
mod unsent;
mod wiring;

pub use coordination::{Coordination, CoordinationParts};
pub use preflight::PREFLIGHT;
pub use render_context::read as read_render_context;
pub use serve::serve;
pub use serve_options::ServeOptions;
pub use telemetry::start_logging;
pub use wiring::{Machine, Wiring};
