//! The work of a panel besides requests: the lease and its tasks, the nodes, the notifications.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rand::RngExt;
use tokio::sync::watch;
use tokio::time::{Instant, interval, timeout_at};
use tokio_util::sync::CancellationToken;

use super::coordination::{Coordination, CoordinationParts};
use super::serve_options::ServeOptions;
use super::wiring::Wiring;
use super::wrong_setting::wrong_setting;
use super::{database, notifications};
use crate::actions::changes::Changes;
use crate::backup::Scheduled;
use crate::cluster::identity::Identity;
use crate::cluster::members;
use crate::cluster::self_report::SelfReport;
use crate::cluster::view::ClusterView;
use crate::cluster::wakeup::PollReceiver;
use crate::config::Settings;
use crate::config::crash_point::CrashPoint;
use crate::domain::change::Changed;
use crate::domain::moment::{Moment, SECOND};
use crate::domain::schedule::{Schedule, Task};
use crate::foundation::with_sources;
use crate::nodes::collector::Collector;
use crate::nodes::supervisor::Supervisor;
use crate::nodes::{self, panel_certificate, reach, spool};
use crate::scheduler::tasks::Deps;
use crate::store::Engine;
use crate::store::cluster::members::Member;

/// Longest time that a node which refuses its users waits for the usage collector before its engines are restarted.
const LONGEST_USAGE_WAIT: Duration = Duration::from_secs(600);

/// The background work of a running panel.
pub(super) struct Background {
    pub(super) coordination: Coordination,
    /// The cluster as this process sees it.
    pub(super) view: ClusterView,
    supervisor: Supervisor,
    collector: Collector,
}

impl Background {
    /// Starts the background work. Some of it ends with `stopping`, the rest with [`Background::hand_over`].
    pub(super) async fn start(
        settings: &Settings,
        options: ServeOptions,
        wiring: &mut Wiring,
        stopping: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let seed = wiring.rng.random();
        let panel = &wiring.panel;
        let (db, clock, wakeup) = (&panel.db, &panel.clock, panel.changes.wakeup());
        let identity = Identity::new(settings.instance.name.clone());
        let certificate = panel_certificate::identity(db, clock.now()).await?;
        let wakeups = as_watch(wakeup.subscribe_polling());
        let timing = node_timing(settings, db.engine());
        let supervisor = Supervisor::new(clock.clone(), certificate, wakeups, seed, timing);
        let crash = CrashPoint::from_environment();
        let data_dir = &settings.instance.data_dir;
        let collector =
            Collector::new(db.clone(), clock.clone(), supervisor.clone(), data_dir, identity.instance, crash)
                .with_context(|| no_spool(data_dir))
                .map_err(wrong_setting)?;
        let following = notifications::follow_stored(panel.targets.clone(), db.clone(), wakeup.subscribe_polling());
        tokio::spawn(stopping.clone().run_until_cancelled_owned(following));
        let schedules = schedules(settings);
        let cluster = settings.instance.cluster.as_str().to_owned();
        let delivery =
            notifications::delivery(settings, &panel.targets, clock.clone(), as_watch(wakeup.subscribe_polling()))?;
        for (written, changed) in [
            (supervisor.written_status(), Changed::NodeStatus),
            (supervisor.written_reports(), Changed::Nodes),
            (delivery.recorded(), Changed::Notifications),
        ] {
            let publishing = publish_each(written, panel.changes.clone(), changed);
            tokio::spawn(stopping.clone().run_until_cancelled_owned(publishing));
        }
        let coordination = Coordination::start(CoordinationParts {
            me: member(&identity, options, clock.now(), &schedules),
            identity: identity.clone(),
            timing: settings.lease,
            schedules: schedules.clone(),
            lease_database: database::lease_options(settings),
            redis: wiring.redis.clone(),
            wakeup: wakeup.clone(),
            supervisor: supervisor.clone(),
            delivery,
            deps: Arc::new(deps(settings, wiring, &collector, crash)?),
        })?;
        let own = coordination.own.clone();
        tokio::spawn(replay_each_minute(collector.clone(), data_dir.clone(), own.clone(), stopping.clone()));
        let reaching = reach::watch(db.clone(), reach::Pace::default(), move |nodes| own.nodes_probed(nodes));
        tokio::spawn(stopping.clone().run_until_cancelled_owned(reaching));
        let (redis, members) = (coordination.redis.clone(), coordination.members.clone());
        let supported_round_trip = match db.engine() {
            Engine::Postgres => Some(settings.lease.supported_round_trip()),
            Engine::Sqlite => None,
        };
        let back_up_to = settings.backup.to.clone();
        let view = ClusterView { name: cluster, identity, schedules, supported_round_trip, back_up_to, redis, members };
        Ok(Self { coordination, view, supervisor, collector })
    }

    /// Hands over the lease and closes the connections to the nodes, until `end` at the latest.
    pub(super) async fn hand_over(self, end: Instant) {
        self.coordination.drain();
        if timeout_at(end, self.coordination.join()).await.is_err() {
            tracing::warn!("the lease was not handed over in time; it expires by itself");
        }
        // Nodes that may have missed changes are marked in the database, so it must still be open.
        let leaving = async {
            if timeout_at(end, self.supervisor.stopped()).await.is_err() {
                tracing::warn!("the connections to the nodes were not closed in time");
            }
        };
        tokio::join!(leaving, self.collector.shut_down(end));
    }
}

