//! Changes that a node has made by half and that nothing shows any more, because the user has changed again: they are found.

use std::time::Duration;

use sarban::domain::ids::UserId;
use sarban::nodes::{ReplyMemory, Timing};
use sarban::store::Db;
use tokio::time::sleep;

use crate::nodes::healing::{restarts, stick, stuck};
use crate::nodes::panel::{
    Panel, brisk, change, eventually, give, healthy, in_step, in_step_with, marks, number, revoke, sql, unhealthy,
};
use crate::support::database::on_both_engines;
use crate::support::test_node::process::Behaviour;
use crate::support::test_node::{Event, Options, TestNode};

on_both_engines!(
    half_made_addition_of_a_user_who_is_disabled_meanwhile_is_found,
    half_made_removal_of_a_user_who_is_enabled_meanwhile_is_found,
    half_made_list_without_the_user_in_its_middle_is_found,
    half_made_change_of_a_leader_that_died_is_found,
    refusal_of_a_user_who_is_disabled_meanwhile_is_found_by_the_next_leader,
    refusals_count_on_under_the_next_leader,
    new_keys_reach_the_node_beside_a_refused_user,
    removals_reach_the_node_beside_a_refused_user,
    removals_reach_the_node_beside_a_user_removed_by_half,
    usage_is_fetched_beside_a_refused_user,
    users_of_an_inbound_that_takes_none_keep_the_others,
    change_that_came_whole_causes_no_restart,
);

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(600);

async fn node() -> TestNode {
    TestNode::start(Options::default()).await.unwrap()
}

pub async fn disable(db: &Db, user: i64) {
    change(db, &format!("UPDATE users SET enabled = FALSE, activated = FALSE WHERE id = {user}"), [user]).await;
}

pub async fn enable(db: &Db, user: i64) {
    change(db, &format!("UPDATE users SET enabled = TRUE, activated = TRUE WHERE id = {user}"), [user]).await;
}

/// Adds a user of service 1 without a mark.
async fn insert(db: &Db, user: i64) {
    let text = format!(
        "INSERT INTO users (id, username, key, expire_strategy, created_at) VALUES ({user}, 'new', 'k', 'never', 0);
         INSERT INTO users_services (user_id, service_id) VALUES ({user}, 1)"
    );
    sql(db, &text).await;
}

/// Has the engines take as long as the tests wait, until the calls are broken off.
async fn cut_in_the_middle(
    node: &TestNode,
    user: u32,
    begin: impl Future<Output = ()>,
    meanwhile: impl Future<Output = ()>,
) {
    node.slow_engines(NEVER);
    begin.await;
    eventually("the engines and the memory differ", async || node.apart().contains(&user)).await;
    meanwhile.await;
    node.slow_engines(Duration::ZERO);
    node.drop_connections();
}

/// Checks that the node was healed and has these users, and no others.
async fn healed(db: &Db, node: &TestNode, users: &[u32]) {
    eventually("the engines are restarted", async || restarts(node).len() == 1).await;
    eventually("the node is right", async || node.users().keys().eq(users) && node.apart().is_empty()).await;
    healthy(db, 1).await;
    let stored = "SELECT COUNT(*) FROM nodes WHERE refused_since IS NOT NULL OR doubtful_users IS NOT NULL";
    eventually("nothing is in doubt", async || number(db, stored).await == 0).await;
    assert_eq!(restarts(node).len(), 1);
}

async fn half_made_addition_of_a_user_who_is_disabled_meanwhile_is_found(db: Db) {
    let node = node().await;
    let _panel = in_step(&db, &node, 3).await;
    insert(&db, 4).await;
    cut_in_the_middle(&node, 4, enable(&db, 4), disable(&db, 4)).await;
    healed(&db, &node, &[1, 2, 3]).await;
}

async fn half_made_removal_of_a_user_who_is_enabled_meanwhile_is_found(db: Db) {
    let node = node().await;
    let _panel = in_step(&db, &node, 3).await;
    cut_in_the_middle(&node, 2, disable(&db, 2), enable(&db, 2)).await;
    healed(&db, &node, &[1, 2, 3]).await;
}

