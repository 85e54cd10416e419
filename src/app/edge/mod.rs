//! `sarban edge`: a process without a database. It serves subscriptions from a copy that follows panels over HTTPS, and sends the
//! panels the fetches that it served.

mod own_id;
mod reports;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connections::{Connections, Limits};
use super::log_writer::store_in_copy;
use super::phases::Listening;
use super::server::{self, Timeouts};
use super::shutdown::Shutdown;
use super::wiring::{self, Machine, Wiring};
use super::wrong_setting::wrong_setting;
use super::{database, descriptors, health, telemetry};
use crate::actions::copy::source::Source;
use crate::actions::copy::{LocalCopy, follower};
use crate::actions::fetch_log::FetchLog;
use crate::api;
use crate::cluster::identity::Identity;
use crate::cluster::panel_errors::LinkError;
use crate::cluster::panel_link::{PanelLink, RenderSettings};
use crate::cluster::self_report::SelfReport;
use crate::cluster::view::ClusterView;
use crate::config::database_url::DatabaseUrl;
use crate::config::edge::Followed;
use crate::config::{Settings, file_modes};
use crate::store::{Db, OpenOptions};
use own_id::OwnId;
use reports::Reporter;

/// An empty SQLite file in `DATA_DIR`, in place of a panel's database. Nothing is written to it.
const NO_DATABASE: &str = "edge.none";
/// Longest time for the last report, which is a part of the grace.
const LAST_REPORT: Duration = Duration::from_secs(3);

/// Serves until a signal.
pub async fn serve_edge(settings: Settings, followed: Followed) -> anyhow::Result<()> {
    let metrics = telemetry::start_metrics()?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), panels = followed.panels.join(" "), "the edge starts");
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    descriptors::raise_limit();
    let folder = &settings.instance.data_dir;
    let not_written = || format!("could not write in {}; check DATA_DIR", folder.display());
    let id = OwnId::of(folder).with_context(not_written).map_err(wrong_setting)?;
    let machine = Machine::real()?;
    let copy = wiring::copy_of(&settings, &machine.clock).context("an edge serves from its copy alone")?;
    let wiring = Wiring::of_copy(&settings, no_database(&settings).await?, machine, copy.clone());
    copy.needs_credentials(wiring.render_context().derivation.word());
    let link = Arc::new(PanelLink::new(followed, own_settings(&wiring)).map_err(of_link)?);
    let acceptor = Listening::bind(&settings, false).await?.acceptor;
    for file in file_modes::find(&settings) {
        tracing::warn!("{file}");
    }

    let shutdown = Shutdown::on_signals(CancellationToken::new()).context("could not install the signal handlers")?;
    let requested = &shutdown.requested;
    let clock = wiring.panel.clock.clone();
    let (health, watchers) = health::of_edge(copy.clone(), link.clone(), clock.clone(), requested.clone());
    let identity = Identity::new(settings.instance.name.clone());
    let view = ClusterView::alone(settings.instance.cluster.as_str().to_owned(), identity, Vec::new());
    let state = wiring.api(view, health, metrics);
    let (stopping, stop) = (state.stopping.clone(), requested.clone());
    tokio::spawn(async move {
        stop.cancelled().await;
        stopping.cancel();
    });

    let fetches = state.caches.fetches.clone();
    let wakeups = state.panel.changes.wakeup().subscribe();
    let following = follower::follow(copy.clone(), Source::Panels(link.clone()), wakeups, SelfReport::default());
    tokio::spawn(requested.clone().run_until_cancelled_owned(following));
    tokio::spawn(requested.clone().run_until_cancelled_owned(store_fetches(copy.clone(), fetches.clone())));
    let reporter = Reporter::new(id, &settings.instance.name, clock.now(), copy.clone(), link);
    tokio::spawn(requested.clone().run_until_cancelled_owned(reporter.clone().report_for_ever()));

    let grace = settings.instance.shutdown_grace;
    let connections = Connections::new(Limits::of_process(), settings.http.trusted_proxies.clone());
    let last_report = LAST_REPORT.min(grace / 3);
    let accepting_ends = shutdown.clone().accepting_ends(watchers, connections.clone(), grace, grace - last_report);
    let serving = server::serve(acceptor, connections, api::edge_routes(state), Timeouts::default(), accepting_ends);
    tokio::spawn(serving).await.context("the HTTP server ended")?;
    let last = async {
        store_in_copy(&copy, &fetches).await;
        if timeout(last_report, reporter.leave()).await.is_err() {
            tracing::info!("no panel took the last report; what it has is sent after the next start");
        }
    };
    let _ = shutdown.in_grace(grace, last).await;
    Ok(())
}

fn of_link(error: LinkError) -> anyhow::Error {
    if error.is_of_file() { wrong_setting(error) } else { error.into() }
}

/// The settings that the panels must have, too.
fn own_settings(wiring: &Wiring) -> RenderSettings {
    let context = wiring.render_context();
    RenderSettings {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        auth_generation_algorithm: context.derivation.word().to_owned(),
        subscription_url_prefix: wiring.url_prefix().to_owned(),
        templates: context.templates_digest(),
    }
}

async fn no_database(settings: &Settings) -> anyhow::Result<Db> {
    let path = settings.instance.data_dir.join(NO_DATABASE);
    let url = DatabaseUrl::Sqlite { path: path.clone() };
    let options = OpenOptions { url, connections: 1, ..database::options(settings) };
    let opened = Db::open(&options).await.with_context(|| format!("could not open {}; check DATA_DIR", path.display()));
    opened.map_err(|error| database::of_opening(&options.url, error))
}

/// Moves fetches from memory to the copy's file about once a second.
async fn store_fetches(copy: LocalCopy, fetches: FetchLog) {
    loop {
        sleep(Duration::from_secs(1)).await;
        store_in_copy(&copy, &fetches).await;
    }
}
