//! `sarban serve`: from the settings to a running panel, and from the first signal to a clean end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use poem::listener::Acceptor;
use poem::web::LocalAddr;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::coordination::{Coordination, CoordinationParts};
use super::health::Watchers;
use super::listener::Listening;
use super::server::{self, Timeouts};
use super::{
    database, health, listener, notifications, read_only, redis, render_context, shutdown, take_over, telemetry,
};
use crate::actions::Panel;
use crate::actions::fetch_log::FetchLog;
use crate::api;
use crate::clock::Clock;
use crate::cluster::identity::Identity;
use crate::cluster::members;
use crate::cluster::shared_counters::SharedCounters;
use crate::cluster::view::ClusterView;
use crate::cluster::wakeup::{Wakeup, WakeupReceiver};
use crate::config::Settings;
use crate::config::cores::Cores;
use crate::config::crash_point::CrashPoint;
use crate::domain::moment::SECOND;
use crate::domain::schedule::{Schedule, Task};
use crate::domain::workers::Workers;
use crate::nodes::collector::Collector;
use crate::nodes::supervisor::Supervisor;
use crate::nodes::{self, panel_certificate};
use crate::scheduler::tasks::Deps;
use crate::store::Db;
use crate::store::cluster::members::Member;
use crate::store::migrate;
use crate::store::users::list;

/// Kept of the grace for the last writes.
const LAST_SECOND: Duration = Duration::from_secs(1);

/// What the command line adds to the settings.
#[derive(Clone, Copy, Debug)]
pub struct ServeOptions {
    /// Apply pending migrations; otherwise refuse to start with any.
    pub migrate: bool,
    /// Receive the listening socket from the running process of this host.
    pub take_over: bool,
    /// What the runtime was sized to, for the log.
    pub workers: Workers,
    /// The cores that it was sized for.
    pub cores: f64,
}

