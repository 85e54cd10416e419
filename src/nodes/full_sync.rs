//! Everything that a node should have: what it offers goes to the database, all its users come from there.

use std::time::Duration;

use super::proto::{BackendsResponse, Inbound, User, UserData};
use crate::domain::ids::{NodeId, UserId};
use crate::store::node_sync::{FirstSeen, Offer, OfferedBackend, OfferedInbound};
use crate::store::node_users::{self, NodeUser};
use crate::store::{Db, StoreError};

const PAGE: usize = 2_000;

/// All users of a node.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// Those that the node may already have as they are.
    pub settled: Vec<UserData>,
    /// Those whose key changed: left out of the first list, so that the node forgets them, and sent after it. (For a
    /// user that it has, a node compares tags alone and would keep the old key.)
    pub renewed: Vec<UserData>,
}

/// Reads them. Whose key changed after `renew_after` must be renewed.
pub(super) async fn read(db: &Db, node: NodeId, renew_after: i64) -> Result<Snapshot, StoreError> {
    let tags = node_users::service_tags(db).await?;
    let mut snapshot = Snapshot::default();
    let mut after = UserId(i64::MIN);
    loop {
        let page = node_users::live_page(db, after, PAGE).await?;
        for user in &page {
            let tags = tags.of(user, node);
            let list = if user.key_change_seq > renew_after { &mut snapshot.renewed } else { &mut snapshot.settled };
            list.extend((!tags.is_empty()).then(|| message(user, &tags)).flatten());
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = last.id,
            _ => return Ok(snapshot),
        }
    }
}

/// How long a node may take over so many users: it hands each to an engine.
pub(super) const fn patience(users: usize) -> Duration {
    Duration::from_secs(60).saturating_add(Duration::from_millis(20).saturating_mul(users as u32))
}

/// A user for the wire; without tags: to be removed. `None`: the wire has no room for so large an id.
pub(super) fn message<T: AsRef<str>>(user: &NodeUser, tags: &[T]) -> Option<UserData> {
    let Ok(id) = u32::try_from(user.id.0) else {
        tracing::error!(user = user.id.0, "the node protocol has 32 bits for a user's id: this user reaches no node");
        return None;
    };
    Some(UserData {
        user: Some(User { id, username: user.username.clone(), key: user.key.clone() }),
        inbounds: tags.iter().map(|tag| Inbound { tag: tag.as_ref().to_owned(), config: None }).collect(),
    })
}

/// What a node says about itself. An inbound without a readable config can't be used, and is left out.
pub(super) fn offer(node: NodeId, reply: BackendsResponse, first_seen: Option<FirstSeen>) -> Offer {
    let mut offer = Offer { first_seen, ..Offer::default() };
    for backend in reply.backends {
        for inbound in backend.inbounds {
            let config = inbound.config.unwrap_or_default();
            match protocol(&config) {
                Some(protocol) => offer.inbounds.push(OfferedInbound { tag: inbound.tag, protocol, config }),
                None => tracing::warn!(node = node.0, tag = inbound.tag, "an inbound's config names no protocol"),
            }
        }
        let backend_type = backend.r#type.unwrap_or_else(|| backend.name.clone());
        offer.backends.push(OfferedBackend { name: backend.name, backend_type, version: backend.version });
    }
    offer
}

fn protocol(config: &str) -> Option<String> {
    let config: serde_json::Value = serde_json::from_str(config).ok()?;
    config.get("protocol")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::proto::Backend;

    #[test]
    fn an_inbound_without_a_protocol_is_left_out() {
        let inbound = |tag: &str, config: Option<&str>| Inbound { tag: tag.into(), config: config.map(Into::into) };
        let reply = BackendsResponse {
            backends: vec![Backend {
                name: "xray".into(),
                inbounds: vec![
                    inbound("good", Some(r#"{"protocol":"vless"}"#)),
                    inbound("bare", None),
                    inbound("broken", Some("{")),
                ],
                ..Backend::default()
            }],
        };
        let offer = offer(NodeId(1), reply, None);
        assert_eq!(offer.inbounds.len(), 1);
        assert_eq!(offer.inbounds[0].protocol, "vless");
        assert_eq!(offer.backends[0].backend_type, "xray", "an unnamed type is the engine's name");
    }
}
