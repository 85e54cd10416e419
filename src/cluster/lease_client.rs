//! The lease as one process uses it: read, claim, renew and release, each with a time limit. The database row decides; the
//! Redis lock comes before a claim and after a renewal.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::identity::{Identity, task_session_name};
use super::redis_lock::{Acquired, RedisLock};
use super::round_trips::RoundTrips;
use super::self_report::SelfReport;
use crate::clock::Clock;
use crate::domain::ids::Epoch;
use crate::domain::lease::LeaseTiming;
use crate::domain::term::Term;
use crate::foundation::{FailureStreak, with_sources};
use crate::store::cluster::lease;
use crate::store::cluster::lease::{Candidate, Lease};
use crate::store::cluster::lease_connection::LeaseDb;
use crate::store::{Engine, StoreError, Transient};

/// Pause between two attempts to release the lease.
const RELEASE_RETRY: Duration = Duration::from_millis(50);

/// Lease operations of one process.
pub(super) struct LeaseClient {
    /// TTL and the times derived from it.
    pub(super) timing: LeaseTiming,
    /// The clock of deadlines.
    pub(super) clock: Clock,
    me: Candidate,
    /// A connection that nothing else uses.
    db: LeaseDb,
    redis_lock: Option<RedisLock>,
    round_trips: RoundTrips,
    own: SelfReport,
    failed_renewals: FailureStreak,
}

/// Result of a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    /// The lease is extended.
    Done,
    /// The database did not answer, or not in time.
    Failed,
    /// The lease is over, or another process holds it.
    Lost,
}

impl LeaseClient {
    pub(super) fn new(
        identity: Identity,
        timing: LeaseTiming,
        db: LeaseDb,
        clock: Clock,
        redis_lock: Option<RedisLock>,
        round_trips: RoundTrips,
        own: SelfReport,
    ) -> Self {
        own.lease_answered(interval(&timing));
        let engine = match db {
            LeaseDb::Pg(_) => Engine::Postgres,
            LeaseDb::Lite(_) => Engine::Sqlite,
        };
        let boot_id = identity.boot_id(engine).to_owned();
        let me = Candidate {
            instance: identity.instance,
            host: identity.host,
            version: identity.version,
            ttl: timing.ttl,
            boot_id,
        };
        Self { timing, clock, me, db, redis_lock, round_trips, own, failed_renewals: FailureStreak::default() }
    }

    /// Time limit of one lease operation.
    pub(super) fn time_limit(&self) -> Duration {
        let micros = match self.db {
            LeaseDb::Pg(_) => self.timing.operation(),
            LeaseDb::Lite(_) => self.timing.operation_sqlite(),
        };
        Duration::from_micros(micros.unsigned_abs())
    }

    /// True if `REDIS_URL` is set.
    pub(super) fn uses_redis(&self) -> bool {
        self.redis_lock.is_some()
    }

    /// True if the row names this process.
    pub(super) fn is_mine(&self, lease: &Lease) -> bool {
        lease.holder == Some(self.me.instance)
    }

    /// Opens the connection unless it is open. This takes several round trips, so it has a time limit of its own.
    pub(super) async fn connect(&mut self) -> Result<(), StoreError> {
        self.db.connect().await
    }

    /// Reads the lease.
    pub(super) async fn read(&mut self) -> Result<Lease, StoreError> {
        let limit = self.time_limit();
        match timeout(limit, lease::read(&mut self.db, &self.clock, &self.me.boot_id)).await {
            Ok(lease) => {
                self.measure();
                if lease.as_ref().is_ok_and(|lease| !lease.read_only) {
                    self.own.lease_answered(interval(&self.timing));
                }
                lease
            }
            Err(_) => {
                self.measure_at_least(limit);
                Err(StoreError::timed_out("reading the lease"))
            }
        }
    }

    /// Reading and renewing are one round trip, without a wait for a lock.
    fn measure(&mut self) {
        if let Some(round_trip) = self.db.take_round_trip() {
            self.round_trips.record(round_trip);
        }
    }

    /// Without an answer the round trip is longer than the time limit, or the database is away.
    fn measure_at_least(&mut self, limit: Duration) {
        if let LeaseDb::Pg(_) = self.db {
            self.round_trips.record(limit);
        }
    }

    /// Takes the epoch of the fence over into a lease row that has another one.
    pub(super) async fn repair(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        let limit = self.time_limit();
        let repairing = timeout(limit, lease::repair(&mut self.db, &self.clock, &self.me, epoch)).await;
        repairing.unwrap_or_else(|_| Err(StoreError::timed_out("repairing the lease"))).map(drop)
    }

