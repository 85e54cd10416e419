//! Who leads, and how others hear of work: lease, fence, members, bell. See ARCHITECTURE.md, "Coordination".

pub mod bell;
