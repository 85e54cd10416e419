//! Phase 1: the process has the listening socket, and accepts nothing yet.

use std::os::fd::OwnedFd;

use anyhow::bail;
use tokio_util::sync::CancellationToken;

use super::connected::Connected;
use crate::app::database;
use crate::app::listener::{self, AnyAcceptor, BoundListener};
use crate::app::take_over::{self, Predecessor};
use crate::config::Settings;
use crate::store::users::list;
use crate::store::{Db, migrate};

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

    /// Applies pending migrations, or refuses to start with any, and opens the database.
    pub(in crate::app) async fn connect(self, settings: &Settings, migrate: bool) -> anyhow::Result<Connected> {
        let direct = database::open_direct(settings).await?;
        let current = bring_schema_up_to_date(&direct, migrate).await;
        direct.close().await;
        current?;
        let db = database::open(settings).await?;
        if !list::search_is_indexed(&db).await? {
            tracing::warn!(
                "searching for user names has no index and is slow with many users; run these statements as a role \
                 that may: CREATE EXTENSION pg_trgm; CREATE INDEX user_names_parts ON user_names USING gin (username \
                 gin_trgm_ops)"
            );
        }
        let Self { acceptor, socket, predecessor, taken_over } = self;
        Ok(Connected { acceptor, socket, predecessor, taken_over, db })
    }
}

async fn bring_schema_up_to_date(db: &Db, apply: bool) -> anyhow::Result<()> {
    if apply {
        let applied = migrate::migrate(db).await?;
        if applied > 0 {
            tracing::info!(applied, "applied pending migrations");
        }
        return Ok(());
    }
    match migrate::pending(db).await? {
        0 => Ok(()),
        pending => bail!("{pending} migrations are pending: run `sarban migrate`, or start without --no-migrate"),
    }
}
