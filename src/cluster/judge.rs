//! Compares this process with the other members at each heartbeat: should it claim the lease, or hand it over? A member
//! that reports nothing, such as one of an older version, is unknown: neither better off nor worse.

use uuid::Uuid;

use super::self_report::NodeFindings;
use super::standing::{HandOver, Standing};
use crate::domain::moment::{Moment, SECOND};
use crate::store::cluster::members::{Member, Report};

/// Consecutive heartbeats after which a leader that can't do the tasks' work hands over: ten seconds, longer than a restart
/// of a pooler and shorter than a missed recording of traffic hurts.
const UNABLE: u32 = 5;
/// Consecutive rounds of connections to the nodes after which a leader that reaches far fewer than another member hands
/// over: longer than a restart of a router.
const BEHIND: u32 = 3;
/// Shortest time between two such hand-overs of the whole cluster, in microseconds, so that panels whose networks come and
/// go do not hand the lease to and fro.
const BETWEEN: i64 = 600 * SECOND;

/// This process at a heartbeat.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    /// True if it leads.
    pub(super) leads: bool,
    /// Its latest round of connections to the nodes.
    pub(super) nodes: NodeFindings,
    /// The time by the database, if it answered.
    pub(super) now: Option<Moment>,
}

/// The comparison of one process.
#[derive(Debug)]
pub(super) struct Judge {
    standing: Standing,
    /// Heartbeats in a row in which this leader could not work and another member could.
    unable: u32,
    /// Rounds in a row in which this leader reached far fewer nodes than another member.
    behind: u32,
    /// Rounds of connections to the nodes that have been compared.
    rounds: u64,
    /// When a leader of the cluster last handed over because of its nodes, as far as this process knows.
    few_nodes_at: Option<i64>,
}

impl Judge {
    pub(super) fn new(standing: Standing) -> Self {
        Self { standing, unable: 0, behind: 0, rounds: 0, few_nodes_at: None }
    }

    /// When a leader of the cluster last handed over because of its nodes, for this process's own report.
    pub(super) const fn few_nodes_at(&self) -> Option<i64> {
        self.few_nodes_at
    }

