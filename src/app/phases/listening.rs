//! Phase 1: the process has the listening socket, and accepts nothing yet.

use std::os::fd::OwnedFd;

use metrics_exporter_prometheus::PrometheusHandle;
use poem::listener::Acceptor;
use tokio_util::sync::CancellationToken;

use super::connected::Connected;
use super::waiting::{self, Waited};
use crate::actions::fetch_log::FetchLog;
use crate::app::database;
use crate::app::entrance::Entrance;
use crate::app::listener::{self, AnyAcceptor, BoundListener};
use crate::app::take_over::{self, Predecessor};
use crate::config::Settings;

/// A process with its listening socket.
pub(in crate::app) struct Listening {
    pub(in crate::app) acceptor: AnyAcceptor,
    pub(super) socket: OwnedFd,
    /// The process that this one takes over from.
    pub(super) predecessor: Option<Predecessor>,
    /// Cancelled when a successor has taken over the socket.
    pub(super) taken_over: CancellationToken,
}

impl Listening {
    /// Takes the socket of the service manager or, with `--take-over`, of the running process; else binds one. The
    /// socket comes before the database because it costs nothing to find out that another program has the port.
    pub(in crate::app) async fn bind(settings: &Settings, take_over: bool) -> anyhow::Result<Self> {
        let mut predecessor = None;
        let mut inherited = listener::from_service_manager()?;
        if take_over
            && inherited.is_none()
            && let Some((socket, process)) = take_over::receive(settings)?
        {
            (inherited, predecessor) = (Some(socket), Some(process));
        }
        let taken_over = CancellationToken::new();
        let BoundListener { acceptor, socket } = listener::listen(settings, inherited, taken_over.clone()).await?;
        Ok(Self { acceptor, socket, predecessor, taken_over })
    }

    /// Applies pending migrations, or refuses to start with any, and opens the database. If it is away and the local copy can serve
    /// subscriptions, they are served until it answers; `None`: a signal ended that.
    pub(in crate::app) async fn connect(
        self,
        settings: &Settings,
        migrate: bool,
        metrics: &PrometheusHandle,
    ) -> anyhow::Result<Option<Connected>> {
        let Self { acceptor, socket, predecessor, taken_over } = self;
        let addresses = acceptor.local_addr();
        let error = match database::open_current(settings, migrate).await {
            Ok(db) => {
                let (entrance, fetches) = (Entrance::Closed(acceptor), FetchLog::default());
                let shutdown = None;
                return Ok(Some(Connected {
                    entrance,
                    socket,
                    addresses,
                    predecessor,
                    taken_over,
                    db,
                    fetches,
                    shutdown,
                }));
            }
            Err(error) => error,
        };
        // The running panel that would be taken over goes on with its own copy.
        let reason = if predecessor.is_none() { waiting::reason(settings, &error).await } else { None };
        let Some(reason) = reason else { return Err(error) };
        let Some(waited) = waiting::wait(settings, migrate, reason, acceptor, taken_over.clone(), metrics).await?
        else {
            return Ok(None);
        };
        let Waited { db, entrance, fetches, shutdown } = waited;
        let shutdown = Some(shutdown);
        Ok(Some(Connected { entrance, socket, addresses, predecessor, taken_over, db, fetches, shutdown }))
    }
}
