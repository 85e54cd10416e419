//! Inbounds that take no users are found with users whom nobody is: one is added to each inbound, and removed.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::Session;
use super::units::Unit;
use crate::nodes::messages;
use crate::nodes::proto::{Inbound, User, UserData};
use crate::nodes::session_error::SessionError;
use crate::nodes::sync_stream::SyncStream;
use crate::store::nodes::expected_users;

/// Most inbounds that are tried: two hundred take some seconds with a node that sends no acknowledgement.
const MOST: usize = 200;
/// An engine may end or begin to run in the middle of a round.
const ROUNDS: usize = 2;
/// The lowest id of a user whom nobody is: databases count users from 1.
const LOWEST_ID: u32 = 1 << 31;

impl Session<'_> {
    /// Finds the inbounds that take no users, of a node with these tags of each engine. An inbound that is not tried, or took a
    /// user once, counts as usable, and so do those of an engine that takes none on any: it may be about to run again, and its
    /// users would lose them. Also those of no service: users may be kept there.
    pub(super) async fn find_unusable(
        &mut self,
        stream: &mut SyncStream,
        engines: &[Vec<String>],
    ) -> Result<(), SessionError> {
        let tags = expected_users::service_tags(self.context.fence.db()).await?;
        let services = tags.on(self.node);
        let others = engines.iter().flatten().map(String::as_str).filter(|tag| !services.contains(tag));
        let tried: BTreeSet<&str> = services.iter().copied().chain(others).take(MOST).collect();
        let mut found = tried.iter().map(|tag| (*tag).to_owned()).collect();
        for _ in 0..ROUNDS {
            let took = self.taking(stream, &tried).await?;
            found = &found & &without_users(engines, &tried, &took);
            if found.is_empty() {
                break;
            }
        }
        self.unusable.become_these(found);
        Ok(())
    }

    /// Returns whether an inbound that took no users takes some now, or is in no service any more.
    pub(super) async fn is_usable_again(&mut self, stream: &mut SyncStream) -> Result<bool, SessionError> {
        // A database that is away is no reason to end a session.
        let Ok(tags) = expected_users::service_tags(self.context.fence.db()).await else { return Ok(false) };
        let services: BTreeSet<&str> = tags.on(self.node).into_iter().collect();
        let has_unused = self.unusable.has_unused(&services);
        let tags = self.unusable.tags().clone();
        let takes = !self.taking(stream, &tags.iter().map(String::as_str).collect()).await?.is_empty();
        self.in_flight = false;
        Ok(takes || has_unused)
    }

    /// Forgets the inbounds that matter to nobody.
    pub(super) async fn forget_unused(&mut self) -> Result<(), SessionError> {
        let tags = expected_users::service_tags(self.context.fence.db()).await?;
        self.unusable.forget_unused(&tags.on(self.node).into_iter().collect());
        Ok(())
    }

    /// Returns the tags of those inbounds that take a user whom nobody is.
    async fn taking<'t>(
        &mut self,
        stream: &mut SyncStream,
        tried: &BTreeSet<&'t str>,
    ) -> Result<BTreeSet<&'t str>, SessionError> {
        let units = tried.iter().map(|tag| vec![nobody_on(tag)]);
        // To these inbounds as well.
        let unusable = std::mem::take(&mut self.unusable);
        let refused = self.send_each(stream, units, usize::MAX).await;
        self.unusable = unusable;
        let refused = refused?;
        let mut taking = tried.clone();
        for inbound in refused.iter().flatten().flatten().flat_map(|message| &message.inbounds) {
            taking.remove(inbound.tag.as_str());
        }
        Ok(taking)
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

/// Returns, of each engine that took a user on one of these inbounds, those on which it took none.
fn without_users(engines: &[Vec<String>], tried: &BTreeSet<&str>, took: &BTreeSet<&str>) -> BTreeSet<String> {
    let runs = |engine: &&Vec<String>| engine.iter().any(|tag| took.contains(tag.as_str()));
    let tags = engines.iter().filter(runs).flatten();
    tags.filter(|tag| tried.contains(tag.as_str()) && !took.contains(tag.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_engines_that_take_users_have_unusable_inbounds() {
        let engine = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
        let engines = [engine(&["a", "b", "c"]), engine(&["d", "e"]), engine(&[])];
        let tried = BTreeSet::from(["a", "b", "d", "gone"]);
        let unusable = |took: &[&'static str]| without_users(&engines, &tried, &took.iter().copied().collect());
        assert_eq!(
            unusable(&["a"]),
            BTreeSet::from(["b".to_owned()]),
            "c was not tried, and nothing is known of d's engine"
        );
        assert!(unusable(&[]).is_empty());
        assert!(unusable(&["a", "b", "d"]).is_empty());
    }
}
