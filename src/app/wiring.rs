//! The wiring that the panel, the read-only panel and the tests' panel share: from settings and a database to the API.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};

use super::{notifications, own_address, redis, render_context};
use crate::actions::Panel;
use crate::actions::copy::LocalCopy;
use crate::actions::fetch_log::FetchLog;
use crate::actions::notification_targets::LiveTargets;
use crate::actions::panel_addresses;
use crate::actions::subscriptions::RenderContext;
use crate::api::health_report::Health;
use crate::api::state::{Options, State};
use crate::clock::Clock;
use crate::cluster::panel_redis::PanelRedis;
use crate::cluster::shared_counters::SharedCounters;
use crate::cluster::shared_sets::SharedSets;
use crate::cluster::view::ClusterView;
use crate::config::Settings;
use crate::config::cores::Cores;
use crate::domain::panel_address::FoundAddress;
use crate::store::{Db, Engine};

/// The parts of a process that depend on its machine. A test fixes all of them.
#[derive(Debug)]
pub struct Machine {
    /// The clock that stamps requests.
    pub clock: Clock,
    /// The random source.
    pub rng: StdRng,
    /// Number of processor cores, which the limit of concurrent requests depends on.
    pub cores: usize,
    /// The addresses from which it reaches the internet.
    pub addresses: Vec<IpAddr>,
}

impl Machine {
    /// The machine that this process runs on.
    pub fn real() -> anyhow::Result<Self> {
        Ok(Self {
            clock: Clock::real(),
            rng: StdRng::try_from_rng(&mut SysRng).context("could not read the system's random source")?,
            cores: Cores::detect().whole(),
            addresses: own_address::detect(),
        })
    }
}

/// A panel with everything that its API needs.
#[derive(Debug)]
pub struct Wiring {
    /// The panel.
    pub panel: Panel,
    /// Access to Redis; `None` without `REDIS_URL`, and in a read-only panel.
    pub(super) redis: Option<PanelRedis>,
    pub(super) rng: StdRng,
    options: Options,
}

impl Wiring {
    /// Wires a panel on an open database whose schema is up to date.
    pub async fn new(settings: &Settings, db: Db, machine: Machine) -> anyhow::Result<Self> {
        let Machine { clock, rng, cores, addresses } = machine;
        let redis = if settings.http.read_only { None } else { redis::access(settings, &clock)? };
        let counters = redis.as_ref().map(|redis| Arc::new(SharedCounters::new(redis.pool.clone(), &redis.cluster)));
        let sets = redis.as_ref().map(|redis| Arc::new(SharedSets::new(redis.pool.clone(), &redis.cluster)));
        // A read-only panel enters no notification.
        let targets = if settings.http.read_only {
            LiveTargets::default()
        } else {
            notifications::targets(settings, &db).await?
        };
        let found = settings.subscription.addresses(addresses);
        let copy = local_copy(settings, &db, &clock);
        let options = Options { copy, counters, sets, ..options(settings, cores, &found) };
        let panel = Panel { targets, ..Panel::new(db, clock) };
        if !settings.http.read_only {
            for warning in panel_addresses::settle(&panel, &settings.instance.name, &found).await? {
                tracing::warn!("{warning}");
            }
        }
        Ok(Self { panel, redis, rng, options })
    }

    /// Wires a process that serves subscriptions from a copy alone. `db` answers nothing.
    pub(super) fn of_copy(settings: &Settings, db: Db, machine: Machine, copy: LocalCopy) -> Self {
        let Machine { clock, rng, cores, .. } = machine;
        let options = Options { copy: Some(copy), copy_only: true, ..options(settings, cores, &[]) };
        Self { panel: Panel::new(db, clock), redis: None, rng, options }
    }

    /// Goes on with fetches that were noted before.
    #[must_use]
    pub(super) fn with_fetches(mut self, fetches: FetchLog) -> Self {
        self.options.fetches = fetches;
        self
    }

    /// Templates and settings that subscriptions depend on.
    pub(super) const fn render_context(&self) -> &RenderContext {
        &self.options.render_context
    }

    /// `SUBSCRIPTION_URL_PREFIX`, without a final slash.
    pub(super) fn url_prefix(&self) -> &str {
        &self.options.subscription.url_prefix
    }

    /// Builds the state of the API.
    pub fn api(mut self, cluster: ClusterView, health: Health, metrics: PrometheusHandle) -> Arc<State> {
        State::new(self.panel, self.options, cluster, health, metrics, &mut self.rng)
    }
}

/// The options of any process, without Redis and without a copy. `found`: addresses of this machine.
fn options(settings: &Settings, cores: usize, found: &[FoundAddress]) -> Options {
    let (render_context, problems) = render_context::with_addresses(settings, found);
    for problem in problems {
        tracing::warn!("{}", problem.sentence);
    }
    Options {
        http: settings.http.clone(),
        requests_at_once: settings.requests_at_once(cores),
        auth: settings.auth.clone(),
        audit_reads: settings.tasks.audit_reads,
        user_hours: !settings.tasks.without_node_usage,
        usage_percent: settings.notify.usage_percent,
        subscription: settings.subscription.clone(),
        render_context,
        copy: None,
        copy_only: false,
        fetches: FetchLog::default(),
        telegram: notifications::telegram_api(settings),
        counters: None,
        sets: None,
    }
}

/// The local copy of what subscriptions need. A SQLite database is on a disk of this host already, and a read-only panel writes nothing.
fn local_copy(settings: &Settings, db: &Db, clock: &Clock) -> Option<LocalCopy> {
    let is_wanted = db.engine() == Engine::Postgres && !settings.http.read_only;
    if is_wanted { copy_of(settings, clock) } else { None }
}

/// The copy in the folder of the settings; `None` if they want none.
pub(super) fn copy_of(settings: &Settings, clock: &Clock) -> Option<LocalCopy> {
    let max_age = settings.subscription.copy_max_age;
    let micros = i64::try_from(max_age.as_micros()).unwrap_or(i64::MAX);
    let folder = settings.subscription.copy_dir.as_ref().unwrap_or(&settings.instance.data_dir);
    (!max_age.is_zero()).then(|| LocalCopy::new(folder, clock.clone(), micros))
}
