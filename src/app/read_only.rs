//! A panel that only looks on (`SARBAN_READ_ONLY=true`): it answers reads and subscriptions, and does nothing else. No
//! lease, no tasks, no nodes, no migration, no note of who fetched what. The database is opened so that it would refuse.

use anyhow::{Context, bail};
use metrics_exporter_prometheus::PrometheusHandle;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::watch;

use super::listener::Listeners;
use super::serve::api_options;
use super::server;
use super::server::Timeouts;
use super::{database, health, shutdown};
use crate::actions::Panel;
use crate::api;
use crate::clock::Clock;
use crate::cluster::identity::Identity;
use crate::cluster::leadership::Role;
use crate::cluster::redis_lock::RedisState;
use crate::cluster::view::ClusterView;
use crate::cluster::wakeup::Wakeup;
use crate::config::Settings;
use crate::store::migrate;

/// Serves until a signal.
pub(super) async fn serve(settings: &Settings, acceptor: Listeners, metrics: PrometheusHandle) -> anyhow::Result<()> {
    let db = database::open_to_read(settings).await?;
    match migrate::is_current(&db).await {
        Ok(true) => {}
        Ok(false) => bail!("migrations are pending, and SARBAN_READ_ONLY is on: run `sarban migrate` without it first"),
        Err(error) => {
            return Err(error).context(
                "the database can't be read as a panel's: with SARBAN_READ_ONLY nothing is made; run `sarban migrate` \
                 or `sarban import` without it first",
            );
        }
    }
    let stopping = shutdown::on_signals().context("no signal handlers")?;
    let clock = Clock::real();
    let mut rng = StdRng::try_from_rng(&mut rand::rngs::SysRng).context("no randomness from the system")?;
    let role = watch::channel(Role::None).1;
    let redis = watch::channel(RedisState::Off).1;
    let (health, watchers) = health::watch(db.clone(), clock.clone(), role, redis, stopping.clone());
    let panel = Panel { db: db.clone(), clock, wakeup: Wakeup::default(), targets: Default::default() };
    let identity = Identity::new(settings.instance.name.clone());
    let view = ClusterView::alone(settings.instance.cluster.as_str().to_owned(), identity, Vec::new());
    let state = api::state::State::new(panel, api_options(settings, None)?, view, health, metrics, &mut rng);
    tracing::warn!("SARBAN_READ_ONLY is on: changes are refused, no task runs, no node is spoken to");
    let grace = settings.instance.shutdown_grace;
    let asked_to_stop = async {
        stopping.cancelled().await;
        watchers.notification(grace).await;
    };
    let left = grace.saturating_sub(health::Watchers::longest(grace));
    server::serve(acceptor, api::routes(state), Timeouts::default(), asked_to_stop, left).await;
    db.close().await;
    Ok(())
}
