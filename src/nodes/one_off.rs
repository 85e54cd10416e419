//! One-off connections to nodes: any process may call a node over a connection of its own, beside the leader's session.

use super::connection::{NodeConnection, Target};
use super::fingerprint::Fingerprint;
use super::node_error::NodeError;
use super::panel_certificate::{self, PanelCertificateError};
use crate::domain::ids::NodeId;
use crate::domain::moment::Moment;
use crate::store::nodes::sync_state;
use crate::store::nodes::sync_state::NodeRow;
use crate::store::{Db, StoreError};

/// Why a one-off connection failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The node does not exist, or an admin disabled it.
    #[error("the node does not exist, or it is disabled")]
    Unknown,
    /// The node can't be reached, or presented another certificate.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The panel's own certificate can't be used.
    #[error(transparent)]
    Certificate(#[from] PanelCertificateError),
    /// A query failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Connects to an enabled node. Pins the node's certificate if none is pinned.
pub async fn connect(db: &Db, now: Moment, node: NodeId) -> Result<NodeConnection, ConnectError> {
    let target = Target::from(&enabled(db, node).await?);
    let identity = panel_certificate::identity(db, now).await?;
    let connection = NodeConnection::connect(&target, &identity).await?;
    if let Some(seen) = connection.first_seen(&target) {
        // Only a node is pinned, not any service that speaks TLS.
        connection.fetch_backends().await?;
        sync_state::pin(db, node, &seen).await?;
        let pinned = Target::from(&enabled(db, node).await?).pin;
        if let (Some(pinned), Some(presented)) = (pinned, Fingerprint::parse(&seen.fingerprint))
            && pinned != presented
        {
            return Err(NodeError::CertificateChanged { pinned, presented }.into());
        }
    }
    Ok(connection)
}

async fn enabled(db: &Db, node: NodeId) -> Result<NodeRow, ConnectError> {
    let row = sync_state::node(db, node).await?;
    row.filter(|row| row.is_enabled()).ok_or(ConnectError::Unknown)
}
