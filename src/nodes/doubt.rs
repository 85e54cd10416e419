//! Users whom a node may have in an engine and not in its memory, or the other way round, because a call ended in the middle
//! of them. The node says nothing of it. It refuses the next change of such a user, and if none comes, an engine serves a
//! user who is disabled, or does not serve one who is enabled. So the next full sync has the node change all of them.

use std::collections::BTreeSet;

use crate::domain::ids::UserId;
use crate::domain::user::set::UserSet;
use crate::store::nodes::doubt::Users;

/// Most users that are kept: more than are ever sent to a node and not confirmed. Others of a larger change are as they were
/// before it, or as after it.
pub(super) const MOST: usize = 500;

/// The doubt about one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Doubt {
    users: Users,
    /// Those of them who are not to be on the node.
    removed: BTreeSet<UserId>,
    /// The users of a list that the node may have applied in part. A user who has come or gone when the next list is made may
    /// be the one in whose middle it ended.
    list: Option<UserSet>,
}

impl Doubt {
    pub(super) fn new(users: Users) -> Self {
        let mut doubt = Self::default();
        for (user, name) in users {
            doubt.add(user, name);
        }
        doubt
    }

    /// Adds a user; an empty name is unknown. Engines know users by id and name.
    pub(super) fn add(&mut self, user: UserId, name: String) {
        self.removed.remove(&user);
        let is_new = !self.users.contains_key(&user);
        if !is_new && name.is_empty() || is_new && self.users.len() >= MOST {
            return;
        }
        self.users.insert(user, name);
    }

    /// Adds a user who is not to be on the node.
    pub(super) fn add_removed(&mut self, user: UserId, name: String) {
        self.add(user, name);
        if self.users.contains_key(&user) {
            self.removed.insert(user);
        }
    }

    /// Notes which users are not in a list.
    pub(super) fn sort(&mut self, list: &UserSet) {
        self.removed = self.users.keys().filter(|user| !list.contains(**user)).copied().collect();
    }

    /// Returns the doubt about users who are not to be on the node alone.
    pub(super) fn of_removed(mut self) -> Self {
        self.users.retain(|user, _| self.removed.contains(user));
        Self { list: None, ..self }
    }

    /// Ends the doubt about one user: the node has accepted the change.
    pub(super) fn settle(&mut self, user: UserId) {
        self.users.remove(&user);
        self.removed.remove(&user);
    }

    /// Adds the users who differ between the last list that was not accepted, if there is one, and the next. To be called
    /// before anything else that may fail: the next list takes the place of the last one, also if it is never sent.
    pub(super) fn list_begins(&mut self, next: UserSet) {
        if let Some(last) = self.list.take() {
            for user in last.without(&next).chain(next.without(&last)).take(MOST) {
                self.add(user, String::new());
            }
        }
        self.list = Some(next);
    }

    /// Returns whether a full list is to leave a user out, so that the node removes the user first.
    pub(super) fn is_about(&self, user: UserId) -> bool {
        self.users.contains_key(&user) || self.list.as_ref().is_some_and(|list| !list.contains(user))
    }

    /// The users.
    pub(super) const fn users(&self) -> &Users {
        &self.users
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ids: &[i64]) -> UserSet {
        let mut set = UserSet::default();
        for id in ids {
            set.insert(UserId(*id));
        }
        set
    }

    #[test]
    fn those_who_come_and_go_after_a_list_that_was_not_accepted_are_in_doubt() {
        let mut doubt = Doubt::default();
        assert!(!doubt.is_about(UserId(1)));
        doubt.list_begins(set(&[1, 2, 3]));
        assert_eq!([1, 4].map(|id| doubt.is_about(UserId(id))), [false, true]);
        doubt.list_begins(set(&[2, 3, 4]));
        assert!(doubt.users().keys().eq(&[UserId(1), UserId(4)]));
        doubt.settle(UserId(4));
        doubt.list_begins(set(&[2, 3, 4]));
        assert!(doubt.users().keys().eq(&[UserId(1)]));
        doubt.list_begins(set(&[3, 4]));
        assert!(doubt.users().keys().eq(&[UserId(1), UserId(2)]), "also if the list before was never sent");
    }

    #[test]
    fn only_those_who_are_not_to_be_on_the_node_stay_when_it_has_refused_a_change() {
        let mut doubt = Doubt::default();
        doubt.add(UserId(1), "one".to_owned());
        doubt.add_removed(UserId(2), String::new());
        doubt.add_removed(UserId(3), String::new());
        doubt.add(UserId(3), "back".to_owned());
        assert!(doubt.clone().of_removed().users().keys().eq(&[UserId(2)]));
        doubt.sort(&set(&[2]));
        assert!(doubt.of_removed().users().keys().eq(&[UserId(1), UserId(3)]));
    }

    #[test]
    fn name_is_kept_and_the_number_of_users_is_limited() {
        let mut doubt = Doubt::new([(UserId(1), "one".to_owned())].into());
        doubt.add(UserId(1), String::new());
        assert_eq!(doubt.users()[&UserId(1)], "one");
        for id in 2..5_000 {
            doubt.add(UserId(id), String::new());
        }
        doubt.add(UserId(2), "two".to_owned());
        assert_eq!((doubt.users().len(), doubt.users()[&UserId(2)].as_str()), (MOST, "two"));
    }
}
