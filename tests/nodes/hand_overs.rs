//! Hand-overs between leaders while users change and the node is slow: at rest the node has the right users.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sarban::store::nodes::expected_users;
use sarban::store::{Db, IdList};
use tokio::time::sleep;

use crate::nodes::panel::{Panel, add_node, add_users, change, eventually, give, healthy, marks, revoke};
use crate::support::database::on_both_engines;
use crate::support::test_node::{Options, TestNode};

on_both_engines!(node_is_right_after_hand_overs_amid_changes);

const USERS: i64 = 30;
const ROUNDS: u64 = 8;

async fn node_is_right_after_hand_overs_amid_changes(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    add_node(&db, 1, node.address(), "grpcio").await;
    add_users(&db, USERS).await;
    let mut panel = Panel::lead(&db).await;
    healthy(&db, 1).await;
    give(&db, "vless", USERS).await;
    node.jitter(Duration::from_millis(50));
    for seed in 0..ROUNDS {
        let mut rng = StdRng::seed_from_u64(seed);
        let changing = tokio::spawn(change_users(db.clone(), seed));
        sleep(Duration::from_millis(rng.random_range(0..800))).await;
        let orderly = rng.random_bool(0.3);
        let old = panel;
        if orderly {
            old.step_down().await;
            panel = Panel::lead(&db).await;
        } else {
            // The next leader starts before this one has stepped down.
            old.term.end();
            let leaving = tokio::spawn(old.step_down());
            panel = Panel::lead(&db).await;
            leaving.await.unwrap();
        }
        sleep(Duration::from_millis(rng.random_range(0..800))).await;
        changing.abort();
        changing.await.unwrap_err();
        eventually(&format!("the node is right and no mark is left, seed {seed}"), async || {
            differences(&db, &node).await.is_empty() && marks(&db).await == 0
        })
        .await;
    }
}

/// Changes random users until aborted.
async fn change_users(db: Db, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    for number in 0.. {
        let user = rng.random_range(1..=USERS);
        match rng.random_range(0..3) {
            0 => change(&db, &format!("UPDATE users SET enabled = FALSE WHERE id = {user}"), [user]).await,
            1 => change(&db, &format!("UPDATE users SET enabled = TRUE WHERE id = {user}"), [user]).await,
            _ => revoke(&db, user, &format!("key-{seed}-{number}")).await,
        }
        sleep(Duration::from_millis(rng.random_range(5..60))).await;
    }
}

/// Users whose key on the node is not the expected one: the expected key and the key on the node.
async fn differences(db: &Db, node: &TestNode) -> Vec<(Option<String>, Option<String>)> {
    let users = expected_users::chosen(db, &IdList::new(1..=USERS)).await.unwrap();
    let mut has: BTreeMap<u32, String> = node.users().into_iter().map(|(id, user)| (id, user.key)).collect();
    let pairs = users.into_iter().map(|user| {
        let key = has.remove(&u32::try_from(user.id.0).unwrap());
        (user.live.then_some(user.key), key)
    });
    pairs.filter(|(should, has)| should != has).collect()
}
