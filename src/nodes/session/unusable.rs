//! Inbounds that take no users: messages leave them out, so that all else gets through, and the node's status names them.

use std::collections::{BTreeSet, HashMap};

use crate::domain::ids::UserId;
use crate::foundation::first_of;
use crate::nodes::messages::{FullList, id};
use crate::nodes::proto::{Inbound, UserData};

/// Most inbounds that the status of a node names.
const NAMED: usize = 10;

/// Inbounds that take no users although their engine takes some on another one.
#[derive(Debug, Default)]
pub(super) struct Unusable {
    tags: BTreeSet<String>,
    /// Users whom the node refuses to take off them: its memory has them there, and its engine, which may have restarted
    /// since, does not. A node that has any of them as its memory has them on these inbounds accepts every change of the others.
    kept: HashMap<u32, Kept>,
}

#[derive(Debug)]
struct Kept {
    /// The message about the user that the node accepts without a change of these inbounds.
    alone: UserData,
    /// The node has a former key: the user is to be on no other inbound.
    former_key: bool,
    /// The user is not to be on the node.
    gone: bool,
}

/// Why a user is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The user has other inbounds.
    Served,
    FormerKey,
    Gone,
}

/// On which inbounds a node may have a user.
#[derive(Clone, Debug)]
pub(super) enum Extent {
    /// Those of the message that take no users.
    Named,
    /// One that takes none, or all that take none: an inbound may be in no service any more.
    One(String),
    All,
    /// Those of the message, whether they take users or not.
    AsItIs,
}

impl Unusable {
    pub(super) fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// The tags.
    pub(super) const fn tags(&self) -> &BTreeSet<String> {
        &self.tags
    }

    /// Takes other tags, and keeps the users on inbounds that are among them.
    pub(super) fn become_these(&mut self, tags: BTreeSet<String>) {
        self.kept.retain(|_, kept| kept.alone.inbounds.iter().any(|inbound| tags.contains(&inbound.tag)));
        self.tags = tags;
    }

    /// Returns a message without these inbounds, but for those on which the user is kept.
    pub(super) fn narrowed(&self, mut message: UserData) -> UserData {
        let Some(kept) = self.kept.get(&id(&message)) else {
            message.inbounds.retain(|inbound| !self.tags.contains(&inbound.tag));
            return message;
        };
        let alone = &kept.alone.inbounds;
        let is_out = |inbound: &Inbound| self.tags.contains(&inbound.tag) || alone.contains(inbound);
        message.inbounds.retain(|inbound| !kept.former_key && !kept.gone && !is_out(inbound));
        message.inbounds.extend(alone.iter().cloned());
        message
    }

    /// Returns the extents to try. Of many inbounds, some are tried alone.
    pub(super) fn extents(&self) -> Vec<Extent> {
        let single = self.tags.iter().take(NAMED).cloned().map(Extent::One);
        [Extent::Named].into_iter().chain(single).chain([Extent::All]).collect()
    }

    /// Keeps a user. Returns whether there is any inbound to keep the user on.
    pub(super) fn keep(&mut self, message: &UserData, extent: &Extent, why: Why) -> bool {
        let inbound = |tag: &String| Inbound { tag: tag.clone(), config: None };
        let mut alone = message.clone();
        match extent {
            Extent::Named => alone.inbounds.retain(|inbound| self.tags.contains(&inbound.tag)),
            Extent::One(tag) => alone.inbounds = vec![inbound(tag)],
            Extent::All => alone.inbounds = self.tags.iter().map(inbound).collect(),
            Extent::AsItIs => {}
        }
        let any = !alone.inbounds.is_empty();
        if any {
            let kept = Kept { alone, former_key: why == Why::FormerKey, gone: why == Why::Gone };
            self.kept.insert(id(message), kept);
        }
        any
    }

    /// Ends that.
    pub(super) fn keep_no_longer(&mut self, user: u32) {
        self.kept.remove(&user);
    }

    /// Returns whether a user is kept.
    pub(super) fn keeps(&self, user: u32) -> bool {
        self.kept.contains_key(&user)
    }

    /// Notes that a user has a new key, which the node does not take for a user whom it can't remove.
    pub(super) fn has_new_key(&mut self, user: u32) {
        if let Some(kept) = self.kept.get_mut(&user) {
            kept.former_key = true;
        }
    }

    /// Returns whether any user is kept with a former key.
    pub(super) fn has_former_keys(&self) -> bool {
        self.kept.values().any(|kept| kept.former_key)
    }

    /// Compares the users who are kept with a list.
    pub(super) fn compare(&mut self, list: &FullList) {
        for (user, kept) in &mut self.kept {
            let user = UserId(i64::from(*user));
            kept.gone = !list.users.contains(user);
            kept.former_key |= list.new_keys.contains(user);
        }
    }

