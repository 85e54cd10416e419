//! Users whose last change could not be written to the file: until it can, they are served from memory. What the file says of them may
//! be a link that was revoked.

use std::collections::HashMap;

use crate::domain::copy::{Agreement, CopiedUser, Update};

/// Users that are remembered, at most: some 70 MB, by calculation.
const MOST: usize = 100_000;

/// These users, as they were last read.
#[derive(Clone, Debug, Default)]
pub(super) struct Unwritten {
    /// By id; `None`: gone.
    users: HashMap<i64, Option<Box<CopiedUser>>>,
    /// Ids by name.
    names: HashMap<String, i64>,
    /// When the last ones were added.
    added: Option<Agreement>,
    /// Counts what was forgotten: the file has something newer then.
    forgotten: u64,
}

impl Unwritten {
    /// Remembers the users of an update that was read before `now`.
    pub(super) fn add(&mut self, update: &Update, now: Agreement) {
        if update.users.is_empty() && update.gone.is_empty() {
            return;
        }
        self.added = Some(now);
        let users = update.users.iter().map(|user| (user.id, Some(user)));
        for (id, user) in users.chain(update.gone.iter().map(|id| (*id, None))) {
            if self.users.len() < MOST || self.users.contains_key(&id) {
                self.forget(id);
                if let Some(user) = user {
                    self.names.insert(user.username.clone(), id);
                }
                self.users.insert(id, user.cloned().map(Box::new));
            }
        }
    }

    /// Forgets the users of an update that was written.
    pub(super) fn written(&mut self, update: &Update) {
        if !self.users.is_empty() {
            update.users.iter().map(|user| &user.id).chain(&update.gone).for_each(|id| self.forget(*id));
        }
    }

    /// Forgets the users behind this one, up to and including `last`; `None`: all of them. They were read and written again.
    pub(super) fn page_written(&mut self, after: i64, last: Option<i64>) {
        let is_in = |id: &i64| *id > after && last.is_none_or(|last| *id <= last);
        let ids: Vec<i64> = self.users.keys().copied().filter(is_in).collect();
        for id in ids {
            self.forget(id);
        }
    }

    /// Corrects what the file has under a name.
    pub(super) fn correct(&self, username: &str, found: &mut Vec<CopiedUser>) {
        if self.users.is_empty() {
            return;
        }
        found.retain(|user| !self.users.contains_key(&user.id));
        let named = self.names.get(username).and_then(|id| self.users.get(id)?.as_ref());
        found.extend(named.map(|user| (**user).clone()));
    }

    /// Forgets all, which is returned: dropping it takes a while.
    pub(super) fn forget_all(&mut self) -> Self {
        let forgotten = self.forgotten + self.users.len() as u64;
        std::mem::replace(self, Self { forgotten, ..Self::default() })
    }

    /// True if a file that agreed with the source at this moment has newer states of all of them: another process wrote it.
    pub(super) fn is_older_than(&self, agreed: &Agreement) -> bool {
        self.added.as_ref().is_some_and(|added| added.age(agreed) > 0)
    }

    /// A number that is another one once the file may have something newer.
    pub(super) const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    fn forget(&mut self, id: i64) {
        let removed = self.users.remove(&id);
        self.forgotten += u64::from(removed.is_some());
        if let Some(Some(user)) = removed
            && self.names.get(&user.username) == Some(&id)
        {
            self.names.remove(&user.username);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::moment::{BootTime, Moment, SECOND};

    fn user(id: i64, username: &str, key: &str) -> CopiedUser {
        let mut user = CopiedUser::default();
        (user.id, user.username, user.key) = (id, username.to_owned(), key.to_owned());
        user
    }

    fn at(seconds: i64) -> Agreement {
        let moment = seconds * SECOND;
        Agreement { at: Moment::from_micros(moment), since_boot: BootTime::from_micros(moment), boot: "a".to_owned() }
    }

    fn update(users: Vec<CopiedUser>, gone: Vec<i64>) -> Update {
        Update { users, gone, ..Update::default() }
    }

    /// The keys under a name, of which the file has one.
    fn keys(unwritten: &Unwritten, username: &str, in_file: CopiedUser) -> Vec<String> {
        let mut found = vec![in_file];
        unwritten.correct(username, &mut found);
        found.into_iter().map(|user| user.key).collect()
    }

    #[test]
    fn what_the_file_has_is_replaced_by_what_could_not_be_written() {
        let mut unwritten = Unwritten::default();
        unwritten.add(&update(vec![user(1, "ann", "new"), user(3, "cyd", "of 3")], vec![2]), at(1));
        assert_eq!(keys(&unwritten, "ann", user(1, "ann", "old")), ["new"]);
        assert_eq!(keys(&unwritten, "ben", user(2, "ben", "old")), [""; 0], "who is gone");
        assert_eq!(keys(&unwritten, "dan", user(4, "dan", "of 4")), ["of 4"], "who did not change");
        // A user with the name of one who is gone, and one with another name.
        unwritten.add(&update(vec![user(5, "ben", "of 5"), user(1, "eve", "newer")], Vec::new()), at(2));
        assert_eq!(keys(&unwritten, "ben", user(2, "ben", "old")), ["of 5"]);
        assert_eq!(keys(&unwritten, "ann", user(1, "ann", "old")), [""; 0]);
        assert_eq!(keys(&unwritten, "eve", user(1, "ann", "old")), ["newer"]);
    }

    #[test]
    fn what_was_written_since_comes_from_the_file() {
        let mut unwritten = Unwritten::default();
        unwritten.add(&update((1..=5).map(|id| user(id, &format!("user_{id}"), "old")).collect(), vec![6]), at(1));
        unwritten.written(&update(vec![user(1, "user_1", "")], vec![2]));
        unwritten.page_written(3, Some(4));
        let left = |unwritten: &Unwritten| {
            let mut ids: Vec<i64> = unwritten.users.keys().copied().collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!((left(&unwritten), unwritten.names.len()), (vec![3, 5, 6], 2));
        unwritten.page_written(4, None);
        assert_eq!((left(&unwritten), unwritten.names.len()), (vec![3], 1));
        let before = unwritten.forgotten();
        assert_eq!(left(&unwritten.forget_all()), [3]);
        assert!(left(&unwritten).is_empty() && unwritten.forgotten() > before);
    }

    #[test]
    fn file_that_agreed_later_has_newer_states() {
        let mut unwritten = Unwritten::default();
        assert!(!unwritten.is_older_than(&at(9)), "there are none");
        unwritten.add(&update(vec![user(1, "ann", "new")], Vec::new()), at(5));
        assert_eq!([4, 5, 6].map(|seconds| unwritten.is_older_than(&at(seconds))), [false, false, true]);
    }

    #[test]
    fn beyond_the_limit_only_users_who_are_known_are_remembered() {
        let mut unwritten = Unwritten::default();
        unwritten.add(&update(Vec::new(), (0..2 * MOST as i64).collect()), at(1));
        unwritten.add(&update(vec![user(1, "ann", "new")], Vec::new()), at(2));
        assert_eq!(unwritten.users.len(), MOST);
        assert_eq!(keys(&unwritten, "ann", user(1, "ann", "old")), ["new"]);
    }
}
