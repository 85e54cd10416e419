//! The lease's thread: a runtime of its own with its own connections, so that nothing that happens on the workers can cost
//! the lease. It runs the elector, the member list, the subscription to wake-ups and, while this process leads, the
//! scheduler's loop.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use futures_util::FutureExt;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::redis::report_pool;
use crate::clock::Clock;
use crate::cluster::commit_watch;
use crate::cluster::dedicated_connection::DedicatedConnection;
use crate::cluster::elector::{Elector, Lead};
use crate::cluster::identity::{Identity, task_session_name};
use crate::cluster::leadership::{Leadership, Role};
use crate::cluster::members::{LiveMembers, Membership};
use crate::cluster::panel_redis::PanelRedis;
use crate::cluster::redis_lock::RedisLock;
use crate::cluster::redis_status::{RedisMonitor, RedisStatus};
use crate::cluster::round_trips::RoundTrips;
use crate::cluster::self_report::SelfReport;
use crate::cluster::standing::Standing;
use crate::cluster::tick;
use crate::cluster::wakeup::Wakeup;
use crate::cluster::wakeup_relay;
use crate::domain::lease::LeaseTiming;
use crate::domain::schedule::Schedule;
use crate::foundation::with_sources;
use crate::nodes::supervisor::Supervisor;
use crate::notify::Delivery;
use crate::scheduler::driver::{Driver, MakeFence};
use crate::scheduler::tasks::Deps;
use crate::store::cluster::lease_connection::LeaseDb;
use crate::store::cluster::members::Member;
use crate::store::{Db, Fence, OpenOptions};

/// Dependencies and settings of the thread.
pub struct CoordinationParts {
    /// Identity of this process.
    pub identity: Identity,
    /// Description of this process for the member list.
    pub me: Member,
    /// TTL of the lease and the times derived from it.
    pub timing: LeaseTiming,
    /// Period of each task.
    pub schedules: Vec<Schedule>,
    /// Options of the thread's own database connections.
    pub lease_database: OpenOptions,
    /// Redis; `None`: the database alone.
    pub redis: Option<PanelRedis>,
    /// Wake-ups of this process and of the others.
    pub wakeup: Wakeup,
    /// Connections to the nodes, opened while this process leads.
    pub supervisor: Supervisor,
    /// Delivers notifications while this process leads.
    pub delivery: Delivery,
    /// Dependencies of the tasks. The thread's connections lead to the same database as `deps.db`.
    pub deps: Arc<Deps>,
}

/// The running thread.
#[derive(Debug)]
pub struct Coordination {
    /// Role of this process.
    pub role: watch::Receiver<Role>,
    /// The live members.
    pub members: LiveMembers,
    /// Status of Redis.
    pub redis: watch::Receiver<RedisStatus>,
    /// Receives what this process finds out about itself.
    pub own: SelfReport,
    drain: CancellationToken,
    thread: JoinHandle<()>,
}

/// Everything that moves to the thread.
struct LeaseThread {
    parts: CoordinationParts,
    /// The workers' runtime.
    workers: Handle,
    monitor: RedisMonitor,
    role: watch::Sender<Role>,
    members: watch::Sender<Arc<Vec<Member>>>,
    own: SelfReport,
    drain: CancellationToken,
}

impl Coordination {
    /// Starts the thread. Must be called on the workers' runtime: the bodies of tasks run there, and commands over the
    /// pool of Redis connections.
    pub fn start(parts: CoordinationParts) -> anyhow::Result<Self> {
        let drain = CancellationToken::new();
        let (role_sender, role) = watch::channel(Role::None);
        let (members_sender, members) = watch::channel(Arc::default());
        let monitor = RedisMonitor::new(if parts.redis.is_some() { RedisStatus::Ok } else { RedisStatus::Off });
        let redis = monitor.subscribe();
        let own = SelfReport::default();
        if let Some(redis) = &parts.redis {
            let publishing =
                wakeup_relay::publish(parts.wakeup.clone(), redis.clone(), parts.identity.instance, drain.clone());
            tokio::spawn(publishing);
            tokio::spawn(drain.clone().run_until_cancelled_owned(report_pool(redis.pool.clone())));
        }
        let thread = LeaseThread {
            parts,
            workers: Handle::current(),
            monitor,
            role: role_sender,
            members: members_sender,
            own: own.clone(),
            drain: drain.clone(),
        };
        tick::begin();
        let runtime = Builder::new_current_thread().enable_all().build().context("can't start the lease's runtime")?;
        let thread = std::thread::Builder::new()
            .name("sarban-lease".to_owned())
            .spawn(move || runtime.block_on(thread.run()))
            .context("can't start the lease's thread")?;
        Ok(Self { role, members, redis, own, drain, thread })
    }

