//! Changes of hosts. They change what subscriptions show; nodes need not know.

use super::Panel;
use crate::domain::change::Changed;
use crate::domain::host::Host;
use crate::domain::ids::HostId;
use crate::store::hosts::{HostChange, HostView};
use crate::store::{self, StoreError};

/// An error of a change to a host.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The host does not exist.
    #[error("the host does not exist")]
    NotFound,
    /// The inbound of a new host does not exist.
    #[error("the inbound does not exist")]
    InboundNotFound,
    /// A statement failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Creates a host for its inbound, or an unbound one, under a new id.
pub async fn create(panel: &Panel, host: &Host) -> Result<HostView, HostError> {
    let create = panel.transaction("create host", async |tx| -> Result<_, StoreError> {
        let id = store::hosts::insert(tx, host).await?;
        Ok((id, id.map(|id| Changed::Hosts.row(id.0))))
    });
    let id = create.await?.ok_or(HostError::InboundNotFound)?;
    current(panel, id).await
}

/// Replaces a host, except for its inbound; also except for its settings of current cores, if they are not part of the change.
pub async fn replace(panel: &Panel, host: &Host, keeps_core_settings: bool) -> Result<HostView, HostError> {
    let replace = panel.transaction("replace host", async |tx| -> Result<_, StoreError> {
        let mut host = host.clone();
        if keeps_core_settings {
            host.spec.core_settings = store::hosts::core_settings(tx, host.id).await?;
        }
        let found = store::hosts::update(tx, &host).await?;
        Ok((found, found.then(|| Changed::Hosts.row(host.id.0))))
    });
    if !replace.await? {
        return Err(HostError::NotFound);
    }
    current(panel, host.id).await
}

/// Changes weights and states of hosts; those that do not exist are ignored.
pub async fn change(panel: &Panel, changes: &[HostChange]) -> Result<(), StoreError> {
    let change = panel.transaction("change hosts", async |tx| -> Result<_, StoreError> {
        let found = store::hosts::change(tx, changes).await?;
        Ok(((), (found > 0).then(|| Changed::Hosts.any())))
    });
    change.await
}

/// Deletes a host, also from the chains of other hosts.
pub async fn remove(panel: &Panel, id: HostId) -> Result<(), HostError> {
    let remove = panel.transaction("remove host", async |tx| -> Result<_, StoreError> {
        let found = store::hosts::delete(tx, id).await?;
        Ok((found, found.then(|| Changed::Hosts.row(id.0))))
    });
    if remove.await? { Ok(()) } else { Err(HostError::NotFound) }
}

/// Returns the host as stored: without missing services and chained hosts, with its inbound's protocol.
async fn current(panel: &Panel, id: HostId) -> Result<HostView, HostError> {
    store::hosts::by_id(&panel.db, id).await?.ok_or(HostError::NotFound)
}
