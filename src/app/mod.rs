//! Wiring: builds everything from the settings, and owns start and shutdown.

mod coordination;
mod database;
mod health;
mod idle_tracker;
mod listener;
mod notifications;
mod read_only;
mod redis;
mod render_context;
mod serve;
pub mod server;
mod shutdown;
mod take_over;
mod telemetry;
mod templates;

pub use coordination::{Coordination, CoordinationParts};
pub use database::open as open_database;
pub use render_context::find as find_surroundings;
pub use serve::{ServeOptions, serve};
pub use telemetry::start_logging;
