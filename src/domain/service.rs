//! A service: a named set of inbounds that users are assigned to.

use super::ids::{InboundId, ServiceId, UserId};

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The row.
    pub id: ServiceId,
    /// Any text; not unique.
    pub name: Option<String>,
    /// Its inbounds, by id.
    pub inbound_ids: Vec<InboundId>,
    /// The first of its users that are not removed, by id. A service may have a million users: the rest is read in pages.
    pub first_users: Vec<UserId>,
}
