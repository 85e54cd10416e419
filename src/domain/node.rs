//! A node: where it is, how it is reached, and how it is.

use super::ids::{InboundId, NodeId};

/// How a node is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionBackend {
    /// Plain text, for a node on the same host.
    Grpcio,
    /// TLS: the panel shows its certificate, the node's is pinned.
    Grpclib,
}

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeStatus {
    /// Connected, and its users are as they should be.
    Healthy,
    /// Not so; the message says why.
    Unhealthy,
    /// Switched off by an admin.
    Disabled,
}

/// A node as the panel knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The row.
    pub id: NodeId,
    /// Unique.
    pub name: String,
    /// Host name or address; unique together with the port.
    pub address: String,
    /// TCP port. The API takes any integer; only 1 to 65535 can be connected to.
    pub port: i64,
    /// How it is reached.
    pub connection_backend: ConnectionBackend,
    /// Users' bytes are counted times this, at least 0.
    pub usage_coefficient: f64,
    /// How it is.
    pub status: NodeStatus,
    /// Why it is so.
    pub message: Option<String>,
    /// Set by old panels.
    pub xray_version: Option<String>,
    /// Its inbounds, by id.
    pub inbound_ids: Vec<InboundId>,
    /// Its engines.
    pub backends: Vec<Backend>,
}

/// An engine of a node, as it described itself at the last sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Unique on its node.
    pub name: String,
    /// xray, sing-box, hysteria2, …
    pub backend_type: String,
    /// The engine's version.
    pub version: Option<String>,
    /// Whether it runs.
    pub running: bool,
}

/// The port of a node unless another is given.
pub const DEFAULT_PORT: i64 = 53042;

impl ConnectionBackend {
    /// The word of the API and the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Grpcio => "grpcio",
            Self::Grpclib => "grpclib",
        }
    }

    /// From the word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Grpcio, Self::Grpclib].into_iter().find(|kind| kind.word() == word)
    }
}

impl NodeStatus {
    /// The word of the API and the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Disabled => "disabled",
        }
    }

    /// From the word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Healthy, Self::Unhealthy, Self::Disabled].into_iter().find(|status| status.word() == word)
    }
}
