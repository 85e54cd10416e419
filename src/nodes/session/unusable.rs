//! Inbounds that take no users: messages leave them out, so that all else gets through, and the node's status names them.

use std::collections::{BTreeSet, HashSet};

use super::units::Unit;
use crate::foundation::first_of;
use crate::nodes::messages::id;
use crate::nodes::proto::UserData;

/// Most inbounds that the status of a node names.
const NAMED: usize = 10;

/// Inbounds that take no users although their engine takes some on another one.
#[derive(Debug, Default)]
pub(super) struct Unusable {
    pub(super) tags: BTreeSet<String>,
    /// Users whom the node refuses to take off them: its memory has them there, and its engine, which may have restarted
    /// since, does not.
    kept: HashSet<u32>,
}

impl Unusable {
    pub(super) fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// Returns a message without these inbounds, unless it is about a user who is kept there.
    pub(super) fn narrowed(&self, mut message: UserData) -> UserData {
        if !self.kept.contains(&id(&message)) {
            message.inbounds.retain(|inbound| !self.tags.contains(&inbound.tag));
        }
        message
    }

    /// Keeps the users of these units on the inbounds.
    pub(super) fn keep(&mut self, units: &[Unit]) {
        self.kept.extend(units.iter().flatten().map(id));
    }

    /// Ends that for the users of these units.
    pub(super) fn keep_no_longer(&mut self, units: &[Unit]) {
        for message in units.iter().flatten() {
            self.kept.remove(&id(message));
        }
    }

    /// Returns what the status of the node says of them, if there are any.
    pub(super) fn fault(&self) -> Option<String> {
        let tags: Vec<&String> = self.tags.iter().collect();
        let named = first_of(&tags, NAMED);
        (!self.is_empty()).then(|| {
            format!(
                "it takes no users on these inbounds: {named}; correct their settings on the node, or take them out of all \
                 services; users have the others"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::proto::Inbound;

    #[test]
    fn messages_leave_them_out_but_for_users_who_are_kept_there() {
        assert_eq!(Unusable::default().fault(), None);
        let tags = (10..22).map(|number| format!("in-{number}")).collect();
        let mut unusable = Unusable { tags, kept: HashSet::new() };
        let fault = unusable.fault().expect("unusable inbounds");
        assert!(fault.contains("in-18, in-19 and 2 more;"), "{fault}");
        let inbounds = vec![Inbound { tag: "in-10".to_owned(), config: None }];
        let unit = vec![UserData { user: None, inbounds }];
        let inbounds = |unusable: &Unusable| unusable.narrowed(unit[0].clone()).inbounds.len();
        assert_eq!(inbounds(&unusable), 0);
        unusable.keep(std::slice::from_ref(&unit));
        assert_eq!(inbounds(&unusable), 1);
        unusable.keep_no_longer(std::slice::from_ref(&unit));
        assert_eq!(inbounds(&unusable), 0);
    }
}