    /// Hands the lease over if this process holds it, and does not run for leader again.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Waits for the end of the thread, after [`Coordination::drain`].
    pub async fn join(self) {
        let ended = tokio::task::spawn_blocking(move || self.thread.join()).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::error!("the lease's thread panicked; the lease will expire");
        }
    }
}

impl LeaseThread {
    async fn run(self) {
        let opening = open_database(&self.parts);
        let Some((db, lease)) = self.drain.run_until_cancelled(opening).await else { return };
        if let Some(redis) = &self.parts.redis {
            let (wakeup, instance) = (self.parts.wakeup.clone(), self.parts.identity.instance);
            tokio::spawn(wakeup_relay::listen(
                wakeup,
                redis.clone(),
                instance,
                self.monitor.clone(),
                self.drain.clone(),
            ));
        }
        if let Some(commits) = db.other_commits(&self.parts.deps.clock) {
            let watching = commit_watch::watch(commits, self.parts.wakeup.clone());
            tokio::spawn(self.drain.clone().run_until_cancelled_owned(watching));
        }
        let redis_lock = self.redis_lock();
        let standing = Standing::default();
        let round_trips = RoundTrips::new(self.parts.timing);
        let membership = Membership {
            me: self.parts.me.clone(),
            db: db.clone(),
            redis: self.parts.redis.clone(),
            monitor: self.monitor,
            members: self.members,
            round_trips: round_trips.clone(),
            own: self.own.clone(),
            role: self.role.subscribe(),
            standing: standing.clone(),
        };
        let membership = tokio::spawn(membership.run(self.drain.clone()));
        let lead = leader(&self.parts, &db, self.workers);
        let elector = Elector {
            identity: self.parts.identity,
            timing: self.parts.timing,
            db: lease,
            clock: self.parts.deps.clock.clone(),
            redis_lock,
            round_trips,
            own: self.own,
            wakeup: self.parts.wakeup,
            lead,
            role: self.role,
            step_down: Arc::new(Notify::new()),
            standing,
            drain: self.drain,
        };
        elector.run().await;
        // Its last act removes this process from the member list.
        let _ = membership.await;
        db.close().await;
    }

    fn redis_lock(&self) -> Option<RedisLock> {
        let redis = self.parts.redis.as_ref()?;
        let ttl = Duration::from_micros(self.parts.timing.ttl.unsigned_abs());
        let timeout = Duration::from_micros(self.parts.timing.operation().unsigned_abs());
        let connection = DedicatedConnection::new(redis.servers.clone(), timeout, self.monitor.clone());
        Some(RedisLock::new(connection, &redis.cluster, self.parts.identity.instance, ttl))
    }
}

/// The leader's work: the scheduler's loop on this thread; connections to nodes and notifications on the workers.
fn leader(parts: &CoordinationParts, db: &Db, workers: Handle) -> Lead {
    let fence = fence_maker(parts);
    let driver = Driver {
        instance: parts.identity.instance,
        schedules: parts.schedules.clone(),
        db: db.clone(),
        pass_limit: Duration::from_micros(parts.timing.ttl.unsigned_abs() / 2),
        fence: fence.clone(),
        wakeup: parts.wakeup.clone(),
        workers: workers.clone(),
        deps: parts.deps.clone(),
    };
    let (supervisor, delivery) = (parts.supervisor.clone(), parts.delivery.clone());
    Arc::new(move |leadership: Leadership| {
        let (driver, supervisor, delivery) = (driver.clone(), supervisor.clone(), delivery.clone());
        let (nodes_fence, delivery_fence) = (fence(&driver.deps.db, &leadership), fence(&driver.deps.db, &leadership));
        let (nodes_stop, delivery_stop) = (leadership.stop.clone(), leadership.stop.clone());
        workers.spawn(async move { supervisor.lead(nodes_fence, nodes_stop).await });
        workers.spawn(async move { delivery.lead(delivery_fence, delivery_stop).await });
        driver.lead(leadership).boxed()
    })
}

fn fence_maker(parts: &CoordinationParts) -> MakeFence {
    let clock: Clock = parts.deps.clock.clone();
    let limit = Duration::from_micros(parts.timing.statement().unsigned_abs());
    let session = task_session_name(parts.identity.instance);
    Arc::new(move |db, leadership| {
        Fence::new(db.clone(), clock.clone(), leadership.term.clone(), limit, session.clone())
    })
}

/// Opens the thread's connections. Tries until the database answers: until then nobody leads.
async fn open_database(parts: &CoordinationParts) -> (Db, LeaseDb) {
    let limit = Duration::from_micros(parts.timing.connecting().unsigned_abs());
    loop {
        let opened = parts.deps.db.open_sibling(&parts.lease_database).await;
        match opened.and_then(|db| LeaseDb::new(&db, &parts.lease_database, limit).map(|lease| (db, lease))) {
            Ok(opened) => return opened,
            Err(error) => {
                tracing::warn!(
                    error = with_sources(&error),
                    "can't open the database connections of the lease; trying again"
                );
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}
