//! Numbers of responses that stay open: change events and logs of engines, of each admin and of all in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use poem::http::{HeaderValue, StatusCode, header};

use super::error::ApiError;
use crate::domain::ids::AdminId;
use crate::foundation::lock;

/// A kind of streams.
#[derive(Debug)]
struct Kind {
    /// Its plural, for refusals.
    name: &'static str,
    gauge: &'static str,
    /// Streams of one admin, who may be several people with several windows.
    of_admin: usize,
    of_process: usize,
}

/// An idle one takes a connection and a few kilobytes. Its connection is closed for a new one as if it were idle.
static EVENTS: Kind = Kind { name: "event streams", gauge: "event_streams", of_admin: 64, of_process: 2_000 };
/// Each takes two file descriptors: of its client, which is closed for no other, and of its node.
static LOGS: Kind = Kind { name: "logs of engines", gauge: "engine_log_streams", of_admin: 16, of_process: 64 };

/// Counts the streams of a kind in this process. Clones count together.
#[derive(Clone, Debug)]
pub struct Streams {
    kind: &'static Kind,
    open: Arc<Mutex<HashMap<AdminId, usize>>>,
}

/// Counts a stream until it is dropped.
#[derive(Debug)]
pub(in crate::api) struct OpenStream {
    streams: Streams,
    admin: AdminId,
}

impl Streams {
    /// Streams of change events.
    pub fn of_events() -> Self {
        Self::of(&EVENTS)
    }

    /// Streams of the logs of engines.
    pub fn of_logs() -> Self {
        Self::of(&LOGS)
    }

    fn of(kind: &'static Kind) -> Self {
        Self { kind, open: Arc::default() }
    }

    /// Counts another stream of an admin.
    pub(in crate::api) fn open(&self, admin: AdminId) -> Result<OpenStream, ApiError> {
        let Kind { name, gauge, of_admin, of_process } = self.kind;
        let mut open = lock(&self.open);
        if open.values().sum::<usize>() >= *of_process {
            return Err(ApiError::unavailable(format!("There are too many {name}")));
        }
        let of_this_admin = open.entry(admin).or_default();
        if *of_this_admin >= *of_admin {
            let text = format!("This admin has {of_admin} {name} open, as many as one may have");
            let later = HeaderValue::from_static("60");
            return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, text).with_header(header::RETRY_AFTER, later));
        }
        *of_this_admin += 1;
        metrics::gauge!(*gauge).increment(1);
        Ok(OpenStream { streams: self.clone(), admin })
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        metrics::gauge!(self.streams.kind.gauge).decrement(1);
        let mut open = lock(&self.streams.open);
        if let Some(of_admin) = open.get_mut(&self.admin) {
            *of_admin -= 1;
            if *of_admin == 0 {
                open.remove(&self.admin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_bounded_for_each_admin_and_in_all() {
        for (streams, of_admin, of_process) in [(Streams::of_events(), 64, 2_000), (Streams::of_logs(), 16, 64)] {
            let open = |admin| streams.open(AdminId(admin)).map_err(|error| error.to_response().status().as_u16());
            let mut of_ann: Vec<_> = (0..of_admin).map(|_| open(1).expect("few")).collect();
            assert_eq!(open(1).err(), Some(429));
            of_ann.pop();
            of_ann.push(open(1).expect("one has ended"));
            let mut all = Vec::new();
            for admin in 2.. {
                let of_one: Vec<_> = (0..of_admin).map_while(|_| open(admin).ok()).collect();
                if of_one.is_empty() {
                    break;
                }
                all.extend(of_one);
            }
            assert_eq!(all.len() + of_ann.len(), of_process);
            assert_eq!(open(1_000).err(), Some(503));
            drop((all, of_ann));
            assert!(lock(&streams.open).is_empty());
        }
    }
}
