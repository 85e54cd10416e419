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
mod events;
mod health;
mod host_preview;
mod hosts;
mod limits;
mod nodes;
mod notifications;
mod panel;
mod rights;
mod security_headers;
mod server;
mod server_addresses;
mod services;
mod settings;
<<<<<<< HEAD
mod shapes;
=======
mod setup;
>>>>>>> dd0f31a (The first admin is made in a browser, with a one-time link: API, command, screen)
mod stats;
mod subscription;
mod templates;
mod tokens;
mod usage;
mod user_expiry;
mod usernames;
mod users;
