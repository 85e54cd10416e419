//! Numbers of event streams: of each admin, and of all in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::domain::ids::AdminId;
use crate::foundation::lock;

/// Streams of one admin, who may be several people with several windows.
const OF_ADMIN: usize = 64;
/// Streams of a process. An idle one takes a connection and a few kilobytes.
const OF_PROCESS: usize = 2_000;

/// Counts the streams of this process. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct EventStreams(Arc<Mutex<HashMap<AdminId, usize>>>);

/// Counts a stream until it is dropped.
#[derive(Debug)]
pub(super) struct Entered {
    streams: EventStreams,
    admin: AdminId,
}

/// There are too many streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Of this admin.
    OfAdmin,
    /// Of this process.
    OfProcess,
}

impl EventStreams {
    /// Counts another stream of an admin.
    pub(super) fn enter(&self, admin: AdminId) -> Result<Entered, Refused> {
        let mut streams = lock(&self.0);
        if streams.values().sum::<usize>() >= OF_PROCESS {
            return Err(Refused::OfProcess);
        }
        let of_admin = streams.entry(admin).or_default();
        if *of_admin >= OF_ADMIN {
            return Err(Refused::OfAdmin);
        }
        *of_admin += 1;
        metrics::gauge!("event_streams").increment(1);
        Ok(Entered { streams: self.clone(), admin })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        metrics::gauge!("event_streams").decrement(1);
        let mut streams = lock(&self.streams.0);
        if let Some(of_admin) = streams.get_mut(&self.admin) {
            *of_admin -= 1;
            if *of_admin == 0 {
                streams.remove(&self.admin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_bounded_for_each_admin_and_in_all() {
        let streams = EventStreams::default();
        let enter = |admin| streams.enter(AdminId(admin));
        let mut of_ann: Vec<Entered> = (0..OF_ADMIN).map(|_| enter(1).expect("few")).collect();
        assert_eq!(enter(1).err(), Some(Refused::OfAdmin));
        of_ann.pop();
        of_ann.push(enter(1).expect("one has ended"));
        let admins = 2..=(OF_PROCESS / OF_ADMIN) as i64;
        let mut all: Vec<Entered> =
            admins.flat_map(|admin| (0..OF_ADMIN).map(move |_| admin)).map(|id| enter(id).expect("few")).collect();
        while let Ok(more) = enter(1_000) {
            all.push(more);
        }
        assert_eq!(all.len() + of_ann.len(), OF_PROCESS);
        assert_eq!(enter(1_001).err(), Some(Refused::OfProcess));
        drop((all, of_ann));
        assert!(lock(&streams.0).is_empty());
    }
}
