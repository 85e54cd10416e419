//! Calls that are broken off leave a node stuck, and nothing that the panel does breaks one off.

use std::time::Duration;

use sarban::actions;
use sarban::clock::Clock;
use sarban::domain::ids::NodeId;
use sarban::domain::node::NodeStatus;
use sarban::domain::node_edit::NodeEdit;
use sarban::nodes::Timing;
use sarban::nodes::proto::marz_service_client::MarzServiceClient;
use sarban::nodes::proto::{BackendConfig, Inbound, RestartBackendRequest, User, UserData, UsersData};
use sarban::store::Db;
use tonic::Code;

use crate::nodes::panel::{Panel, add_node, add_users, brisk, change, eventually, give, healthy, marks, number, sql};
use crate::support::database::on_both_engines;
use crate::support::test_node::{Event, Options, TestNode};

/// Time that an engine takes for a change of a user.
const SLOW: Duration = Duration::from_millis(25);
const USERS: i64 = 40;

#[tokio::test]
async fn call_that_its_client_breaks_off_leaves_a_user_apart_until_the_engine_restarts() {
    let node = TestNode::start(Options::default()).await.unwrap();
    node.slow_engines(SLOW);
    let mut client = MarzServiceClient::connect(format!("http://{}", node.address())).await.unwrap();
    let vless = Inbound { tag: "vless".into(), config: None };
    let user = |id| UserData { user: Some(User { id, ..User::default() }), inbounds: vec![vless.clone()] };
    let list = UsersData { users_data: (1..=10).map(user).collect() };

    let mut other = client.clone();
    let sent = list.clone();
    let call = tokio::spawn(async move { other.repopulate_users(sent).await.map(drop) });
    eventually("some users are there", async || node.users().len() > 2).await;
    call.abort();
    eventually("the call ends", async || node.apart().len() == 1).await;
    for _ in 0..2 {
        let refused = client.repopulate_users(list.clone()).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::Unknown, "Internal Server Error"));
    }
    let config = Some(BackendConfig { configuration: "{}".into(), config_format: 1 });
    client.restart_backend(RestartBackendRequest { backend_name: "xray".into(), config }).await.unwrap();
    client.repopulate_users(list).await.unwrap();
    assert_eq!((node.users().len(), node.apart().len()), (10, 0));
}

on_both_engines!(
    renaming_breaks_no_call_off,
    resync_breaks_no_call_off,
    disabling_and_enabling_breaks_no_call_off,
    deletion_breaks_no_call_off,
    move_to_another_address_breaks_no_call_off,
    stepping_down_breaks_no_call_off,
    losing_the_lease_breaks_no_call_off,
    failed_stream_breaks_no_other_call_off,
    list_that_takes_long_is_not_broken_off,
    next_leader_waits_for_running_calls,
);

/// A node in the middle of a full list, and one in the middle of changes.
struct Busy {
    panel: Panel,
    /// Takes 40 users.
    listing: TestNode,
    /// Removes 40 users, of whom 10 are added again.
    changing: TestNode,
}

impl Busy {
    async fn new(db: &Db, timing: Timing) -> Self {
        let (listing, changing) = (node().await, node().await);
        add_node(db, 1, listing.address(), "grpcio").await;
        add_node(db, 2, changing.address(), "grpcio").await;
        add_users(db, USERS).await;
        let panel = Panel::lead_with(db, timing).await;
        healthy(db, 1).await;
        healthy(db, 2).await;
        give(db, "vless", USERS).await;
        let count = usize::try_from(USERS).unwrap();
        for node in [&listing, &changing] {
            eventually("the node has all users", async || node.users().len() == count).await;
        }
        eventually("no mark is left", async || marks(db).await == 0).await;
        let busy = Self { panel, listing, changing };
        busy.listing.slow_engines(SLOW);
        busy.changing.slow_engines(SLOW);
        busy.listing.restart();
        // The other node has these users already, with the same inbounds.
        eventually("a list is being applied", async || (3..20).contains(&busy.listing.users().len())).await;
        sql(db, "DELETE FROM inbounds_services WHERE inbound_id IN (SELECT id FROM inbounds WHERE node_id = 2)").await;
        change(db, "SELECT 1", 1..=USERS).await;
        eventually("changes are being applied", async || busy.changing.users().len() < 37).await;
        busy
    }

    /// Checks that no call was broken off.
    async fn calls_come_to_their_end(&self) {
        let count = usize::try_from(USERS).unwrap();
        eventually("the list comes to its end", async || self.listing.users().len() == count).await;
        eventually("the changes come to their end", async || self.changing.users().is_empty()).await;
        for node in [&self.listing, &self.changing] {
            eventually("no user is left apart", async || node.apart().is_empty()).await;
        }
    }

    /// Checks that both nodes are in step with few full lists.
    async fn in_step(&self, db: &Db) {
        healthy(db, 1).await;
        healthy(db, 2).await;
        eventually("no mark is left", async || marks(db).await == 0).await;
        for node in [&self.listing, &self.changing] {
            let lists = node.events().iter().filter(|event| matches!(event, Event::Repopulated { .. })).count();
            assert!(lists <= 4, "{lists} full lists");
        }
    }
}

async fn node() -> TestNode {
    TestNode::start(Options::default()).await.unwrap()
}

fn admin(db: &Db) -> actions::Panel {
    actions::Panel::new(db.clone(), Clock::real())
}

