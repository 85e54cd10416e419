//! The wiring that the panel, the read-only panel and the tests' panel share: from settings and a database to the API.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};

use super::{notifications, own_address, redis, render_context};
use crate::actions::Panel;
use crate::actions::notification_targets::LiveTargets;
use crate::actions::panel_addresses;
use crate::api::health_report::Health;
use crate::api::state::{Options, State};
use crate::clock::Clock;
use crate::cluster::panel_redis::PanelRedis;
use crate::cluster::shared_counters::SharedCounters;
use crate::cluster::shared_sets::SharedSets;
use crate::cluster::view::ClusterView;
use crate::config::Settings;
use crate::config::cores::Cores;
use crate::store::Db;

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
        let (render_context, problems) = render_context::with_addresses(settings, &found);
        for problem in problems {
            tracing::warn!("{}", problem.sentence);
        }
        let options = Options {
            http: settings.http.clone(),
            requests_at_once: settings.requests_at_once(cores),
            auth: settings.auth.clone(),
            user_hours: !settings.tasks.without_node_usage,
            subscription: settings.subscription.clone(),
            render_context,
            telegram: notifications::telegram_api(settings),
            counters,
            sets,
        };
        let panel = Panel { targets, ..Panel::new(db, clock) };
        if !settings.http.read_only {
            for warning in panel_addresses::settle(&panel, &settings.instance.name, &found).await? {
                tracing::warn!("{warning}");
            }
        }
        Ok(Self { panel, redis, rng, options })
    }

    /// Builds the state of the API.
    pub fn api(mut self, cluster: ClusterView, health: Health, metrics: PrometheusHandle) -> Arc<State> {
        State::new(self.panel, self.options, cluster, health, metrics, &mut self.rng)
    }
}
