//! A read-only panel (`SARBAN_READ_ONLY=true`): it answers reads and subscriptions from a database that it opened
//! read-only. It holds no lease, runs no task, connects to no node, migrates nothing and saves no subscription fetches.

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::connections::{Connections, Limits};
use super::listener::AnyAcceptor;
use super::server::{self, Timeouts};
use super::shutdown::{Shutdown, of_requests};
use super::wiring::{Machine, Wiring};
use super::{database, health};
use crate::api;
use crate::cluster::identity::Identity;
use crate::cluster::leadership::Role;
use crate::cluster::redis_status::RedisStatus;
use crate::cluster::self_report::SelfReport;
use crate::cluster::view::ClusterView;
use crate::config::Settings;

/// Serves until a signal.
pub(super) async fn serve(settings: &Settings, acceptor: AnyAcceptor, metrics: PrometheusHandle) -> anyhow::Result<()> {
    let db = database::open_to_read(settings).await?;
    database::check_schema(&db).await?;
    // A read-only panel offers its socket to no successor.
    let shutdown = Shutdown::on_signals(CancellationToken::new()).context("could not install the signal handlers")?;
    let wiring = Wiring::new(settings, db.clone(), Machine::real()?).await?;
    let role = watch::channel(Role::None).1;
    let redis = watch::channel(RedisStatus::Off).1;
    let clock = wiring.panel.clock.clone();
    let (health, watchers) =
        health::watch(db.clone(), clock, role, redis, SelfReport::default(), shutdown.requested.clone());
    let identity = Identity::new(settings.instance.name.clone());
    let view = ClusterView::alone(settings.instance.cluster.as_str().to_owned(), identity, Vec::new());
    let state = wiring.api(view, health, metrics);
    let (stopping, requested) = (state.stopping.clone(), shutdown.requested.clone());
    tokio::spawn(async move {
        requested.cancelled().await;
        stopping.cancel();
    });
    tracing::warn!("SARBAN_READ_ONLY is on: changes are refused, no task runs, no node is connected");
    let grace = settings.instance.shutdown_grace;
    let connections = Connections::new(Limits::of_process(), settings.http.trusted_proxies.clone());
    let accepting_ends = shutdown.clone().accepting_ends(watchers, connections.clone(), grace, of_requests(grace));
    let serving = server::serve(acceptor, connections, api::routes(state), Timeouts::default(), accepting_ends);
    let serving = tokio::spawn(serving);
    let closing = async {
        serving.await.context("the HTTP server ended")?;
        db.close().await;
        Ok(())
    };
    // A statement that PostgreSQL does not end is in the way.
    let closed = shutdown.in_grace(grace, closing).await;
    closed.unwrap_or_else(|| {
        tracing::warn!("could not close the database connections within SHUTDOWN_GRACE_SECONDS");
        Ok(())
    })
}
