//! Deletes absent inbounds: those that their nodes no longer report. All else about inbounds comes from nodes.

use super::{PAUSE, Panel};
use crate::domain::audit::Entry;
use crate::domain::change::Changed;
use crate::domain::ids::{InboundId, NodeId};
use crate::store::hosts::inbounds;
use crate::store::{self, IdList, StoreError, Transient};

/// Inbounds that one transaction deletes: well below 250 ms on SQLite, with a host or two each.
const AT_ONCE: usize = 500;

/// Why an inbound was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum InboundError {
    /// No inbound has this id.
    #[error("there is no such inbound")]
    NotFound,
    /// No node has this id.
    #[error("there is no such node")]
    NodeNotFound,
    /// The node would report it again at once.
    #[error("the node reports this inbound; remove it from the engine's configuration first")]
    Reported,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Transient for InboundError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

/// Deletes an absent inbound with its hosts, also from services. Nodes need not know: it has no users.
pub async fn remove(panel: &Panel, id: InboundId) -> Result<(), InboundError> {
    let remove = panel.transaction("delete absent inbound", async |tx| -> Result<_, InboundError> {
        if !inbounds::is_absent(tx, id).await?.ok_or(InboundError::NotFound)? {
            return Err(InboundError::Reported);
        }
        inbounds::delete(tx, id).await?;
        let entry = Entry::of("inbound.delete", id.0, None);
        Ok(((), panel.record(tx, Changed::Nodes, &entry).await?))
    });
    remove.await
}

/// Deletes all absent inbounds of a node, in several transactions. Those that vanish meanwhile stay.
pub async fn remove_absent(panel: &Panel, node: NodeId) -> Result<(), InboundError> {
    if store::nodes::by_id(&panel.db, node).await?.is_none() {
        return Err(InboundError::NodeNotFound);
    }
    let absent = inbounds::absent(&panel.db, node).await?;
    for ids in absent.as_slice().chunks(AT_ONCE) {
        let ids = IdList::new(ids.iter().copied());
        let remove = panel.transaction("delete absent inbounds", async |tx| -> Result<_, StoreError> {
            let removed = inbounds::delete_absent(tx, &ids).await?;
            if removed == 0 {
                return Ok(((), None));
            }
            let count = i64::try_from(removed).unwrap_or(i64::MAX);
            let entry = Entry::of_many("inbound.delete", format!("absent from node {node}"), count);
            Ok(((), Some(panel.record(tx, Changed::Nodes, &entry).await?)))
        });
        remove.await?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
