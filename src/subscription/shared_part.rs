//! The part that all subscriptions share: hosts, settings, addresses and owners, as copies store and transfer it.

use serde::{Deserialize, Serialize};

use super::catalogue::HostRow;
use crate::domain::ids::NodeId;
use crate::domain::subscription_settings::SubscriptionSettings;
use crate::domain::user::Owner;

/// Everything that subscriptions are rendered from besides their user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SharedPart {
    /// The settings of subscriptions.
    pub settings: SubscriptionSettings,
    /// All hosts.
    pub hosts: Vec<HostRow>,
    /// Addresses of nodes, by id.
    pub nodes: Vec<(NodeId, String)>,
    /// The panel's IPv4 address, if it is known.
    pub ipv4: Option<String>,
    /// The panel's IPv6 address, if it is known.
    pub ipv6: Option<String>,
    /// Admins that may own users, by id.
    #[serde(default)]
    pub owners: Vec<Owner>,
}

impl SharedPart {
    /// Parses the JSON form; `None` if another version wrote it.
    pub fn from_json(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Returns the JSON form.
    pub fn json(&self) -> Vec<u8> {
        // No map in it has keys other than texts.
        serde_json::to_vec(self).unwrap_or_default()
    }
}
