//! Open connections: bounded in all and per address, so that clients can't take the file descriptors that the database,
//! nodes and files need. At a bound the connections that have been idle the longest are closed for new ones.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub use super::connection_limits::Limits;
use super::idle_tracker::IdleTracker;
use crate::actions::attempt_limiter::Subject;
use crate::config::http::Networks;
use crate::foundation::lock;

/// Bytes of all responses that clients have not taken yet, at most: sixteen of the largest. Beyond it the connections whose
/// responses began first are closed.
const MOST_UNSENT: usize = 64 << 20;
/// Longest pause of the acceptor while connections that it closed still hold their descriptors.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Step of the pause of the acceptor while connections that it closed still hold their descriptors.
const PAUSE: Duration = Duration::from_millis(2);

/// The open connections of an acceptor.
#[derive(Clone, Debug)]
pub struct Connections(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Limits,
    /// Peers without a bound per address: they connect for many clients.
    trusted: Networks,
    open: Mutex<Open>,
    /// Connections that are to be closed and still hold their descriptors.
    closing: AtomicUsize,
    /// Bytes of all responses that are being sent.
    unsent: AtomicUsize,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Arc<Connection>>,
    per_address: HashMap<Subject, usize>,
    /// The bound of all connections has been reached.
    is_full: bool,
    /// Addresses whose bound has been reached.
    full: HashSet<Subject>,
}

#[derive(Debug)]
struct Connection {
    address: Option<Subject>,
    idle: Arc<IdleTracker>,
    closed: CancellationToken,
    /// Also while a request is being handled.
    aborted: CancellationToken,
    /// Bytes of its responses that are being sent.
    unsent: AtomicUsize,
}

/// An open connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    connections: Connections,
    id: u64,
    connection: Arc<Connection>,
    /// The connection is beyond the bound and gets answers to probes only.
    pub(super) for_probes: bool,
}

/// The reason why a connection is closed for a new one.
#[derive(Clone, Copy, Debug)]
enum Bound {
    All,
    Address(Subject),
}

