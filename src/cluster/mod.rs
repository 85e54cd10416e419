//! Who leads, and how others hear of work: lease, fence, members, wakeup. See ARCHITECTURE.md, "Coordination".

pub mod elector;
pub mod identity;
pub mod leadership;
mod lease_renewal;
pub mod members;
pub mod redis;
pub mod redis_lock;
pub mod shared_counters;
pub mod view;
pub mod wakeup;
pub mod wakeup_relay;
