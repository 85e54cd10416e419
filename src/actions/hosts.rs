//! Changes of hosts. They change what subscriptions show; nodes need not know.

use serde_json::json;

use super::Panel;
use crate::domain::audit::Entry;
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
        let Some(id) = store::hosts::insert(tx, host).await? else { return Ok((None, None)) };
        let entry = entry("host.create", id, host).created(host);
        Ok((Some(id), Some(panel.record(tx, Changed::Hosts.row(id.0), &entry).await?)))
    });
    let id = create.await?.ok_or(HostError::InboundNotFound)?;
    current(panel, id).await
}

/// Replaces a host, except for its inbound; also except for its settings of current cores, if they are not part of the change.
pub async fn replace(panel: &Panel, host: &Host, keeps_core_settings: bool) -> Result<HostView, HostError> {
    let replace = panel.transaction("replace host", async |tx| -> Result<_, StoreError> {
        let Some(before) = store::hosts::lock(tx, host.id).await? else { return Ok((false, None)) };
        let mut after = Host { inbound_id: before.inbound_id, ..host.clone() };
        if keeps_core_settings {
            after.spec.core_settings.clone_from(&before.spec.core_settings);
        }
        let found = store::hosts::update(tx, &after).await?;
        let entry = entry("host.update", host.id, &before).changed(&before, &after);
        Ok((found, Some(panel.record(tx, Changed::Hosts.row(host.id.0), &entry).await?)))
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
        if found == 0 {
            return Ok(((), None));
        }
        let wanted: Vec<_> = changes
            .iter()
            .map(|change| json!({"id": change.id, "weight": change.weight, "is_disabled": change.is_disabled}))
            .collect();
        let count = i64::try_from(found).unwrap_or(i64::MAX);
        let entry = Entry::of_many("host.update_many", "chosen by id", count).with(json!({"hosts": wanted}));
        Ok(((), Some(panel.record(tx, Changed::Hosts.any(), &entry).await?)))
    });
    change.await
}

/// Deletes a host, also from the chains of other hosts.
pub async fn remove(panel: &Panel, id: HostId) -> Result<(), HostError> {
    let remove = panel.transaction("remove host", async |tx| -> Result<_, StoreError> {
        let Some(before) = store::hosts::lock(tx, id).await? else { return Ok((false, None)) };
        store::hosts::delete(tx, id).await?;
        let entry = entry("host.delete", id, &before).deleted(&before);
        Ok((true, Some(panel.record(tx, Changed::Hosts.row(id.0), &entry).await?)))
    });
    if remove.await? { Ok(()) } else { Err(HostError::NotFound) }
}

/// Returns the host as stored: without missing services and chained hosts, with its inbound's protocol.
async fn current(panel: &Panel, id: HostId) -> Result<HostView, HostError> {
    store::hosts::by_id(&panel.db, id).await?.ok_or(HostError::NotFound)
}

fn entry(action: &'static str, id: HostId, host: &Host) -> Entry {
    Entry::of(action, id.0, host.spec.remark.clone())
}
