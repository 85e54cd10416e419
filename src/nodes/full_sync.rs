//! What goes over the wire in a full sync: all users of a node one way, what it offers the other.

use prost::Message;

use super::proto::{BackendsResponse, Inbound, User, UserData};
use crate::domain::ids::NodeId;
use crate::domain::user::set::UserSet;
use crate::store::nodes::expected_users::NodeUser;
use crate::store::nodes::sync_state::{FirstSeen, Offer, OfferedBackend, OfferedInbound};

/// Field 1 (`users_data`) of a `UsersData` message, length-delimited.
const USERS_DATA: u8 = 1 << 3 | 2;

/// All users of a node.
#[derive(Debug, Default)]
pub(super) struct List {
    /// Those that the node may already have as they are: a whole `UsersData` message, written as the users are read, so
    /// that a large list is in memory once and small.
    pub settled: Vec<u8>,
    /// How many those are.
    pub count: usize,
    /// Those whose key changed: left out of the first list, so that the node forgets them, and sent after it. (For a
    /// user that it has, a node compares tags alone and would keep the old key.)
    pub renewed: Vec<UserData>,
    /// All of them.
    pub users: UserSet,
}

impl List {
    /// And this user, through these inbounds. Whose key changed after `renew_after` must be renewed.
    pub(super) fn add(&mut self, user: &NodeUser, tags: &[&str], renew_after: i64) {
        let Some(message) = (!tags.is_empty()).then(|| message(user, tags)).flatten() else { return };
        self.users.insert(user.id);
        if user.key_change_seq > renew_after {
            self.renewed.push(message);
            return;
        }
        self.settled.push(USERS_DATA);
        prost::encode_length_delimiter(message.encoded_len(), &mut self.settled).ok();
        message.encode_raw(&mut self.settled);
        self.count += 1;
    }
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
    use crate::domain::ids::UserId;
    use crate::nodes::proto::{Backend, UsersData};

    #[test]
    fn a_list_is_the_message_that_the_protocol_knows() {
        let user = |id: i64, key_change_seq| NodeUser {
            username: format!("user{id}"),
            key: "k".repeat(200),
            key_change_seq,
            ..NodeUser::gone(UserId(id))
        };
        let mut list = List::default();
        list.add(&user(1, 0), &["a", "b"], 5);
        list.add(&user(2, 6), &["a"], 5);
        list.add(&user(3, 5), &["b"], 5);
        list.add(&user(4, 0), &[], 5);
        let users_data = vec![message(&user(1, 0), &["a", "b"]).unwrap(), message(&user(3, 5), &["b"]).unwrap()];
        assert_eq!(UsersData::decode(list.settled.as_slice()), Ok(UsersData { users_data }));
        assert_eq!((list.count, list.renewed.len()), (2, 1));
        assert_eq!([1, 2, 3, 4].map(|id| list.users.contains(UserId(id))), [true, true, true, false]);
    }

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
