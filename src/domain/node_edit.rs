//! How an admin creates and edits a node.

use super::ids::NodeId;
use super::node::{ConnectionBackend, Node, NodeStatus};

/// A node to create. It starts unhealthy and is connected in the background.
#[derive(Clone, Debug, PartialEq)]
pub struct NewNode {
    /// Any text; unique.
    pub name: String,
    /// Host name or address; unique together with the port.
    pub address: String,
    /// TCP port.
    pub port: i64,
    /// How the panel connects to it.
    pub connection_backend: ConnectionBackend,
    /// The factor on users' traffic, at least 0.
    pub usage_coefficient: f64,
}

/// Changes to a node; `None` leaves a field unchanged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeEdit {
    /// Any text; unique.
    pub name: Option<String>,
    /// Host name or address.
    pub address: Option<String>,
    /// TCP port.
    pub port: Option<i64>,
    /// How the panel connects to it.
    pub connection_backend: Option<ConnectionBackend>,
    /// The factor on users' traffic. Clients send 0 for "not set": 0 changes nothing.
    pub usage_coefficient: Option<f64>,
    /// Only `disabled` has an effect of its own: any other status, and none, means "connect again".
    pub status: Option<NodeStatus>,
}

impl NewNode {
    /// The node directly after its creation.
    pub fn into_node(self, id: NodeId) -> Node {
        Node {
            id,
            name: self.name,
            address: self.address,
            port: self.port,
            connection_backend: self.connection_backend,
            usage_coefficient: self.usage_coefficient,
            status: NodeStatus::Unhealthy,
            message: None,
            xray_version: None,
            healed_at: None,
            inbound_ids: Vec::new(),
            backends: Vec::new(),
        }
    }
}

impl NodeEdit {
    /// The node after the edit.
    pub fn apply(self, mut node: Node) -> Node {
        node.name = self.name.unwrap_or(node.name);
        node.address = self.address.unwrap_or(node.address);
        node.port = self.port.unwrap_or(node.port);
        node.connection_backend = self.connection_backend.unwrap_or(node.connection_backend);
        node.usage_coefficient = self.usage_coefficient.filter(|new| *new != 0.0).unwrap_or(node.usage_coefficient);
        if self.status == Some(NodeStatus::Disabled) {
            node.status = NodeStatus::Disabled;
            node.message = None;
            node.xray_version = None;
        } else {
            node.status = NodeStatus::Unhealthy;
        }
        node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Node {
        Node {
            id: NodeId(1),
            name: "de".into(),
            address: "192.0.2.1".into(),
            port: 53042,
            connection_backend: ConnectionBackend::Grpclib,
            usage_coefficient: 2.5,
            status: NodeStatus::Healthy,
            message: Some("was slow".into()),
            xray_version: Some("1.8.24".into()),
            healed_at: None,
            inbound_ids: Vec::new(),
            backends: Vec::new(),
        }
    }

    #[test]
    fn every_edit_except_disabling_connects_again() {
        for status in [None, Some(NodeStatus::Healthy), Some(NodeStatus::Unhealthy)] {
            let edited = NodeEdit { status, ..NodeEdit::default() }.apply(node());
            assert_eq!(edited, Node { status: NodeStatus::Unhealthy, ..node() });
        }
    }

    #[test]
    fn disabled_node_has_no_message() {
        let edited = NodeEdit { status: Some(NodeStatus::Disabled), ..NodeEdit::default() }.apply(node());
        let expected = Node { status: NodeStatus::Disabled, message: None, xray_version: None, ..node() };
        assert_eq!(edited, expected);
    }

    #[test]
    fn coefficient_of_zero_changes_nothing() {
        let coefficient = |new| NodeEdit { usage_coefficient: Some(new), ..NodeEdit::default() }.apply(node());
        assert_eq!(coefficient(0.0).usage_coefficient, 2.5);
        assert_eq!(coefficient(0.5).usage_coefficient, 0.5);
    }
}
