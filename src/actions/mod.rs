//! Use cases, one function each: decide in `domain`, write in one transaction, publish what it changed.

pub mod admins;
pub mod api_tokens;
pub mod attempt_limiter;
pub mod audit;
pub mod cache;
pub mod caches;
pub mod changes;
pub mod cluster;
pub mod copy;
pub mod edges;
pub mod engines;
pub mod fetch_log;
pub mod hosts;
pub mod inbounds;
pub mod lookups;
pub mod nodes;
pub mod notification_targets;
pub mod notifications;
mod panel;
pub mod panel_addresses;
pub mod password_check;
pub mod passwords;
pub mod quotas;
pub mod roles;
pub mod saved_views;
pub mod second_factor;
pub mod secret_reads;
pub mod services;
pub mod sessions;
pub mod settings;
pub mod setup;
pub mod sign_in;
pub mod sign_in_limits;
pub mod subscriptions;
pub mod telegram_test;
pub mod usage_series;
pub mod use_log;
pub mod users;

pub use panel::Panel;

use std::time::Duration;

/// Pause between two transactions of a large change: SQLite lets other processes write only meanwhile.
const PAUSE: Duration = Duration::from_millis(50);