async fn half_made_list_without_the_user_in_its_middle_is_found(db: Db) {
    let node = node().await;
    let _panel = in_step(&db, &node, 3).await;
    cut_in_the_middle(&node, 1, async { node.restart() }, disable(&db, 1)).await;
    healed(&db, &node, &[2, 3]).await;
}

async fn half_made_change_of_a_leader_that_died_is_found(db: Db) {
    let node = node().await;
    in_step(&db, &node, 3).await.step_down().await;
    // What the dead leader did.
    stick(&node, 8).await;
    insert(&db, 8).await;
    disable(&db, 8).await;
    let _panel = Panel::lead(&db).await;
    healed(&db, &node, &[1, 2, 3]).await;
}

async fn refusal_of_a_user_who_is_disabled_meanwhile_is_found_by_the_next_leader(db: Db) {
    let (node, first) = stuck(&db, Timing { refused: NEVER, ..brisk() }).await;
    let refused = "SELECT COUNT(*) FROM nodes WHERE doubtful_users LIKE '%\"3\":%user3%' AND refused_since IS NOT NULL";
    eventually("it is known who is refused", async || number(&db, refused).await == 1).await;
    first.step_down().await;
    disable(&db, 3).await;
    sql(&db, "DELETE FROM user_change").await;
    let _second = Panel::lead(&db).await;
    healed(&db, &node, &[1, 2, 4, 5, 6]).await;
}

async fn refusals_count_on_under_the_next_leader(db: Db) {
    let timing = || Timing { refused: NEVER, ..brisk() };
    let (node, first) = stuck(&db, timing()).await;
    let refused = "SELECT COUNT(*) FROM nodes WHERE refused_since IS NOT NULL";
    eventually("the refusal is recorded", async || number(&db, refused).await == 1).await;
    first.step_down().await;
    let micros = NEVER.as_micros();
    sql(&db, &format!("UPDATE nodes SET refused_since = refused_since - {micros}")).await;
    let _second = Panel::lead_with(&db, timing()).await;
    healed(&db, &node, &[1, 2, 3, 4, 5, 6]).await;
}

/// A node that refuses user 3 of 6, and will not be healed.
async fn without_healing(db: &Db) -> (TestNode, Panel) {
    let (node, panel) = stuck(db, Timing { healing: None, ..brisk() }).await;
    eventually("all others are there", async || node.users().keys().eq(&[1, 2, 4, 5, 6])).await;
    (node, panel)
}

async fn new_keys_reach_the_node_beside_a_refused_user(db: Db) {
    let (node, _panel) = without_healing(&db).await;
    revoke(&db, 2, "new-2").await;
    revoke(&db, 5, "new-5").await;
    let has = |user, key: &str| node.users().get(&user).is_some_and(|user| user.key == key);
    eventually("the node has both new keys", async || has(2, "new-2") && has(5, "new-5")).await;
    revoke(&db, 3, "new-3").await;
    revoke(&db, 4, "new-4").await;
    eventually("the node has another one", async || has(4, "new-4")).await;
    assert_eq!(restarts(&node).len(), 0);
}

async fn removals_reach_the_node_beside_a_refused_user(db: Db) {
    let (node, _panel) = without_healing(&db).await;
    disable(&db, 4).await;
    eventually("the node has removed the user", async || node.users().keys().eq(&[1, 2, 5, 6])).await;
    assert_eq!(restarts(&node).len(), 0);
}

async fn removals_reach_the_node_beside_a_user_removed_by_half(db: Db) {
    let node = node().await;
    let _panel = in_step_with(&db, &node, 3, Timing { healing: None, ..brisk() }).await;
    let other = "INSERT INTO services (id, name) VALUES (2, 'other');
                 INSERT INTO inbounds_services SELECT id, 2 FROM inbounds WHERE tag = 'vmess'";
    sql(&db, other).await;
    // Of the second one, the node learns only from the list that follows.
    let unmarked = sql(&db, "UPDATE users SET enabled = FALSE, activated = FALSE WHERE id = 2");
    cut_in_the_middle(&node, 1, disable(&db, 1), unmarked).await;
    eventually("the node has removed the other user", async || node.users().keys().eq(&[1, 3])).await;
    assert!(node.users()[&1].tags.iter().eq(["vless"]), "a disabled user comes to no other inbound");
    assert_eq!(restarts(&node).len(), 0);
}

