//! When a process is bound by what is promised for subscriptions: not from a fault of its own until it is ready again, and with
//! fewer promises while its copy or its source is disturbed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use sarban::clock::Clock;
use tokio::time::sleep;

use super::copies;
use super::panels::Serving;
use super::world::World;

/// A need of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// The process runs and is ready.
    Process,
    /// The file of its copy is complete and undamaged.
    Copy,
    /// The database, or for an edge a panel, can be reached.
    Source,
    /// Nothing is slower than usual.
    Pace,
}

/// Name under which a disturbance concerns all servers.
pub const ALL: &str = "";

/// Disturbances of the servers, in unix microseconds.
#[derive(Default)]
pub struct Cover(Mutex<State>);

#[derive(Default)]
struct State {
    tracks: BTreeMap<(String, Need), Track>,
    /// Times whose fetches a server may have forgotten without breaking a promise.
    forgotten: Vec<(String, i64, i64)>,
}

#[derive(Default)]
struct Track {
    /// Faults that have not ended.
    faults: u32,
    since: Option<i64>,
    /// Counts the begins and ends of faults.
    changes: u64,
    past: Vec<(i64, i64)>,
}

/// A need of a server that waits for its recovery, with no fault under way.
#[derive(Clone, Debug)]
pub struct Recovering {
    pub name: String,
    pub need: Need,
    pub since: i64,
    changes: u64,
}

/// A fault under way.
#[must_use]
pub struct Disturbance {
    cover: Arc<Cover>,
    key: (String, Need),
}

impl Drop for Disturbance {
    fn drop(&mut self) {
        let mut state = self.cover.state();
        let track = state.tracks.entry(self.key.clone()).or_default();
        track.faults -= 1;
        track.changes += 1;
    }
}

/// Returns the time in unix microseconds, by the clock that the servers have, too.
pub fn now() -> i64 {
    Clock::real().now().micros()
}

impl Cover {
    /// Begins a fault, which lasts until the result is dropped; the disturbance lasts until the server has recovered.
    pub fn disturb(self: &Arc<Self>, name: &str, need: Need) -> Disturbance {
        let key = (name.to_owned(), need);
        let mut state = self.state();
        let track = state.tracks.entry(key.clone()).or_default();
        track.faults += 1;
        track.changes += 1;
        track.since.get_or_insert_with(now);
        Disturbance { cover: self.clone(), key }
    }

    /// Records that fetches which a server served in the last `seconds` may be lost.
    pub fn forget(&self, name: &str, seconds: i64) {
        let now = now();
        self.state().forgotten.push((name.to_owned(), now - seconds * 1_000_000, now + 1_000_000));
    }

    /// True if a server may have lost a fetch that it served in this time.
    pub fn may_have_forgotten(&self, name: &str, from: i64, until: i64) -> bool {
        self.state().forgotten.iter().any(|(known, begin, end)| known == name && from <= *end && until >= *begin)
    }

    /// True if a server was disturbed at some moment of this time.
    pub fn was_disturbed(&self, name: &str, need: Need, from: i64, until: i64) -> bool {
        let state = self.state();
        let Some(track) = state.tracks.get(&(name.to_owned(), need)) else { return false };
        let is_over = |(begin, end): &(i64, i64)| from <= *end && until >= *begin;
        track.since.is_some_and(|since| until >= since) || track.past.iter().any(is_over)
    }

    /// Returns the disturbances without a fault under way.
    fn recovering(&self) -> Vec<Recovering> {
        let state = self.state();
        let waiting = state.tracks.iter().filter(|(_, track)| track.faults == 0);
        waiting
            .filter_map(|((name, need), track)| {
                Some(Recovering { name: name.clone(), need: *need, since: track.since?, changes: track.changes })
            })
            .collect()
    }

    /// Ends a disturbance at the time `at`, unless there was another fault meanwhile.
    fn recovered(&self, recovering: Recovering, at: i64) {
        let mut state = self.state();
        let Some(track) = state.tracks.get_mut(&(recovering.name, recovering.need)) else { return };
        if track.faults == 0 && track.changes == recovering.changes {
            track.since = None;
            track.past.push((recovering.since, at));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins a fault of the database for all servers.
pub fn disturb_all(world: &World, need: Need) -> Vec<Disturbance> {
    world.servers().iter().map(|server| world.cover.disturb(server.name(), need)).collect()
}

/// Watches which servers have recovered, until dropped.
pub async fn watch(world: Arc<World>) {
    loop {
        let waiting = world.cover.recovering();
        let is_only_slow = waiting.iter().all(|it| it.need == Need::Pace);
        let world = &world;
        let asked = waiting.into_iter().map(|recovering| async move {
            let at = now();
            let has_recovered = match recovering.need {
                Need::Pace => is_only_slow,
                need => match world.servers().into_iter().find(|server| server.name() == recovering.name) {
                    Some(server) => has_recovered(world, server, need, recovering.since).await,
                    None => true,
                },
            };
            if has_recovered {
                world.cover.recovered(recovering, at);
            }
        });
        join_all(asked).await;
        sleep(Duration::from_millis(150)).await;
    }
}

async fn has_recovered(world: &World, server: &dyn Serving, need: Need, since: i64) -> bool {
    match (need, server.is_edge()) {
        (Need::Pace, _) => true,
        (Need::Process, true) => world.status_of(server, "/health/live").await == Some(200),
        (Need::Process, false) => world.status_of(server, "/health/ready?subscriptions=true").await == Some(200),
        (Need::Source, false) => world.status_of(server, "/health/ready").await == Some(200),
        (Need::Source, true) => {
            let health = world.health_of(server).await;
            health.is_some_and(|health| health["status"] == "ok") && copies::agrees_since(server, since).await
        }
        // Without copies the promises are those of panels with one, and must be broken.
        (Need::Copy, false) if !world.has_copies() => true,
        (Need::Copy, _) => {
            // A panel names the age in its metrics once its copy is open; an edge is ready then.
            let is_open = match server.is_edge() {
                true => world.status_of(server, "/health/ready").await == Some(200),
                false => world.metric(server, "subscription_copy_age_seconds").await.is_some(),
            };
            is_open && copies::is_sound_since(server, since).await
        }
    }
}
