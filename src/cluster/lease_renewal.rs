//! One term from claim to end: the renewals, the reasons to stop, and the hand-over.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::elector::Elector;
use super::leadership::{Leadership, LoopHeartbeat, Role};
use crate::domain::moment::SECOND;
use crate::domain::term::Term;
use crate::foundation::with_sources;
use crate::store::cluster::lease;
use crate::store::cluster::lease::Candidate;

/// Why a term ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The database says that it is somebody else's, or was over before we came.
    Lost,
    /// No renewal came through before the deadline.
    Expired,
    /// A fenced transaction found a newer epoch.
    Fenced,
    /// The scheduler's loop is stuck.
    Stuck,
    /// We were asked to hand over.
    HandOver,
}

impl End {
    /// We could have gone on.
    pub(super) const fn is_voluntary(self) -> bool {
        matches!(self, Self::HandOver | Self::Stuck)
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Expired => "expired",
            Self::Fenced => "fenced",
            Self::Stuck => "stuck",
            Self::HandOver => "handed_over",
        }
    }
}

impl Elector {
    /// Leads until the term is over, then makes sure that nothing of it goes on. Tells why it ended.
    pub(super) async fn reign(&mut self, me: &Candidate, term: Term, rng: &mut StdRng) -> End {
        let leadership = Leadership {
            term: term.clone(),
            stop: CancellationToken::new(),
            heartbeat: LoopHeartbeat::new(self.clock.boot()),
            hand_over: self.step_down.clone(),
        };
        let stop = leadership.stop.clone();
        let heartbeat = leadership.heartbeat.clone();
        let work = tokio::spawn((self.lead)(leadership));
        self.stand(Role::Leader);

        let mut end = self.renew_until_end(me, &term, &heartbeat, rng).await;
        stop.cancel();
        if end == End::HandOver {
            end = self.finish_open_work(me, &term, rng).await;
        }
        let remaining = Duration::from_micros(term.remaining(self.clock.boot()).unsigned_abs());
        term.end();
        self.stand(Role::None);
        metrics::gauge!("lease_remaining_seconds").set(0.0);
        tracing::info!(epoch = term.epoch().0, reason = end.word(), "this process leads no more");
        metrics::counter!("leader_transitions_total", "reason" => end.word()).increment(1);

        // A stuck loop is left to itself: the fence keeps it from writing. Whatever ends here begins nothing fenced any
        // more, so the next leader need not wait for it.
        let limit = self.operation();
        let ended = async {
            if end != End::Stuck && timeout(limit, work).await.is_err() {
                tracing::warn!("the scheduler's loop has not ended yet");
            }
        };
        let given_back = async {
            if matches!(end, End::HandOver | End::Stuck | End::Expired) {
                self.give_back(me, &term, Instant::now() + remaining).await;
            }
            self.let_go_of_gate().await;
            self.wakeup.notify();
        };
        tokio::join!(ended, given_back);
        end
    }

    /// Releases the lease. As long as it lives others wait for it, so what took too long is tried again, until about then.
    async fn give_back(&mut self, me: &Candidate, term: &Term, until: Instant) {
        let mut warned = false;
        loop {
            match timeout(self.operation(), lease::release(&self.db, me, term.epoch())).await {
                Ok(Ok(_)) => return,
                Ok(Err(error)) => {
                    if !std::mem::replace(&mut warned, true) {
                        tracing::warn!(error = with_sources(&error), "the lease could not be released");
                    }
                    sleep(Duration::from_millis(50)).await;
                }
                Err(_) => tracing::warn!("releasing the lease took too long"),
            }
            if Instant::now() >= until {
                tracing::warn!(epoch = term.epoch().0, "the lease was not released; it will expire");
                return;
            }
        }
    }

    async fn renew_until_end(
        &mut self,
        me: &Candidate,
        term: &Term,
        heartbeat: &LoopHeartbeat,
        rng: &mut StdRng,
    ) -> End {
        let step_down = self.step_down.clone();
        let drain = self.drain.clone();
        let mut next = Instant::now() + self.pause(rng);
        loop {
            let look = Instant::now() + Duration::from_millis(50);
            tokio::select! {
                biased;
                () = drain.cancelled() => return End::HandOver,
                () = step_down.notified() => return End::HandOver,
                () = sleep_until(look.min(next)) => {}
            }
            let now = self.clock.boot();
            metrics::gauge!("lease_remaining_seconds").set(term.remaining(now) as f64 / SECOND as f64);
            if term.has_ended() {
                return End::Fenced;
            }
            if self.superseded.load(Ordering::Relaxed) {
                return End::HandOver;
            }
            if heartbeat.silence(now) > self.timing.silence() {
                tracing::error!("the scheduler's loop is stuck; giving up the lease");
                return End::Stuck;
            }
            if !term.is_alive(now) {
                return End::Expired;
            }
            if Instant::now() >= next {
                // From the sending: how long the answer took, and Redis after it, does not stretch the rhythm.
                let began = Instant::now();
                next = match self.renew(me, term).await {
                    Renewal::Done => began + self.pause(rng),
                    // Until the deadline there is nothing better to do than to try again.
                    Renewal::Failed => began + self.pause(rng) / 10,
                    Renewal::Lost => return End::Lost,
                };
            }
        }
    }

    async fn renew(&mut self, me: &Candidate, term: &Term) -> Renewal {
        let sent = self.clock.boot();
        let renewed = timeout(self.operation(), lease::renew(&self.db, &self.clock, me, term.epoch())).await;
        let (renewal, word) = match renewed {
            Ok(Ok(true)) => {
                // From the sending, not from the answer: a slow renewal does not extend trust.
                term.extend(self.timing.deadline(sent));
                (Renewal::Done, "done")
            }
            Ok(Ok(false)) => (Renewal::Lost, "lost"),
            Ok(Err(error)) => {
                tracing::warn!(error = with_sources(&error), "a renewal of the lease failed");
                (Renewal::Failed, "failed")
            }
            Err(_) => {
                tracing::warn!("a renewal of the lease took too long");
                (Renewal::Failed, "timed_out")
            }
        };
        metrics::counter!("lease_renewals_total", "result" => word).increment(1);
        if renewal == Renewal::Done
            && let Some(redis_lock) = &mut self.redis_lock
        {
            // Best effort: the redis_lock keeps candidates calm, the database keeps the lease.
            let _ = redis_lock.renew().await;
        }
        renewal
    }

    /// Waits, for five seconds at most, until no fenced transaction is open; the lease is kept meanwhile.
    async fn finish_open_work(&mut self, me: &Candidate, term: &Term, rng: &mut StdRng) -> End {
        term.close();
        let limit = Instant::now() + Duration::from_secs(5);
        let mut next = Instant::now() + self.pause(rng) / 2;
        while term.open_work() > 0 && Instant::now() < limit {
            sleep(Duration::from_millis(5)).await;
            if Instant::now() >= next {
                if self.renew(me, term).await == Renewal::Lost {
                    return End::Lost;
                }
                next = Instant::now() + self.pause(rng);
            }
        }
        End::HandOver
    }

    /// R ± 10 %.
    fn pause(&self, rng: &mut StdRng) -> Duration {
        let renew = self.timing.renew.unsigned_abs();
        Duration::from_micros(rng.random_range(renew * 9 / 10..=renew * 11 / 10))
    }
}

/// What came of a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Renewal {
    Done,
    Failed,
    Lost,
}
