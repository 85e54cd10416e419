//! Phase 3: the panel serves requests until it is asked to stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::stopping::Stopping;
use crate::api::{self, state::State};
use crate::app::background::Background;
use crate::app::entrance::Entrance;
use crate::app::health::Watchers;
use crate::app::log_writer::LogWriter;
use crate::app::shutdown::{LAST_SECOND, Shutdown, of_requests};

/// A running panel.
pub(in crate::app) struct Running {
    pub(super) entrance: Entrance,
    pub(super) state: Arc<State>,
    pub(super) background: Background,
    pub(super) logs: LogWriter,
    pub(super) watchers: Watchers,
    pub(super) shutdown: Shutdown,
    pub(super) grace: Duration,
}

impl Running {
    /// Serves until a signal or a successor ends it, finishes the requests and hands the background work over.
    pub(in crate::app) async fn serve(self) -> Stopping {
        let Self { entrance, state, background, logs, watchers, shutdown, grace } = self;
        let trusted = state.options.http.trusted_proxies.clone();
        let stopping = state.stopping.clone();
        let ending = shutdown.clone();
        let serving = entrance.serve(trusted, api::routes(state), move |connections| {
            ending.accepting_ends(watchers, connections, grace, of_requests(grace))
        });
        let serving = async {
            let served = serving.await;
            if let Err(error) = &served {
                tracing::error!(%error, "the HTTP server ended; the panel stops");
            }
            shutdown.requested.cancel();
            served.is_err()
        };
        // The lease is handed over at the first signal: other processes need not wait for the last request here.
        let handing_over = async {
            shutdown.requested.cancelled().await;
            stopping.cancel();
            let end = Instant::now() + grace;
            background.hand_over(end - LAST_SECOND).await;
            end
        };
        let (has_failed, end) = tokio::join!(serving, handing_over);
        Stopping { logs, end, has_failed }
    }
}
