//! Copies of what subscriptions need, for when the database is away: their users, and how they follow the database.

mod agreement;
pub mod checksum;
mod user;

use serde::{Deserialize, Serialize};

pub use agreement::Agreement;
pub use user::CopiedUser;

use super::moment::{DAY, Moment};

/// Age of a position from which on it can't be followed any more, in microseconds. The database deletes changes later than that.
pub const FOLLOWABLE: i64 = DAY;
/// Age of a change at which the database deletes it, in microseconds.
pub const LOG_RETENTION: i64 = 2 * DAY;

/// A place in the database's log of changes: all changes before it are in the copy. Stored by the copy as a text, which means
/// nothing to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Id of the database.
    pub database: String,
    /// On PostgreSQL, the state of the server's files that the numbers below belong to; it differs after a restore and after a failover.
    #[serde(default)]
    pub incarnation: String,
    /// The changes that are in the copy: on PostgreSQL those of the transactions that this snapshot shows, on SQLite the rows of the log up
    /// to this one.
    pub from: String,
    /// While changes are read a part at a time: the snapshot whose changes are being read, and the last of them so far, by transaction
    /// and row.
    #[serde(default)]
    pub to: Option<(String, i64, i64)>,
    /// When it was read, by the database's clock, in unix microseconds.
    pub at: i64,
}

impl Position {
    /// Parses the text form; `None` if another version wrote it.
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Returns the text form.
    pub fn text(&self) -> String {
        // Integers and texts are always valid JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// True if the log may lack changes after this position.
    pub const fn is_too_old(&self, now: Moment) -> bool {
        now.micros().saturating_sub(self.at) > FOLLOWABLE
    }
}

/// The state of a host's copy, as the members of a cluster report it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyReport {
    /// Seconds since it last agreed with the database; `None` until it was filled.
    pub age: Option<i64>,
    /// Number of users in it.
    pub users: i64,
}

/// Users in ascending order of their ids, without removed ones.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UserPage {
    /// The users; none: there are no further ones.
    #[prost(message, repeated, tag = "1")]
    pub users: Vec<CopiedUser>,
}

/// The changes after a position: the rows as they are now.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Update {
    /// Users that are there.
    #[prost(message, repeated, tag = "1")]
    pub users: Vec<CopiedUser>,
    /// Ids of users that are gone.
    #[prost(int64, repeated, tag = "2")]
    pub gone: Vec<i64>,
    /// The part that all subscriptions share, as JSON, if it changed.
    #[prost(bytes = "vec", optional, tag = "3")]
    pub shared: Option<Vec<u8>>,
    /// The position behind these changes.
    #[prost(string, tag = "4")]
    pub position: String,
    /// True if there are further changes already.
    #[prost(bool, tag = "5")]
    pub has_more: bool,
}

impl Update {
    /// True if nothing changed.
    pub const fn is_empty(&self) -> bool {
        self.users.is_empty() && self.gone.is_empty() && self.shared.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_survives_its_text_and_is_too_old_after_a_day() {
        let position = Position {
            database: "a".to_owned(),
            incarnation: "b/1".to_owned(),
            from: "7:7:".to_owned(),
            to: None,
            at: 5,
        };
        assert_eq!(Position::from_text(&position.text()).as_ref(), Some(&position));
        assert_eq!(Position::from_text("{"), None);
        assert!(!position.is_too_old(Moment::from_micros(5 + FOLLOWABLE)));
        assert!(position.is_too_old(Moment::from_micros(6 + FOLLOWABLE)));
    }
}
