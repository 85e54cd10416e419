//! What admins do with nodes. The row says what should be; the leader, woken by the wakeup, makes it so.

use super::Panel;
use crate::domain::ids::NodeId;
use crate::domain::node::Node;
use crate::domain::node_edit::{NewNode, NodeEdit};
use crate::nodes::panel_certificate::{self, PanelCertificateError};
use crate::store::{self, Fault, StoreError};

/// Why a node was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Another node has this name, or this address and port.
    #[error("another node has this name, or this address and port")]
    Taken(#[source] StoreError),
    /// The database refused.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for NodeError {
    fn from(error: StoreError) -> Self {
        match error.fault() {
            Fault::Unique(_) => Self::Taken(error),
            _ => Self::Store(error),
        }
    }
}

/// Makes a node; it is connected in the background.
pub async fn create(panel: &Panel, new: NewNode) -> Result<Node, NodeError> {
    let id =
        panel.db.transaction("create node", async |tx| store::nodes::insert(tx, &new, panel.clock.now()).await).await?;
    panel.wakeup.notify();
    Ok(new.into_node(id))
}

/// Changes a node and connects to it again, or disables it. `None`: there is no such node.
pub async fn edit(panel: &Panel, id: NodeId, edit: &NodeEdit) -> Result<Option<Node>, NodeError> {
    let found = panel
        .db
        .transaction("edit node", async |tx| -> Result<_, StoreError> {
            let Some(node) = store::nodes::lock(tx, id).await? else { return Ok(false) };
            store::nodes::update(tx, &edit.clone().apply(node), panel.clock.now()).await?;
            Ok(true)
        })
        .await?;
    if !found {
        return Ok(None);
    }
    panel.wakeup.notify();
    Ok(store::nodes::by_id(&panel.db, id).await?)
}

/// Removes a node with its engines, its inbounds and their hosts. False: there is no such node.
pub async fn remove(panel: &Panel, id: NodeId) -> Result<bool, StoreError> {
    on_row(panel, id, Change::Remove).await
}

/// Sends a node everything anew. False: there is no such node.
pub async fn resync(panel: &Panel, id: NodeId) -> Result<bool, StoreError> {
    on_row(panel, id, Change::Resync).await
}

/// Trusts the certificate that a node shows next, and connects again. False: there is no such node.
pub async fn repin(panel: &Panel, id: NodeId) -> Result<bool, StoreError> {
    on_row(panel, id, Change::Repin).await
}

/// The certificate that nodes must trust, PEM: one for the whole cluster, made by whoever asks first.
pub async fn panel_certificate(panel: &Panel) -> Result<String, PanelCertificateError> {
    panel_certificate::obtain(&panel.db, panel.clock.now()).await.map(|material| material.certificate)
}

/// What one statement does to a node.
#[derive(Clone, Copy, Debug)]
enum Change {
    Remove,
    Resync,
    Repin,
}

/// A transaction with one statement on one node; the wakeup rings when the node was there.
async fn on_row(panel: &Panel, id: NodeId, change: Change) -> Result<bool, StoreError> {
    let found = panel
        .db
        .transaction("change node", async |tx| match change {
            Change::Remove => store::nodes::delete(tx, id).await,
            Change::Resync => store::nodes::request_sync(tx, id).await,
            Change::Repin => store::nodes::forget_pin(tx, id).await,
        })
        .await?;
    if found {
        panel.wakeup.notify();
    }
    Ok(found)
}
