//! Refusals of a node to take its users, and what to try next.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;

use super::node_error::NodeError;
use super::session_error::SessionError;

/// How a full sync is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// One list.
    Usual,
    /// Small streams, and then the list: all users get through but those that the node refuses.
    InParts,
}

/// Consecutive refusals since the last full sync that the node accepted.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    count: u32,
    since: Option<Instant>,
    /// How long it had refused its users when this process began to lead.
    before: Duration,
}

impl Refusals {
    /// Goes on with a series that began this long ago, under an earlier leader.
    pub(super) fn resumed(before: Duration) -> Self {
        Self { count: 1, since: Some(Instant::now()), before }
    }

    /// Begins with the way in parts.
    pub(super) fn in_parts() -> Self {
        Self { count: 1, ..Self::default() }
    }

    /// Records the end of a session. `synced`: it had a full sync, and the next one is to be made this way. Returns whether it
    /// was a refusal of this series.
    pub(super) fn record(&mut self, ended: &SessionError, synced: Option<Way>) -> bool {
        match synced {
            Some(Way::Usual) => *self = Self::default(),
            Some(Way::InParts) => *self = Self::in_parts(),
            None => {}
        }
        // A refusal after a full sync starts no series: the next full sync shows whether it lasts.
        let refused = is_refusal(ended) && synced.is_none();
        if refused {
            self.count += 1;
            self.since.get_or_insert_with(Instant::now);
        }
        refused
    }

    /// Returns how to make the next full sync.
    pub(super) const fn way(&self) -> Way {
        if self.count == 0 { Way::Usual } else { Way::InParts }
    }

    /// Returns whether every way was refused, and for at least `time`.
    pub(super) fn persist(&self, time: Duration) -> bool {
        self.count > 1 && self.since.is_some_and(|since| self.before + since.elapsed() >= time)
    }
}

/// Returns whether a node's handler of a call that changes users raised.
fn is_refusal(ended: &SessionError) -> bool {
    matches!(
        ended,
        SessionError::Node(NodeError::Refused {
            call: "RepopulateUsers" | "SyncUsers",
            code: Code::Unknown | Code::Internal,
            ..
        })
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(call: &'static str) -> SessionError {
        NodeError::Refused { call, code: Code::Unknown, reason: "Internal Server Error".into() }.into()
    }

    #[test]
    fn other_way_is_tried_before_a_refusal_counts_as_lasting() {
        let mut refusals = Refusals::default();
        let mut ways = vec![refusals.way()];
        for _ in 0..3 {
            assert!(!refusals.persist(Duration::ZERO) || ways.len() > 2);
            refusals.record(&refused("RepopulateUsers"), None);
            ways.push(refusals.way());
        }
        assert_eq!(ways, [Way::Usual, Way::InParts, Way::InParts, Way::InParts]);
        assert!(refusals.persist(Duration::ZERO));
        assert!(!refusals.persist(Duration::from_secs(60)), "not for that long");
    }

    #[test]
    fn series_goes_on_under_the_next_leader() {
        let mut refusals = Refusals::resumed(Duration::from_secs(60));
        assert_eq!((refusals.way(), refusals.persist(Duration::from_secs(60))), (Way::InParts, false));
        refusals.record(&refused("SyncUsers"), None);
        assert_eq!([60, 90].map(|time| refusals.persist(Duration::from_secs(time))), [true, false]);
    }

    #[test]
    fn full_sync_ends_a_series_and_other_errors_are_none() {
        let mut refusals = Refusals::default();
        for _ in 0..9 {
            let late = NodeError::NoAnswer { call: "RepopulateUsers", limit: Duration::ZERO };
            assert!(!refusals.record(&late.into(), None));
            assert!(!refusals.record(&refused("FetchBackends"), None));
        }
        assert_eq!(refusals.way(), Way::Usual);
        for _ in 0..9 {
            assert!(refusals.record(&refused("RepopulateUsers"), None));
        }
        refusals.record(&refused("SyncUsers"), Some(Way::Usual));
        assert!(!refusals.persist(Duration::ZERO));
        assert_eq!(refusals.way(), Way::Usual);
        refusals.record(&refused("SyncUsers"), Some(Way::InParts));
        assert!(!refusals.persist(Duration::ZERO));
        assert_eq!(refusals.way(), Way::InParts, "one list would be refused as before");
    }
}
