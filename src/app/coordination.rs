//! The thread of the lease: its own runtime with its own connections, so that nothing that happens on the workers
//! can cost the lease. The elector runs there, and under it, while this process leads, the scheduler's loop.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use futures_util::FutureExt;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::cluster::elector::{Elector, Lead};
use crate::cluster::identity::{Identity, task_session_name};
use crate::cluster::leadership::{Leadership, Role};
use crate::cluster::members::{Members, Seen};
use crate::cluster::redis::RedisServers;
use crate::cluster::redis_lock::{RedisLock, RedisState, RedisWatch};
use crate::cluster::wakeup::Wakeup;
use crate::cluster::wakeup_relay;
use crate::domain::lease::LeaseTiming;
use crate::domain::schedule::Schedule;
use crate::foundation::with_sources;
use crate::nodes::supervisor::Supervisor;
use crate::notify::Delivery;
use crate::scheduler::driver::{Driver, MakeFence};
use crate::scheduler::tasks::Deps;
use crate::store::cluster::members::Member;
use crate::store::{Db, Fence, OpenOptions};

/// What the thread is made of.
pub struct CoordinationParts {
    /// Who this process is.
    pub identity: Identity,
    /// What the others are told of this process.
    pub me: Member,
    /// The lease's numbers.
    pub timing: LeaseTiming,
    /// When each task runs.
    pub schedules: Vec<Schedule>,
    /// How to open the thread's own connections.
    pub lease_database: OpenOptions,
    /// The Redis of the cluster and its name there; `None`: the database alone.
    pub redis: Option<(RedisServers, String)>,
    /// The wakeup.
    pub wakeup: Wakeup,
    /// The link to the nodes: led by whoever leads.
    pub supervisor: Supervisor,
    /// Delivers notifications, from whoever leads.
    pub delivery: Delivery,
    /// What tasks need; `deps.db` is also what the thread's connections are siblings of.
    pub deps: Arc<Deps>,
}

/// The running thread.
#[derive(Debug)]
pub struct Coordination {
    /// Where this process stands.
    pub role: watch::Receiver<Role>,
    /// Who else is there.
    pub members: Seen,
    /// Whether Redis answers.
    pub redis: watch::Receiver<RedisState>,
    drain: CancellationToken,
    thread: JoinHandle<()>,
}

impl Coordination {
    /// Starts the thread. Must be called on the workers' runtime: that is where the bodies of tasks will run.
    pub fn start(parts: CoordinationParts) -> anyhow::Result<Self> {
        let workers = Handle::current();
        let drain = CancellationToken::new();
        let (role, standing_seen) = watch::channel(Role::None);
        let (members, members_seen) = watch::channel(Arc::default());
        let redis = RedisWatch::new(if parts.redis.is_some() { RedisState::Ok } else { RedisState::Off });
        let redis_lock = parts.redis.as_ref().map(|(servers, cluster)| {
            let ttl = Duration::from_micros(parts.timing.ttl.unsigned_abs());
            let limit = Duration::from_micros(parts.timing.operation().unsigned_abs());
            RedisLock::new(servers.clone(), cluster, parts.identity.instance, ttl, limit, redis.clone())
        });
        let runtime = Builder::new_current_thread().enable_all().build().context("no runtime for the lease")?;
        let (draining, redis_seen) = (drain.clone(), redis.seen());
        let thread = std::thread::Builder::new()
            .name("sarban-lease".to_owned())
            .spawn(move || runtime.block_on(run(parts, redis_lock, redis, workers, role, members, draining)))
            .context("no thread for the lease")?;
        Ok(Self { role: standing_seen, members: members_seen, redis: redis_seen, drain, thread })
    }

    /// Hands the lease over, if this process has it, and does not candidate again.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Waits for the end of the thread, after [`Coordination::drain`].
    pub async fn join(self) {
        let ended = tokio::task::spawn_blocking(move || self.thread.join()).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::error!("the thread of the lease panicked; the lease will expire");
        }
    }
}

async fn run(
    parts: CoordinationParts,
    redis_lock: Option<RedisLock>,
    redis: RedisWatch,
    workers: Handle,
    role: watch::Sender<Role>,
    members: watch::Sender<Arc<Vec<Member>>>,
    drain: CancellationToken,
) {
    let Some(db) = drain.run_until_cancelled(open(&parts)).await else { return };
    if let Some((servers, cluster)) = &parts.redis {
        let carrying = wakeup_relay::carry(
            parts.wakeup.clone(),
            servers.clone(),
            cluster.clone(),
            parts.identity.instance,
            drain.clone(),
        );
        tokio::spawn(carrying);
    }
    let yields = Arc::new(AtomicBool::new(false));
    let keeping = Members {
        me: parts.me.clone(),
        db: db.clone(),
        redis: parts.redis.clone(),
        state: redis,
        seen: members,
        yields: yields.clone(),
    };
    let keeping = tokio::spawn(keeping.keep(drain.clone()));
    let lead = leader(&parts, &db, workers);
    let elector = Elector {
        identity: parts.identity,
        timing: parts.timing,
        db: db.clone(),
        clock: parts.deps.clock.clone(),
        redis_lock,
        wakeup: parts.wakeup,
        lead,
        role,
        step_down: Arc::new(Notify::new()),
        yields,
        drain,
    };
    elector.run().await;
    // It takes leave of the others.
    let _ = keeping.await;
    db.close().await;
}

/// What a leader does: the scheduler's loop on this thread, the link to the nodes and the notifications on the workers.
fn leader(parts: &CoordinationParts, db: &Db, workers: Handle) -> Lead {
    let fence = fence_maker(parts);
    let driver = Driver {
        instance: parts.identity.instance,
        schedules: parts.schedules.clone(),
        db: db.clone(),
        patience: Duration::from_micros(parts.timing.ttl.unsigned_abs() / 2),
        fence: fence.clone(),
        wakeup: parts.wakeup.clone(),
        workers: workers.clone(),
        deps: parts.deps.clone(),
    };
    let (supervisor, delivery) = (parts.supervisor.clone(), parts.delivery.clone());
    Arc::new(move |leadership: Leadership| {
        let (driver, supervisor, delivery) = (driver.clone(), supervisor.clone(), delivery.clone());
        let (nodes_fence, letters_fence) = (fence(&driver.deps.db, &leadership), fence(&driver.deps.db, &leadership));
        let (nodes_stop, letters_stop) = (leadership.stop.clone(), leadership.stop.clone());
        workers.spawn(async move { supervisor.lead(nodes_fence, nodes_stop).await });
        workers.spawn(async move { delivery.lead(letters_fence, letters_stop).await });
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

/// The database may be away for a while: nobody leads then, and nothing is lost.
async fn open(parts: &CoordinationParts) -> Db {
    loop {
        match parts.deps.db.open_sibling(&parts.lease_database).await {
            Ok(db) => return db,
            Err(error) => {
                tracing::warn!(error = with_sources(&error), "no connections for the lease; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}