async fn edit_both(db: &Db, edit: impl Fn(i64) -> NodeEdit) {
    for id in [1, 2] {
        actions::nodes::edit(&admin(db), NodeId(id), &edit(id)).await.unwrap();
    }
}

async fn renaming_breaks_no_call_off(db: Db) {
    let busy = Busy::new(&db, brisk()).await;
    edit_both(&db, |id| NodeEdit { name: Some(format!("new {id}")), ..NodeEdit::default() }).await;
    busy.calls_come_to_their_end().await;
    busy.in_step(&db).await;
}

async fn resync_breaks_no_call_off(db: Db) {
    let busy = Busy::new(&db, brisk()).await;
    for id in [1, 2, 1] {
        actions::nodes::resync(&admin(&db), NodeId(id)).await.unwrap();
    }
    busy.calls_come_to_their_end().await;
    busy.in_step(&db).await;
}

async fn disabling_and_enabling_breaks_no_call_off(db: Db) {
    let busy = Busy::new(&db, brisk()).await;
    edit_both(&db, |_| NodeEdit { status: Some(NodeStatus::Disabled), ..NodeEdit::default() }).await;
    eventually("the sessions have ended", async || busy.panel.supervisor.connected().is_empty()).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    edit_both(&db, |_| NodeEdit { status: Some(NodeStatus::Healthy), ..NodeEdit::default() }).await;
    busy.calls_come_to_their_end().await;
    busy.in_step(&db).await;
}

async fn deletion_breaks_no_call_off(db: Db) {
    let busy = Busy::new(&db, brisk()).await;
    for id in [1, 2] {
        actions::nodes::remove(&admin(&db), NodeId(id)).await.unwrap();
    }
    busy.calls_come_to_their_end().await;
}

async fn move_to_another_address_breaks_no_call_off(db: Db) {
    let busy = Busy::new(&db, brisk()).await;
    let new = [node().await, node().await];
    let port = |id: i64| Some(i64::from(new[usize::try_from(id - 1).unwrap()].address().port()));
    edit_both(&db, |id| NodeEdit { port: port(id), ..NodeEdit::default() }).await;
    eventually("the new node has the users", async || new[0].users().len() as i64 == USERS).await;
    busy.calls_come_to_their_end().await;
    healthy(&db, 1).await;
    healthy(&db, 2).await;
}

async fn stepping_down_breaks_no_call_off(db: Db) {
    let mut busy = Busy::new(&db, brisk()).await;
    let supervisor = busy.panel.supervisor.clone();
    busy.panel.step_down().await;
    supervisor.stopped().await;
    assert_eq!((busy.listing.apart().len(), busy.changing.apart().len()), (0, 0), "all calls have ended");
    busy.panel = Panel::lead(&db).await;
    busy.calls_come_to_their_end().await;
    busy.in_step(&db).await;
}

async fn losing_the_lease_breaks_no_call_off(db: Db) {
    let busy = Busy::new(&db, brisk()).await;
    busy.panel.term.end();
    sql(&db, "UPDATE scheduler_epoch SET epoch = epoch + 1").await;
    busy.calls_come_to_their_end().await;
}

/// A node that ends one stream with an error is still working on the one before.
async fn failed_stream_breaks_no_other_call_off(db: Db) {
    let busy = Busy::new(&db, brisk()).await;
    let mut backends = Options::default().backends;
    backends[0].inbounds.retain(|inbound| inbound.tag != "vmess");
    busy.changing.set_backends(backends);
    let other_service = "INSERT INTO services (id, name) VALUES (2, 'other');
        INSERT INTO inbounds_services SELECT id, 2 FROM inbounds WHERE node_id = 2 AND tag = 'vmess';
        INSERT INTO users (id, username, key, expire_strategy, created_at) VALUES (99, 'new', 'k', 'never', 0);
        INSERT INTO users_services (user_id, service_id) VALUES (99, 2)";
    change(&db, other_service, [99]).await;
    busy.calls_come_to_their_end().await;
    busy.in_step(&db).await;
}

/// As with more slow nodes at a time than there is memory for.
async fn list_that_takes_long_is_not_broken_off(db: Db) {
    let short = Duration::from_millis(30);
    let busy = Busy::new(&db, Timing { permit: short, ..brisk() }).await;
    busy.calls_come_to_their_end().await;
    busy.in_step(&db).await;
}

async fn next_leader_waits_for_running_calls(db: Db) {
    let mut busy = Busy::new(&db, brisk()).await;
    let lists = |node: &TestNode| node.events().iter().filter(|it| matches!(it, Event::Repopulated { .. })).count();
    let before = lists(&busy.listing);
    busy.panel.step_down().await;
    assert_eq!(number(&db, "SELECT COUNT(*) FROM nodes WHERE held_until IS NOT NULL").await, 2);
    busy.panel = Panel::lead(&db).await;
    let count = usize::try_from(USERS).unwrap();
    eventually("the list comes to its end", async || {
        assert!(lists(&busy.listing) == before || busy.listing.users().len() == count, "two lists at a time");
        busy.listing.users().len() == count
    })
    .await;
    busy.calls_come_to_their_end().await;
    busy.in_step(&db).await;
    eventually("no node is held", async || {
        number(&db, "SELECT COUNT(*) FROM nodes WHERE held_until IS NOT NULL").await == 0
    })
    .await;
}
