//! Runs one task on a database as a leader does, at a time that the test chooses.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sarban::actions::changes::Changes;
use sarban::actions::notification_targets::{Environment, LiveTargets};
use sarban::backup::Scheduled;
use sarban::clock::Clock;
use sarban::config::backup::{BackupSettings, S3Settings};
use sarban::config::crash_point::CrashPoint;
use sarban::domain::ids::Epoch;
use sarban::domain::moment::{BootTime, Moment};
use sarban::domain::notification::{Channel, Destination};
use sarban::domain::schedule::Task;
use sarban::domain::term::Term;
use sarban::nodes::collector::Collector;
use sarban::nodes::{PanelIdentity, Supervisor, Timing, panel_certificate};
use sarban::scheduler::tasks::{self, Context, Deps, TaskError};
use sarban::store::{Db, Fence};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::database::{execute, number};

/// The destination of notifications in these tests.
pub const fn webhook() -> Destination {
    Destination { channel: Channel::Webhook, recipient: String::new() }
}

/// A leader without a schedule and without nodes. Its term does not end.
pub struct Leader {
    context: Context,
    spool: TempDir,
}

/// A supervisor of nodes without a wake-up.
pub async fn supervisor(db: &Db) -> Supervisor {
    let clock = Clock::real();
    let material = panel_certificate::obtain(db, clock.now()).await.unwrap();
    let identity = PanelIdentity::from_pem(&material.certificate, &material.key).unwrap();
    Supervisor::new(clock, identity, watch::channel(()).1, 7, Timing::default())
}

/// Dependencies of tasks, without notification targets.
pub fn deps(db: &Db, supervisor: Supervisor, spool: &Path) -> Deps {
    let (clock, crash) = (Clock::real(), CrashPoint::default());
    Deps {
        db: db.clone(),
        clock: clock.clone(),
        changes: Changes::default(),
        collector: Collector::new(db.clone(), clock, supervisor, spool, Uuid::now_v7(), crash).unwrap(),
        targets: Default::default(),
        node_hours: true,
        usage_percent: 80,
        days_left: 3,
        crash,
        hourly_retention: None,
        audit_retention: Some(365),
        back_up: None,
    }
}

impl Leader {
    /// Leads under the next epoch.
    pub async fn new(db: &Db) -> Self {
        Self::with_retention(db, None).await
    }

    /// Leads with this retention of hourly usage, in days.
    pub async fn with_retention(db: &Db, hourly_retention: Option<u32>) -> Self {
        execute(db, "UPDATE scheduler_epoch SET epoch = epoch + 1").await;
        let epoch = Epoch(number(db, "SELECT epoch FROM scheduler_epoch").await);
        let term = Term::new(epoch, BootTime::from_micros(i64::MAX));
        let clock = Clock::real();
        let fence = Fence::new(db.clone(), clock, term, Duration::from_secs(2), "test".to_owned());
        let spool = tempfile::tempdir().unwrap();
        let deps = Deps { hourly_retention, ..deps(db, supervisor(db).await, spool.path()) };
        let context =
            Context { fence, stop: CancellationToken::new(), now: Moment::from_micros(0), deps: Arc::new(deps) };
        Self { context, spool }
    }

    /// Leads with notifications to the webhook: at 80 percent of the usage, and 3 days before the expiry.
    pub async fn with_notifications(db: &Db) -> Self {
        let mut leader = Self::new(db).await;
        let url_prefix = "https://sub.example".to_owned();
        let targets = LiveTargets::new(Environment {
            webhook: Some(webhook()),
            telegram: None,
            without_telegram: false,
            url_prefix,
        });
        let deps = Arc::get_mut(&mut leader.context.deps).expect("no task runs");
        deps.targets = targets;
        leader
    }

    /// Leads with scheduled back-ups, and notifications to the webhook.
    pub async fn with_back_ups(db: &Db, settings: &BackupSettings) -> Self {
        let mut leader = Self::with_notifications(db).await;
        let data_dir = leader.spool.path().to_owned();
        let deps = Arc::get_mut(&mut leader.context.deps).expect("no task runs");
        deps.back_up = Scheduled::new(settings, &S3Settings::default(), data_dir).expect("a place");
        leader
    }

    /// The folder whose spool is in scheduled back-ups.
    pub fn data_dir(&self) -> &Path {
        self.spool.path()
    }

    /// Runs a task at `now`; returns the number of items that it processed.
    pub async fn run(&mut self, task: Task, now: Moment) -> Result<i64, TaskError> {
        self.context.now = now;
        tasks::run(task, &self.context).await
    }
}
