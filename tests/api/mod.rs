//! Tests of the HTTP API, with a real server on a real socket and on both database engines.

mod admins;
mod bodies;
mod boundary;
mod changes;
mod cluster;
mod core_settings;
mod document;
mod engine_changes;
mod engines;
mod health;
mod hosts;
mod limits;
mod nodes;
mod notifications;
mod panel;
mod rights;
mod security_headers;
mod server;
mod services;
mod settings;
mod stats;
mod subscription;
mod templates;
mod tokens;
mod usage;
mod users;
