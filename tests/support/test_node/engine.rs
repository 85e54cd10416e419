//! The state of a node: its users and their traffic, in memory.

use std::collections::{BTreeMap, BTreeSet};

use sarban::nodes::proto::{Backend, UserData};
use serde::Serialize;
use tokio::time::Instant;

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
    pub events: Vec<Event>,
    /// Lists that were read and not applied.
    pub kept: Vec<Vec<UserData>>,
    pub totals: Totals,
    /// The time and the bytes of each reply with usage.
    pub replies: Vec<(Instant, u64)>,
    pub configs: BTreeMap<String, (String, i32)>,
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

    /// Applies a message about a user. For a known user, only the tags are compared.
    pub fn update(&mut self, data: &UserData) -> Result<(), String> {
        let user = data.user.clone().unwrap_or_default();
        let tags: BTreeSet<String> = data.inbounds.iter().map(|inbound| inbound.tag.clone()).collect();
        let offered = |tag: &String| self.backends.iter().flat_map(|it| &it.inbounds).any(|it| it.tag == *tag);
        if let Some(unknown) = tags.iter().find(|tag| !offered(tag)) {
            return Err(format!("no inbound has the tag {unknown}"));
        }
        let event = match self.users.get_mut(&user.id) {
            None if tags.is_empty() => return Ok(()),
            None => {
                if self.moved > 0 {
                    self.moved_before.insert(user.id, self.moved);
                }
                self.users.insert(user.id, NodeUser { username: user.username, key: user.key.clone(), tags });
                Event::Added { id: user.id, key: user.key }
            }
            Some(_) if tags.is_empty() => {
                self.remove(user.id);
                Event::Removed { id: user.id }
            }
            Some(known) if known.tags == tags => return Ok(()),
            Some(known) => {
                known.tags = tags;
                Event::Retagged { id: user.id }
            }
        };
        self.events.push(event);
        Ok(())
    }

    /// Applies each message, then removes all other users.
    pub fn repopulate(&mut self, list: &[UserData]) -> Result<(), String> {
        self.events.push(Event::Repopulated { users: list.len() });
        for data in list {
            self.update(data)?;
        }
        let named: BTreeSet<u32> = list.iter().filter_map(|data| data.user.as_ref()).map(|user| user.id).collect();
        let gone: Vec<u32> = self.users.keys().filter(|id| !named.contains(id)).copied().collect();
        for id in gone {
            self.remove(id);
            self.events.push(Event::Removed { id });
        }
        Ok(())
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
    }
}
