//! Settings: the environment, read once into typed sections. Only this folder reads the environment.

pub mod auth;
mod cgroups;
pub mod cores;
pub mod crash_point;
pub mod database;
pub mod database_url;
mod dotenv;
mod env;
mod errors;
pub mod file_modes;
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

pub use errors::{SettingError, SettingsErrors};
pub use settings::Settings;