impl Connections {
    /// No connections yet. Peers in `trusted` and Unix sockets have no bound per address.
    pub fn new(limits: Limits, trusted: Networks) -> Self {
        let (open, closing, unsent) = (Mutex::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        Self(Arc::new(Inner { limits, trusted, open, closing, unsent }))
    }

    /// Counts a new connection, and closes idle ones for it at a bound; `None` if it must be closed itself.
    pub(super) fn admit(&self, peer: Option<IpAddr>) -> Option<Slot> {
        let Inner { limits, trusted, open, .. } = &*self.0;
        let peer = peer.map(|peer| peer.to_canonical()).filter(|peer| !trusted.contain(*peer));
        let address = peer.map(Subject::address);
        let mut open = lock(open);
        if let Some(subject) = address
            && open.per_address.get(&subject).is_some_and(|count| *count >= limits.per_address)
        {
            if open.full.insert(subject) {
                let (address, most) = (peer.map(tracing::field::display), limits.per_address);
                tracing::warn!(address, most, "an address has its maximum of connections; its idle ones are closed");
            }
            if self.close_idle(&mut open, Bound::Address(subject), 1) == 0 {
                return refused();
            }
        }
        let mut for_probes = false;
        if open.connections.len() >= limits.all {
            if !std::mem::replace(&mut open.is_full, true) {
                let most = limits.all;
                tracing::warn!(most, "the maximum of connections is reached; the longest idle ones are closed");
            }
            // Several at once, because finding them takes a look at all.
            if self.close_idle(&mut open, Bound::All, (limits.all / 64).max(1)) == 0 {
                if open.connections.len() >= limits.all + limits.for_probes {
                    return refused();
                }
                for_probes = true;
            }
        }
        let id = open.next;
        open.next += 1;
        let connection = Arc::new(Connection {
            address,
            idle: Arc::default(),
            closed: CancellationToken::new(),
            aborted: CancellationToken::new(),
            unsent: AtomicUsize::new(0),
        });
        open.connections.insert(id, connection.clone());
        if let Some(address) = address {
            *open.per_address.entry(address).or_default() += 1;
        }
        metrics::gauge!("http_connections").increment(1);
        Some(Slot { connections: self.clone(), id, connection, for_probes })
    }

    /// Returns true if no request is being handled or answered.
    pub(super) fn are_at_rest(&self) -> bool {
        lock(&self.0.open).connections.values().all(|connection| connection.idle.is_at_rest())
    }

    /// Closes the longest idle connections after the process ran out of descriptors.
    pub(super) fn out_of_descriptors(&self) {
        let mut open = lock(&self.0.open);
        if !std::mem::replace(&mut open.is_full, true) {
            tracing::error!("could not accept a connection: the process has no free file descriptor; raise its limit");
        }
        let count = (open.connections.len() / 16).max(1);
        self.close_idle(&mut open, Bound::All, count);
    }

    /// Waits while many closed connections still hold their descriptors.
    pub(super) async fn settle(&self) {
        let until = Instant::now() + LONGEST_PAUSE;
        while self.0.closing.load(Ordering::Relaxed) > self.0.limits.all / 8 && Instant::now() < until {
            sleep(PAUSE).await;
        }
    }

    #[cfg(test)]
    pub(super) fn unsent(&self) -> usize {
        self.0.unsent.load(Ordering::Relaxed)
    }

    /// Closes the connections whose responses began first, until those of the rest are well below the bound.
    fn close_unsent(&self) {
        let mut open = lock(&self.0.open);
        let holding = open.connections.iter().filter_map(|(id, connection)| {
            let unsent = connection.unsent.load(Ordering::Relaxed);
            Some((connection.idle.answering_since().filter(|_| unsent > 0)?, *id, unsent))
        });
        let mut holding: Vec<_> = holding.collect();
        // Those that are being closed count no longer.
        let total: usize = holding.iter().map(|(_, _, unsent)| unsent).sum();
        if total <= MOST_UNSENT {
            return;
        }
        holding.sort_unstable();
        let (mut excess, mut count) = (total - MOST_UNSENT / 4 * 3, 0);
        for (_, id, unsent) in holding {
            if excess == 0 {
                break;
            }
            if let Some(connection) = open.remove(id, &self.0.limits) {
                self.0.closing.fetch_add(1, Ordering::Relaxed);
                connection.aborted.cancel();
                excess = excess.saturating_sub(unsent);
                count += 1;
            }
        }
        metrics::counter!("http_connections_closed_total", "bound" => "unsent").increment(count);
        tracing::warn!(count, "responses that clients do not take reach their bound; the oldest are cut off");
    }

    /// Closes up to `count` connections, the longest idle first; returns how many.
    fn close_idle(&self, open: &mut Open, bound: Bound, count: usize) -> usize {
        let counts = |connection: &Connection| match bound {
            Bound::All => true,
            Bound::Address(address) => connection.address == Some(address),
        };
        let idle = open.connections.iter().filter(|(_, connection)| counts(connection));
        let mut idle: Vec<_> = idle.filter_map(|(id, connection)| Some((connection.idle.idle_since()?, *id))).collect();
        if idle.len() > count {
            idle.select_nth_unstable(count);
            idle.truncate(count);
        }
        for (_, id) in &idle {
            if let Some(connection) = open.remove(*id, &self.0.limits) {
                self.0.closing.fetch_add(1, Ordering::Relaxed);
                connection.closed.cancel();
            }
        }
        let bound = if matches!(bound, Bound::All) { "all" } else { "address" };
        metrics::counter!("http_connections_closed_total", "bound" => bound).increment(idle.len() as u64);
        idle.len()
    }
}

fn refused() -> Option<Slot> {
    metrics::counter!("http_connections_refused_total").increment(1);
    None
}

impl Open {
    fn remove(&mut self, id: u64, limits: &Limits) -> Option<Arc<Connection>> {
        let connection = self.connections.remove(&id)?;
        if let Some(address) = connection.address
            && let Some(count) = self.per_address.get_mut(&address)
        {
            *count -= 1;
            if *count <= limits.per_address / 2 {
                self.full.remove(&address);
            }
            if *count == 0 {
                self.per_address.remove(&address);
            }
        }
        Some(connection)
    }
}

impl Slot {
    /// The activity of the connection.
    pub(super) fn idle(&self) -> &Arc<IdleTracker> {
        &self.connection.idle
    }

