//! Users whom a node refuses keep the inbounds on which it takes them: an inbound that takes no users, or on which an engine
//! has the user already, cuts nobody off from the others.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::Session;
use super::parts::{Unit, refusal};
use crate::domain::ids::UserId;
use crate::nodes::messages::{self, id};
use crate::nodes::node_error::NodeError;
use crate::nodes::proto::UserData;
use crate::nodes::session_error::SessionError;
use crate::nodes::sync_stream::SyncStream;

/// The users that a node refused.
#[derive(Default)]
pub(super) struct Refused {
    units: Vec<Unit>,
    /// The message with fewer inbounds that the node took instead, by the user's id.
    pub taken: HashMap<u32, UserData>,
    /// Those of the others whom the node refuses to remove: it has them in its memory, and not in an engine. It refuses a
    /// list without them as well, before it has removed others.
    pub known: HashSet<u32>,
}

impl Refused {
    /// Returns the ids of users whose message a list is to leave out.
    pub(super) fn left_out(&self) -> HashSet<u32> {
        self.units.iter().flatten().map(id).filter(|user| !self.known.contains(user)).collect()
    }

    /// Returns the inbounds on which the node did not take users whom it took on others.
    fn inbounds(&self) -> BTreeSet<&str> {
        let tags =
            |message: &UserData| message.inbounds.iter().map(|inbound| inbound.tag.clone()).collect::<HashSet<_>>();
        let taken = |unit: &Unit| self.taken.get(&id(unit.first()?)).map(tags);
        let narrowed = self.units.iter().filter_map(|unit| Some((unit.last()?, taken(unit)?)));
        let refused = narrowed.flat_map(|(wanted, taken)| {
            let inbounds = wanted.inbounds.iter().map(|inbound| inbound.tag.as_str());
            inbounds.filter(move |tag| !taken.contains(*tag))
        });
        refused.collect()
    }

    /// Returns the units of users of whom the node has taken nothing so far.
    fn rest(&self) -> impl Iterator<Item = &Unit> {
        self.units.iter().filter(|unit| {
            unit.first().is_some_and(|first| {
                let user = id(first);
                !self.taken.contains_key(&user) && !self.known.contains(&user)
            })
        })
    }

    /// Returns a unit that adds one inbound of a user's to those that the node has taken.
    fn with(&self, unit: &Unit, added: usize) -> Option<Unit> {
        let wanted = unit.last()?;
        let mut message = self.taken.get(&id(wanted)).cloned().unwrap_or_else(|| messages::removal(wanted));
        message.inbounds.push(wanted.inbounds.get(added)?.clone());
        Some(vec![message])
    }
}

impl Session<'_> {
    /// Finds out on which of their inbounds the node takes users that it has refused.
    ///
    /// Each inbound in turn is left out first, which changes nothing on the others. If that does not help, the users are
    /// removed and then added inbound by inbound.
    pub(super) async fn narrowed(
        &mut self,
        stream: &mut SyncStream,
        units: Vec<Unit>,
    ) -> Result<Refused, SessionError> {
        let mut refused = Refused { units, ..Refused::default() };
        let most =
            refused.units.iter().filter_map(|unit| unit.last()).map(|user| user.inbounds.len()).max().unwrap_or(0);
        for left_out in 0..most {
            let tries = refused.rest().filter_map(|unit| without(unit, left_out)).collect();
            refused.taken.extend(self.accepted(stream, tries).await?);
        }
        let removals = refused.rest().filter_map(|unit| Some(vec![messages::removal(unit.first()?)])).collect();
        let removed: HashSet<u32> = self.accepted(stream, removals).await?.into_keys().collect();
        refused.known =
            refused.rest().filter_map(|unit| unit.first()).map(id).filter(|it| !removed.contains(it)).collect();
        let rest: Vec<Unit> = refused.rest().filter(|unit| !is_probe(unit)).cloned().collect();
        for added in 0..most {
            let tries = rest.iter().filter_map(|unit| refused.with(unit, added)).collect();
            refused.taken.extend(self.accepted(stream, tries).await?);
        }
        Ok(refused)
    }

    /// Sends each unit in a stream of its own. Returns the last messages of those that the node accepted.
    async fn accepted(
        &mut self,
        stream: &mut SyncStream,
        units: Vec<Unit>,
    ) -> Result<HashMap<u32, UserData>, SessionError> {
        let mut accepted: HashMap<u32, UserData> =
            units.iter().filter_map(|unit| unit.last()).map(|message| (id(message), message.clone())).collect();
        let refused = self.send_each(stream, units.into_iter().map(|unit| vec![unit]), usize::MAX).await?;
        for message in refused.iter().flatten().flatten() {
            accepted.remove(&id(message));
        }
        Ok(accepted)
    }

    /// Returns an error if the node has refused users. They stay in doubt.
    pub(super) fn none_refused(&mut self, refused: &Refused) -> Result<(), NodeError> {
        for user in refused.units.iter().filter_map(|unit| unit.first()?.user.as_ref()) {
            let told = refused.taken.contains_key(&user.id);
            self.doubt.refused(UserId(i64::from(user.id)), user.username.clone(), told);
        }
        if refused.units.is_empty() { Ok(()) } else { Err(refusal(&refused.units, &refused.inbounds())) }
    }
}

/// Returns a unit whose last message lacks one of its inbounds. `None`: it has none of that number, or no other.
fn without(unit: &Unit, left_out: usize) -> Option<Unit> {
    let mut unit = unit.clone();
    let inbounds = &mut unit.last_mut()?.inbounds;
    if inbounds.len() < 2 || left_out >= inbounds.len() {
        return None;
    }
    inbounds.remove(left_out);
    Some(unit)
}

/// Returns whether a unit ends with a removal: no list has its user.
fn is_probe(unit: &Unit) -> bool {
    unit.last().is_none_or(|message| message.inbounds.is_empty())
}
