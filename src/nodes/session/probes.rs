//! Changes of the users in doubt whom a full list does not have, and what becomes of users that the node refused.

use std::collections::HashMap;

use uuid::Uuid;

use super::Session;
use super::units::{Unit, refusal};
use crate::domain::ids::UserId;
use crate::domain::user::set::UserSet;
use crate::nodes::messages::{self, user_data};
use crate::nodes::node_error::NodeError;
use crate::nodes::proto::UserData;
use crate::nodes::session_error::SessionError;
use crate::store::IdList;
use crate::store::nodes::expected_users::{self, NodeUser};

/// Messages about the users in doubt who are not in a list.
#[derive(Default)]
pub(super) struct Probes {
    /// They are removed, added and removed, which a node refuses that has one of them in an engine alone or in its memory
    /// alone. The key is a new one that nobody knows. The first removal comes before it: to a user whom the node has in its
    /// memory, it would add inbounds, with the user's own key.
    pub units: Vec<Unit>,
    /// The users as the node has them in its memory, if it does.
    pub former: Vec<UserData>,
}

impl Session<'_> {
    /// Has the users who have come or gone since the last list in doubt as well, and returns messages about those who are not
    /// in the next one. A removed user has no name any more, by which an engine could be asked.
    pub(super) async fn probes(&mut self, list: &UserSet) -> Result<Probes, SessionError> {
        self.doubt.list_begins(list.clone());
        self.doubt.sort(list);
        let gone = self.doubt.users().iter().filter(|(user, _)| !list.contains(**user));
        let mut gone: HashMap<UserId, NodeUser> =
            gone.map(|(id, name)| (*id, NodeUser { username: name.clone(), ..NodeUser::gone(*id) })).collect();
        if gone.is_empty() {
            return Ok(Probes::default());
        }
        let db = self.context.fence.db();
        for user in expected_users::chosen(db, &IdList::new(gone.keys().map(|user| user.0))).await? {
            if !user.username.is_empty() {
                gone.insert(user.id, user);
            }
        }
        let tags = expected_users::service_tags(db).await?;
        let mut probes = Probes::default();
        for mut user in gone.into_values().filter(|user| !user.username.is_empty()) {
            user.key = Uuid::new_v4().simple().to_string();
            user.live = true;
            let former = tags.of(&user, self.node);
            if let Some(addition) = user_data(&user, &former) {
                let removal = messages::removal(&addition);
                // Of a deleted user, among others, no inbound on this node is known any more.
                let unit =
                    if former.is_empty() { vec![removal] } else { vec![removal.clone(), addition.clone(), removal] };
                probes.units.push(unit);
                probes.former.push(addition);
            }
        }
        Ok(probes)
    }

    /// Returns an error if the node has refused users. They stay in doubt.
    pub(super) fn none_refused(&mut self, refused: &[Unit]) -> Result<(), NodeError> {
        let users: Vec<_> = refused.iter().filter_map(|unit| unit.first()?.user.as_ref()).collect();
        if users.is_empty() {
            return Ok(());
        }
        for user in &users {
            self.doubt.add(UserId(i64::from(user.id)), user.username.clone());
        }
        Err(refusal(refused))
    }
}
