//! Services: bundles of inbounds that users are assigned to. A change of what users may reach marks them for the nodes.

use super::{PAUSE, Panel};
use crate::domain::audit::Entry;
use crate::domain::change::Changed;
use crate::domain::ids::{AdminId, InboundId, ServiceId, UserId};
use crate::domain::service::Service;
use crate::store::hosts::services;
use crate::store::hosts::services::Scope;
use crate::store::users::changes;
use crate::store::{IdList, StoreError, Transient, Tx};

/// Users that lose a service in one transaction: well below 250 ms on SQLite.
const USERS_AT_ONCE: i64 = 10_000;

/// Greater than every id: users are marked in one transaction, which is fast enough.
const ALL_USERS: UserId = UserId(i64::MAX);

/// A service to create.
#[derive(Clone, Debug, Default)]
pub struct NewService {
    /// Any text, not unique.
    pub name: Option<String>,
    /// Unknown inbounds are left out.
    pub inbound_ids: Vec<InboundId>,
}

/// A change of a service; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct ServiceChange {
    /// See [`NewService`].
    pub name: Option<String>,
    /// See [`NewService`].
    pub inbound_ids: Option<Vec<InboundId>>,
}

/// Why a service was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// No service has this id.
    #[error("there is no such service")]
    NotFound,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Transient for ServiceError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

/// Returns a page of services, with their users of that owner (none: all users), and their total number. `contains` is a
/// part of the name with `%` and `_` as wildcards; empty matches all.
pub async fn list(
    panel: &Panel,
    scope: Scope,
    owner: Option<AdminId>,
    contains: &str,
    first_users: i64,
    limit: i64,
    offset: i64,
) -> Result<(Vec<Service>, i64), StoreError> {
    let page = services::page(&panel.db, scope, owner, contains, first_users, limit, offset).await?;
    Ok((page, services::count(&panel.db, scope, contains).await?))
}

/// Returns a service, with its users of that owner (none: all users).
pub async fn by_id(panel: &Panel, id: ServiceId, owner: Option<AdminId>) -> Result<Service, ServiceError> {
    services::by_id(&panel.db, id, owner).await?.ok_or(ServiceError::NotFound)
}

/// Creates a service.
pub async fn create(panel: &Panel, new: NewService) -> Result<Service, ServiceError> {
    let create = panel.transaction("create service", async |tx| -> Result<_, StoreError> {
        let id = services::insert(tx, new.name.as_deref()).await?;
        services::set_inbounds(tx, id, ids(&new.inbound_ids)).await?;
        let inbound_ids = services::inbounds(tx, id).await?.as_slice().iter().copied().map(InboundId).collect();
        let service = Service { id, name: new.name.clone(), inbound_ids, first_users: Vec::new() };
        let entry = Entry::of("service.create", id.0, service.name.clone()).created(&service);
        Ok((id, panel.record(tx, Changed::Services.row(id.0), &entry).await?))
    });
    let id = create.await?;
    by_id(panel, id, None).await
}

/// Changes a service. Its users are marked for the nodes if its inbounds change.
pub async fn update(panel: &Panel, id: ServiceId, change: ServiceChange) -> Result<Service, ServiceError> {
    let now = panel.clock.now();
    let update = panel.transaction("update service", async |tx| -> Result<_, ServiceError> {
        let before = services::lock(tx, id).await?.ok_or(ServiceError::NotFound)?;
        if let Some(name) = &change.name {
            services::rename(tx, id, name).await?;
        }
        if let Some(inbound_ids) = &change.inbound_ids {
            services::set_inbounds(tx, id, ids(inbound_ids)).await?;
        }
        let after = services::lock(tx, id).await?.ok_or(ServiceError::NotFound)?;
        if after.inbound_ids != before.inbound_ids {
            changes::mark_users_of(tx, id, ALL_USERS, now).await?;
        }
        let entry = Entry::of("service.update", id.0, before.name.clone()).changed(&before, &after);
        Ok(((), panel.record(tx, Changed::Services.row(id.0), &entry).await?))
    });
    update.await?;
    by_id(panel, id, None).await
}

/// Deletes a service. Its users keep their other services.
///
/// A service may have a hundred thousand users: all but the last batch lose it first, in transactions of their own. After
/// an error, deleting again finishes the work.
pub async fn delete(panel: &Panel, id: ServiceId) -> Result<(), ServiceError> {
    let delete_part = async || {
        let part = panel.transaction("delete service", async |tx| -> Result<_, ServiceError> {
            let before = services::lock(tx, id).await?.ok_or(ServiceError::NotFound)?;
            let part = delete_part(panel, tx, id).await?;
            let action = if part == Part::Last { "service.delete" } else { "service.delete_part" };
            let entry = Entry::of(action, id.0, before.name.clone()).deleted(&before);
            Ok((part, panel.record(tx, Changed::Services.row(id.0), &entry).await?))
        });
        part.await
    };
    while delete_part().await? == Part::More {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Part {
    More,
    Last,
}

async fn delete_part(panel: &Panel, tx: &mut Tx, id: ServiceId) -> Result<Part, ServiceError> {
    let now = panel.clock.now();
    Ok(match services::user_after(tx, id, USERS_AT_ONCE).await? {
        Some(user) => {
            changes::mark_users_of(tx, id, user, now).await?;
            services::take_from_users(tx, id, user).await?;
            Part::More
        }
        None => {
            changes::mark_users_of(tx, id, ALL_USERS, now).await?;
            services::delete(tx, id).await?;
            Part::Last
        }
    })
}

fn ids(inbound_ids: &[InboundId]) -> IdList {
    IdList::new(inbound_ids.iter().map(|id| id.0))
}
