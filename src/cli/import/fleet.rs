//! Nodes with their engines and inbounds, from old rows to new ones.

use super::reading::Reading;
use crate::domain::moment::Moment;
use crate::domain::node::{ConnectionBackend, DEFAULT_PORT, NodeStatus};
use crate::store::import::tables::{BackendRow, InboundRow, NodeRow};

/// A node. What it lacks gets a stand-in that nothing else has, so that its inbounds and traffic keep their node.
pub(super) fn node(row: &mut Reading<'_>, now: Moment) -> Option<NodeRow> {
    let id = row.integer("id")?;
    let name = row.text("name").unwrap_or_else(|| {
        row.changed("there was no name: it is made of the id");
        format!("node {id}")
    });
    let address = row.text("address").unwrap_or_else(|| {
        row.changed("there was no address: it is one that does not exist");
        format!("node-{id}.invalid")
    });
    let backend = row.word("connection_backend", ConnectionBackend::from_word, ConnectionBackend::Grpclib, "grpclib");
    Some(NodeRow {
        id,
        name,
        address,
        port: row.integer("port").unwrap_or(DEFAULT_PORT),
        connection_backend: backend.word().to_owned(),
        usage_coefficient: coefficient(row),
        status: row.word("status", NodeStatus::from_word, NodeStatus::Unhealthy, "unhealthy").word().to_owned(),
        message: row.text("message"),
        xray_version: row.text("xray_version"),
        last_status_change: row.moment("last_status_change"),
        created_at: row.moment("created_at").unwrap_or_else(|| now.micros()),
    })
}

fn coefficient(row: &mut Reading<'_>) -> f64 {
    let Some(text) = row.text("usage_coefficient") else { return 1.0 };
    match text.parse::<f64>() {
        Ok(coefficient) if coefficient.is_finite() && coefficient >= 0.0 => coefficient,
        _ => {
            row.changed("usage_coefficient was no number from 0: it is 1");
            1.0
        }
    }
}

/// An engine of a node that came. Nodes tell them anew whenever they connect.
pub(super) fn backend(row: &mut Reading<'_>, has_node: impl Fn(i64) -> bool) -> Option<BackendRow> {
    let node_id = of_node(row, has_node)?;
    Some(BackendRow {
        node_id,
        name: row.text("name").unwrap_or_default(),
        backend_type: row.text("backend_type").unwrap_or_default(),
        version: row.text("version"),
        running: row.truth("running", false),
    })
}

/// An inbound of a node that came.
pub(super) fn inbound(row: &mut Reading<'_>, has_node: impl Fn(i64) -> bool) -> Option<InboundRow> {
    let id = row.integer("id")?;
    let node_id = of_node(row, has_node)?;
    Some(InboundRow {
        id,
        node_id,
        tag: row.text("tag").unwrap_or_default(),
        // The old panel wrote them as `VMess`, `VLESS`, …
        protocol: row.text("protocol").unwrap_or_default().to_lowercase(),
        config: row.text("config").unwrap_or_default(),
    })
}

fn of_node(row: &mut Reading<'_>, has_node: impl Fn(i64) -> bool) -> Option<i64> {
    match row.integer("node_id") {
        Some(node) if has_node(node) => Some(node),
        _ => row.left_out("its node is gone"),
    }
}