/// Creates a spool file for a moment.
pub(super) fn probe_spool(settings: &Settings) -> anyhow::Result<()> {
    let data_dir = &settings.instance.data_dir;
    Collector::probe(data_dir).with_context(|| no_spool(data_dir))
}

fn no_spool(data_dir: &Path) -> String {
    format!("could not open the spool in {}; check DATA_DIR", data_dir.display())
}

/// The intervals and time limits of sessions with nodes.
fn node_timing(settings: &Settings, engine: Engine) -> nodes::Timing {
    let healing = settings.tasks.node_healing_interval;
    let usage = settings.tasks.record_user_usages.saturating_add(nodes::USAGE_LIMIT);
    nodes::Timing {
        healing: (!healing.is_zero()).then_some(healing),
        last_usage: usage.min(LONGEST_USAGE_WAIT),
        ..match engine {
            Engine::Postgres => nodes::Timing::default(),
            Engine::Sqlite => nodes::Timing::watched(),
        }
    }
}

fn deps(settings: &Settings, wiring: &Wiring, collector: &Collector, crash: CrashPoint) -> anyhow::Result<Deps> {
    let panel = &wiring.panel;
    let data_dir = settings.instance.data_dir.clone();
    let back_up = Scheduled::new(&settings.backup, &settings.s3, data_dir)
        .context("BACKUP_TO can't be used")
        .map_err(wrong_setting)?;
    Ok(Deps {
        db: panel.db.clone(),
        clock: panel.clock.clone(),
        changes: panel.changes.clone(),
        collector: collector.clone(),
        targets: panel.targets.clone(),
        node_hours: !settings.tasks.without_node_usage,
        usage_percent: settings.notify.usage_percent,
        days_left: settings.notify.days_left,
        crash,
        hourly_retention: Some(settings.tasks.usage_hourly_retention_days).filter(|days| *days > 0),
        audit_retention: Some(settings.tasks.audit_retention_days).filter(|days| *days > 0),
        back_up,
    })
}

/// This process as the other members of the cluster see it.
fn member(identity: &Identity, options: ServeOptions, now: Moment, schedules: &[Schedule]) -> Member {
    Member {
        instance: identity.instance,
        host: identity.host.clone(),
        pid: i64::from(std::process::id()),
        worker_threads: i64::try_from(options.workers.threads).unwrap_or(i64::MAX),
        cores: options.cores,
        version: identity.version.clone(),
        started_at: now.micros(),
        last_seen: 0,
        tasks: members::tasks_json(schedules),
        report: String::new(),
    }
}

fn schedules(settings: &Settings) -> Vec<Schedule> {
    let every =
        |task, period: Duration| Schedule { task, period: i64::try_from(period.as_micros()).unwrap_or(i64::MAX) };
    let back_up = settings.backup.to.is_some().then(|| every(Task::BackUp, settings.backup.period));
    let always = [
        every(Task::RecordUserUsages, settings.tasks.record_user_usages),
        every(Task::ReviewUsers, settings.tasks.review_users),
        every(Task::ExpireDaysReached, settings.tasks.expire_days_reached),
        every(Task::ResetUserDataUsage, settings.tasks.reset_user_data_usage),
        // Counts the active users of admins with a quota, and reads no others.
        Schedule { task: Task::ReviewAdmins, period: 30 * SECOND },
        Schedule { task: Task::SyncNodes, period: 60 * SECOND },
        Schedule { task: Task::SealAudit, period: 60 * SECOND },
        Schedule { task: Task::Prune, period: 3_600 * SECOND },
    ];
    always.into_iter().chain(back_up).collect()
}

/// Replays spooled usage replies, also of other processes of this machine: these must not wait until their process
/// returns. Every process does so, not only the leader.
async fn replay_each_minute(collector: Collector, data_dir: PathBuf, own: SelfReport, stopping: CancellationToken) {
    let mut minute = interval(Duration::from_secs(60));
    // Only the wait may be cancelled: a replay holds replies that are nowhere else.
    while stopping.run_until_cancelled(minute.tick()).await.is_some() {
        collector.replay().await;
        if let Err(error) = collector.report_pending().await {
            tracing::debug!(error = with_sources(&error), "could not count the pending usage batches");
        }
        let folder = data_dir.clone();
        let spool = tokio::task::spawn_blocking(move || spool::in_use(&folder)).await;
        own.spool_read(spool.ok().and_then(Result::ok));
    }
}

/// Publishes a change whenever background work of this process has written it.
async fn publish_each(mut written: watch::Receiver<()>, changes: Changes, changed: Changed) {
    while written.changed().await.is_ok() {
        changes.publish(changed);
    }
}

/// Turns wake-ups into changes of a watch channel.
fn as_watch(mut wakeups: PollReceiver) -> watch::Receiver<()> {
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
