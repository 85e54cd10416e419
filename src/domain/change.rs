//! What a commit changed, as caches, other processes and open dashboards learn it.

use std::fmt;
use std::str::FromStr;

use super::ids::AdminId;

/// A kind of data that a commit changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Changed {
    /// Users, or whom they belong to.
    Users,
    /// Admins, or their rights.
    Admins,
    /// Services, or who has them.
    Services,
    /// Hosts.
    Hosts,
    /// Nodes, with their inbounds and hosts, or what the leader should do with them.
    Nodes,
    /// The settings of subscriptions.
    SubscriptionSettings,
    /// The settings of Telegram.
    TelegramSettings,
    /// When a notification is due, or what came of its delivery.
    Notifications,
    /// Requests to the leader (to run a task, to step down) and what came of them: a run that ended or failed, a new leader.
    LeaderRequests,
    /// The traffic of users and nodes, and when users were online.
    Usage,
    /// The status of nodes.
    NodeStatus,
    /// Sessions of admins.
    Sessions,
    /// API tokens.
    ApiTokens,
    /// Roles of admins.
    Roles,
}

/// One change: of a row, or of any rows of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// Kind of the rows.
    pub kind: Changed,
    /// Id of the row, if only one changed.
    pub id: Option<i64>,
    /// The admin whose rows changed, if only that admin's did.
    pub owner: Option<AdminId>,
}

impl Changed {
    /// All kinds.
    pub const ALL: [Self; 14] = [
        Self::Users,
        Self::Admins,
        Self::Services,
        Self::Hosts,
        Self::Nodes,
        Self::SubscriptionSettings,
        Self::TelegramSettings,
        Self::Notifications,
        Self::LeaderRequests,
        Self::Usage,
        Self::NodeStatus,
        Self::Sessions,
        Self::ApiTokens,
        Self::Roles,
    ];

    /// Name of the kind in messages between processes and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Admins => "admins",
            Self::Services => "services",
            Self::Hosts => "hosts",
            Self::Nodes => "nodes",
            Self::SubscriptionSettings => "subscription_settings",
            Self::TelegramSettings => "telegram_settings",
            Self::Notifications => "notifications",
            Self::LeaderRequests => "leader_requests",
            Self::Usage => "usage",
            Self::NodeStatus => "node_status",
            Self::Sessions => "sessions",
            Self::ApiTokens => "api_tokens",
            Self::Roles => "roles",
        }
    }

    /// A change of any rows of this kind.
    pub fn any(self) -> Change {
        Change { kind: self, id: None, owner: None }
    }

    /// A change of one row.
    pub fn row(self, id: i64) -> Change {
        Change { kind: self, id: Some(id), owner: None }
    }
}

impl Change {
    /// The same change, of rows of one admin; `None` if they may be anybody's.
    #[must_use]
    pub fn of(self, owner: Option<AdminId>) -> Self {
        Self { owner, ..self }
    }
}

/// A commit changed nothing that anybody follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unchanged;

impl From<Unchanged> for Option<Change> {
    fn from(_: Unchanged) -> Self {
        None
    }
}

impl From<Changed> for Change {
    fn from(kind: Changed) -> Self {
        kind.any()
    }
}

impl From<Changed> for Option<Change> {
    fn from(kind: Changed) -> Self {
        Some(kind.any())
    }
}

/// `KIND:ID:OWNER`, with nothing for what is unknown: `users:12:3`, `hosts::`.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.kind.name())?;
        if let Some(id) = self.id {
            write!(f, "{id}")?;
        }
        f.write_str(":")?;
        match self.owner {
            Some(owner) => write!(f, "{}", owner.0),
            None => Ok(()),
        }
    }
}

/// The text is no change that this version knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownChange;

impl FromStr for Change {
    type Err = UnknownChange;

    fn from_str(text: &str) -> Result<Self, UnknownChange> {
        let number = |text: &str| match text {
            "" => Ok(None),
            digits => digits.parse().map(Some).map_err(|_| UnknownChange),
        };
        let mut parts = text.splitn(3, ':');
        let name = parts.next().unwrap_or_default();
        let kind = Changed::ALL.into_iter().find(|kind| kind.name() == name).ok_or(UnknownChange)?;
        let id = number(parts.next().unwrap_or_default())?;
        let owner = number(parts.next().unwrap_or_default())?.map(AdminId);
        Ok(Self { kind, id, owner })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_place_and_a_name_of_its_own() {
        for (index, changed) in Changed::ALL.into_iter().enumerate() {
            assert_eq!(changed as usize, index);
            assert_eq!(changed.any().to_string().parse(), Ok(changed.any()));
        }
    }

    #[test]
    fn change_is_read_as_it_was_written() {
        for change in [
            Changed::Users.row(12).of(Some(AdminId(3))),
            Changed::Users.row(12),
            Changed::Users.any().of(Some(AdminId(3))),
            Changed::Hosts.any(),
        ] {
            assert_eq!(change.to_string().parse(), Ok(change), "{change}");
        }
        assert_eq!("users".parse(), Ok(Changed::Users.any()));
        for unknown in ["", "plans:1:", "users:x:", "users:1:2:3", "users:1:-"] {
            assert_eq!(unknown.parse::<Change>(), Err(UnknownChange), "{unknown}");
        }
    }
}