/// Runs the panel until a signal.
pub async fn serve(settings: Settings, options: ServeOptions) -> anyhow::Result<()> {
    let metrics = telemetry::start_metrics()?;
    tracing::info!(
        cores = options.cores,
        workers = options.workers.threads,
        version = env!("CARGO_PKG_VERSION"),
        "{}",
        options.workers
    );
    // First the port, which costs nothing to ask for, then the database.
    let mut predecessor = None;
    let mut inherited = listener::from_service_manager()?;
    if options.take_over
        && inherited.is_none()
        && let Some((socket, process)) = take_over::receive(&settings)?
    {
        (inherited, predecessor) = (Some(socket), Some(process));
    }
    let taken_over = CancellationToken::new();
    let Listening { acceptor, socket } = listener::listen(&settings, inherited, taken_over.clone()).await?;
    if settings.http.read_only {
        return read_only::serve(&settings, acceptor, metrics).await;
    }
    let direct = database::open_direct(&settings).await?;
    let up_to_date = bring_schema_up_to_date(&direct, options.migrate).await;
    direct.close().await;
    up_to_date?;
    let db = database::open(&settings).await?;

    if !list::search_is_indexed(&db).await? {
        tracing::warn!(
            "names are searched without an index, which is slow with many users: as a role that may, run CREATE \
             EXTENSION pg_trgm, then CREATE INDEX user_names_parts ON user_names USING gin (username gin_trgm_ops)"
        );
    }

    let stopping = shutdown::on_signals().context("no signal handlers")?;
    let identity = Identity::new(settings.instance.name.clone());
    let clock = Clock::real();
    let wakeup = Wakeup::default();
    let mut rng = StdRng::try_from_rng(&mut rand::rngs::SysRng).context("no randomness from the system")?;
    let certificate = panel_certificate::identity(&db, clock.now()).await?;
    let supervisor =
        Supervisor::new(clock.clone(), certificate, wake(wakeup.subscribe()), rng.random(), nodes::Timing::default());
    let crash = CrashPoint::from_environment();
    let data_dir = &settings.instance.data_dir;
    let collector = Collector::new(db.clone(), clock.clone(), supervisor.clone(), data_dir, identity.instance, crash)
        .with_context(|| format!("no spool under {}: check DATA_DIR", data_dir.display()))?;
    tokio::spawn(replay_each_minute(collector.clone(), stopping.clone()));

    let servers = settings.redis.as_ref().map(redis::servers).transpose()?;
    let cluster = settings.instance.cluster.as_str();
    let counters = servers.clone().map(|servers| Arc::new(SharedCounters::new(servers, cluster, clock.clone())));
    let schedules = schedules(&settings);
    let targets = notifications::targets(&settings, &db).await?;
    tokio::spawn(stopping.clone().run_until_cancelled_owned(notifications::keep_up(
        targets.clone(),
        db.clone(),
        wakeup.subscribe(),
    )));
    let coordination = Coordination::start(CoordinationParts {
        me: Member {
            instance: identity.instance,
            host: identity.host.clone(),
            pid: i64::from(std::process::id()),
            worker_threads: i64::try_from(options.workers.threads).unwrap_or(i64::MAX),
            cores: options.cores,
            version: identity.version.clone(),
            started_at: clock.now().micros(),
            last_seen: 0,
            tasks: members::tasks_of(&schedules),
        },
        identity: identity.clone(),
        timing: settings.lease,
        schedules: schedules.clone(),
        lease_database: database::lease_options(&settings),
        redis: servers.map(|servers| (servers, cluster.to_owned())),
        wakeup: wakeup.clone(),
        supervisor: supervisor.clone(),
        delivery: notifications::delivery(&settings, &targets, clock.clone(), wake(wakeup.subscribe()))?,
        deps: Arc::new(Deps {
            db: db.clone(),
            clock: clock.clone(),
            wakeup: wakeup.clone(),
            collector: collector.clone(),
            targets: targets.clone(),
            node_hours: !settings.tasks.without_node_usage,
            usage_percent: settings.notify.usage_percent,
            days_left: settings.notify.days_left,
            crash,
            hourly_retention: Some(settings.tasks.usage_hourly_retention_days).filter(|days| *days > 0),
        }),
    })?;
    let (health, watchers) = health::watch(
        db.clone(),
        clock.clone(),
        coordination.role.clone(),
        coordination.redis.clone(),
        stopping.clone(),
    );
    let view = ClusterView {
        name: settings.instance.cluster.as_str().to_owned(),
        identity,
        schedules,
        redis: coordination.redis.clone(),
        members: coordination.members.clone(),
    };
    let panel = Panel { db: db.clone(), clock, wakeup, targets: targets.clone() };
    let state = api::state::State::new(panel, api_options(&settings, counters)?, view, health, metrics, &mut rng);
    let notes = Notes { fetches: state.fetches.clone(), db: db.clone(), clock: state.panel.clock.clone() };
    tokio::spawn(stopping.clone().run_until_cancelled_owned(notes.clone().write_each_second()));

    take_over::offer(&settings, socket, taken_over.clone());
    let (door, stop) = (taken_over.clone(), stopping.clone());
    tokio::spawn(async move {
        door.cancelled().await;
        stop.cancel();
    });
    if let Some(predecessor) = predecessor
        && let Err(error) = predecessor.dismiss()
    {
        tracing::warn!(%error, "the process before this one could not be told to go");
    }
    tracing::info!("the panel is at {}", address(&settings, &acceptor.local_addr()));
    let grace = settings.instance.shutdown_grace;
    let serving = server::serve(
        acceptor,
        api::routes(state),
        Timeouts::default(),
        async {
            stopping.cancelled().await;
            if taken_over.is_cancelled() {
                // Whoever came in last has said by then what it wants: a connection without a request is closed next.
                sleep(Watchers::longest(grace)).await;
            } else {
                watchers.notification(grace).await;
            }
        },
        grace.saturating_sub(2 * LAST_SECOND + Watchers::longest(grace)),
    );
    // The lease goes at the first signal: others need not wait for the last request here.
    let handing_over = async {
        stopping.cancelled().await;
        let end = Instant::now() + grace;
        coordination.drain();
        if timeout_at(end - LAST_SECOND, coordination.join()).await.is_err() {
            tracing::warn!("the lease was not handed over in time; it will expire");
        }
        // Nodes with sends under way are marked, for which the database must be there.
        let leaving = async {
            if timeout_at(end - LAST_SECOND, supervisor.has_left()).await.is_err() {
                tracing::warn!("the connections to the nodes were not closed in time");
            }
        };
        tokio::join!(leaving, collector.shut_down(end - LAST_SECOND));
        end
    };
    let ((), end) = tokio::join!(serving, handing_over);
    let closing = async {
        notes.write().await;
        db.close().await;
    };
    if timeout_at(end, closing).await.is_err() {
        tracing::warn!("the database's connections were not closed in time");
    }
    Ok(())
}