async fn usage_is_fetched_beside_a_refused_user(db: Db) {
    let (node, panel) = without_healing(&db).await;
    unhealthy(&db, 1, "by id: 3").await;
    for bytes in [500, 700] {
        // Several sessions: none of them gets through.
        sleep(Duration::from_millis(500)).await;
        node.add_usage(1, bytes);
        let connected = panel.supervisor.connected().pop().expect("a connection");
        let usage = connected.fetch_usage(UserId(6), &ReplyMemory::default()).await.unwrap();
        assert_eq!(usage.entries, [(UserId(1), bytes)]);
    }
    drop(node);
    eventually("a node that is gone is not asked", async || panel.supervisor.connected().is_empty()).await;
}

async fn users_of_an_inbound_that_takes_none_keep_the_others(db: Db) {
    // What a node without acknowledgements refuses late, on a machine that is busy, looks accepted.
    let node = TestNode::start(Options { acknowledge: true, ..Options::default() }).await.unwrap();
    // A node that refuses a user for longer than that has its engines restarted.
    let panel = in_step_with(&db, &node, 12, Timing { refused: Duration::from_millis(300), ..brisk() }).await;
    node.behave(Behaviour { tag_without_users: Some("vmess".to_owned()), ..Behaviour::default() });
    let before = node.events().len();
    give(&db, "vmess", 12).await;
    unhealthy(&db, 1, "no users on these inbounds: vmess;").await;
    // Beside them is, for a moment, a user whom nobody is.
    let real = || node.users().into_iter().filter(|(id, _)| *id <= 13);
    let on_vless = || real().filter(|(_, user)| user.tags.iter().eq(["vless"])).count();
    assert_eq!(on_vless(), 12);
    // All other changes reach the node.
    insert(&db, 13).await;
    enable(&db, 13).await;
    eventually("the new user is there", async || on_vless() == 13).await;
    disable(&db, 5).await;
    eventually("the disabled user is gone", async || on_vless() == 12).await;
    revoke(&db, 2, "new-2").await;
    eventually("the new key is there", async || node.users().get(&2).is_some_and(|user| user.key == "new-2")).await;
    // The session goes on, and looks whether the inbound takes users again.
    let connected = || panel.supervisor.connected().len();
    assert_eq!(connected(), 1, "usage is fetched");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(connected(), 1);
    let events = node.events().split_off(before);
    let removed = |user| events.iter().filter(|event| **event == Event::Removed { id: user }).count();
    assert_eq!([1, 2, 5, 12].map(removed), [0, 1, 1, 0], "nobody else is cut off meanwhile, and nobody twice");
    eventually("nobody is left", async || node.users().len() == 12 && node.apart().is_empty()).await;
    node.behave(Behaviour::default());
    healthy(&db, 1).await;
    assert!(node.users().values().all(|user| user.tags.len() == 2) && node.apart().is_empty());
    assert_eq!(restarts(&node).len(), 0);
}

async fn change_that_came_whole_causes_no_restart(db: Db) {
    let node = node().await;
    let panel = in_step(&db, &node, 3).await;
    insert(&db, 4).await;
    node.slow_engines(Duration::from_secs(2));
    enable(&db, 4).await;
    eventually("the engines work on it", async || node.apart().contains(&4)).await;
    node.slow_engines(Duration::ZERO);
    // A leader that steps down lets its call come to its end; what it has not confirmed is in doubt.
    panel.step_down().await;
    disable(&db, 2).await;
    let _panel = Panel::lead(&db).await;
    eventually("the node is right", async || node.users().keys().eq(&[1, 3, 4]) && node.apart().is_empty()).await;
    healthy(&db, 1).await;
    eventually("no mark is left", async || marks(&db).await == 0).await;
    assert_eq!(restarts(&node).len(), 0);
}
