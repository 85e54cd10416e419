//! Services: sets of inbounds that users are given. Whatever changes what users may reach marks them for the nodes.

use super::{PAUSE, Panel};
use crate::domain::ids::{InboundId, ServiceId, UserId};
use crate::domain::service::Service;
use crate::store::hosts::services;
use crate::store::hosts::services::Scope;
use crate::store::users::changes;
use crate::store::{IdList, StoreError, Transient, Tx};

/// So many users lose a service in one transaction: well below a quarter of a second on SQLite.
const USERS_AT_ONCE: i64 = 10_000;

/// Above every user: marking alone is quick enough for all at once.
const EVERYBODY: UserId = UserId(i64::MAX);

/// A service to be.
#[derive(Clone, Debug, Default)]
pub struct NewService {
    /// Any text; not unique.
    pub name: Option<String>,
    /// Unknown ones are left out.
    pub inbound_ids: Vec<InboundId>,
}

/// What should become of a service; `None`: as it is.
#[derive(Clone, Debug, Default)]
pub struct ServiceChange {
    /// See [`NewService`].
    pub name: Option<String>,
    /// See [`NewService`].
    pub inbound_ids: Option<Vec<InboundId>>,
}

/// Why something was not done to a service.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// There is none of that id.
    #[error("there is no such service")]
    NotFound,
    /// The database could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Transient for ServiceError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

/// One page of services, and how many there are on all. `contains` is a part of the name, `%` and `_` being wildcards;
/// empty: all.
pub async fn list(
    panel: &Panel,
    scope: Scope,
    contains: &str,
    limit: i64,
    offset: i64,
) -> Result<(Vec<Service>, i64), StoreError> {
    let page = services::page(&panel.db, scope, contains, limit, offset).await?;
    Ok((page, services::count(&panel.db, scope, contains).await?))
}

/// One service.
pub async fn by_id(panel: &Panel, id: ServiceId) -> Result<Service, ServiceError> {
    services::by_id(&panel.db, id).await?.ok_or(ServiceError::NotFound)
}

/// Makes a service.
pub async fn create(panel: &Panel, new: NewService) -> Result<Service, ServiceError> {
    let id = panel
        .db
        .transaction("create service", async |tx| -> Result<_, StoreError> {
            let id = services::insert(tx, new.name.as_deref()).await?;
            services::set_inbounds(tx, id, ids(&new.inbound_ids)).await?;
            Ok(id)
        })
        .await?;
    by_id(panel, id).await
}

/// Changes a service. Its users are marked if its inbounds are others than before.
pub async fn update(panel: &Panel, id: ServiceId, change: ServiceChange) -> Result<Service, ServiceError> {
    let now = panel.clock.now();
    panel
        .db
        .transaction("update service", async |tx| -> Result<_, ServiceError> {
            if !services::lock(tx, id).await? {
                return Err(ServiceError::NotFound);
            }
            if let Some(name) = &change.name {
                services::rename(tx, id, name).await?;
            }
            if let Some(inbound_ids) = &change.inbound_ids {
                let before = services::inbounds(tx, id).await?;
                services::set_inbounds(tx, id, ids(inbound_ids)).await?;
                if services::inbounds(tx, id).await? != before {
                    changes::mark_users_of(tx, id, EVERYBODY, now).await?;
                }
            }
            Ok(())
        })
        .await?;
    panel.wakeup.notify();
    by_id(panel, id).await
}

/// Deletes a service. Its users keep their others.
///
/// A service may have a hundred thousand users: all but the last of them lose it before, in transactions of their own,
/// each with their marks. Whatever breaks off here is finished by deleting once more.
pub async fn delete(panel: &Panel, id: ServiceId) -> Result<(), ServiceError> {
    while panel.db.transaction("delete service", async |tx| delete_part(panel, tx, id).await).await? == Part::More {
        tokio::time::sleep(PAUSE).await;
    }
    panel.wakeup.notify();
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Part {
    More,
    Last,
}

async fn delete_part(panel: &Panel, tx: &mut Tx, id: ServiceId) -> Result<Part, ServiceError> {
    if !services::lock(tx, id).await? {
        return Err(ServiceError::NotFound);
    }
    let now = panel.clock.now();
    Ok(match services::user_after(tx, id, USERS_AT_ONCE).await? {
        Some(user) => {
            changes::mark_users_of(tx, id, user, now).await?;
            services::take_from_users(tx, id, user).await?;
            Part::More
        }
        None => {
            changes::mark_users_of(tx, id, EVERYBODY, now).await?;
            services::delete(tx, id).await?;
            Part::Last
        }
    })
}

fn ids(inbound_ids: &[InboundId]) -> IdList {
    IdList::new(inbound_ids.iter().map(|id| id.0))
}