    /// Compares `me`, with its latest report, with the live members.
    pub(super) fn compare(&mut self, me: &Member, members: &[Member], own: Own) {
        let report = me.report();
        let others: Vec<(&Member, Report)> = members
            .iter()
            .filter(|member| member.instance != me.instance)
            .map(|member| (member, member.report()))
            .collect();
        self.supersede(me, &others);
        self.leave_to_the_able(&report, &others, own.leads);
        self.leave_to_the_better_connected(me, &others, own);
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
                    "the database connections for tasks or for the lease fail here and not on another panel; leadership is left to it"
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

    fn leave_to_the_better_connected(&mut self, me: &Member, others: &[(&Member, Report)], own: Own) {
        let known = others.iter().filter_map(|(_, report)| report.few_nodes_at);
        // A time in the future is of a clock that was wrong.
        let known = known.filter(|at| own.now.is_none_or(|now| *at <= now.micros()));
        self.few_nodes_at = known.chain(self.few_nodes_at).max();
        let better: Vec<&(&Member, Report)> = others
            .iter()
            .filter(|(other, report)| {
                let far_more = own.nodes.reach.zip(report.nodes).is_some_and(|(own, other)| own.is_far_below(other));
                // A member that this one supersedes would not claim the lease.
                far_more && report.can_work == Some(true) && !should_lead_instead(other, me)
            })
            .collect();
        self.standing.set_better_connected(better.iter().map(|(member, _)| member.instance).collect::<Vec<Uuid>>());
        if own.nodes.rounds != self.rounds {
            self.rounds = own.nodes.rounds;
            self.behind = if better.is_empty() { 0 } else { self.behind + 1 };
        }
        if !own.leads {
            self.behind = 0;
        }
        if self.behind >= BEHIND
            && let Some(now) = own.now
            && self.few_nodes_at.is_none_or(|last| now.micros() - last >= BETWEEN)
            && let Some((member, report)) = better.first()
        {
            self.behind = 0;
            self.few_nodes_at = Some(now.micros());
            tracing::warn!(
                host = member.host,
                reached = own.nodes.reach.map(|nodes| nodes.reached),
                reached_there = report.nodes.map(|nodes| nodes.reached),
                "this leader reaches far fewer nodes than another panel and hands over"
            );
            self.standing.hand_over(HandOver::FewNodes);
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
    use crate::domain::node_reach::NodeReach;

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

    fn beat(leads: bool) -> Own {
        Own { leads, nodes: NodeFindings::default(), now: None }
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
        judge.compare(&member(1, ABLE), slice::from_ref(&newer), beat(false));
        assert!(!judge.standing.is_superseded());
        judge.compare(&member(1, ABLE), &[Member { report: String::new(), ..newer }], beat(false));
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
            judge.compare(&member(1, own), &[member(1, own), member(2, other)], beat(false));
            assert_eq!(judge.standing.must_not_claim(), unable, "{own:?} beside {other:?}");
        }
    }

    #[test]
    fn a_leader_hands_over_only_after_heartbeats_in_a_row() {
        let mut judge = Judge::new(Standing::default());
        let (unable, able) = (member(1, UNABLE_REPORT), member(2, ABLE));
        for _ in 1..UNABLE {
            judge.compare(&unable, slice::from_ref(&able), beat(true));
        }
        judge.compare(&member(1, ABLE), slice::from_ref(&able), beat(true));
        for _ in 1..UNABLE {
            judge.compare(&unable, slice::from_ref(&able), beat(true));
        }
        assert_eq!(judge.standing.must_hand_over(), None, "it could work in between");
        judge.compare(&unable, slice::from_ref(&able), beat(true));
        assert_eq!(judge.standing.must_hand_over(), Some(HandOver::Unable));
        judge.standing.begin_term();
        assert_eq!(judge.standing.must_hand_over(), None, "it was for the term before");
        for _ in 0..2 * UNABLE {
            judge.compare(&unable, slice::from_ref(&able), beat(false));
        }
        assert_eq!(judge.standing.must_hand_over(), None, "it does not lead");
    }

    /// The `round`th round of a leader that reaches `reached` of nine nodes.
    fn round(rounds: u64, reached: u32, minute: i64) -> Own {
        let reach = Some(NodeReach { reached, enabled: 9 });
        Own { leads: true, nodes: NodeFindings { rounds, reach }, now: Some(Moment::from_micros(minute * 60 * SECOND)) }
    }

    const CONNECTED: &str = r#"{"can_work": true, "nodes": {"reached": 9, "enabled": 9}}"#;

    #[test]
    fn a_leader_that_reaches_far_fewer_nodes_hands_over_after_rounds_in_a_row() {
        let mut judge = Judge::new(Standing::default());
        let (me, other) = (member(1, ABLE), member(2, CONNECTED));
        for (rounds, reached) in [(1, 0), (2, 0), (3, 5), (4, 0), (5, 0), (5, 0), (5, 0)] {
            judge.compare(&me, slice::from_ref(&other), round(rounds, reached, 1));
            assert_eq!(judge.standing.must_hand_over(), None, "round {rounds}");
        }
        assert!(judge.standing.is_better_connected_than_me(None));
        assert!(!judge.standing.is_better_connected_than_me(Some(other.instance)), "it had the lease last");
        judge.compare(&me, slice::from_ref(&other), round(6, 4, 1));
        assert_eq!(judge.standing.must_hand_over(), Some(HandOver::FewNodes));
    }

    #[test]
    fn hand_overs_because_of_nodes_are_ten_minutes_apart_in_the_whole_cluster() {
        let mut judge = Judge::new(Standing::default());
        let report = CONNECTED.replace("true", r#"true, "few_nodes_at": 60000000"#);
        let mut other = member(2, &report);
        for rounds in 1..=9 {
            judge.compare(&member(1, ABLE), slice::from_ref(&other), round(rounds, 0, 10));
        }
        assert_eq!(judge.few_nodes_at(), Some(60 * SECOND), "it is passed on");
        assert_eq!(judge.standing.must_hand_over(), None, "nine minutes after the last one");
        // The member that reported it is gone.
        other.report = CONNECTED.to_owned();
        judge.compare(&member(1, ABLE), slice::from_ref(&other), round(10, 0, 10));
        assert_eq!(judge.standing.must_hand_over(), None);
        judge.compare(&member(1, ABLE), slice::from_ref(&other), round(11, 0, 11));
        assert_eq!(judge.standing.must_hand_over(), Some(HandOver::FewNodes));
        assert_eq!(judge.few_nodes_at(), Some(660 * SECOND));
    }

    #[test]
    fn only_a_member_that_could_lead_counts_as_better_connected() {
        let unable = CONNECTED.replace("true", "false");
        let superseded = Member { version: "0.1.8".to_owned(), tasks: "{}".to_owned(), ..member(2, CONNECTED) };
        for other in [member(2, ""), member(2, &unable), member(2, ABLE), superseded] {
            let mut judge = Judge::new(Standing::default());
            for rounds in 1..=9 {
                judge.compare(&member(1, ABLE), slice::from_ref(&other), round(rounds, 0, 1));
            }
            assert_eq!(judge.standing.must_hand_over(), None, "{other:?}");
            assert!(!judge.standing.is_better_connected_than_me(None), "{other:?}");
        }
    }
}
