//! Reasons to stop: a first SIGTERM, SIGINT or SIGHUP stops the panel in order, a second SIGTERM or SIGINT at once; a
//! successor stops it too.

use std::io;
use std::process::exit;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connections::Connections;
use super::health::Watchers;
use crate::foundation::is_ignored;

/// Time within which a SIGTERM belongs to the SIGHUP before it.
const TOGETHER: Duration = Duration::from_millis(500);

/// Part of the grace that is left for the last writes.
pub(super) const LAST_SECOND: Duration = Duration::from_secs(1);

/// Part of the grace that requests in flight get at most. What comes after them has the rest.
pub(super) const fn of_requests(grace: Duration) -> Duration {
    grace.saturating_sub(LAST_SECOND.saturating_mul(2))
}

/// The shutdown of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Shutdown {
    /// Cancelled by the first signal and by `taken_over`.
    pub(super) requested: CancellationToken,
    /// Cancelled when a successor has taken over the listening socket.
    taken_over: CancellationToken,
}

impl Shutdown {
    /// Stops at the first SIGTERM, SIGINT or SIGHUP, or when `taken_over` is cancelled. A further SIGTERM or SIGINT exits at
    /// once; a further SIGHUP does nothing, because terminals and service managers send it beside another signal.
    /// SIGHUP stays ignored where the parent ignores it, as `nohup` does.
    pub(super) fn on_signals(taken_over: CancellationToken) -> io::Result<Self> {
        let (term, int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let hangup = SignalKind::hangup();
        let hangup = if is_ignored(hangup.as_raw_value()) { None } else { Some(signal(hangup)?) };
        let requested = CancellationToken::new();
        tokio::spawn(follow_signals(term, int, hangup, requested.clone()));
        let shutdown = Self { requested, taken_over };
        let successor = shutdown.clone();
        tokio::spawn(async move {
            successor.taken_over.cancelled().await;
            successor.requested.cancel();
        });
        Ok(shutdown)
    }

    /// Does the last work of a process, until the grace after the stop was requested is over; `None`: it would have taken longer.
    pub(super) async fn in_grace<T>(&self, grace: Duration, work: impl Future<Output = T>) -> Option<T> {
        let over = async {
            self.requested.cancelled().await;
            sleep(grace).await;
        };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = over => None,
        }
    }

    /// Waits until the panel should accept no more connections: after proxies have seen that it is not ready. Returns when
    /// the requests in flight must have ended: `requests` after the stop was requested.
    pub(super) async fn accepting_ends(
        self,
        watchers: Watchers,
        connections: Connections,
        grace: Duration,
        requests: Duration,
    ) -> Instant {
        self.requested.cancelled().await;
        let end = Instant::now() + requests;
        if self.taken_over.is_cancelled() {
            // The last connections that came in here send their requests meanwhile. Those without one are closed next.
            sleep(Watchers::longest(grace)).await;
        } else {
            watchers.notice(&connections, grace, end).await;
        }
        end
    }
}

async fn follow_signals(mut term: Signal, mut int: Signal, mut hangup: Option<Signal>, requested: CancellationToken) {
    let hung_up = async {
        match &mut hangup {
            Some(hangup) => hangup.recv().await,
            None => std::future::pending().await,
        }
    };
    let by_hangup = tokio::select! { _ = term.recv() => false, _ = int.recv() => false, _ = hung_up => true };
    tracing::info!("stopping; another SIGTERM or SIGINT stops at once");
    requested.cancel();
    if by_hangup {
        // A service manager may send SIGTERM and SIGHUP together, in any order.
        let together = async {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        };
        let _ = timeout(TOGETHER, together).await;
    }
    tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    exit(1);
}
