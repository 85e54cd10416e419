//! The elector: follows the leader, and claims the lease when it is free. It loops until the process stops; losing the
//! lease is ordinary.
//!
//! The elector, the renewals and the scheduler's loop run on a thread and a runtime of their own, so that blocked workers
//! can't cost the lease.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::identity::Identity;
use super::leadership::{Leadership, LoopHeartbeat, Role};
use super::lease_client::LeaseClient;
use super::lease_renewal::{HandOverRequests, LeaseRenewal, TermEnd};
use super::redis_lock::RedisLock;
use super::round_trips::RoundTrips;
use super::self_report::SelfReport;
use super::standing::Standing;
use super::wakeup::{Wakeup, WakeupReceiver};
use crate::clock::Clock;
use crate::domain::lease::LeaseTiming;
use crate::domain::term::Term;
use crate::foundation::{FailureStreak, with_sources};
use crate::store::StoreError;
use crate::store::cluster::lease_connection::LeaseDb;

/// Starts the leader's work for a new term (the scheduler's loop). The future must end soon after `Leadership::stop` is
/// cancelled.
pub type Lead = Arc<dyn Fn(Leadership) -> BoxFuture<'static, ()> + Send + Sync>;

/// Dependencies of the elector.
pub struct Elector {
    /// This process.
    pub identity: Identity,
    /// TTL of the lease and the times derived from it.
    pub timing: LeaseTiming,
    /// A database connection that nothing else uses.
    pub db: LeaseDb,
    /// The clock of deadlines.
    pub clock: Clock,
    /// The Redis lock; `None`: the database alone.
    pub redis_lock: Option<RedisLock>,
    /// Measures the round trip to the database.
    pub round_trips: RoundTrips,
    /// Learns whether the lease's connection can be used.
    pub own: SelfReport,
    /// Sent when a process releases the lease.
    pub wakeup: Wakeup,
    /// The leader's work.
    pub lead: Lead,
    /// Receives the role of this process.
    pub role: watch::Sender<Role>,
    /// Notified to make the leader hand over.
    pub step_down: Arc<Notify>,
    /// Standing among the members.
    pub standing: Standing,
    /// Cancelled when the process stops: hand over, and do not run for leader again.
    pub drain: CancellationToken,
}

/// The longest wait between two looks at the lease.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// How long a candidate leaves a free lease to members that reach far more nodes.
const DEFERENCE: Duration = Duration::from_secs(3);

/// The running elector.
struct Election {
    lease: LeaseClient,
    wakeup: Wakeup,
    lead: Lead,
    role: watch::Sender<Role>,
    requests: HandOverRequests,
    rng: StdRng,
    failures: FailureStreak,
    /// When this candidate first left the free lease to better connected members.
    deferring: Option<Instant>,
}

/// A pause between two rounds.
enum Pause {
    /// This long.
    Fixed(Duration),
    /// This long, or until a wake-up.
    UntilWakeup(Duration),
}

/// Result of one attempt to become leader.
enum Attempt {
    /// Wait this long, or until a wake-up.
    Wait(Duration),
    /// This process leads.
    Won(Term),
}

impl Elector {
    /// Runs until drained.
    pub async fn run(self) {
        let drain = self.drain.clone();
        let mut wakeups = self.wakeup.subscribe();
        let mut election = Election {
            rng: StdRng::seed_from_u64(self.identity.instance.as_u64_pair().1),
            failures: FailureStreak::default(),
            deferring: None,
            lease: LeaseClient::new(
                self.identity,
                self.timing,
                self.db,
                self.clock,
                self.redis_lock,
                self.round_trips,
                self.own,
            ),
            wakeup: self.wakeup,
            lead: self.lead,
            role: self.role,
            requests: HandOverRequests { drain: self.drain, step_down: self.step_down, standing: self.standing },
        };
        while !drain.is_cancelled() {
            match election.round().await {
                Some(Pause::Fixed(pause)) => drain.run_until_cancelled(sleep(pause)).await.unwrap_or_default(),
                Some(Pause::UntilWakeup(pause)) => {
                    let waiting = wait_or_wakeup(pause, &mut wakeups, &mut election.rng);
                    drain.run_until_cancelled(waiting).await.unwrap_or_default();
                }
                None => {}
            }
        }
        election.set_role(Role::None);
    }
}

impl Election {
    /// One attempt, and the term that it may win. Returns the wait before the next attempt; `None`: at once.
    async fn round(&mut self) -> Option<Pause> {
        let attempt = self.attempt().await;
        if attempt.is_ok()
            && let Some(failures) = self.failures.ended()
        {
            tracing::info!(failures, "the lease can be read again");
        }
        match attempt {
            Ok(Attempt::Wait(wait)) => Some(Pause::UntilWakeup(wait)),
            Ok(Attempt::Won(term)) => {
                if self.lead_term(term).await.is_voluntary() {
                    self.leave_the_lease_to_others().await;
                }
                None
            }
            Err(error) => {
                self.set_role(Role::None);
                let reason = error.reason();
                if self.failures.failed(reason) {
                    let error = with_sources(&error);
                    tracing::warn!(
                        error,
                        "could not read or claim the lease: {reason}; trying again until it succeeds"
                    );
                }
                self.lease.release_redis_lock().await;
                // Releasing the lock wakes other candidates, who may fail as well: a wake-up of theirs must not make
                // this one try at once.
                Some(Pause::Fixed(Duration::from_micros(self.lease.timing.renew.unsigned_abs())))
            }
        }
    }

