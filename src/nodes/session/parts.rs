//! All users in small streams, when a node has refused a list: the users that it refuses hold up no others.

use std::collections::HashSet;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::Session;
use super::probes::Probes;
use super::units::{Unit, in_batches, refusal};
use super::unusable::{Extent, Why};
use crate::domain::ids::UserId;
use crate::nodes::messages::{self, FullList, id};
use crate::nodes::node_error::NodeError;
use crate::nodes::proto::UserData;
use crate::nodes::session_error::SessionError;
use crate::nodes::sync_stream::SyncStream;

/// The users that a node refused.
#[derive(Default)]
pub(super) struct Refused {
    pub units: Vec<Unit>,
    /// Those of the users whom the node refuses to remove: it has them in its memory, and not in an engine. It refuses a list
    /// without them as well, before it has removed others.
    pub known: HashSet<u32>,
}

impl Refused {
    /// Returns the users in doubt whom the node has in its memory, as it has them there.
    pub(super) fn as_known(&self, probes: &Probes) -> impl Iterator<Item = UserData> {
        probes.former.iter().filter(|user| self.known.contains(&id(user))).cloned()
    }

    /// Returns the ids of users that a list is to leave out.
    pub(super) fn left_out(&self) -> HashSet<u32> {
        self.units.iter().flatten().map(id).filter(|user| !self.known.contains(user)).collect()
    }
}

/// Most users of a list that are sent this way.
const MOST: usize = 100_000;
/// Streams whose end is awaited at a time.
const STREAMS: usize = 16;
/// Most refused batches whose users are sent one by one: that takes about a minute with a node that sends no acknowledgement.
const MOST_BATCHES: usize = 10;

/// Most users that a node refuses because a call was cut off in the middle of them: one for each of some streams. More are
/// refused for another reason, such as an engine that has ended, and left out of a list they would lose the inbounds that
/// they have.
const MOST_REFUSED: usize = 10;

