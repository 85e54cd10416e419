//! The state of a node: its users and their traffic, in memory.

use std::collections::{BTreeMap, BTreeSet};

use sarban::nodes::proto::{Backend, User, UserData};
use serde::Serialize;
use tokio::time::Instant;

use super::process::Processes;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeUser {
    pub username: String,
    pub key: String,
    pub tags: BTreeSet<String>,
}

/// An event of the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    FetchedBackends,
    Repopulated { users: usize },
    Added { id: u32, key: String },
    Retagged { id: u32 },
    Removed { id: u32 },
    RestartBegan { config: String },
    RestartEnded { config: String },
}

/// A change that the engines have made and the memory lacks.
#[derive(Debug)]
pub struct Change {
    id: u32,
    user: NodeUser,
}

/// Sums of bytes. Produced bytes are in the counters, or were read, or were lost with a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    pub produced: u64,
    pub read: u64,
    pub lost: u64,
}

#[derive(Debug, Default)]
pub struct Engine {
    pub backends: Vec<Backend>,
    pub users: BTreeMap<u32, NodeUser>,
    /// The inbounds on which the engines serve each user.
    served: BTreeMap<u32, BTreeSet<String>>,
    pub events: Vec<Event>,
    /// Lists that were read and not applied.
    pub kept: Vec<Vec<UserData>>,
    pub totals: Totals,
    /// The time and the bytes of each reply with usage.
    pub replies: Vec<(Instant, u64)>,
    pub configs: BTreeMap<String, (String, i32)>,
    pub processes: Processes,
    counters: BTreeMap<u32, u64>,
    /// Bytes that every user has transferred since the counters were read, in addition to `counters`. One number for
    /// all users, because counting per user ten times a second would occupy a hundred nodes.
    moved: u64,
    /// The value of `moved` when a user was added after the counters were read.
    moved_before: BTreeMap<u32, u64>,
}

impl Engine {
    pub fn new(backends: Vec<Backend>) -> Self {
        Self { backends, ..Self::default() }
    }

    /// Applies a message about a user.
    pub fn update(&mut self, data: &UserData) -> Result<(), String> {
        if let Some(change) = self.change_engines(data)? {
            self.remember(change);
        }
        Ok(())
    }

    /// Applies each message, then removes all other users.
    pub fn repopulate(&mut self, list: &[UserData]) -> Result<(), String> {
        self.events.push(Event::Repopulated { users: list.len() });
        list.iter().try_for_each(|data| self.update(data))?;
        self.removals(list).iter().try_for_each(|data| self.update(data))
    }

    /// The first half of a message: has the engines serve the user on the given inbounds. For a known user, only the
    /// tags are compared, and an engine refuses a user whom it has already, or a removal of one whom it does not have. The
    /// inbounds before a refused one are changed by then.
    /// `None`: nothing is to be done.
    pub fn change_engines(&mut self, data: &UserData) -> Result<Option<Change>, String> {
        if self.processes.behaviour.refuses_users_when_dead && !self.processes.dead.is_empty() {
            return Err("an engine does not run".to_owned());
        }
        let user = data.user.clone().unwrap_or_default();
        let tags: BTreeSet<String> = data.inbounds.iter().map(|inbound| inbound.tag.clone()).collect();
        let offered = |tag: &String| self.backends.iter().flat_map(|it| &it.inbounds).any(|it| it.tag == *tag);
        if let Some(unknown) = tags.iter().find(|tag| !offered(tag)) {
            return Err(format!("no inbound has the tag {unknown}"));
        }
        let known = self.users.get(&user.id).map(|known| known.tags.clone()).unwrap_or_default();
        if known == tags {
            return Ok(None);
        }
        let without_users = self.processes.behaviour.tag_without_users.as_ref();
        let served = self.served.entry(user.id).or_default();
        for tag in known.difference(&tags) {
            if !served.remove(tag) {
                return Err(format!("user {} is not on {tag}", user.id));
            }
        }
        for tag in tags.difference(&known) {
            if Some(tag) == without_users {
                return Err(format!("{tag} takes no users"));
            }
            if !served.insert(tag.clone()) {
                return Err(format!("user {} is on {tag} already", user.id));
            }
        }
        Ok(Some(Change { id: user.id, user: NodeUser { username: user.username, key: user.key, tags } }))
    }

