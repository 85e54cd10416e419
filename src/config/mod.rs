//! Settings: the environment, read once into typed sections. Only this folder reads the environment.

pub mod auth;
mod cgroups;
pub mod cores;
pub mod crash_point;
pub mod database;
pub mod database_url;
pub mod dotenv;
mod env;
mod env_file;
mod errors;
pub mod file_modes;
pub mod http;
pub mod instance;
pub mod log;
pub mod memory;
mod mysql_url;
pub mod names;
pub mod notify;
mod numbers;
pub mod old_database;
mod postgres_url;
pub mod redis;
mod redis_url;
pub mod secret;
mod section;
mod server_url;
mod settings;
mod source;
mod sqlite_url;
pub mod subscription;
pub mod tasks;
mod url_parameters;
mod values;

pub use errors::{SettingError, SettingsErrors};
pub use settings::Settings;
pub use source::Sources;
