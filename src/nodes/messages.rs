//! Translation between the store's types and the messages of the node protocol.

use prost::Message;

use super::proto::{Inbound, User, UserData};
use super::wire;
use crate::domain::user::set::UserSet;
use crate::store::nodes::expected_users::NodeUser;

/// Field 1 (`users_data`) of a `UsersData` message, length-delimited.
const USERS_DATA: u8 = 1 << 3 | 2;

/// The full list of a node's users.
#[derive(Debug, Default)]
pub(super) struct FullList {
    /// Users whose key has not changed: a complete `UsersData` message, encoded while the users are read, so that a
    /// large list is in memory once.
    pub encoded: Vec<u8>,
    /// Number of users in `encoded`.
    pub count: usize,
    /// Operations that all users cause at most.
    pub operations: usize,
    /// Users whose key changed. `encoded` leaves them out, so that the node removes them, and they are sent after it:
    /// for a user that it has, a node compares tags only and would keep the old key.
    pub renewed: Vec<UserData>,
    /// The ids of all users.
    pub users: UserSet,
}

impl FullList {
    /// Adds a user with the tags of the user's inbounds. A key that changed after `renew_after` is renewed.
    pub(super) fn add(&mut self, user: &NodeUser, tags: &[&str], renew_after: i64) {
        let Some(message) = (!tags.is_empty()).then(|| user_data(user, tags)).flatten() else { return };
        self.users.insert(user.id);
        self.operations += operations(&message);
        if user.key_change_seq > renew_after {
            self.renewed.push(message);
            return;
        }
        self.encoded.push(USERS_DATA);
        prost::encode_length_delimiter(message.encoded_len(), &mut self.encoded).ok();
        message.encode_raw(&mut self.encoded);
        self.count += 1;
    }
}

/// Builds the message for a user; without tags it removes the user. `None`: the protocol has 32 bits for the id.
pub(super) fn user_data<T: AsRef<str>>(user: &NodeUser, tags: &[T]) -> Option<UserData> {
    let Ok(id) = u32::try_from(user.id.0) else {
        tracing::error!(user = user.id.0, "user id exceeds the node protocol's 32 bits; this user is sent to no node");
        return None;
    };
    Some(UserData {
        user: Some(User { id, username: user.username.clone(), key: user.key.clone() }),
        inbounds: tags.iter().map(|tag| Inbound { tag: tag.as_ref().to_owned(), config: None }).collect(),
    })
}

/// Returns how many operations of engines a message causes, approximately: one per inbound, and one for a removal.
pub(super) const fn operations(message: &UserData) -> usize {
    1 + message.inbounds.len()
}

/// Splits a list that [`FullList`] encoded into its messages.
pub(super) fn split(encoded: &[u8]) -> Vec<&[u8]> {
    wire::contents(encoded).map_while(Result::ok).map(|(_, message)| message).collect()
}

/// Returns an encoded list in the reverse order.
pub(super) fn reversed(encoded: &[u8]) -> Vec<u8> {
    let mut list = Vec::with_capacity(encoded.len());
    for message in split(encoded).into_iter().rev() {
        list.push(USERS_DATA);
        prost::encode_length_delimiter(message.len(), &mut list).ok();
        list.extend_from_slice(message);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::UserId;
    use crate::nodes::proto::UsersData;

    #[test]
    fn full_list_encodes_users_data_message_without_renewed_users() {
        let user = |id: i64, key_change_seq| NodeUser {
            username: format!("user{id}"),
            key: "k".repeat(200),
            key_change_seq,
            ..NodeUser::gone(UserId(id))
        };
        let mut list = FullList::default();
        list.add(&user(1, 0), &["a", "b"], 5);
        list.add(&user(2, 6), &["a"], 5);
        list.add(&user(3, 5), &["b"], 5);
        list.add(&user(4, 0), &[], 5);
        let users_data = vec![user_data(&user(1, 0), &["a", "b"]).unwrap(), user_data(&user(3, 5), &["b"]).unwrap()];
        assert_eq!(UsersData::decode(list.encoded.as_slice()), Ok(UsersData { users_data: users_data.clone() }));
        let users_data = users_data.into_iter().rev().collect();
        assert_eq!(UsersData::decode(reversed(&list.encoded).as_slice()), Ok(UsersData { users_data }));
        assert_eq!((list.count, list.renewed.len()), (2, 1));
        assert_eq!([1, 2, 3, 4].map(|id| list.users.contains(UserId(id))), [true, true, true, false]);
    }
}
