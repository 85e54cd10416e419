//! The panel's concepts as pure values and rules: no I/O, no clock, no async. `now` is always an argument.

pub mod admin;
pub mod bytes;
pub mod credentials;
pub mod engine_config;
pub mod engine_log;
pub mod host;
pub mod ids;
pub mod inbound;
pub mod jalali;
pub mod lease;
pub mod moment;
pub mod node;
pub mod node_edit;
pub mod notification;
pub mod schedule;
pub mod service;
pub mod subscription_settings;
pub mod telegram_settings;
pub mod term;
pub mod usage;
pub mod usage_series;
pub mod user;
pub mod workers;
pub mod xray_config;
