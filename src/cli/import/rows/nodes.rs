//! Converts nodes, backends and inbounds.

use super::reader::RowReader;
use crate::domain::address::{self, AddressError};
use crate::domain::moment::Moment;
use crate::domain::node::{ConnectionBackend, DEFAULT_PORT, NodeStatus};
use crate::store::import::tables::{BackendRow, InboundRow, NodeRow};

/// Converts a node. A missing name or address gets a unique placeholder, so that inbounds and traffic keep their node.
pub(in crate::cli::import) fn node(row: &mut RowReader<'_>, now: Moment) -> Option<NodeRow> {
    let id = row.integer("id")?;
    let name = row.text("name").unwrap_or_else(|| {
        row.changed("no name: named after its id");
        format!("node {id}")
    });
    let address = address(row).unwrap_or_else(|| {
        row.changed("no address: a placeholder under .invalid");
        placeholder(id)
    });
    let port = row.integer("port").unwrap_or(DEFAULT_PORT);
    if !(1..=65_535).contains(&port) {
        row.means(format!("the port {port} is not from 1 to 65535: the panel connects once you change it"));
    }
    let backend =
        row.variant("connection_backend", ConnectionBackend::from_word, ConnectionBackend::Grpclib, "grpclib");
    Some(NodeRow {
        id,
        name,
        address,
        port,
        connection_backend: backend.word().to_owned(),
        usage_coefficient: coefficient(row),
        status: row.variant("status", NodeStatus::from_word, NodeStatus::Unhealthy, "unhealthy").word().to_owned(),
        message: row.text("message"),
        xray_version: row.text("xray_version"),
        last_status_change: row.micros("last_status_change"),
        created_at: row.micros("created_at").unwrap_or_else(|| now.micros()),
    })
}

/// An address under a domain that never exists, unique for the node.
pub(in crate::cli::import) fn placeholder(id: i64) -> String {
    format!("node-{id}.invalid")
}

/// Reads the address as an admin may type it: cleaned, or as it is if it is none.
fn address(row: &mut RowReader<'_>) -> Option<String> {
    let text = row.text("address")?;
    match address::cleaned(&text) {
        Ok(clean) if clean == text => Some(text),
        Ok(clean) => {
            row.changed(format!("the address {text:?} is written {clean:?}"));
            Some(clean.into_owned())
        }
        Err(AddressError::Empty) => None,
        Err(error) => {
            row.means(format!("the address {text:?} {error}: the panel connects once you change it"));
            Some(text)
        }
    }
}

fn coefficient(row: &mut RowReader<'_>) -> f64 {
    let Some(text) = row.text("usage_coefficient") else { return 1.0 };
    match text.parse::<f64>() {
        Ok(coefficient) if coefficient.is_finite() && coefficient >= 0.0 => coefficient,
        _ => {
            row.changed("usage_coefficient is not a number of at least 0: set to 1");
            1.0
        }
    }
}

/// Converts a backend of a copied node. Nodes report their backends again on each connection.
pub(in crate::cli::import) fn backend(row: &mut RowReader<'_>, has_node: impl Fn(i64) -> bool) -> Option<BackendRow> {
    let node_id = of_node(row, has_node)?;
    Some(BackendRow {
        node_id,
        name: row.text("name").unwrap_or_default(),
        backend_type: row.text("backend_type").unwrap_or_default(),
        version: row.text("version"),
        running: row.boolean("running", false),
    })
}

/// Converts an inbound of a copied node.
pub(in crate::cli::import) fn inbound(row: &mut RowReader<'_>, has_node: impl Fn(i64) -> bool) -> Option<InboundRow> {
    let id = row.integer("id")?;
    let node_id = of_node(row, has_node)?;
    Some(InboundRow {
        id,
        node_id,
        tag: row.text("tag").unwrap_or_default(),
        // Marzneshin writes `VMess`, `VLESS`, …
        protocol: row.text("protocol").unwrap_or_default().to_lowercase(),
        config: row.text("config").unwrap_or_default(),
    })
}

fn of_node(row: &mut RowReader<'_>, has_node: impl Fn(i64) -> bool) -> Option<i64> {
    match row.integer("node_id") {
        Some(node) if has_node(node) => Some(node),
        _ => row.leave_out("node not found"),
    }
}
