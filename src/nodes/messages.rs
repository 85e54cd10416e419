//! Translation between the store's types and the messages of the node protocol.

use prost::Message;
use tokio::task::yield_now;

use super::proto::{Inbound, User, UserData};
use super::wire;
use crate::domain::user::set::UserSet;
use crate::store::nodes::expected_users::NodeUser;

/// Field 1 (`users_data`) of a `UsersData` message, length-delimited.
const USERS_DATA: u8 = 1 << 3 | 2;
/// Messages of a list that are decoded before the task yields the worker thread.
const BEFORE_YIELD: usize = 1_000;

/// The full list of a node's users.
#[derive(Debug, Default)]
pub(super) struct FullList {
    /// Users whose key has not changed: a complete `UsersData` message, encoded while the users are read, so that a
    /// large list is in memory once.
    pub encoded: Vec<u8>,
    /// Operations that all users cause at most.
    pub operations: usize,
    /// Users whose key changed, and users in doubt. `encoded` leaves them out, so that the node removes them, and they are
    /// sent after it: for a user that it has, a node compares tags only and would keep the old key. Encoded like the others.
    pub renewed: Vec<u8>,
    /// The ids of those of them whose key changed.
    pub new_keys: UserSet,
    /// The ids of all users.
    pub users: UserSet,
}

/// Why a node is to remove a user before it gets the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renew {
    NewKey,
    InDoubt,
}

impl FullList {
    /// Adds a user with the tags of the user's inbounds. `renew`: the node is to remove the user first.
    pub(super) fn add(&mut self, user: &NodeUser, tags: &[&str], renew: Option<Renew>) {
        let Some(message) = (!tags.is_empty()).then(|| user_data(user, tags)).flatten() else { return };
        self.users.insert(user.id);
        self.operations += operations(&message);
        if renew == Some(Renew::NewKey) {
            self.new_keys.insert(user.id);
        }
        append(if renew.is_some() { &mut self.renewed } else { &mut self.encoded }, &message);
    }

    /// Returns the number of bytes that the messages take.
    pub(super) const fn bytes(&self) -> usize {
        self.encoded.len() + self.renewed.len()
    }

    /// Returns the encoded list of all users, those to be renewed and `more` included, each as `change` returns it. Who has no
    /// inbounds then is left out, so that the node removes the user.
    pub(super) async fn whole(
        &self,
        more: impl Iterator<Item = UserData>,
        change: impl Fn(UserData) -> UserData,
    ) -> Vec<u8> {
        let mut whole = Vec::with_capacity(self.bytes());
        for (number, user) in users(&self.encoded).chain(users(&self.renewed)).chain(more).enumerate() {
            let user = change(user);
            if !user.inbounds.is_empty() {
                append(&mut whole, &user);
            }
            if number % BEFORE_YIELD == 0 {
                yield_now().await;
            }
        }
        whole
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

/// Decodes the messages of a list that [`FullList`] encoded, one by one.
pub(super) fn users(encoded: &[u8]) -> impl Iterator<Item = UserData> {
    wire::contents(encoded).map_while(Result::ok).filter_map(|(_, message)| UserData::decode(message).ok())
}

/// Returns the id of a message's user.
pub(super) fn id(message: &UserData) -> u32 {
    message.user.as_ref().map_or(0, |user| user.id)
}

/// Returns the message that removes a user.
pub(super) fn removal(message: &UserData) -> UserData {
    UserData { user: message.user.clone(), inbounds: Vec::new() }
}

fn append(list: &mut Vec<u8>, message: &UserData) {
    list.push(USERS_DATA);
    prost::encode_length_delimiter(message.encoded_len(), list).ok();
    message.encode_raw(list);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::UserId;
    use crate::nodes::proto::UsersData;

    #[tokio::test]
    async fn full_list_encodes_users_data_message_without_renewed_users() {
        let user =
            |id: i64| NodeUser { username: format!("user{id}"), key: "k".repeat(200), ..NodeUser::gone(UserId(id)) };
        let mut list = FullList::default();
        list.add(&user(1), &["a", "b"], None);
        list.add(&user(2), &["a"], Some(Renew::NewKey));
        list.add(&user(3), &["b"], None);
        list.add(&user(4), &[], None);
        let message = |id, tags: &[&str]| user_data(&user(id), tags).unwrap();
        let users_data = vec![message(1, &["a", "b"]), message(3, &["b"])];
        assert_eq!(UsersData::decode(list.encoded.as_slice()), Ok(UsersData { users_data }));
        let more = message(5, &["b"]);
        let without_3 = |user: UserData| if id(&user) == 3 { removal(&user) } else { user };
        let whole = list.whole([more.clone()].into_iter(), without_3).await;
        let users_data = vec![message(1, &["a", "b"]), message(2, &["a"]), more];
        assert_eq!(UsersData::decode(whole.as_slice()), Ok(UsersData { users_data }));
        assert!(users(&list.renewed).eq([message(2, &["a"])]));
        assert_eq!(list.bytes(), list.encoded.len() + list.renewed.len());
        assert_eq!([1, 2, 3, 4].map(|id| list.users.contains(UserId(id))), [true, true, true, false]);
        assert_eq!([1, 2].map(|id| list.new_keys.contains(UserId(id))), [false, true]);
    }
}