async fn bring_schema_up_to_date(db: &Db, apply: bool) -> anyhow::Result<()> {
    if apply {
        let applied = migrate::migrate(db).await?;
        if applied > 0 {
            tracing::info!(applied, "the database's schema is up to date");
        }
        return Ok(());
    }
    match migrate::pending(db).await? {
        0 => Ok(()),
        pending => bail!("{pending} migrations are pending: run `sarban migrate`, or start without --no-migrate"),
    }
}

/// For every process, leader or not: what others left behind must not wait for their return.
async fn replay_each_minute(collector: Collector, stopping: CancellationToken) {
    let mut minute = tokio::time::interval(Duration::from_secs(60));
    // Only the waiting may be called off: a replay holds replies in its hands.
    while stopping.run_until_cancelled(minute.tick()).await.is_some() {
        collector.replay().await;
        if let Err(error) = collector.report_pending().await {
            tracing::debug!(error = &error as &dyn std::error::Error, "the batches that wait can't be counted");
        }
    }
}

/// What apps fetched, on its way to the database.
#[derive(Clone)]
struct Notes {
    fetches: FetchLog,
    db: Db,
    clock: Clock,
}

impl Notes {
    /// What was fetched in the last second, in one write.
    async fn write_each_second(self) {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            second.tick().await;
            self.write().await;
        }
    }

    async fn write(&self) {
        if let Err(error) = self.fetches.flush(&self.db, &self.clock).await {
            // Nothing is lost: the next call writes it.
            tracing::warn!(error = &error as &dyn std::error::Error, "fetches of subscriptions could not be written");
        }
    }
}

/// The wakeup as the supervisor hears it.
fn wake(mut wakeups: WakeupReceiver) -> watch::Receiver<()> {
    let (sender, receiver) = watch::channel(());
    tokio::spawn(async move {
        loop {
            wakeups.wait().await;
            if sender.send(()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn schedules(settings: &Settings) -> Vec<Schedule> {
    let every =
        |task, period: Duration| Schedule { task, period: i64::try_from(period.as_micros()).unwrap_or(i64::MAX) };
    vec![
        every(Task::RecordUserUsages, settings.tasks.record_user_usages),
        every(Task::ReviewUsers, settings.tasks.review_users),
        every(Task::ExpireDaysReached, settings.tasks.expire_days_reached),
        every(Task::ResetUserDataUsage, settings.tasks.reset_user_data_usage),
        Schedule { task: Task::SyncNodes, period: 60 * SECOND },
        Schedule { task: Task::Prune, period: 3_600 * SECOND },
    ]
}

pub(super) fn api_options(
    settings: &Settings,
    counters: Option<Arc<SharedCounters>>,
) -> anyhow::Result<api::state::Options> {
    Ok(api::state::Options {
        http: settings.http.clone(),
        requests_at_once: settings.requests_at_once(Cores::detect().whole()),
        auth: settings.auth.clone(),
        subscription: settings.subscription.clone(),
        render_context: render_context::find(settings)?,
        counters,
    })
}

/// Where people find the panel, for the log. An inherited socket may be elsewhere than the settings say.
fn address(settings: &Settings, listening: &[LocalAddr]) -> String {
    let Some(listening) = listening.iter().find_map(|address| address.as_socket_addr()) else {
        return settings.http.uds.as_deref().unwrap_or(Path::new("a socket that was passed on")).display().to_string();
    };
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let port = listening.port();
    // To listen on all addresses is to be found on each.
    if listening.ip().is_unspecified() {
        return format!("{scheme}://127.0.0.1:{port}");
    }
    format!("{scheme}://{listening}")
}
