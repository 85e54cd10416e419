//! Members compare themselves: a leader that reaches far fewer nodes than another one hands over, once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sarban::cluster::members::{Membership, tasks_json};
use sarban::cluster::redis_status::{RedisMonitor, RedisStatus};
use sarban::cluster::round_trips::RoundTrips;
use sarban::cluster::self_report::SelfReport;
use sarban::domain::lease::LeaseTiming;
use sarban::domain::moment::SECOND;
use sarban::domain::node_reach::NodeReach;
use sarban::store::cluster::members;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::elector::{Cluster, Member, leads};
use crate::nodes::panel::eventually;
use crate::support::database::{TestDatabase, number, on_both_engines};

on_both_engines!(leader_that_reaches_far_fewer_nodes_hands_over_and_not_back_soon);

/// A member that says that it reaches this many of ten nodes.
struct Panel {
    member: Member,
    reached: Arc<AtomicU32>,
    _reporting: AbortOnDropHandle<()>,
    _membership: AbortOnDropHandle<()>,
}

impl Panel {
    async fn join(cluster: &Cluster, test: &TestDatabase, reached: u32) -> Self {
        let member = cluster.join().await;
        let (own, reached) = (SelfReport::default(), Arc::new(AtomicU32::new(reached)));
        let (findings, reaches) = (own.clone(), reached.clone());
        let reporting = tokio::spawn(async move {
            loop {
                findings.database_answered();
                findings.nodes_probed(Some(NodeReach { reached: reaches.load(Ordering::Relaxed), enabled: 10 }));
                sleep(Duration::from_millis(500)).await;
            }
        });
        let membership = Membership {
            me: members::Member {
                instance: member.instance,
                host: member.instance.to_string(),
                pid: 1,
                worker_threads: 1,
                cores: 1.0,
                version: "1.0.0".to_owned(),
                started_at: 1,
                last_seen: 0,
                tasks: tasks_json(&[]),
                report: String::new(),
            },
            db: test.db.clone(),
            redis: None,
            monitor: RedisMonitor::new(RedisStatus::Off),
            members: watch::channel(Arc::default()).0,
            round_trips: RoundTrips::new(LeaseTiming::new(10 * SECOND, None).expect("a good timing")),
            own,
            role: member.role.clone(),
            standing: member.standing.clone(),
        };
        let membership = tokio::spawn(membership.run(member.drain.clone()));
        Self {
            member,
            reached,
            _reporting: AbortOnDropHandle::new(reporting),
            _membership: AbortOnDropHandle::new(membership),
        }
    }

    fn reaches(&self, nodes: u32) {
        self.reached.store(nodes, Ordering::Relaxed);
    }
}

async fn leader_that_reaches_far_fewer_nodes_hands_over_and_not_back_soon(test: TestDatabase) {
    let cluster = Cluster::new(test.clone(), true);
    let mut ann = Panel::join(&cluster, &test, 10).await;
    ann.member.leads_within(Duration::from_secs(4)).await;
    let mut ben = Panel::join(&cluster, &test, 10).await;
    ann.reaches(5);
    // Longer than three heartbeats.
    sleep(Duration::from_secs(8)).await;
    assert!(leads(&ann.member), "half as many nodes are enough");

    // As bad as that: nobody is better off.
    ann.reaches(0);
    ben.reaches(0);
    sleep(Duration::from_secs(8)).await;
    assert!(leads(&ann.member), "nobody is better off");

    ben.reaches(10);
    ben.member.leads_within(Duration::from_secs(25)).await;
    eventually("the second term begins", async || cluster.terms() >= 2).await;
    assert_eq!(cluster.terms(), 2, "somebody else led in between");
    const STORED: &str = "SELECT COUNT(*) FROM cluster_member WHERE report LIKE '%few_nodes_at%'";
    let stored = async || number(&test.db, STORED).await == 2;
    eventually("the time of the hand-over is in the database, and passed on by the new leader", stored).await;

    ann.reaches(10);
    ben.reaches(0);
    sleep(Duration::from_secs(12)).await;
    assert!(leads(&ben.member), "it was handed back at once");
    assert_eq!(cluster.terms(), 2);

    // A free lease goes to the better connected one, although the other one waits for it as well.
    ben.reaches(10);
    let cyd = Panel::join(&cluster, &test, 0).await;
    let compared = async || cyd.member.standing.is_better_connected_than_me(None);
    eventually("the new one knows that others reach more nodes", compared).await;
    ben.member.drain.cancel();
    ann.member.leads_within(Duration::from_secs(8)).await;
    assert!(!leads(&cyd.member));
    eventually("the third term begins", async || cluster.terms() >= 3).await;
    assert_eq!(cluster.terms(), 3, "the one without nodes led in between");
}
