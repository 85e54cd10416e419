//! The text of a wake-up on Redis: the sender's id, a semicolon, and its changes separated by spaces. Versions that did not
//! say what they changed sent the id alone.

use std::collections::HashSet;

use uuid::Uuid;

use super::recent_changes::Since;
use crate::domain::change::{Change, Changed};

/// Number of changes up to which each is named. More are named by their kinds.
const MOST: usize = 64;

/// A received wake-up.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// This process sent it.
    Own,
    /// Another process sent it; so much of what it changed as this version knows.
    FromOther(Vec<Change>),
}

/// The message of a process.
pub(super) fn write(sender: Uuid, since: &Since) -> String {
    let changes = match since.changes.as_slice() {
        _ if !since.is_complete => Changed::ALL.map(Changed::any).to_vec(),
        few if few.len() <= MOST => few.to_vec(),
        many => {
            let kinds: HashSet<Changed> = many.iter().map(|change| change.kind).collect();
            kinds.into_iter().map(Changed::any).collect()
        }
    };
    let changes: Vec<String> = changes.iter().map(Change::to_string).collect();
    format!("{sender};{}", changes.join(" "))
}

/// Reads a message, as the process `me`.
pub(super) fn read(message: &str, me: Uuid) -> Received {
    let (sender, changes) = match message.split_once(';') {
        Some((sender, changes)) => (sender, Some(changes)),
        None => (message, None),
    };
    if sender == me.to_string() {
        return Received::Own;
    }
    Received::FromOther(match changes {
        // Kinds of a newer version concern nothing that this version has.
        Some(changes) => changes.split_whitespace().filter_map(|change| change.parse().ok()).collect(),
        None => Changed::ALL.map(Changed::any).to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(changes: Vec<Change>) -> Since {
        Since { changes, is_complete: true, next: 0 }
    }

    fn received(since: &Since) -> Vec<Change> {
        match read(&write(Uuid::new_v4(), since), Uuid::new_v4()) {
            Received::FromOther(changes) => changes,
            Received::Own => panic!("not its own"),
        }
    }

    #[test]
    fn message_says_what_changed() {
        let changes = vec![Changed::Users.row(12), Changed::Hosts.any()];
        assert_eq!(received(&since(changes.clone())), changes);
        assert_eq!(received(&since(vec![])), []);
        let me = Uuid::new_v4();
        assert_eq!(read(&write(me, &since(changes)), me), Received::Own);
        assert_eq!(read(&me.to_string(), me), Received::Own);
    }

    #[test]
    fn many_changes_are_named_by_their_kinds() {
        let many = (0..100).map(|id| Changed::Users.row(id)).collect();
        assert_eq!(received(&since(many)), [Changed::Users.any()]);
    }

    #[test]
    fn whatever_may_have_changed_is_named() {
        let all = Changed::ALL.map(Changed::any).to_vec();
        assert_eq!(received(&Since { is_complete: false, ..since(vec![]) }), all, "changes are missing");
        let older = read(&Uuid::new_v4().to_string(), Uuid::new_v4());
        assert_eq!(older, Received::FromOther(all), "an older version");
        let newer = read("x;plans:1: hosts::", Uuid::new_v4());
        assert_eq!(newer, Received::FromOther(vec![Changed::Hosts.any()]), "a newer version");
    }
}
