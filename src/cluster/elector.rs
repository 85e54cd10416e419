//! The elector: follows whoever leads, and claims the lease when it is free. It loops for ever; losing the lease a
//! thousand times is ordinary.
//!
//! It runs, with the renewals and the scheduler's loop, on a thread and a runtime of its own: blocked workers can't
//! cost the lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::identity::{Identity, task_session_name};
use super::leadership::{Leadership, Role};
use super::redis_lock::{Acquired, RedisLock};
use super::wakeup::{Wakeup, WakeupReceiver};
use crate::clock::Clock;
use crate::domain::ids::Epoch;
use crate::domain::lease::LeaseTiming;
use crate::domain::moment::BootTime;
use crate::domain::term::Term;
use crate::foundation::with_sources;
use crate::store::cluster::lease;
use crate::store::cluster::lease::{Candidate, Lease};
use crate::store::{Db, Engine, StoreError, Transient};

/// Called with each new term; its future is the leader's work (the scheduler's loop) and ends soon after
/// `Leadership::stop` is cancelled.
pub type Lead = Arc<dyn Fn(Leadership) -> BoxFuture<'static, ()> + Send + Sync>;

/// What the elector is made of.
pub struct Elector {
    /// Who we are.
    pub identity: Identity,
    /// The numbers.
    pub timing: LeaseTiming,
    /// Connections that nobody else uses.
    pub db: Db,
    /// The clock.
    pub clock: Clock,
    /// The Redis redis_lock, when Redis is configured.
    pub redis_lock: Option<RedisLock>,
    /// Rung when somebody releases the lease.
    pub wakeup: Wakeup,
    /// What a leader does.
    pub lead: Lead,
    /// Where we stand, for others to see.
    pub role: watch::Sender<Role>,
    /// Somebody asks us to hand over.
    pub step_down: Arc<Notify>,
    /// A newer version should lead rather than this one.
    pub superseded: Arc<AtomicBool>,
    /// The process is going down: hand over, and do not candidate again.
    pub drain: CancellationToken,
}

/// Nobody looks away for longer.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// How a wait for the lease ended, and what to wait for next.
enum Turn {
    /// Wait this long, or until the wakeup rings.
    Wait(Duration),
    /// We lead.
    Won(Term),
}

impl Elector {
    /// Runs until drained.
    pub async fn run(mut self) {
        let me = Candidate {
            instance: self.identity.instance,
            host: self.identity.host.clone(),
            version: self.identity.version.clone(),
            ttl: self.timing.ttl,
            boot_id: match self.db.engine() {
                Engine::Postgres => String::new(),
                Engine::Sqlite => self.identity.boot_id.clone(),
            },
        };
        let mut rng = StdRng::seed_from_u64(self.identity.instance.as_u64_pair().1);
        let mut wakeups = self.wakeup.subscribe();
        let drain = self.drain.clone();
        while !drain.is_cancelled() {
            let wait = match self.contend(&me, &mut rng).await {
                Ok(Turn::Won(term)) => {
                    if self.reign(&me, term, &mut rng).await.is_voluntary() {
                        // Whoever hands over lets another one have it: deaf to the wakeup that was rung for the others.
                        // Without Redis they do not hear it, and look again after two seconds at most.
                        let rest = Duration::from_micros(self.timing.ttl.unsigned_abs() / 4);
                        let rest = if self.redis_lock.is_some() { rest } else { rest.max(LONGEST_WAIT.mul_f64(1.2)) };
                        let _ = timeout(rest, drain.cancelled()).await;
                    }
                    continue;
                }
                Ok(Turn::Wait(wait)) => wait,
                Err(error) => {
                    self.stand(Role::None);
                    tracing::warn!(error = with_sources(&error), "the lease can't be read or claimed; trying again");
                    self.let_go_of_gate().await;
                    Duration::from_micros(self.timing.renew.unsigned_abs())
                }
            };
            tokio::select! {
                () = drain.cancelled() => {}
                () = rest(wait, &mut wakeups, &mut rng) => {}
            }
        }
        self.stand(Role::None);
    }

