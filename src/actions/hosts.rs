//! What admins do with hosts. They only change what subscriptions show: no node needs to know.

use super::Panel;
use crate::domain::host::Host;
use crate::domain::ids::HostId;
use crate::store::hosts::HostView;
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
    let id = panel.db.transaction("create host", async |tx| store::hosts::insert(tx, host).await).await?;
    current(panel, id.ok_or(HostError::InboundNotFound)?).await
}

/// Replaces a host, except for its inbound.
pub async fn replace(panel: &Panel, host: &Host) -> Result<HostView, HostError> {
    let found = panel.db.transaction("replace host", async |tx| store::hosts::update(tx, host).await).await?;
    if !found {
        return Err(HostError::NotFound);
    }
    current(panel, host.id).await
}

/// Deletes a host, also from the chains of other hosts.
pub async fn remove(panel: &Panel, id: HostId) -> Result<(), HostError> {
    let found = panel.db.transaction("remove host", async |tx| store::hosts::delete(tx, id).await).await?;
    if found { Ok(()) } else { Err(HostError::NotFound) }
}

/// Returns the host as stored: without missing services and chained hosts, with its inbound's protocol.
async fn current(panel: &Panel, id: HostId) -> Result<HostView, HostError> {
    store::hosts::by_id(&panel.db, id).await?.ok_or(HostError::NotFound)
}
