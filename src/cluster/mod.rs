//! Coordination of the processes of one cluster: lease, election, members, wake-ups, and access to Redis.

pub mod commit_watch;
pub mod dedicated_connection;
pub mod elector;
pub mod identity;
mod judge;
pub mod leadership;
mod lease_client;
mod lease_renewal;
pub mod members;
pub mod panel_errors;
pub mod panel_link;
pub mod panel_redis;
pub mod recent_changes;
pub mod redis;
pub mod redis_lock;
pub mod redis_pool;
pub mod redis_status;
pub mod round_trips;
pub mod self_report;
pub mod shared_counters;
pub mod shared_sets;
pub mod standing;
pub mod tick;
pub mod view;
pub mod wakeup;
mod wakeup_message;
pub mod wakeup_relay;
