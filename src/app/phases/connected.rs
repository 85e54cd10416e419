//! Phase 2: the database is open, and nothing runs yet.

use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use poem::web::LocalAddr;
use tokio_util::sync::CancellationToken;

use super::running::Running;
use crate::actions::copy::follower;
use crate::actions::copy::source::Source;
use crate::actions::fetch_log::FetchLog;
use crate::actions::{Panel, setup};
use crate::app::background::Background;
use crate::app::entrance::Entrance;
use crate::app::health;
use crate::app::log_writer::LogWriter;
use crate::app::serve_options::ServeOptions;
use crate::app::shutdown::Shutdown;
use crate::app::take_over::{self, Predecessor};
use crate::app::wiring::{Machine, Wiring};
use crate::config::Settings;
use crate::foundation::with_sources;
use crate::store::Db;

/// A process with its listening socket and its database.
pub(in crate::app) struct Connected {
    pub(super) entrance: Entrance,
    pub(super) socket: OwnedFd,
    /// Addresses of the socket.
    pub(super) addresses: Vec<LocalAddr>,
    /// The process that this one takes over from.
    pub(super) predecessor: Option<Predecessor>,
    /// Cancelled when a successor has taken over the socket.
    pub(super) taken_over: CancellationToken,
    pub(super) db: Db,
    /// Subscription fetches that were noted while the start waited.
    pub(super) fetches: FetchLog,
    /// The signal handlers, if the start had to wait.
    pub(super) shutdown: Option<Shutdown>,
}

impl Connected {
    /// Starts the background work and builds the API; then dismisses the predecessor, and offers the listening socket
    /// to a successor.
    pub(in crate::app) async fn start(
        self,
        settings: &Settings,
        options: ServeOptions,
        metrics: PrometheusHandle,
    ) -> anyhow::Result<Running> {
        let Self { entrance, socket, addresses, predecessor, taken_over, db, fetches, shutdown } = self;
        let shutdown = match shutdown {
            Some(shutdown) => shutdown,
            None => Shutdown::on_signals(taken_over.clone()).context("could not install the signal handlers")?,
        };
        let mut wiring = Wiring::new(settings, db, Machine::real()?).await?.with_fetches(fetches);
        let panel = wiring.panel.clone();
        let background = Background::start(settings, options, &mut wiring, &shutdown.requested).await?;
        let (health, watchers) = health::watch(
            panel.db.clone(),
            panel.clock.clone(),
            background.coordination.role.clone(),
            background.coordination.redis.clone(),
            background.coordination.own.clone(),
            shutdown.requested.clone(),
        );
        let state = wiring.api(background.view.clone(), health, metrics);
        let logs = LogWriter {
            fetches: state.caches.fetches.clone(),
            copy: state.options.copy.clone(),
            uses: [state.caches.session_uses.clone(), state.caches.token_uses.clone()],
            db: panel.db,
            clock: panel.clock,
        };
        let writing = logs.clone().write_from_time_to_time();
        tokio::spawn(shutdown.requested.clone().run_until_cancelled_owned(writing));

        if let Some(copy) = &state.options.copy {
            let source = Source::Database(state.panel.db.clone());
            let wakeups = state.panel.changes.wakeup().subscribe();
            let following = follower::follow(copy.clone(), source, wakeups, background.coordination.own.clone());
            tokio::spawn(shutdown.requested.clone().run_until_cancelled_owned(following));
        }

        take_over::offer(settings, socket, taken_over);
        if let Some(predecessor) = predecessor
            && let Err(error) = predecessor.dismiss()
        {
            tracing::warn!(%error, "could not tell the previous process to stop");
        }
        let address = address(settings, &addresses);
        tracing::info!("the panel is at {address}");
        log_setup_link(settings, &state.panel, &address).await;
        let grace = settings.instance.shutdown_grace;
        Ok(Running { entrance, state, background, logs, watchers, shutdown, grace })
    }
}

/// Logs the link at which the first admin is made, if there is none. A panel goes on if it can't make one.
async fn log_setup_link(settings: &Settings, panel: &Panel, address: &str) {
    // Behind a Unix socket, only the proxy knows the address.
    let address = if settings.http.uds.is_some() { "" } else { address };
    match setup::new_code(panel).await {
        Ok(Some(code)) => {
            let link = settings.http.setup_link(address, &code);
            let task = "there is no admin yet; make the first one within an hour at";
            // In a container, only the container has the first address.
            match settings.subscription.public_address().map(|it| settings.http.setup_link(it, &code)) {
                Some(public) => tracing::info!("{task} {link}, or at {public} if that leads to a panel"),
                None => tracing::info!("{task} {link}"),
            }
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(error = with_sources(&error), "could not make a link for the first admin"),
    }
}

/// The panel's address for the log. An inherited socket may listen elsewhere than the settings say.
fn address(settings: &Settings, listening: &[LocalAddr]) -> String {
    let Some(listening) = listening.iter().find_map(|address| address.as_socket_addr()) else {
        return settings.http.uds.as_deref().unwrap_or(Path::new("an inherited Unix socket")).display().to_string();
    };
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    // A panel that listens on all addresses also answers on this one.
    if listening.ip().is_unspecified() {
        return format!("{scheme}://127.0.0.1:{}", listening.port());
    }
    format!("{scheme}://{listening}")
}