    /// Takes the Redis lock. `Err`: for how long another candidate holds it. Succeeds without Redis, and while Redis is
    /// away: then the database alone decides.
    pub(super) async fn acquire_redis_lock(&mut self) -> Result<(), Duration> {
        match &mut self.redis_lock {
            Some(redis_lock) => match redis_lock.acquire().await {
                Ok(Acquired::Busy(remaining)) => Err(remaining),
                Ok(Acquired::Mine) | Err(_) => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// Releases the Redis lock, best effort.
    pub(super) async fn release_redis_lock(&mut self) {
        if let Some(redis_lock) = &mut self.redis_lock
            && redis_lock.release().await.is_err()
        {
            // Once more over a new connection: until the lock expires, no other candidate can claim the lease.
            let _ = redis_lock.release().await;
        }
    }

    /// Claims a free lease. `None`: another candidate was faster.
    pub(super) async fn claim(&mut self, free: &Lease) -> Result<Option<Term>, StoreError> {
        let next = Epoch(free.epoch.0 + 1);
        let sent = self.clock.boot();
        // The claim may wait a second for the epoch row. The deadline counts from `sent`, so the wait does no harm.
        let limit = Duration::from_secs(1) + self.time_limit();
        let claimed = match timeout(limit, lease::claim(&mut self.db, &self.clock, &self.me, free.epoch)).await {
            Ok(Ok(claimed)) => claimed,
            unclear => {
                if let Ok(Err(error)) = &unclear
                    && error.is_transient()
                {
                    self.terminate_sessions_of_holder(free).await;
                }
                // The commit may have happened all the same.
                let now = self.read().await?;
                now.epoch == next && self.is_mine(&now)
            }
        };
        Ok(claimed.then(|| Term::new(next, self.timing.deadline(sent))))
    }

    /// Ends the task sessions of the previous leader: one of its transactions holds the epoch row, and its host may be
    /// stopped or cut off.
    async fn terminate_sessions_of_holder(&mut self, lease: &Lease) {
        let Some(holder) = lease.holder else { return };
        let limit = self.time_limit();
        match timeout(limit, lease::terminate_sessions(&mut self.db, &task_session_name(holder))).await {
            Ok(Ok(count)) => tracing::warn!(count, %holder, "terminated the task sessions of the previous leader"),
            Ok(Err(error)) => tracing::warn!(
                error = with_sources(&error),
                %holder,
                "could not terminate the task sessions of the previous leader"
            ),
            Err(_) => tracing::warn!(%holder, "terminating the task sessions of the previous leader took too long"),
        }
    }

    /// Renews the lease of a term, then the Redis lock.
    pub(super) async fn renew(&mut self, term: &Term) -> Renewal {
        let sent = self.clock.boot();
        let limit = self.time_limit();
        let renewed = timeout(limit, lease::renew(&mut self.db, &self.clock, &self.me, term.epoch())).await;
        let (renewal, result) = match renewed {
            Ok(Ok(true)) => {
                // Counted from the sending of the renewal: a slow answer does not extend the deadline.
                term.extend(self.timing.deadline(sent));
                self.measure();
                self.own.lease_answered(interval(&self.timing));
                (Renewal::Done, "done")
            }
            Ok(Ok(false)) => (Renewal::Lost, "lost"),
            Ok(Err(error)) => {
                let reason = error.reason();
                if self.failed_renewals.failed(reason) {
                    let error = with_sources(&error);
                    tracing::warn!(error, "could not renew the lease: {reason}; trying again until it expires");
                }
                (Renewal::Failed, "failed")
            }
            Err(_) => {
                self.measure_at_least(limit);
                if self.failed_renewals.failed("timed_out") {
                    tracing::warn!("the database did not answer a renewal of the lease; trying again until it expires");
                }
                (Renewal::Failed, "timed_out")
            }
        };
        if renewal != Renewal::Failed
            && let Some(failures) = self.failed_renewals.ended()
        {
            tracing::info!(failures, "the database answers renewals of the lease again");
        }
        metrics::counter!("lease_renewals_total", "result" => result).increment(1);
        if renewal == Renewal::Done
            && let Some(redis_lock) = &mut self.redis_lock
        {
            // Best effort: the lock only keeps candidates away from the database.
            let _ = redis_lock.renew().await;
        }
        renewal
    }

    /// Releases a lease that the row gives to this process although it does not work under it.
    pub(super) async fn release_stray(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        let limit = self.time_limit();
        let releasing = timeout(limit, lease::release(&mut self.db, &self.me, epoch)).await;
        releasing.unwrap_or_else(|_| Err(StoreError::timed_out("releasing the lease"))).map(drop)
    }

    /// Releases the lease of an ended term. Tries until about `expiry`, because other candidates wait for it until then.
    pub(super) async fn release(&mut self, term: &Term, expiry: Instant) {
        let (limit, mut warned) = (self.time_limit(), false);
        loop {
            match timeout(limit, lease::release(&mut self.db, &self.me, term.epoch())).await {
                Ok(Ok(_)) => return,
                Ok(Err(error)) => {
                    if !std::mem::replace(&mut warned, true) {
                        tracing::warn!(
                            error = with_sources(&error),
                            "could not release the lease; trying again until it expires"
                        );
                    }
                    sleep(RELEASE_RETRY).await;
                }
                Err(_) => {}
            }
            if Instant::now() >= expiry {
                tracing::warn!(epoch = term.epoch().0, "the lease was not released; it expires by itself");
                return;
            }
        }
    }
}

/// Longest time between two renewals.
fn interval(timing: &LeaseTiming) -> Duration {
    Duration::from_micros((2 * timing.renew).unsigned_abs())
}
