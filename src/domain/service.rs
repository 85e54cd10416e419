//! A service: a named set of inbounds that users are given.

use super::ids::{InboundId, ServiceId, UserId};

/// A service as the panel knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The row.
    pub id: ServiceId,
    /// Any text; not unique.
    pub name: Option<String>,
    /// Its inbounds, by id.
    pub inbound_ids: Vec<InboundId>,
    /// The first of its users that are not removed, by id. A service may have a million: the others are read in parts.
    pub first_users: Vec<UserId>,
}
