//! Inbounds that take no users, found with users whom nobody is: all else gets through, and no restart of engines is tried for
//! what it would not change.

use std::collections::{BTreeSet, HashSet};

use uuid::Uuid;

use super::Session;
use super::parts::Unit;
use crate::nodes::messages;
use crate::nodes::node_error::NodeError;
use crate::nodes::proto::{Inbound, User, UserData};
use crate::nodes::session_error::SessionError;
use crate::nodes::sync_stream::SyncStream;
use crate::store::nodes::expected_users;

/// Most inbounds that are tried: two hundred take some seconds with a node that sends no acknowledgement.
const MOST: usize = 200;
/// An engine may end or begin to run in the middle of a round.
const ROUNDS: usize = 2;
/// Most inbounds that the status of a node names.
const NAMED: usize = 10;
/// The lowest id of a user whom nobody is: databases count users from 1.
const LOWEST_ID: u32 = 1 << 31;

/// Tags of the inbounds that take no users although their engine takes some on another one.
#[derive(Debug, Default)]
pub(super) struct Unusable(HashSet<String>);

impl Unusable {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes them from a message.
    pub(super) fn leave_out(&self, message: &mut UserData) {
        message.inbounds.retain(|inbound| !self.0.contains(&inbound.tag));
    }

    /// Returns an error that names them, if there are any.
    pub(super) fn none(&self) -> Result<(), NodeError> {
        if self.is_empty() {
            return Ok(());
        }
        let mut tags: Vec<&str> = self.0.iter().map(String::as_str).collect();
        tags.sort_unstable();
        let more = tags.len().saturating_sub(NAMED);
        tags.truncate(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Err(NodeError::InboundsTakeNone { tags: format!("{}{more}", tags.join(", ")) })
    }

    /// Returns, of each engine that took a user on one of these inbounds, those on which it took none.
    fn of(engines: &[Vec<String>], tried: &BTreeSet<&str>, took: &BTreeSet<String>) -> Self {
        let runs = |engine: &&Vec<String>| engine.iter().any(|tag| took.contains(tag));
        let tags = engines.iter().filter(runs).flatten();
        Self(tags.filter(|tag| tried.contains(tag.as_str()) && !took.contains(*tag)).cloned().collect())
    }
}

impl Session<'_> {
    /// Finds the inbounds of services that take no users. An inbound that is not tried, or took a user once, counts as usable,
    /// and so do those of an engine that takes none on any: it may be about to run again, and its users would lose them.
    pub(super) async fn unusable(&mut self, stream: &mut SyncStream) -> Result<Unusable, SessionError> {
        let tags = expected_users::service_tags(self.context.fence.db()).await?;
        let tried: BTreeSet<&str> = tags.on(self.node).into_iter().take(MOST).collect();
        let mut unusable: Option<Unusable> = None;
        for _ in 0..ROUNDS {
            let mut took: BTreeSet<String> = tried.iter().map(|tag| (*tag).to_owned()).collect();
            let units = tried.iter().map(|tag| vec![nobody_on(tag)]);
            for inbound in
                self.send_each(stream, units, usize::MAX).await?.iter().flatten().flatten().flat_map(|it| &it.inbounds)
            {
                took.remove(&inbound.tag);
            }
            let mut found = Unusable::of(&self.engines, &tried, &took);
            if let Some(before) = &unusable {
                found.0.retain(|tag| before.0.contains(tag));
            }
            if found.is_empty() {
                return Ok(found);
            }
            unusable = Some(found);
        }
        Ok(unusable.unwrap_or_default())
    }
}

/// Returns messages that add a user to an inbound and remove the user. Each is somebody else: of one whose messages were cut
/// off, an engine may have something left.
fn nobody_on(tag: &str) -> Unit {
    let id = rand::random::<u32>() | LOWEST_ID;
    let user = User { id, username: format!("nobody{id}"), key: Uuid::new_v4().simple().to_string() };
    let addition = UserData { user: Some(user), inbounds: vec![Inbound { tag: tag.to_owned(), config: None }] };
    vec![addition.clone(), messages::removal(&addition)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_engines_that_take_users_have_unusable_inbounds() {
        let engine = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
        let engines = [engine(&["a", "b", "c"]), engine(&["d", "e"]), engine(&[])];
        let tried = BTreeSet::from(["a", "b", "d", "gone"]);
        let unusable = |took: &[&str]| Unusable::of(&engines, &tried, &engine(took).into_iter().collect()).0;
        assert_eq!(
            unusable(&["a"]),
            HashSet::from(["b".to_owned()]),
            "c was not tried, and nothing is known of d's engine"
        );
        assert!(unusable(&[]).is_empty());
        assert!(unusable(&["a", "b", "d"]).is_empty());
    }

    #[test]
    fn error_names_some_of_them() {
        assert!(Unusable::default().none().is_ok());
        let many = Unusable((10..22).map(|number| format!("in-{number}")).collect());
        let error = many.none().expect_err("unusable inbounds").to_string();
        assert!(error.contains("in-18, in-19 and 2 more"), "{error}");
        let mut message = nobody_on("in-10").swap_remove(0);
        many.leave_out(&mut message);
        assert!(message.inbounds.is_empty());
    }
}
