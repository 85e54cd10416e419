//! What a node remembers: its users, in memory alone, and the bytes they moved.

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

/// What happened, in order.
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

/// Bytes: whatever was produced is still in the counters, or was read, or was lost with a reply.
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
    /// Lists that were read and wait to be worked on.
    pub kept: Vec<Vec<UserData>>,
    pub totals: Totals,
    /// The bytes of each reply that had some, and when it was sent.
    pub replies: Vec<(Instant, u64)>,
    pub configs: BTreeMap<String, (String, i32)>,
    counters: BTreeMap<u32, u64>,
}

impl Engine {
    pub fn new(backends: Vec<Backend>) -> Self {
        Self { backends, ..Self::default() }
    }

    /// One user as a message says. A user that is known already is compared by tags alone.
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
                self.users.insert(user.id, NodeUser { username: user.username, key: user.key.clone(), tags });
                Event::Added { id: user.id, key: user.key }
            }
            Some(_) if tags.is_empty() => {
                self.users.remove(&user.id);
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

    /// Applies each, then removes everybody else.
    pub fn repopulate(&mut self, list: &[UserData]) -> Result<(), String> {
        self.events.push(Event::Repopulated { users: list.len() });
        for data in list {
            self.update(data)?;
        }
        let named: BTreeSet<u32> = list.iter().filter_map(|data| data.user.as_ref()).map(|user| user.id).collect();
        let gone: Vec<u32> = self.users.keys().filter(|id| !named.contains(id)).copied().collect();
        for id in gone {
            self.users.remove(&id);
            self.events.push(Event::Removed { id });
        }
        Ok(())
    }

    pub fn add_usage(&mut self, user: u32, bytes: u64) {
        *self.counters.entry(user).or_default() += bytes;
        self.totals.produced += bytes;
    }

    /// Every user moves so many bytes.
    pub fn produce(&mut self, bytes: u64) {
        for id in self.users.keys().copied().collect::<Vec<_>>() {
            self.add_usage(id, bytes);
        }
    }

    /// Reads and resets all counters; whether the reply arrives, the engine will never know.
    pub fn take_usage(&mut self, reply_is_lost: bool) -> BTreeMap<u32, u64> {
        let taken = std::mem::take(&mut self.counters);
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

    /// As after a restart of the node: nobody is known, nothing is counted.
    pub fn forget(&mut self) {
        self.users.clear();
        let uncounted: u64 = std::mem::take(&mut self.counters).values().sum();
        self.totals.lost += uncounted;
    }
}
