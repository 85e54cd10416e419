//! Who leads, and how others hear of work: lease, fence, members, bell. See ARCHITECTURE.md, "Coordination".

pub mod bell;
pub mod elector;
pub mod gate;
pub mod identity;
pub mod leadership;
pub mod members;
mod reign;
pub mod ringing;
pub mod servers;
pub mod shared_counters;
pub mod view;