    /// Reads the lease, and claims it if it is free.
    async fn attempt(&mut self) -> Result<Attempt, StoreError> {
        match self.requests.drain.run_until_cancelled(self.lease.connect()).await {
            Some(connected) => connected?,
            None => return Ok(Attempt::Wait(Duration::ZERO)),
        }
        let lease = self.lease.read().await?;
        if lease.remaining > 0 && self.lease.is_mine(&lease) {
            // A claim that succeeded after this process had given it up, or a release that failed: no work runs under it.
            self.lease.release_stray(lease.epoch).await?;
            return Ok(Attempt::Wait(Duration::ZERO));
        }
        if lease.remaining > 0 {
            self.deferring = None;
            self.set_role(Role::Follower);
            return Ok(self.wait(Duration::from_micros(lease.remaining.unsigned_abs())));
        }
        self.set_role(Role::None);
        if self.requests.standing.must_not_claim() {
            return Ok(self.wait(Duration::from_secs(1)));
        }
        // Not for long: it is better to lead with few nodes than to have no leader.
        if self.requests.standing.is_better_connected_than_me(lease.holder)
            && self.deferring.get_or_insert_with(Instant::now).elapsed() < DEFERENCE
        {
            return Ok(self.wait(Duration::ZERO));
        }
        if lease.epoch != lease.fence_epoch {
            tracing::error!(
                lease = lease.epoch.0,
                fence = lease.fence_epoch.0,
                "scheduler_lease and scheduler_epoch have different epochs; using that of scheduler_epoch"
            );
            self.lease.repair(lease.epoch).await?;
            return Ok(Attempt::Wait(Duration::ZERO));
        }
        if let Err(remaining) = self.lease.acquire_redis_lock().await {
            return Ok(self.wait(remaining));
        }
        if let Some(term) = self.lease.claim(&lease).await? {
            self.deferring = None;
            return Ok(Attempt::Won(term));
        }
        self.lease.release_redis_lock().await;
        Ok(self.wait(Duration::ZERO))
    }

    /// Leads until the term is over, and makes sure that no work of the term goes on.
    async fn lead_term(&mut self, term: Term) -> TermEnd {
        tracing::info!(epoch = term.epoch().0, "became leader");
        metrics::counter!("leader_transitions_total", "reason" => "claimed").increment(1);
        metrics::gauge!("leader_epoch").set(term.epoch().0 as f64);
        let leadership = Leadership {
            term: term.clone(),
            stop: CancellationToken::new(),
            heartbeat: LoopHeartbeat::new(self.lease.clock.boot()),
            step_down: self.requests.step_down.clone(),
        };
        self.requests.standing.begin_term();
        let (stop, heartbeat) = (leadership.stop.clone(), leadership.heartbeat.clone());
        let work = tokio::spawn((self.lead)(leadership));
        self.set_role(Role::Leader);

        let mut renewal = LeaseRenewal {
            lease: &mut self.lease,
            term: &term,
            heartbeat: &heartbeat,
            requests: &self.requests,
            rng: &mut self.rng,
        };
        let mut end = renewal.run().await;
        stop.cancel();
        if let TermEnd::HandedOver(reason) = end {
            end = renewal.finish_open_work(reason).await;
        }
        self.end_term(&term, end, work).await;
        end
    }

    /// Ends the term: waits for its work, and lets others claim the lease.
    async fn end_term(&mut self, term: &Term, end: TermEnd, work: JoinHandle<()>) {
        let remaining = Duration::from_micros(term.remaining(self.lease.clock.boot()).unsigned_abs());
        term.end();
        self.set_role(Role::None);
        metrics::gauge!("lease_remaining_seconds").set(0.0);
        tracing::info!(epoch = term.epoch().0, reason = end.label(), "lost leadership");
        metrics::counter!("leader_transitions_total", "reason" => end.label()).increment(1);

        // The next leader need not wait for this work: the term has ended, so none of it can begin a fenced transaction.
        // A stuck loop is not waited for.
        let limit = self.lease.time_limit();
        let work_ended = async {
            if end != TermEnd::Stuck && timeout(limit, work).await.is_err() {
                tracing::warn!("the scheduler's loop has not ended yet");
            }
        };
        let released = async {
            if end.needs_release() {
                self.lease.release(term, Instant::now() + remaining).await;
            }
            self.lease.release_redis_lock().await;
            self.wakeup.notify();
        };
        tokio::join!(work_ended, released);
    }

    /// Waits long enough for another candidate to claim the lease, whatever wake-ups arrive: they are for the others.
    async fn leave_the_lease_to_others(&self) {
        let wait = Duration::from_micros(self.lease.timing.ttl.unsigned_abs() / 4);
        // Without Redis the others receive no wake-up and look again after two seconds at most.
        let wait = if self.lease.uses_redis() { wait } else { wait.max(LONGEST_WAIT.mul_f64(1.2)) };
        let _ = timeout(wait, self.requests.drain.cancelled()).await;
    }

    /// A wait of `remaining` and a random part, so that candidates do not come at the same moment; two seconds at most.
    fn wait(&mut self, remaining: Duration) -> Attempt {
        let random = Duration::from_millis(self.rng.random_range(50..=300));
        Attempt::Wait((remaining + random).min(LONGEST_WAIT))
    }

    fn set_role(&self, role: Role) {
        metrics::gauge!("is_leader").set(if role == Role::Leader { 1.0 } else { 0.0 });
        self.role.send_if_modified(|old| {
            *old != role && {
                *old = role;
                true
            }
        });
    }
}

async fn wait_or_wakeup(wait: Duration, wakeups: &mut WakeupReceiver, rng: &mut StdRng) {
    tokio::select! {
        () = sleep(wait) => {}
        () = wakeups.wait() => sleep(Duration::from_millis(rng.random_range(0..=50))).await,
    }
}