impl Session<'_> {
    /// Sends the users of a list, with those whose keys are renewed removed first, and the users in doubt.
    pub(super) async fn send_in_parts(
        &mut self,
        stream: &mut SyncStream,
        list: &FullList,
        probes: &Probes,
    ) -> Result<Refused, SessionError> {
        let mut units = Vec::new();
        let beside_unusable = !self.unusable.is_empty();
        if beside_unusable {
            self.unusable.compare(list);
            units = self.send_beside_unusable(stream, list).await?;
            self.keep_those_who_are_gone(stream, probes).await?;
        }
        let seen: HashSet<u32> = units.iter().flatten().map(id).collect();
        let renewed: Vec<Unit> = messages::users(&list.renewed)
            .filter(|user| !seen.contains(&id(user)) && !self.unusable.keeps(id(user)))
            .map(|user| vec![messages::removal(&user), user])
            .collect();
        let listed = messages::users(&list.encoded).map(|user| vec![user]).take(if beside_unusable { 0 } else { MOST });
        let probed = probes.units.iter().filter(|unit| !unit.iter().any(|user| self.unusable.keeps(id(user))));
        let probed: Vec<Unit> = probed.cloned().collect();
        let all = probed.into_iter().chain(renewed).chain(listed);
        let refused = self.send_each(stream, in_batches(all), MOST_BATCHES).await?.into_iter().flatten();
        units.extend(self.send_singly(stream, refused).await?);
        // Who is not to be on the node loses nothing.
        let gone: HashSet<u32> = probes.former.iter().filter(|_| beside_unusable).map(id).collect();
        if units.iter().filter(|unit| !unit.iter().any(|user| gone.contains(&id(user)))).count() > MOST_REFUSED {
            return Err(refusal(&units).into());
        }
        let removals = units.iter().filter_map(|unit| Some(vec![messages::removal(unit.first()?)]));
        let known = self.send_singly(stream, removals).await?.iter().flatten().map(id).collect();
        let mut refused = Refused { units, known };
        let former: Vec<Unit> = refused.as_known(probes).map(|user| vec![user]).collect();
        if beside_unusable {
            let others = self.keep_on_unusable(stream, former, &self.unusable.extents(), Why::Gone).await?;
            refused.units.retain(|unit| !unit.iter().any(|user| self.unusable.keeps(id(user))));
            // A list is to have them as the node's memory has them. They stay refused: nothing shows what the engine has.
            self.keep_on_unusable(stream, others, &[Extent::AsItIs], Why::Gone).await?;
            self.forget_unused().await?;
        }
        Ok(refused)
    }

    /// Finds users in doubt who are not to be on the node and can't be removed, before a removal takes them off some inbounds in
    /// the engine alone: with the inbounds that they are to have, the node has nothing to do but for these users.
    async fn keep_those_who_are_gone(&mut self, stream: &mut SyncStream, probes: &Probes) -> Result<(), SessionError> {
        let former = probes.former.iter().filter(|user| !user.inbounds.is_empty()).map(|user| vec![user.clone()]);
        let refused = self.send_singly(stream, former).await?;
        let extents = self.unusable.extents();
        self.keep_on_unusable(stream, refused, &extents, Why::Gone).await?;
        Ok(())
    }

    /// Sends the users of a list as they are to be on a node with inbounds that take none, and finds out whom it keeps there.
    /// None is removed first: who is kept can't be. Returns those whom the node refuses.
    async fn send_beside_unusable(
        &mut self,
        stream: &mut SyncStream,
        list: &FullList,
    ) -> Result<Vec<Unit>, SessionError> {
        let all = messages::users(&list.renewed).chain(messages::users(&list.encoded)).take(MOST);
        // All of them may be refused at first.
        let refused = self.send_each(stream, in_batches(all.map(|user| vec![user])), usize::MAX).await?;
        let refused = self.send_singly(stream, refused.into_iter().flatten()).await?;
        let has_new_key = |unit: &Unit| unit.iter().any(|user| list.new_keys.contains(UserId(i64::from(id(user)))));
        let (new_keys, others): (Vec<Unit>, Vec<Unit>) = refused.into_iter().partition(has_new_key);
        let extents = self.unusable.extents();
        let mut refused = self.keep_on_unusable(stream, new_keys, &extents, Why::FormerKey).await?;
        refused.extend(self.keep_on_unusable(stream, others, &extents, Why::Served).await?);
        Ok(refused)
    }

    /// Sends users whom the node refuses to take off the inbounds that take none with these: a node that has a user there in
    /// its memory has nothing to do then. Returns those whom it refuses all the same.
    async fn keep_on_unusable(
        &mut self,
        stream: &mut SyncStream,
        units: Vec<Unit>,
        extents: &[Extent],
        why: Why,
    ) -> Result<Vec<Unit>, SessionError> {
        let mut left = units;
        for extent in extents {
            let keep = |unit: &Unit| unit.iter().any(|user| self.unusable.keep(user, extent, why));
            let (kept, others): (Vec<Unit>, Vec<Unit>) = left.into_iter().partition(keep);
            let batches = self.send_each(stream, in_batches(kept.into_iter()), usize::MAX).await?;
            let refused = self.send_singly(stream, batches.into_iter().flatten()).await?;
            refused.iter().flatten().for_each(|user| self.unusable.keep_no_longer(id(user)));
            left = others;
            left.extend(refused);
        }
        Ok(left)
    }

    /// Sends each unit in a stream of its own. Returns those that the node refused.
    async fn send_singly(
        &mut self,
        stream: &mut SyncStream,
        units: impl Iterator<Item = Unit>,
    ) -> Result<Vec<Unit>, SessionError> {
        let refused = self.send_each(stream, units.map(|unit| vec![unit]), usize::MAX).await?;
        Ok(refused.into_iter().flatten().collect())
    }

    /// Sends each part in a stream of its own. Returns those that the node refused; more than `most` are an error.
    pub(super) async fn send_each(
        &mut self,
        stream: &mut SyncStream,
        parts: impl Iterator<Item = Vec<Unit>>,
        most: usize,
    ) -> Result<Vec<Vec<Unit>>, SessionError> {
        let mut ends = FuturesUnordered::new();
        let mut refused = Vec::new();
        for part in parts {
            let end = match self.send_all(stream, &part).await {
                Err(SessionError::Node(error @ NodeError::Refused { .. })) => {
                    stream.start_over();
                    Box::pin(std::future::ready(Err(error)))
                }
                sent => {
                    sent?;
                    stream.turn_over()
                }
            };
            ends.push(async move { (part, end.await) });
            while ends.len() >= STREAMS {
                judge(ends.next().await, &mut refused, most)?;
            }
        }
        while let Some(ended) = ends.next().await {
            judge(Some(ended), &mut refused, most)?;
        }
        Ok(refused)
    }

    /// Sends the messages of units over one stream.
    pub(super) async fn send_all(&mut self, stream: &mut SyncStream, units: &[Unit]) -> Result<(), SessionError> {
        for message in units.iter().flatten() {
            self.send(stream, message.clone()).await?;
        }
        Ok(())
    }
}

fn judge(
    ended: Option<(Vec<Unit>, Result<(), NodeError>)>,
    refused: &mut Vec<Vec<Unit>>,
    most: usize,
) -> Result<(), NodeError> {
    match ended {
        Some((part, Err(NodeError::Refused { .. }))) if refused.len() < most => refused.push(part),
        Some((_, Err(error))) => return Err(error),
        Some((_, Ok(()))) | None => {}
    }
    Ok(())
}
