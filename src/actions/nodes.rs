//! Changes of nodes. They write the desired state; the leader, which the wake-up tells, establishes it.

use super::{PAUSE, Panel};
use crate::domain::audit::Entry;
use crate::domain::change::{Changed, Unchanged};
use crate::domain::ids::NodeId;
use crate::domain::node::Node;
use crate::domain::node_edit::{NewNode, NodeEdit};
use crate::nodes::panel_certificate::{self, PanelCertificateError};
use crate::store::{self, Fault, StoreError, Transient};

/// An error of a change to a node.
#[derive(Debug, thiserror::Error)]
pub enum NodeChangeError {
    /// The node does not exist.
    #[error("the node does not exist")]
    NotFound,
    /// Another node has this name, or this address and port.
    #[error("another node has this name, or this address and port")]
    Taken(#[source] StoreError),
    /// A statement failed.
    #[error(transparent)]
    Store(StoreError),
}

impl Transient for NodeChangeError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

impl From<StoreError> for NodeChangeError {
    fn from(error: StoreError) -> Self {
        match error.fault() {
            Fault::Unique(_) => Self::Taken(error),
            _ => Self::Store(error),
        }
    }
}

/// Creates a node; it is connected in the background.
pub async fn create(panel: &Panel, new: NewNode) -> Result<Node, NodeChangeError> {
    let create = panel.transaction("create node", async |tx| -> Result<_, NodeChangeError> {
        let id = store::nodes::insert(tx, &new, panel.clock.now()).await?;
        let node = new.clone().into_node(id);
        let entry = entry("node.create", &node).created(&node);
        Ok((id, panel.record(tx, Changed::Nodes.row(id.0), &entry).await?))
    });
    let id = create.await?;
    Ok(new.into_node(id))
}

/// Changes a node. The leader reconnects to it, or disconnects from a disabled node.
pub async fn edit(panel: &Panel, id: NodeId, edit: &NodeEdit) -> Result<Node, NodeChangeError> {
    let edit = panel.transaction("edit node", async |tx| -> Result<_, NodeChangeError> {
        let node = store::nodes::lock(tx, id).await?.ok_or(NodeChangeError::NotFound)?;
        let after = edit.clone().apply(node.clone());
        store::nodes::update(tx, &after, panel.clock.now()).await?;
        let entry = entry("node.update", &node).changed(&node, &after);
        Ok(((), panel.record(tx, Changed::Nodes.row(id.0), &entry).await?))
    });
    edit.await?;
    store::nodes::by_id(&panel.db, id).await?.ok_or(NodeChangeError::NotFound)
}

/// Removes a node with its engines, its inbounds and their hosts.
///
/// A node may have thousands of hosts: it vanishes first, and then its rows are deleted, a part at a time. What remains
/// after an error is deleted by the task `prune`.
pub async fn remove(panel: &Panel, id: NodeId) -> Result<(), NodeChangeError> {
    on_row(panel, id, Change::Remove).await?;
    while !remove_part(panel, id).await? {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn remove_part(panel: &Panel, id: NodeId) -> Result<bool, NodeChangeError> {
    let remove = panel.transaction("delete rows of node", async |tx| -> Result<_, NodeChangeError> {
        // Nothing that anybody still sees.
        Ok((store::nodes::delete_part(tx, id).await?, Unchanged))
    });
    remove.await
}

/// Requests a full sync of a node.
pub async fn resync(panel: &Panel, id: NodeId) -> Result<(), NodeChangeError> {
    on_row(panel, id, Change::Resync).await
}

/// Clears the pinned certificate, and requests a new connection that pins the next one.
pub async fn repin(panel: &Panel, id: NodeId) -> Result<(), NodeChangeError> {
    on_row(panel, id, Change::Repin).await
}

/// Returns the certificate that nodes must trust, as PEM: one for the cluster, created by the first request.
pub async fn panel_certificate(panel: &Panel) -> Result<String, PanelCertificateError> {
    panel_certificate::obtain(&panel.db, panel.clock.now()).await.map(|material| material.certificate)
}

/// A change of a node by one statement.
#[derive(Clone, Copy, Debug)]
enum Change {
    Remove,
    Resync,
    Repin,
}

/// Runs one statement on one node.
async fn on_row(panel: &Panel, id: NodeId, change: Change) -> Result<(), NodeChangeError> {
    let change = panel.transaction("change node", async |tx| -> Result<_, NodeChangeError> {
        let node = store::nodes::lock(tx, id).await?.ok_or(NodeChangeError::NotFound)?;
        let entry = match change {
            Change::Remove => {
                store::nodes::hide(tx, id, panel.clock.now()).await?;
                entry("node.delete", &node).deleted(&node)
            }
            Change::Resync => {
                store::nodes::request_sync(tx, id).await?;
                entry("node.resync", &node)
            }
            Change::Repin => {
                store::nodes::forget_pin(tx, id).await?;
                entry("node.repin", &node)
            }
        };
        Ok(((), panel.record(tx, Changed::Nodes.row(id.0), &entry).await?))
    });
    change.await
}

fn entry(action: &'static str, node: &Node) -> Entry {
    Entry::of(action, node.id.0, node.name.clone())
}
