//! The environment, read once into typed sections. Nothing else reads the environment.

pub mod auth;
mod control_groups;
pub mod cores;
pub mod crash_point;
pub mod database;
pub mod database_url;
mod dotenv;
mod env;
pub mod http;
pub mod instance;
pub mod log;
pub mod memory;
pub mod names;
pub mod notify;
pub mod old_database;
pub mod redis;
pub mod secret;
mod section;
mod settings;
pub mod subscription;
pub mod tasks;
mod values;
mod wrong;

pub use settings::Settings;
pub use wrong::{SettingError, SettingsErrors};
