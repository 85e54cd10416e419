//! A short visit to a node: any process may ask one something, over a connection of its own. The leader's session goes
//! on beside it.

use super::link::{Link, Target};
use super::link_error::LinkError;
use super::panel_certificate;
use super::panel_certificate::PanelCertificateError;
use super::tls::Fingerprint;
use crate::domain::ids::NodeId;
use crate::domain::moment::Moment;
use crate::domain::node::NodeStatus;
use crate::store::nodes::sync_state;
use crate::store::nodes::sync_state::NodeRow;
use crate::store::{Db, StoreError};

/// Why a node can't be visited.
#[derive(Debug, thiserror::Error)]
pub enum VisitError {
    /// There is no such node, or an admin has switched it off.
    #[error("there is no such node, or it is disabled")]
    Unknown,
    /// It can't be reached, or is not the one that it was.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The panel has nothing to show.
    #[error(transparent)]
    Certificate(#[from] PanelCertificateError),
    /// The database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Connects to a node. A certificate that is seen for the first time is pinned before anything is said under it.
pub async fn visit(db: &Db, now: Moment, node: NodeId) -> Result<Link, VisitError> {
    let target = Target::from(&enabled(db, node).await?);
    let identity = panel_certificate::identity(db, now).await?;
    let link = Link::connect(&target, &identity).await?;
    if let Some(seen) = link.first_seen(&target) {
        // Only a node is pinned, not just anything that speaks TLS.
        link.fetch_backends().await?;
        sync_state::pin(db, node, &seen).await?;
        let pinned = Target::from(&enabled(db, node).await?).pin;
        if let (Some(pinned), Some(presented)) = (pinned, Fingerprint::parse(&seen.fingerprint))
            && pinned != presented
        {
            return Err(LinkError::CertificateChanged { pinned, presented }.into());
        }
    }
    Ok(link)
}

async fn enabled(db: &Db, node: NodeId) -> Result<NodeRow, VisitError> {
    let row = sync_state::node(db, node).await?;
    row.filter(|row| row.status != NodeStatus::Disabled.word()).ok_or(VisitError::Unknown)
}
