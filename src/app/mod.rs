//! Wiring: builds everything from the settings, and owns start and shutdown.

mod coordination;
mod database;
mod health;
mod listener;
mod notifications;
mod pulse;
mod redis;
mod serve;
pub mod server;
mod shadow;
mod shutdown;
mod surroundings;
mod take_over;
mod telemetry;
mod templates;

pub use coordination::{Coordination, CoordinationParts};
pub use database::open as open_database;
pub use serve::{ServeOptions, serve};
pub use surroundings::find as find_surroundings;
pub use telemetry::start_logging;
