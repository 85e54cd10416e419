//! Sources that a copy follows.

use std::sync::Arc;
use std::time::Duration;

use crate::cluster::panel_errors::PanelError;
use crate::cluster::panel_link::PanelLink;
use crate::domain::copy::{Position, Update, UserPage};
use crate::store::copy::source;
use crate::store::{Db, StoreError};

/// Pause while the source is away, and the longest one at an edge.
const AWAY: Duration = Duration::from_millis(500);
const AWAY_AT_MOST: Duration = Duration::from_secs(2);

/// A source of users and changes.
#[derive(Clone, Debug)]
pub enum Source {
    /// The panel's own database.
    Database(Db),
    /// Panels, over HTTPS: at an edge.
    Panels(Arc<PanelLink>),
}

/// A source did not answer.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No panel gave an answer that can be used.
    #[error(transparent)]
    Panel(#[from] PanelError),
}

impl Source {
    /// Returns the shortest time from the begin of one pass over all users to that of the next. An edge has traffic only from passes.
    pub(super) const fn pass_every(&self) -> Duration {
        match self {
            Self::Database(_) => Duration::from_secs(600),
            Self::Panels(_) => Duration::from_secs(60),
        }
    }

    /// Returns the pause after this many failures in a row. Panels are far away, and other edges ask them, too.
    pub(super) fn pause_after(&self, failures: u32) -> Duration {
        match self {
            Self::Database(_) => AWAY,
            Self::Panels(_) => (AWAY * 2_u32.pow(failures.min(4))).min(AWAY_AT_MOST),
        }
    }

    /// Returns the position of now. `known`: that of the copy. A panel of another database than the copy's is not asked while one of the
    /// copy's may come back.
    pub(super) async fn position(&self, known: Option<&Position>) -> Result<Position, SourceError> {
        match self {
            Self::Database(db) => Ok(source::position(db).await?),
            Self::Panels(link) => Ok(link.position(known).await?),
        }
    }

    /// Says why a copy may have to begin again and again.
    pub(super) const fn is_two(&self) -> &'static str {
        match self {
            Self::Database(_) => {
                "the connections lead to different servers in turn: check SQLALCHEMY_DATABASE_URL and what it names"
            }
            Self::Panels(_) => {
                "an address of EDGE_PANELS leads to panels of different databases, or something before a panel refuses requests of the edge"
            }
        }
    }

    /// Returns the incarnation of the server; `None`: the panel that is asked for the changes compares it.
    pub(super) async fn incarnation(&self) -> Result<Option<String>, SourceError> {
        match self {
            Self::Database(db) => Ok(Some(source::incarnation(db).await?)),
            Self::Panels(_) => Ok(None),
        }
    }

    /// Returns the changes after a position; `None`: the copy must begin again.
    pub(super) async fn update(&self, position: &Position) -> Result<Option<Update>, SourceError> {
        match self {
            Self::Database(db) => Ok(source::update(db, position).await?),
            Self::Panels(link) => Ok(link.update(position).await?),
        }
    }

    /// Returns up to `limit` users after an id.
    pub(super) async fn page(&self, after: i64, limit: i64) -> Result<UserPage, SourceError> {
        match self {
            Self::Database(db) => Ok(source::page(db, after, limit).await?),
            Self::Panels(link) => Ok(link.page(after, limit).await?),
        }
    }

    /// Returns the part that all subscriptions share, as JSON.
    pub(super) async fn shared_part(&self) -> Result<Vec<u8>, SourceError> {
        match self {
            Self::Database(db) => Ok(source::shared_part(db).await?.json()),
            Self::Panels(link) => Ok(link.shared_part().await?),
        }
    }
}