    /// Counts bytes of a response that is being sent.
    pub(super) fn hold(&self, bytes: usize) {
        self.connection.unsent.fetch_add(bytes, Ordering::Relaxed);
        let before = self.connections.0.unsent.fetch_add(bytes, Ordering::Relaxed);
        if bytes > 0 && before + bytes > MOST_UNSENT {
            self.connections.close_unsent();
        }
    }

    /// Counts them no longer.
    pub(super) fn release(&self, bytes: usize) {
        self.connection.unsent.fetch_sub(bytes, Ordering::Relaxed);
        self.connections.0.unsent.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Waits until the connection must be closed at once.
    pub(super) async fn aborted(&self) {
        self.connection.aborted.cancelled().await;
    }

    /// Waits until the connection must be closed for another one.
    pub(super) async fn closed(&self) {
        self.connection.closed.cancelled().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Inner { limits, open, closing, .. } = &*self.connections.0;
        metrics::gauge!("http_connections").decrement(1);
        let mut open = lock(open);
        if open.remove(self.id, limits).is_none() {
            closing.fetch_sub(1, Ordering::Relaxed);
        }
        if open.is_full && open.connections.len() <= limits.all / 4 * 3 {
            open.is_full = false;
            tracing::info!(open = open.connections.len(), "the number of connections is below its maximum again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::idle_tracker::ActiveBody;

    fn connections(limits: Limits) -> Connections {
        Connections::new(limits, "10.0.0.0/8".parse().expect("networks"))
    }

    fn from(connections: &Connections, address: &str) -> Option<Slot> {
        connections.admit(Some(address.parse().expect("an address")))
    }

    fn is_closed(slot: &Slot) -> bool {
        slot.connection.closed.is_cancelled()
    }

    #[tokio::test]
    async fn longest_idle_connection_is_closed_for_a_new_one() {
        let connections = connections(Limits { all: 3, for_probes: 1, per_address: 3 });
        let mut open = Vec::new();
        for host in 1..=3 {
            open.push(from(&connections, &format!("192.0.2.{host}")).expect("free"));
            sleep(Duration::from_millis(10)).await;
        }
        // The first one has answered a request since.
        drop(ActiveBody::new((), open[0].idle().clone()));
        let _busy = open[2].idle().begin_request();
        let _new = from(&connections, "192.0.2.9").expect("in place of the second one");
        assert_eq!(open.iter().map(is_closed).collect::<Vec<_>>(), [false, true, false]);
    }

    #[test]
    fn connections_beyond_busy_ones_are_for_probes_and_then_refused() {
        let connections = connections(Limits { all: 2, for_probes: 1, per_address: 2 });
        let busy: Vec<_> = (0..2).map(|_| connections.admit(None).expect("free")).collect();
        let requests: Vec<_> = busy.iter().map(|slot| slot.idle().begin_request()).collect();
        let probe = connections.admit(None).expect("one more");
        assert!(probe.for_probes && !busy[0].for_probes);
        let probing = probe.idle().begin_request();
        assert!(connections.admit(None).is_none());
        drop((requests, probing));
        assert!(connections.admit(None).is_some_and(|slot| !slot.for_probes));
    }

    #[test]
    fn one_address_gets_its_part_and_trusted_peers_and_unix_sockets_more() {
        let connections = connections(Limits { all: 100, for_probes: 1, per_address: 2 });
        let mut open: Vec<_> = (0..2).map(|_| from(&connections, "2001:db8::1").expect("free")).collect();
        let third = from(&connections, "2001:db8::2").expect("the same network: its longest idle one is closed");
        assert_eq!(open.iter().filter(|slot| is_closed(slot)).count(), 1);
        open.retain(|slot| !is_closed(slot));
        let busy = [open[0].idle().begin_request(), third.idle().begin_request()];
        assert!(from(&connections, "2001:db8::3").is_none(), "all of this network are busy");
        assert!(from(&connections, "2001:db8:1::3").is_some(), "another network");
        let trusted: Vec<_> = (0..20).map(|_| from(&connections, "10.1.2.3").expect("trusted")).collect();
        let local: Vec<_> = (0..20).map(|_| connections.admit(None).expect("a Unix socket")).collect();
        drop((busy, trusted, local, open, third));
        assert!(lock(&connections.0.open).per_address.is_empty());
        assert_eq!(connections.0.closing.load(Ordering::Relaxed), 0);
    }
}
