//! Coordination: lease, fence, members, Redis lock and wake-ups, on real databases and a real Redis.

mod changes;
mod elector;
pub mod fence;
pub mod latency;
pub mod lease;
mod lease_properties;
mod members;
mod redis_kinds;
pub mod redis_lock;
mod redis_own_ca;
mod redis_pool;
mod refusing_database;
mod standing;
mod wakeup_relay;
