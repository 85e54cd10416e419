//! Compares this process with the other members at each heartbeat: should it claim the lease, or hand it over? A member
//! that reports nothing, such as one of an older version, is unknown: neither better off nor worse.

use super::standing::{HandOver, Standing};
use crate::store::cluster::members::{Member, Report};

/// Consecutive heartbeats after which a leader that can't do the tasks' work hands over: ten seconds, longer than a restart
/// of a pooler and shorter than a missed recording of traffic hurts.
const UNABLE: u32 = 5;

/// The comparison of one process.
#[derive(Debug)]
pub(super) struct Judge {
    standing: Standing,
    /// Heartbeats in a row in which this leader could not work and another member could.
    unable: u32,
}

impl Judge {
    pub(super) fn new(standing: Standing) -> Self {
        Self { standing, unable: 0 }
    }

    /// Compares `me`, with its latest report, with the live members.
    pub(super) fn compare(&mut self, me: &Member, members: &[Member], leads: bool) {
        let own = me.report();
        let others: Vec<(&Member, Report)> = members
            .iter()
            .filter(|member| member.instance != me.instance)
            .map(|member| (member, member.report()))
            .collect();
        self.supersede(me, &others);
        self.leave_to_the_able(&own, &others, leads);
    }

    fn supersede(&self, me: &Member, others: &[(&Member, Report)]) {
        // Between a newer version that can't work and an older one that can, the older one leads.
        let newer =
            others.iter().find(|(other, report)| report.can_work != Some(false) && should_lead_instead(me, other));
        if self.standing.set_superseded(newer.is_some()) {
            match newer {
                Some((member, _)) => tracing::warn!(
                    host = member.host,
                    version = member.version,
                    "a newer version runs tasks that this version does not know; leadership is left to it"
                ),
                None => tracing::info!("no newer version is running any more; this process may lead again"),
            }
        }
    }

    fn leave_to_the_able(&mut self, own: &Report, others: &[(&Member, Report)], leads: bool) {
        let able = others.iter().find(|(_, report)| report.can_work == Some(true));
        let able = able.filter(|_| own.can_work == Some(false));
        if self.standing.set_unable(able.is_some()) {
            match able {
                Some((member, _)) => tracing::warn!(
                    host = member.host,
                    "the database connections for tasks fail here and not on another panel; leadership is left to it"
                ),
                None => tracing::info!("this process is no longer worse off than all others; it may lead again"),
            }
        }
        self.unable = if leads && able.is_some() { self.unable + 1 } else { 0 };
        if self.unable >= UNABLE {
            self.unable = 0;
            self.standing.hand_over(HandOver::Unable);
        }
    }
}

/// True if `other` is newer than `me` and knows tasks that `me` does not.
fn should_lead_instead(me: &Member, other: &Member) -> bool {
    let known = me.periods();
    other.version_numbers() > me.version_numbers() && other.periods().keys().any(|task| !known.contains_key(task))
}

#[cfg(test)]
mod tests {
    use std::slice;

    use uuid::Uuid;

    use super::*;

    fn member(number: u128, report: &str) -> Member {
        Member {
            instance: Uuid::from_u128(number),
            host: String::new(),
            pid: 1,
            worker_threads: 1,
            cores: 1.0,
            version: "0.1.9".to_owned(),
            started_at: 0,
            last_seen: 0,
            tasks: r#"{"a": 1, "b": null}"#.to_owned(),
            report: report.to_owned(),
        }
    }

    fn version(version: &str, tasks: &str) -> Member {
        Member { version: version.to_owned(), tasks: tasks.to_owned(), ..member(2, "") }
    }

    const ABLE: &str = r#"{"can_work": true}"#;
    const UNABLE_REPORT: &str = r#"{"can_work": false}"#;

    #[test]
    fn an_older_version_should_lead_instead_a_newer_one_that_knows_more() {
        let me = member(1, "");
        assert!(should_lead_instead(&me, &version("0.2.0", r#"{"a": 1, "b": 1, "c": 1}"#)));
        assert!(!should_lead_instead(&me, &version("0.2.0", r#"{"a": 2}"#)), "it knows nothing more");
        assert!(!should_lead_instead(&me, &version("0.1.9", r#"{"c": 1}"#)), "it is not newer");
        assert!(!should_lead_instead(&me, &me));
    }

    #[test]
    fn a_newer_version_that_cannot_work_supersedes_nobody() {
        let mut judge = Judge::new(Standing::default());
        let newer = Member { report: UNABLE_REPORT.to_owned(), ..version("0.2.0", r#"{"c": 1}"#) };
        judge.compare(&member(1, ABLE), slice::from_ref(&newer), false);
        assert!(!judge.standing.is_superseded());
        judge.compare(&member(1, ABLE), &[Member { report: String::new(), ..newer }], false);
        assert!(judge.standing.is_superseded());
    }

    #[test]
    fn a_process_is_unable_only_beside_a_member_that_says_it_can_work() {
        for (own, other, unable) in [
            (UNABLE_REPORT, ABLE, true),
            (UNABLE_REPORT, UNABLE_REPORT, false),
            (UNABLE_REPORT, "", false),
            ("", ABLE, false),
            (ABLE, ABLE, false),
            (ABLE, "", false),
        ] {
            let mut judge = Judge::new(Standing::default());
            judge.compare(&member(1, own), &[member(1, own), member(2, other)], false);
            assert_eq!(judge.standing.must_not_claim(), unable, "{own:?} beside {other:?}");
        }
    }

    #[test]
    fn a_leader_hands_over_only_after_heartbeats_in_a_row() {
        let mut judge = Judge::new(Standing::default());
        let (unable, able) = (member(1, UNABLE_REPORT), member(2, ABLE));
        for _ in 1..UNABLE {
            judge.compare(&unable, slice::from_ref(&able), true);
        }
        judge.compare(&member(1, ABLE), slice::from_ref(&able), true);
        for _ in 1..UNABLE {
            judge.compare(&unable, slice::from_ref(&able), true);
        }
        assert_eq!(judge.standing.must_hand_over(), None, "it could work in between");
        judge.compare(&unable, slice::from_ref(&able), true);
        assert_eq!(judge.standing.must_hand_over(), Some(HandOver::Unable));
        judge.standing.begin_term();
        assert_eq!(judge.standing.must_hand_over(), None, "it was for the term before");
        for _ in 0..2 * UNABLE {
            judge.compare(&unable, slice::from_ref(&able), false);
        }
        assert_eq!(judge.standing.must_hand_over(), None, "it does not lead");
    }
}