    /// The second half of a message: keeps the user in memory.
    pub fn remember(&mut self, Change { id, user }: Change) {
        let event = match self.users.get_mut(&id) {
            None if user.tags.is_empty() => return,
            None => {
                if self.moved > 0 {
                    self.moved_before.insert(id, self.moved);
                }
                let key = user.key.clone();
                self.users.insert(id, user);
                Event::Added { id, key }
            }
            Some(_) if user.tags.is_empty() => {
                self.remove(id);
                Event::Removed { id }
            }
            Some(known) => {
                known.tags = user.tags;
                Event::Retagged { id }
            }
        };
        self.events.push(event);
    }

    /// Returns messages that remove all users who are not in a list.
    pub fn removals(&self, list: &[UserData]) -> Vec<UserData> {
        let named: BTreeSet<u32> = list.iter().filter_map(|data| data.user.as_ref()).map(|user| user.id).collect();
        let gone = self.users.keys().filter(|id| !named.contains(id));
        gone.map(|id| UserData { user: Some(User { id: *id, ..User::default() }), inbounds: Vec::new() }).collect()
    }

    /// Returns the inbounds on which the engines serve a user.
    pub fn served(&self, user: u32) -> BTreeSet<String> {
        self.served.get(&user).cloned().unwrap_or_default()
    }

    /// Returns the users whom the engines serve on other inbounds than the node has in memory.
    pub fn apart(&self) -> BTreeSet<u32> {
        let tags = |id: &u32| self.users.get(id).map(|user| &user.tags);
        let served = |id: &u32| self.served.get(id).filter(|tags| !tags.is_empty());
        self.users.keys().chain(self.served.keys()).filter(|id| tags(id) != served(id)).copied().collect()
    }

    /// Restarts the engines, which get the users in memory as far as their inbounds take users.
    pub fn restart(&mut self) {
        let without_users = self.processes.behaviour.tag_without_users.as_ref();
        let tags = |user: &NodeUser| user.tags.iter().filter(|tag| Some(*tag) != without_users).cloned().collect();
        self.served = self.users.iter().map(|(id, user)| (*id, tags(user))).collect();
    }

    pub fn add_usage(&mut self, user: u32, bytes: u64) {
        *self.counters.entry(user).or_default() += bytes;
        self.totals.produced += bytes;
    }

    /// Adds these bytes to the traffic of every user.
    pub fn produce(&mut self, bytes: u64) {
        self.moved += bytes;
        self.totals.produced += bytes * self.users.len() as u64;
    }

    /// Removes a user, whose counter stays until it is read.
    fn remove(&mut self, user: u32) {
        self.users.remove(&user);
        let moved = self.moved - self.moved_before.remove(&user).unwrap_or(0);
        if moved > 0 {
            *self.counters.entry(user).or_default() += moved;
        }
    }

    /// Returns all counters and resets them.
    fn take_counters(&mut self) -> BTreeMap<u32, u64> {
        let (moved, before) = (std::mem::take(&mut self.moved), std::mem::take(&mut self.moved_before));
        let all_users = self.users.keys().map(|id| (*id, moved - before.get(id).unwrap_or(&0)));
        let mut taken = std::mem::take(&mut self.counters);
        if taken.is_empty() {
            return all_users.filter(|(_, bytes)| *bytes > 0).collect();
        }
        for (id, bytes) in all_users.filter(|(_, bytes)| *bytes > 0) {
            *taken.entry(id).or_default() += bytes;
        }
        taken
    }

    /// Reads and resets all counters.
    pub fn take_usage(&mut self, reply_is_lost: bool) -> BTreeMap<u32, u64> {
        let taken = self.take_counters();
        let bytes: u64 = taken.values().sum();
        if reply_is_lost {
            self.totals.lost += bytes;
        } else {
            self.totals.read += bytes;
            if bytes > 0 {
                self.replies.push((Instant::now(), bytes));
            }
        }
        taken
    }

    /// Removes all users and counters, as a restart of the node does.
    pub fn forget(&mut self) {
        let uncounted: u64 = self.take_counters().values().sum();
        self.totals.lost += uncounted;
        self.users.clear();
        self.served.clear();
    }
}
