//! Edges: processes that serve subscriptions from a copy, without access to the database. A panel receives their reports.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ids::UserId;
use super::moment::{Moment, SECOND};

/// Format of the answers that edges follow. It grows only when earlier edges would misread an answer: they refuse one of a later format.
/// What an answer has in addition, or lacks, does not change it.
pub const FORMAT: u32 = 1;
/// Header with the format: in requests of an edge the last one that it reads, in answers that of the answer.
pub const FORMAT_HEADER: &str = "x-edge-format";
/// Time without a report after which an edge counts as away, in microseconds. Edges report every five seconds.
pub const AWAY: i64 = 30 * SECOND;
/// Edges that are listed, at most. A new one takes the place of the one that has been away for longest.
pub const MAX_EDGES: i64 = 1_000;
/// Fetches in a batch, at most.
pub const MAX_FETCHES: usize = 1_000;
/// A longer User-Agent is cut (characters).
pub const MAX_AGENT: usize = 512;
/// Characters of a host's name or of a version, at most.
pub const MAX_NAME: usize = 64;
/// Largest lead of an edge's clock, in microseconds: a later fetch counts as one of now.
const CLOCK_LEAD: i64 = 60 * SECOND;

/// An edge, as it reports itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Its own id, the same after a restart.
    pub id: Uuid,
    /// Name of its host.
    pub host: String,
    /// Version of the program.
    pub version: String,
    /// When the process started, by its clock.
    pub started_at: Moment,
    /// State of its copy.
    pub report: EdgeReport,
}

/// State of an edge's copy. A value that a version does not report is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EdgeReport {
    /// Users in the copy.
    pub users: i64,
    /// True once the copy is complete: until then the edge serves nobody.
    pub is_complete: bool,
    /// Fetches that have not been sent yet.
    pub waiting_fetches: i64,
}

/// A fetch of a subscription at an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeFetch {
    /// The user.
    pub user: UserId,
    /// When it was, by the edge's clock.
    pub at: Moment,
    /// User-Agent of the client.
    pub user_agent: String,
}

/// Fetches that count once, however often they are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The edge made it up.
    pub id: Uuid,
    /// Each user once.
    pub fetches: Vec<EdgeFetch>,
}

impl EdgeFetch {
    /// Returns a fetch that can be stored: an edge whose clock is ahead must not hide later fetches.
    #[must_use]
    pub fn settled(self, now: Moment) -> Self {
        let user_agent = self.user_agent.chars().filter(|it| *it != '\0').take(MAX_AGENT).collect();
        let at = if self.at > now.plus(CLOCK_LEAD) { now } else { self.at };
        Self { at, user_agent, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetch_of_a_wrong_clock_is_one_of_now() {
        let now = Moment::from_micros(100 * CLOCK_LEAD);
        let fetch = |at: i64| EdgeFetch { user: UserId(1), at: Moment::from_micros(at), user_agent: "a\0b".to_owned() };
        assert_eq!(fetch(101 * CLOCK_LEAD).settled(now).at.micros(), 101 * CLOCK_LEAD, "within a minute");
        assert_eq!(
            fetch(102 * CLOCK_LEAD).settled(now),
            EdgeFetch { at: now, user_agent: "ab".to_owned(), ..fetch(0) }
        );
        let long = EdgeFetch { user_agent: "x".repeat(600), ..fetch(0) };
        assert_eq!(long.settled(now).user_agent.len(), MAX_AGENT);
    }

    #[test]
    fn report_of_another_version_is_read() {
        let report: EdgeReport = serde_json::from_str(r#"{"users": 5, "later": [1]}"#).expect("a report");
        assert_eq!(report, EdgeReport { users: 5, ..EdgeReport::default() });
    }
}
