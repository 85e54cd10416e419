//! Findings of a process about itself, for the member list: parts of its work that the lease's thread, with connections of
//! its own, can't see fail.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::copy::CopyReport;
use crate::domain::node_reach::NodeReach;
use crate::domain::spool_use::SpoolUse;
use crate::foundation::lock;

/// Time without an answer of the database after which this process can't do the tasks' work. Longer than a probe that fails
/// (5 s) and the pause between two, and than a candidate's pause between two looks at the lease.
const SILENCE: Duration = Duration::from_secs(8);

/// The findings of this process. Cheap to clone; clones share them.
#[derive(Clone, Debug, Default)]
pub struct SelfReport(Arc<Mutex<Findings>>);

#[derive(Debug, Default)]
struct Findings {
    database_answered: Option<Instant>,
    /// Until when the last answer over the lease's connection counts.
    lease_answers_until: Option<Instant>,
    nodes: NodeFindings,
    spool: Option<SpoolUse>,
    copy: Option<CopyReport>,
}

/// Result of the latest round of connections to the nodes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NodeFindings {
    /// Number of rounds so far.
    pub(super) rounds: u64,
    /// How many nodes were reached, if that is known.
    pub(super) reach: Option<NodeReach>,
}

impl SelfReport {
    /// Records that the workers' connections reached a database that they can write to.
    pub fn database_answered(&self) {
        lock(&self.0).database_answered = Some(Instant::now());
    }

    /// Records that the lease's connection reached a database that it can write to, or that it is about to try. The next
    /// answer is expected after `interval` at most.
    pub(super) fn lease_answered(&self, interval: Duration) {
        lock(&self.0).lease_answers_until = Some(Instant::now() + SILENCE.max(2 * interval));
    }

    /// Records the end of a round of connections to the nodes.
    pub fn nodes_probed(&self, reach: Option<NodeReach>) {
        let mut findings = lock(&self.0);
        findings.nodes = NodeFindings { rounds: findings.nodes.rounds + 1, reach };
    }

    /// Records what the spool of this host holds; `None`: it can't be read.
    pub fn spool_read(&self, spool: Option<SpoolUse>) {
        lock(&self.0).spool = spool;
    }

    pub(super) fn spool(&self) -> Option<SpoolUse> {
        lock(&self.0).spool
    }

    /// Records the state of this host's copy of subscriptions; `None`: there is none.
    pub fn copy_seen(&self, copy: Option<CopyReport>) {
        lock(&self.0).copy = copy;
    }

    pub(super) fn copy(&self) -> Option<CopyReport> {
        lock(&self.0).copy
    }

    pub(super) fn nodes(&self) -> NodeFindings {
        lock(&self.0).nodes
    }

    /// True if the workers can do the tasks' work and the lease can be held; `None` as long as nothing probes that.
    pub fn can_work(&self) -> Option<bool> {
        let (database, lease) = {
            let findings = lock(&self.0);
            (findings.database_answered, findings.lease_answers_until)
        };
        let lease_answers = lease.is_none_or(|until| Instant::now() < until);
        let can_work = database.map(|answered| answered.elapsed() < SILENCE && lease_answers);
        if let Some(can_work) = can_work {
            metrics::gauge!("panel_can_work").set(if can_work { 1.0 } else { 0.0 });
        }
        can_work
    }
}
