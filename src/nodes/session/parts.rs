//! All users in small streams, when a node has refused a list: the users that it refuses hold up no others.

use std::collections::HashSet;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tonic::Code;

use super::{BATCH, Session};
use crate::nodes::messages::{self, FullList, id};
use crate::nodes::node_error::NodeError;
use crate::nodes::proto::UserData;
use crate::nodes::session_error::SessionError;
use crate::nodes::sync_stream::SyncStream;

/// The messages about one user that belong together, in their order.
pub(super) type Unit = Vec<UserData>;

/// The users that a node refused.
#[derive(Default)]
pub(super) struct Refused {
    pub units: Vec<Unit>,
    /// Those of the users whom the node refuses to remove: it has them in its memory, and not in an engine. It refuses a list
    /// without them as well, before it has removed others.
    pub known: HashSet<u32>,
}

impl Refused {
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

/// Most refused users that the status of a node names.
const NAMED: usize = 10;
/// Most users that a node refuses because a call was cut off in the middle of them: one for each of some streams. More are
/// refused for another reason, such as an engine that has ended, and left out of a list they would lose the inbounds that
/// they have.
const MOST_REFUSED: usize = 10;

impl Session<'_> {
    /// Sends the users of a list, with those whose keys are renewed removed first, and these units.
    pub(super) async fn send_in_parts(
        &mut self,
        stream: &mut SyncStream,
        list: &FullList,
        units: Vec<Unit>,
    ) -> Result<Refused, SessionError> {
        let listed = messages::users(&list.encoded).map(|user| vec![user]);
        let renewed = messages::users(&list.renewed).map(|user| vec![messages::removal(&user), user]);
        let all = units.into_iter().chain(renewed).chain(listed.take(MOST));
        let refused = self.send_each(stream, in_batches(all), MOST_BATCHES).await?;
        let singly = refused.into_iter().flatten().map(|unit| vec![unit]);
        let units: Vec<Unit> = self.send_each(stream, singly, usize::MAX).await?.into_iter().flatten().collect();
        if units.len() > MOST_REFUSED {
            return Err(refusal(&units).into());
        }
        let removals = units.iter().filter_map(|unit| Some(vec![vec![messages::removal(unit.first()?)]]));
        let known = self.send_each(stream, removals, usize::MAX).await?;
        let known = known.iter().flatten().flatten().map(id).collect();
        Ok(Refused { units, known })
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

/// Collects units into batches.
pub(super) fn in_batches(units: impl Iterator<Item = Unit>) -> impl Iterator<Item = Vec<Unit>> {
    let mut units = units.fuse();
    std::iter::from_fn(move || {
        let (mut batch, mut messages) = (Vec::new(), 0);
        while messages < BATCH
            && let Some(unit) = units.next()
        {
            messages += unit.len();
            batch.push(unit);
        }
        (!batch.is_empty()).then_some(batch)
    })
}

/// Returns the error of a node that does not accept users. It names some of them.
pub(super) fn refusal(units: &[Unit]) -> NodeError {
    // In the order of ids, which the ends of streams do not have: the status is written when it changes.
    let mut ids: Vec<u32> = units.iter().filter_map(|unit| unit.first()).map(id).collect();
    ids.sort_unstable();
    let names: Vec<String> = ids.iter().take(NAMED).map(u32::to_string).collect();
    let more = units.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let reason = format!("it does not accept these of its users, by id: {}{more}", names.join(", "));
    NodeError::Refused { call: "SyncUsers", code: Code::Unknown, reason }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::proto::User;

    #[test]
    fn refusal_names_users_in_the_order_of_their_ids() {
        let unit = |id| vec![UserData { user: Some(User { id, ..User::default() }), inbounds: Vec::new() }];
        let units: Vec<Unit> = (1..=12).rev().map(unit).collect();
        let text = refusal(&units).to_string();
        assert!(text.ends_with("by id: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more"), "{text}");
    }

    #[test]
    fn units_stay_whole_in_batches() {
        let unit = |messages| vec![UserData::default(); messages];
        let units = [unit(BATCH - 1), unit(2), unit(1), unit(0)];
        let sizes: Vec<Vec<usize>> =
            in_batches(units.into_iter()).map(|batch| batch.iter().map(Vec::len).collect()).collect();
        assert_eq!(sizes, [vec![BATCH - 1, 2], vec![1, 0]]);
        assert_eq!(in_batches(std::iter::empty()).count(), 0);
    }
}
