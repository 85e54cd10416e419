//! The version of sing-box that reads a configuration: newer versions drop old settings and refuse unknown ones.

use crate::domain::programs::Core;
use crate::subscription::client::{Age, Client, Version};

/// Typed name servers, WireGuard as an endpoint, and rule actions in place of special outbounds.
const CURRENT: Version = Version(1, 12, 0);

/// The sing-box version range of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// The client does not name sing-box. It skips what it does not know, and gets the document that the old panel
    /// rendered.
    Unknown,
    /// sing-box before 1.12: it refuses a document with one invalid entry.
    Old,
    /// sing-box 1.12 or later, or a living app that does not tell its version: as strict as `Old`, with another document
    /// around the entries.
    Current,
}

impl Release {
    /// The range of a client.
    pub fn of(client: &Client<'_>) -> Self {
        match client.age(Core::SingBox) {
            Age::Unknown => Self::Unknown,
            age if age.is_from(CURRENT) => Self::Current,
            _ => Self::Old,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_follows_the_version_and_living_apps_are_current() {
        for (user_agent, release) in [
            ("", Release::Unknown),
            ("Mozilla/5.0", Release::Unknown),
            ("SFA/1.8.0", Release::Old),
            ("SFA/1.11.9 (540; sing-box 1.11.9; language fa_IR)", Release::Old),
            ("SFI/1.12.0 (Build 1; sing-box 1.12.0-beta.2; language de)", Release::Current),
            ("Karing/1.0.25", Release::Current),
        ] {
            assert_eq!(Release::of(&Client::of(user_agent)), release, "{user_agent}");
        }
    }
}
