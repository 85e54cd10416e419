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
    /// Its users that are not removed, by id.
    pub user_ids: Vec<UserId>,
}