    /// One look at the lease, and one attempt to claim it when it is free.
    async fn contend(&mut self, me: &Candidate, rng: &mut StdRng) -> Result<Turn, StoreError> {
        let seen = self.look(me).await?;
        if seen.remaining > 0 && seen.holder == Some(me.instance) {
            // A claim of ours that came through after we had given it up, or a release that did not: nobody works
            // under it.
            lease::release(&self.db, me, seen.epoch).await?;
            return Ok(Turn::Wait(Duration::ZERO));
        }
        if seen.remaining > 0 {
            self.stand(Role::Follower);
            return Ok(Turn::Wait(wait_for(Duration::from_micros(seen.remaining.unsigned_abs()), rng)));
        }
        self.stand(Role::None);
        if self.superseded.load(Ordering::Relaxed) {
            return Ok(Turn::Wait(wait_for(Duration::from_secs(1), rng)));
        }
        if seen.epoch != seen.fence_epoch {
            tracing::error!(
                lease = seen.epoch.0,
                fence = seen.fence_epoch.0,
                "the lease and the fence name different epochs; taking the fence's"
            );
            lease::repair(&self.db, &self.clock, me, seen.epoch).await?;
            return Ok(Turn::Wait(Duration::ZERO));
        }
        if let Some(redis_lock) = &mut self.redis_lock {
            match redis_lock.acquire().await {
                Ok(Acquired::Busy(remaining)) => return Ok(Turn::Wait(wait_for(remaining, rng))),
                // Ours; or Redis is away, and the database decides alone.
                Ok(Acquired::Mine) | Err(_) => {}
            }
        }
        self.claim(me, &seen, rng).await
    }

    async fn claim(&mut self, me: &Candidate, seen: &Lease, rng: &mut StdRng) -> Result<Turn, StoreError> {
        let next = Epoch(seen.epoch.0 + 1);
        let sent = self.clock.boot();
        // The claim may wait a second for the epoch row. It does no harm: the deadline counts from `sent`.
        let limit = Duration::from_secs(1) + self.operation();
        let won = match timeout(limit, lease::claim(&self.db, &self.clock, me, seen.epoch)).await {
            Ok(Ok(won)) => won,
            unclear => {
                if let Ok(Err(error)) = &unclear
                    && error.is_transient()
                {
                    self.terminate_sessions_of(seen).await;
                }
                // Did it happen? Only the database knows.
                let now = self.look(me).await?;
                now.epoch == next && now.holder == Some(me.instance)
            }
        };
        if won {
            return Ok(Turn::Won(self.begin_term(next, sent)));
        }
        self.let_go_of_gate().await;
        Ok(Turn::Wait(wait_for(Duration::ZERO, rng)))
    }

    fn begin_term(&self, epoch: Epoch, sent: BootTime) -> Term {
        tracing::info!(epoch = epoch.0, "this process leads");
        metrics::counter!("leader_transitions_total", "reason" => "claimed").increment(1);
        metrics::gauge!("leader_epoch").set(epoch.0 as f64);
        Term::new(epoch, self.timing.deadline(sent))
    }

    /// A transaction of the old leader holds the epoch row: its host may be stopped or cut off.
    async fn terminate_sessions_of(&self, seen: &Lease) {
        let Some(holder) = seen.holder else { return };
        match timeout(self.operation(), lease::terminate_sessions(&self.db, &task_session_name(holder))).await {
            Ok(Ok(count)) => tracing::warn!(count, %holder, "terminated the task sessions of the leader before us"),
            Ok(Err(error)) => tracing::warn!(
                error = with_sources(&error),
                "could not terminate the task sessions of the leader before us"
            ),
            Err(_) => tracing::warn!("terminating the task sessions of the leader before us took too long"),
        }
    }

    async fn look(&self, me: &Candidate) -> Result<Lease, StoreError> {
        match timeout(self.operation(), lease::current(&self.db, &self.clock, &me.boot_id)).await {
            Ok(lease) => lease,
            Err(_) => Err(StoreError::timed_out("reading the lease")),
        }
    }

    pub(super) async fn let_go_of_gate(&mut self) {
        if let Some(redis_lock) = &mut self.redis_lock
            && redis_lock.release().await.is_err()
        {
            // Best effort, over another connection: it expires by itself, but holds everybody up until then.
            let _ = redis_lock.release().await;
        }
    }

    pub(super) fn operation(&self) -> Duration {
        let micros = match self.db.engine() {
            Engine::Postgres => self.timing.operation(),
            Engine::Sqlite => self.timing.operation_sqlite(),
        };
        Duration::from_micros(micros.unsigned_abs())
    }

    pub(super) fn stand(&self, role: Role) {
        metrics::gauge!("is_leader").set(if role == Role::Leader { 1.0 } else { 0.0 });
        self.role.send_if_modified(|old| {
            *old != role && {
                *old = role;
                true
            }
        });
    }
}

/// What is left, plus a little chance so that not all come at once, and never more than two seconds.
fn wait_for(remaining: Duration, rng: &mut StdRng) -> Duration {
    (remaining + Duration::from_millis(rng.random_range(50..=300))).min(LONGEST_WAIT)
}

async fn rest(wait: Duration, wakeups: &mut WakeupReceiver, rng: &mut StdRng) {
    tokio::select! {
        () = sleep(wait) => {}
        () = wakeups.wait() => sleep(Duration::from_millis(rng.random_range(0..=50))).await,
    }
}
