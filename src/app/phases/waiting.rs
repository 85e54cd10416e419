//! A start that has to wait: PostgreSQL is away, as after the reboot of a host, and subscriptions are served from the local copy until
//! it answers. Then the start goes on, and the server with it.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::actions::copy::LocalCopy;
use crate::actions::fetch_log::FetchLog;
use crate::api;
use crate::app::entrance::{EarlyServer, Entrance};
use crate::app::listener::AnyAcceptor;
use crate::app::log_writer::store_in_copy;
use crate::app::shutdown::{Shutdown, of_requests};
use crate::app::wiring::{self, Machine, Wiring};
use crate::app::{database, health};
use crate::clock::Clock;
use crate::cluster::identity::Identity;
use crate::cluster::self_report::SelfReport;
use crate::cluster::view::ClusterView;
use crate::config::Settings;
use crate::config::database_url::DatabaseUrl;
use crate::foundation::{FailureStreak, with_sources};
use crate::store::{Condition, Db};

/// Pause between two attempts to open the database. Each attempt tries to connect for some seconds.
const PAUSE: Duration = Duration::from_millis(500);
/// Pause between two looks at the copy's file, and between two writes of fetches.
const EVERY: Duration = Duration::from_secs(1);

/// The reason why the start waits, and the copy that serves meanwhile.
pub(super) struct Reason {
    condition: Condition,
    copy: LocalCopy,
}

/// The parts that the start goes on with.
pub(super) struct Waited {
    pub(super) db: Db,
    pub(super) entrance: Entrance,
    /// Subscription fetches that are not in the file yet.
    pub(super) fetches: FetchLog,
    pub(super) shutdown: Shutdown,
}

/// Returns why the start should wait after this error; `None` if the process should end with it: because it does not pass by itself,
/// or because there is no copy that can serve.
pub(super) async fn reason(settings: &Settings, error: &anyhow::Error) -> Option<Reason> {
    let condition = database::condition(error).filter(|condition| {
        use Condition::{OutOfConnections, ShuttingDown, TimedOut, Unreachable};
        matches!(condition, Unreachable | TimedOut | ShuttingDown | OutOfConnections)
    })?;
    if !matches!(settings.database.url, DatabaseUrl::Postgres { .. }) {
        return None;
    }
    let copy = wiring::copy_of(settings, &Clock::real())?;
    match copy.open_to_serve().await {
        Ok(true) => {}
        Ok(false) => return None,
        Err(error) => {
            tracing::warn!(error = with_sources(&error), "could not read the local copy of subscriptions");
            return None;
        }
    }
    let report = copy.report();
    let (age, users) = (report.and_then(|report| report.age), report.map(|report| report.users));
    tracing::warn!(
        age,
        users,
        "{condition}: the start waits for it, and subscriptions are served from the local copy; {}; {error:#}",
        condition.hint()
    );
    Some(Reason { condition, copy })
}

/// Serves subscriptions until the database is open; `None`: a signal came first. An error ends the process.
pub(super) async fn wait(
    settings: &Settings,
    migrate: bool,
    reason: Reason,
    acceptor: AnyAcceptor,
    taken_over: CancellationToken,
    metrics: &PrometheusHandle,
) -> anyhow::Result<Option<Waited>> {
    let Reason { condition, copy } = reason;
    let machine = Machine::real()?;
    let shutdown = Shutdown::on_signals(taken_over).context("could not install the signal handlers")?;
    let (reason, reasons) = watch::channel(condition);
    let (health, watchers) = health::of_waiting(reasons, machine.clock.clone(), shutdown.requested.clone());
    let identity = Identity::new(settings.instance.name.clone());
    let view = ClusterView::alone(settings.instance.cluster.as_str().to_owned(), identity, Vec::new());
    let nothing = Db::unconnected(&database::options(settings))?.context("only PostgreSQL is waited for")?;
    let state = Wiring::of_copy(settings, nothing, machine, copy.clone()).api(view, health, metrics.clone());
    let (fetches, stopping) = (state.caches.fetches.clone(), state.stopping.clone());
    let trusted = settings.http.trusted_proxies.clone();
    let server = EarlyServer::start(acceptor, trusted, api::waiting_routes(state));
    let opened = tokio::select! {
        opened = open(settings, migrate, &reason) => Some(opened),
        never = keep_up(&copy, &fetches) => match never {},
        () = shutdown.requested.cancelled() => None,
    };
    if let Some(opened) = opened {
        store_in_copy(&copy, &fetches).await;
        let (db, entrance) = (opened?, Entrance::Open(server));
        tracing::info!("the database answers; the start goes on");
        return Ok(Some(Waited { db, entrance, fetches, shutdown }));
    }
    stopping.cancel();
    let grace = settings.instance.shutdown_grace;
    let ending = shutdown.clone();
    let serving = server.end(|connections| ending.accepting_ends(watchers, connections, grace, of_requests(grace)));
    let last = async {
        serving.await.context("the HTTP server ended")?;
        store_in_copy(&copy, &fetches).await;
        Ok(())
    };
    // Another process that writes to the copy is in the way.
    match shutdown.in_grace(grace, last).await {
        Some(done) => done.map(|()| None),
        None => {
            tracing::warn!("could not save the log of subscription fetches within SHUTDOWN_GRACE_SECONDS");
            Ok(None)
        }
    }
}

/// Opens the database as soon as it answers. What is wrong with it meanwhile is logged when it changes. An error that is none of its
/// state, such as a schema that is too new, does not pass by waiting.
async fn open(settings: &Settings, migrate: bool, reason: &watch::Sender<Condition>) -> anyhow::Result<Db> {
    loop {
        let error = match database::open_current(settings, migrate).await {
            Ok(db) => return Ok(db),
            Err(error) => error,
        };
        let Some(condition) = database::condition(&error) else { return Err(error) };
        if reason.send_replace(condition) != condition {
            tracing::warn!("{condition}: the start still waits; {}; {error:#}", condition.hint());
        }
        sleep(PAUSE).await;
    }
}

/// Follows what another process writes to the file, and stores fetches in it.
async fn keep_up(copy: &LocalCopy, fetches: &FetchLog) -> Infallible {
    let (own, mut failures) = (SelfReport::default(), FailureStreak::default());
    loop {
        copy.read_along(&own, &mut failures).await;
        store_in_copy(copy, fetches).await;
        sleep(EVERY).await;
    }
}