    /// Notes whether one user is not to be on the node. Returns whether that is news of a user who is kept.
    pub(super) fn is_news(&mut self, user: u32, gone: bool) -> bool {
        self.kept.get_mut(&user).is_some_and(|kept| std::mem::replace(&mut kept.gone, gone) != gone)
    }

    /// Returns messages about the users who are kept and are not to be on the node.
    pub(super) fn gone(&self) -> impl Iterator<Item = &UserData> {
        self.kept.values().filter(|kept| kept.gone).map(|kept| &kept.alone)
    }

    /// Forgets the inbounds that are in no service and on which nobody is kept.
    pub(super) fn forget_unused(&mut self, services: &BTreeSet<&str>) {
        let used: BTreeSet<String> = self.used(services).map(str::to_owned).collect();
        self.tags = used;
    }

    /// Returns whether one of the inbounds is in no service and keeps nobody.
    pub(super) fn has_unused(&self, services: &BTreeSet<&str>) -> bool {
        self.used(services).count() < self.tags.len()
    }

    fn used(&self, services: &BTreeSet<&str>) -> impl Iterator<Item = &str> {
        let kept: BTreeSet<&str> =
            self.kept.values().flat_map(|kept| &kept.alone.inbounds).map(|inbound| inbound.tag.as_str()).collect();
        self.tags.iter().map(String::as_str).filter(move |tag| services.contains(tag) || kept.contains(tag))
    }

    /// Returns what the status of the node says of them, if there are any.
    pub(super) fn fault(&self) -> Option<String> {
        let tags: Vec<&String> = self.tags.iter().collect();
        let named = first_of(&tags, NAMED);
        let kept = match self.kept.len() {
            0 => String::new(),
            users => format!(
                ". The node can't take {users} users off them, and gives them no new keys: restart its engine once the settings \
                 are right, or marznode itself"
            ),
        };
        (!self.is_empty()).then(|| {
            format!(
                "it takes no users on these inbounds: {named}; correct their settings on the node, or take them out of all \
                 services; users have the others{kept}"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_leave_them_out_but_for_users_who_are_kept_there() {
        assert_eq!(Unusable::default().fault(), None);
        let tags = (10..22).map(|number| format!("in-{number}")).collect();
        let mut unusable = Unusable { tags, ..Unusable::default() };
        let fault = unusable.fault().expect("unusable inbounds");
        assert!(fault.contains("in-18, in-19 and 2 more;") && fault.ends_with("users have the others"), "{fault}");
        let message = |tags: &[&str]| UserData {
            user: None,
            inbounds: tags.iter().map(|tag| Inbound { tag: (*tag).to_owned(), config: None }).collect(),
        };
        let narrowed = |unusable: &Unusable, tags: &[&str]| {
            unusable.narrowed(message(tags)).inbounds.into_iter().map(|inbound| inbound.tag).collect::<Vec<_>>()
        };
        assert_eq!(narrowed(&unusable, &["a", "in-10"]), ["a"]);
        assert!(!unusable.keep(&message(&["a", "b"]), &Extent::Named, Why::Served), "the user is on none of them");
        assert!(unusable.keep(&message(&["a", "in-10"]), &Extent::Named, Why::Served) && unusable.keeps(0));
        assert_eq!(narrowed(&unusable, &["a", "in-10", "in-11"]), ["a", "in-10"]);
        assert_eq!(narrowed(&unusable, &[]), ["in-10"], "a removal leaves what the node can't remove");
        assert!(unusable.is_news(0, true) && !unusable.is_news(0, true) && !unusable.is_news(1, true));
        assert_eq!((narrowed(&unusable, &["a", "in-10"]), unusable.gone().count()), (vec!["in-10".to_owned()], 1));
        assert!(unusable.is_news(0, false));
        assert_eq!(narrowed(&unusable, &["a"]), ["a", "in-10"], "the user is back");
        unusable.has_new_key(0);
        assert_eq!(narrowed(&unusable, &["a", "in-10"]), ["in-10"]);
        assert!(unusable.has_former_keys() && unusable.fault().expect("a fault").contains("take 1 users off them"));
        let services = BTreeSet::from(["in-12", "a"]);
        assert!(unusable.has_unused(&services));
        unusable.forget_unused(&services);
        assert!(unusable.tags().iter().eq(["in-10", "in-12"]) && !unusable.has_unused(&services));
        unusable.become_these(["in-12".to_owned()].into());
        assert!(!unusable.keeps(0));
        assert_eq!(unusable.extents().len(), 3);
        assert!(unusable.keep(&message(&["a"]), &Extent::All, Why::Served));
        assert!(unusable.keep(&message(&["a", "in-12"]), &Extent::AsItIs, Why::Gone));
        assert_eq!(narrowed(&unusable, &[]), ["a", "in-12"]);
    }
}
