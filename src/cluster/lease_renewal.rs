//! Renewing the lease through one term: when to renew, and the reasons to end the term.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::leadership::LoopHeartbeat;
use super::lease_client::{LeaseClient, Renewal};
use super::standing::{HandOver, Standing};
use super::tick::tick;
use crate::domain::moment::SECOND;
use crate::domain::term::Term;

/// Time limit for the open fenced transactions of a term that is handed over.
const OPEN_WORK_LIMIT: Duration = Duration::from_secs(5);

/// Reason why a term ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TermEnd {
    /// According to the database, the lease is over or another process holds it.
    Lost,
    /// No renewal succeeded before the deadline.
    Expired,
    /// A fenced transaction found a newer epoch.
    Fenced,
    /// The scheduler's loop is stuck.
    Stuck,
    /// This process hands the lease over.
    HandedOver(HandOver),
}

impl TermEnd {
    /// True if this process could have gone on leading.
    pub(super) const fn is_voluntary(self) -> bool {
        matches!(self, Self::HandedOver(_) | Self::Stuck)
    }

    /// True if the database may still give the lease to this process.
    pub(super) const fn needs_release(self) -> bool {
        matches!(self, Self::HandedOver(_) | Self::Stuck | Self::Expired)
    }

    /// The `reason` label of `leader_transitions_total`.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Expired => "expired",
            Self::Fenced => "fenced",
            Self::Stuck => "stuck",
            Self::HandedOver(HandOver::Asked) => "handed_over",
            Self::HandedOver(HandOver::Unable) => "unable",
            Self::HandedOver(HandOver::FewNodes) => "few_nodes",
        }
    }
}

/// Requests to hand the lease over.
pub(super) struct HandOverRequests {
    /// The process stops.
    pub(super) drain: CancellationToken,
    /// Somebody asked this leader to step down.
    pub(super) step_down: Arc<Notify>,
    /// Standing among the members.
    pub(super) standing: Standing,
}

/// The renewals of one term.
pub(super) struct LeaseRenewal<'a> {
    pub(super) lease: &'a mut LeaseClient,
    pub(super) term: &'a Term,
    pub(super) heartbeat: &'a LoopHeartbeat,
    pub(super) requests: &'a HandOverRequests,
    pub(super) rng: &'a mut StdRng,
}

impl LeaseRenewal<'_> {
    /// Renews the lease until there is a reason to end the term.
    pub(super) async fn run(&mut self) -> TermEnd {
        let mut next = Instant::now() + self.pause();
        loop {
            tokio::select! {
                biased;
                () = self.requests.drain.cancelled() => return TermEnd::HandedOver(HandOver::Asked),
                () = self.requests.step_down.notified() => return TermEnd::HandedOver(HandOver::Asked),
                () = sleep_until(next) => {}
                // The reasons to end the term are checked at each tick. None is urgent: what the term may no longer do is
                // refused where it would be done, by its deadline and by the fence.
                () = tick() => {}
            }
            if let Some(end) = self.check() {
                return end;
            }
            if Instant::now() >= next {
                // Counted from the sending, so that slow answers do not stretch the interval.
                let sent = Instant::now();
                next = match self.lease.renew(self.term).await {
                    Renewal::Done => sent + self.pause(),
                    // There is time until the deadline to try again.
                    Renewal::Failed => sent + self.pause() / 10,
                    Renewal::Lost => return TermEnd::Lost,
                };
            }
        }
    }

    /// The reason to end the term now, if there is one.
    fn check(&self) -> Option<TermEnd> {
        let now = self.lease.clock.boot();
        metrics::gauge!("lease_remaining_seconds").set(self.term.remaining(now) as f64 / SECOND as f64);
        if self.term.has_ended() {
            return Some(TermEnd::Fenced);
        }
        if let Some(reason) = self.requests.standing.must_hand_over() {
            return Some(TermEnd::HandedOver(reason));
        }
        if self.heartbeat.silence(now) > self.lease.timing.silence() {
            tracing::error!("the scheduler's loop is stuck; releasing the lease");
            return Some(TermEnd::Stuck);
        }
        (!self.term.is_alive(now)).then_some(TermEnd::Expired)
    }

    /// Waits for the open fenced transactions, five seconds at most, and renews the lease meanwhile. Further transactions
    /// are refused.
    pub(super) async fn finish_open_work(&mut self, reason: HandOver) -> TermEnd {
        self.term.close();
        let limit = Instant::now() + OPEN_WORK_LIMIT;
        let mut next = Instant::now() + self.pause() / 2;
        while self.term.open_work() > 0 && Instant::now() < limit {
            sleep(Duration::from_millis(5)).await;
            if Instant::now() >= next {
                if self.lease.renew(self.term).await == Renewal::Lost {
                    return TermEnd::Lost;
                }
                next = Instant::now() + self.pause();
            }
        }
        TermEnd::HandedOver(reason)
    }

    /// The renewal interval ± 10 %.
    fn pause(&mut self) -> Duration {
        let renew = self.lease.timing.renew.unsigned_abs();
        Duration::from_micros(self.rng.random_range(renew * 9 / 10..=renew * 11 / 10))
    }
}
