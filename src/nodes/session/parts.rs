//! All users in small streams, when a node has refused a list: the users that it refuses hold up no others.

use std::collections::HashSet;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::Session;
use super::probes::Probes;
use super::units::{Unit, in_batches, refusal};
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
        let listed = messages::users(&list.encoded).map(|user| vec![user]);
        let renewed = messages::users(&list.renewed).map(|user| vec![messages::removal(&user), user]);
        let all = probes.units.iter().cloned().chain(renewed).chain(listed.take(MOST));
        // All users of inbounds that take none any more may be refused at first.
        let most = if self.unusable.is_empty() { MOST_BATCHES } else { usize::MAX };
        let refused = self.send_each(stream, in_batches(all), most).await?.into_iter().flatten();
        let refused = self.send_singly(stream, refused).await?;
        let units = self.keep_on_unusable(stream, refused).await?;
        if units.len() > MOST_REFUSED {
            return Err(refusal(&units).into());
        }
        let removals = units.iter().filter_map(|unit| Some(vec![messages::removal(unit.first()?)]));
        let known = self.send_singly(stream, removals).await?.iter().flatten().map(id).collect();
        let refused = Refused { units, known };
        // A list is to have them as the node's memory has them.
        let listed = refused.units.iter().filter_map(|unit| unit.last()).filter(|user| !user.inbounds.is_empty());
        let listed = listed.filter(|user| refused.known.contains(&id(user))).cloned();
        let known = refused.as_known(probes).chain(listed).map(|user| vec![user]).collect();
        self.keep_on_unusable(stream, known).await?;
        Ok(refused)
    }

    /// Sends units that were refused without the inbounds that take no users once more with them: a node that has a user there
    /// in its memory has nothing to do then. Returns those that it refuses all the same.
    async fn keep_on_unusable(&mut self, stream: &mut SyncStream, units: Vec<Unit>) -> Result<Vec<Unit>, SessionError> {
        if self.unusable.is_empty() {
            return Ok(units);
        }
        // Who is to be removed first can't stay there.
        let (stay, mut refused): (Vec<Unit>, Vec<Unit>) = units.into_iter().partition(|unit| unit.len() == 1);
        self.unusable.keep(&stay);
        let batches = self.send_each(stream, in_batches(stay.into_iter()), usize::MAX).await?;
        let others = self.send_singly(stream, batches.into_iter().flatten()).await?;
        self.unusable.keep_no_longer(&others);
        refused.extend(others);
        Ok(refused)
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
