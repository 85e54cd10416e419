//! A node: its address, connection type and status.

use super::ids::{InboundId, NodeId};
use super::moment::Moment;

/// How the panel connects to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionBackend {
    /// Plain text, for a node on the same host.
    Grpcio,
    /// Mutual TLS: the panel has a client certificate, and the node's certificate is pinned.
    Grpclib,
}

/// The status of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeStatus {
    /// Connected, with an up-to-date list of users.
    Healthy,
    /// Not connected or out of date; the message says why.
    Unhealthy,
    /// Disabled by an admin.
    Disabled,
}

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The row.
    pub id: NodeId,
    /// Unique.
    pub name: String,
    /// Host name or address; unique together with the port. One that an import or an older version stored may be neither.
    pub address: String,
    /// TCP port. One that an import or an older version stored may be outside 1 to 65535.
    pub port: i64,
    /// How the panel connects to it.
    pub connection_backend: ConnectionBackend,
    /// The factor on users' traffic, at least 0.
    pub usage_coefficient: f64,
    /// The status.
    pub status: NodeStatus,
    /// The reason for the status.
    pub message: Option<String>,
    /// Set only by older versions.
    pub xray_version: Option<String>,
    /// When its engines were last restarted because it kept refusing its users.
    pub healed_at: Option<Moment>,
    /// Its inbounds, by id.
    pub inbound_ids: Vec<InboundId>,
    /// Its engines.
    pub backends: Vec<Backend>,
}

/// An engine of a node, as reported at the last sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Unique on its node.
    pub name: String,
    /// xray, sing-box, hysteria2, …
    pub backend_type: String,
    /// The engine's version.
    pub version: Option<String>,
    /// True while it runs.
    pub running: bool,
}

/// States that an engine does not run: the beginning of the message of its node.
pub fn stopped_engine(engine: &str) -> String {
    format!("the engine {engine} does not run")
}

/// True if the message of a node says that this engine does not run.
pub fn names_stopped_engine(message: &str, engine: &str) -> bool {
    message.contains(&stopped_engine(engine))
}

/// The default TCP port of a node.
pub const DEFAULT_PORT: i64 = 53042;

impl ConnectionBackend {
    /// The text form in the API and the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Grpcio => "grpcio",
            Self::Grpclib => "grpclib",
        }
    }

    /// Reads the text form.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Grpcio, Self::Grpclib].into_iter().find(|kind| kind.word() == word)
    }
}

impl NodeStatus {
    /// The text form in the API and the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Disabled => "disabled",
        }
    }

    /// Reads the text form.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Healthy, Self::Unhealthy, Self::Disabled].into_iter().find(|status| status.word() == word)
    }
}
