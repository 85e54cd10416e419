//! Nodes: the node that every panel starts with, lists, and changes.

use sarban::actions::{self, Panel};
use sarban::clock::Clock;
use sarban::domain::ids::{InboundId, NodeId, ServiceId};
use sarban::domain::moment::Moment;
use sarban::domain::node::{Backend, ConnectionBackend, Node, NodeStatus};
use sarban::domain::node_edit::{NewNode, NodeEdit};
use sarban::store::hosts::{inbounds, subscription_sources};
use sarban::store::nodes::{self, NodeFilter, sync_state};
use sarban::store::{Db, Fault};

use crate::support::database::{execute, number, on_both_engines};

on_both_engines! {
    new_panel_has_a_node_for_its_own_host,
    list_applies_its_filter,
    name_and_address_are_unique,
    concurrent_edits_of_different_fields_are_both_kept,
    every_change_requests_a_sync,
    pin_is_cleared_by_another_address,
    status_change_is_dated,
    removed_node_takes_its_inbounds_and_hosts_along,
    removed_node_with_many_hosts_vanishes_at_once,
}

const LOCAL: NodeId = NodeId(1);

fn new(name: &str, address: &str) -> NewNode {
    NewNode {
        name: name.to_owned(),
        address: address.to_owned(),
        port: 53042,
        connection_backend: ConnectionBackend::Grpclib,
        usage_coefficient: 1.0,
    }
}

fn panel(db: Db) -> Panel {
    Panel::new(db, Clock::fixed(Moment::from_micros(5_000)))
}

async fn new_panel_has_a_node_for_its_own_host(db: Db) {
    let all = nodes::page(&db, &NodeFilter::default(), 50, 0).await.unwrap();
    let local = Node { connection_backend: ConnectionBackend::Grpcio, ..new("local", "127.0.0.1").into_node(LOCAL) };
    assert_eq!(all, [local]);
    let fresh = "SELECT COUNT(*) FROM nodes WHERE created_at > 1700000000000000 AND sync_request IS NULL";
    assert_eq!(number(&db, fresh).await, 1);
}

async fn list_applies_its_filter(db: Db) {
    execute(
        &db,
        r"INSERT INTO nodes (name, address, port, connection_backend, status, created_at) VALUES
            ('DE one', 'a', 1, 'grpclib', 'healthy', 0), ('de_two', 'b', 1, 'grpclib', 'disabled', 0),
            ('back\slash', 'c', 1, 'grpclib', 'healthy', 0)",
    )
    .await;
    execute(
        &db,
        "INSERT INTO inbounds (node_id, tag, protocol, config) VALUES
            (2, 'x', 'vmess', '{}'), (3, 'x', 'vmess', '{}'), (2, 'y', 'vless', '{}')",
    )
    .await;
    execute(
        &db,
        "INSERT INTO backends (node_id, name, backend_type, version, running) VALUES
            (2, 'xray', 'xray', '1.8.24', TRUE), (2, 'hysteria', 'hysteria2', NULL, FALSE)",
    )
    .await;
    for (name, statuses, expected) in [
        ("", vec![], vec![1, 2, 3, 4]),
        ("DE", vec![], vec![2, 3]),
        ("e_t", vec![], vec![3]),
        ("e_o", vec![], vec![2]),
        ("%l%", vec![], vec![1, 4]),
        (r"k\s", vec![], vec![4]),
        (r"\", vec![], vec![4]),
        ("", vec![NodeStatus::Healthy], vec![2, 4]),
        ("", vec![NodeStatus::Disabled, NodeStatus::Unhealthy], vec![1, 3]),
        ("de", vec![NodeStatus::Healthy, NodeStatus::Healthy], vec![2]),
    ] {
        let filter = NodeFilter { name: name.to_owned(), statuses };
        let page = nodes::page(&db, &filter, 50, 0).await.unwrap();
        let ids: Vec<i64> = page.iter().map(|node| node.id.0).collect();
        assert_eq!(ids, expected, "{filter:?}");
        assert_eq!(nodes::count(&db, &filter).await.unwrap(), expected.len() as i64, "{filter:?}");
    }
    let second = nodes::page(&db, &NodeFilter::default(), 2, 1).await.unwrap();
    assert_eq!(second.iter().map(|node| node.id.0).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(second[0].inbound_ids, [InboundId(1), InboundId(3)]);
    let hysteria = Backend { name: "hysteria".into(), backend_type: "hysteria2".into(), version: None, running: false };
    let xray =
        Backend { name: "xray".into(), backend_type: "xray".into(), version: Some("1.8.24".into()), running: true };
    assert_eq!(second[0].backends, [hysteria, xray]);
    assert_eq!(second[1].backends, []);
}

async fn name_and_address_are_unique(db: Db) {
    for (name, address) in [("local", "192.0.2.1"), ("other", "127.0.0.1")] {
        let mut tx = db.begin().await.unwrap();
        let error = nodes::insert(&mut tx, &new(name, address), Moment::from_micros(0)).await.unwrap_err();
        assert!(matches!(error.fault(), Fault::Unique(_)), "{error:?}");
        tx.rollback().await.unwrap();
    }
    let panel = panel(db);
    let de = actions::nodes::create(&panel, new("de", "192.0.2.1")).await.unwrap();
    for edit in [
        NodeEdit { name: Some("local".into()), ..NodeEdit::default() },
        NodeEdit { address: Some("127.0.0.1".into()), ..NodeEdit::default() },
    ] {
        let error = actions::nodes::edit(&panel, de.id, &edit).await.unwrap_err();
        assert!(matches!(error, actions::nodes::NodeChangeError::Taken(_)), "{error:?}");
    }
    assert_eq!(nodes::by_id(&panel.db, de.id).await.unwrap(), Some(de));
}

async fn concurrent_edits_of_different_fields_are_both_kept(db: Db) {
    let panel = panel(db);
    for turn in 0..20 {
        let port = NodeEdit { port: Some(1000 + turn), ..NodeEdit::default() };
        let name = NodeEdit { name: Some(format!("name {turn}")), ..NodeEdit::default() };
        let (first, second) =
            tokio::join!(actions::nodes::edit(&panel, LOCAL, &port), actions::nodes::edit(&panel, LOCAL, &name));
        first.unwrap();
        second.unwrap();
        let node = nodes::by_id(&panel.db, LOCAL).await.unwrap().unwrap();
        assert_eq!((node.port, node.name), (1000 + turn, format!("name {turn}")));
    }
}

async fn every_change_requests_a_sync(db: Db) {
    const REMEMBER: &str = "INSERT INTO seen SELECT sync_request FROM nodes WHERE sync_request IS NOT NULL";
    execute(&db, "CREATE TABLE seen AS SELECT sync_request FROM nodes WHERE id = 0").await;
    let panel = panel(db);
    let mut wakeups = panel.changes.wakeup().subscribe();
    for turn in 1..=4 {
        match turn {
            1 => actions::nodes::resync(&panel, LOCAL).await.unwrap(),
            2 => actions::nodes::repin(&panel, LOCAL).await.unwrap(),
            3 => drop(actions::nodes::edit(&panel, LOCAL, &NodeEdit::default()).await.unwrap()),
            _ => {
                execute(&panel.db, "DELETE FROM nodes").await;
                actions::nodes::create(&panel, new("de", "192.0.2.1")).await.unwrap();
            }
        }
        execute(&panel.db, REMEMBER).await;
        assert_eq!(number(&panel.db, "SELECT COUNT(DISTINCT sync_request) FROM seen").await, turn);
        wakeups.wait().await;
    }
    let missing = [
        actions::nodes::resync(&panel, NodeId(99)).await,
        actions::nodes::repin(&panel, NodeId(99)).await,
        actions::nodes::remove(&panel, NodeId(i64::MAX)).await,
        actions::nodes::edit(&panel, NodeId(-1), &NodeEdit::default()).await.map(drop),
    ];
    for result in missing {
        assert!(matches!(result, Err(actions::nodes::NodeChangeError::NotFound)), "{result:?}");
    }
}

async fn pin_is_cleared_by_another_address(db: Db) {
    const PIN: &str = "UPDATE nodes SET certificate_pin = 'ab'";
    const PINNED: &str = "SELECT COUNT(*) FROM nodes WHERE certificate_pin = 'ab'";
    let panel = panel(db);
    for (edit, pinned) in [
        (NodeEdit { name: Some("new".into()), usage_coefficient: Some(2.0), ..NodeEdit::default() }, 1),
        (NodeEdit { address: Some("127.0.0.1".into()), port: Some(53042), ..NodeEdit::default() }, 1),
        (NodeEdit { address: Some("192.0.2.1".into()), ..NodeEdit::default() }, 0),
        (NodeEdit { port: Some(1), ..NodeEdit::default() }, 0),
    ] {
        execute(&panel.db, PIN).await;
        actions::nodes::edit(&panel, LOCAL, &edit).await.unwrap();
        assert_eq!(number(&panel.db, PINNED).await, pinned, "{edit:?}");
    }
    execute(&panel.db, PIN).await;
    actions::nodes::resync(&panel, LOCAL).await.unwrap();
    assert_eq!(number(&panel.db, PINNED).await, 1);
    actions::nodes::repin(&panel, LOCAL).await.unwrap();
    assert_eq!(number(&panel.db, PINNED).await, 0);
}

async fn status_change_is_dated(db: Db) {
    const CHANGED: &str = "SELECT COALESCE(last_status_change, -1) FROM nodes";
    let panel = panel(db);
    let disable = NodeEdit { status: Some(NodeStatus::Disabled), ..NodeEdit::default() };
    actions::nodes::edit(&panel, LOCAL, &NodeEdit::default()).await.unwrap();
    assert_eq!(number(&panel.db, CHANGED).await, -1, "the status is unchanged");
    actions::nodes::edit(&panel, LOCAL, &disable).await.unwrap();
    assert_eq!(number(&panel.db, CHANGED).await, 5_000);
    panel.clock.advance(1);
    actions::nodes::edit(&panel, LOCAL, &disable).await.unwrap();
    assert_eq!(number(&panel.db, CHANGED).await, 5_000);
    actions::nodes::edit(&panel, LOCAL, &NodeEdit::default()).await.unwrap();
    assert_eq!(number(&panel.db, CHANGED).await, 5_001);
}

async fn removed_node_takes_its_inbounds_and_hosts_along(db: Db) {
    execute(
        &db,
        "INSERT INTO inbounds (node_id, tag, protocol, config) VALUES (1, 'x', 'vmess', '{}');
         INSERT INTO backends (node_id, name, backend_type, running) VALUES (1, 'xray', 'xray', TRUE);
         INSERT INTO services (name) VALUES ('s');
         INSERT INTO inbounds_services (inbound_id, service_id) VALUES (1, 1);
         INSERT INTO hosts (inbound_id, spec) VALUES (1, '{}'), (NULL, '{}');
         INSERT INTO host_chains (host_id, seq, chained_host_id) VALUES (2, 1, 1);
         INSERT INTO node_usage_hours (node_id, hour, downlink) VALUES (1, 0, 7)",
    )
    .await;
    actions::nodes::remove(&panel(db.clone()), LOCAL).await.unwrap();
    const LEFT: &str = "SELECT (SELECT COUNT(*) FROM nodes) + (SELECT COUNT(*) FROM inbounds)
        + (SELECT COUNT(*) FROM backends) + (SELECT COUNT(*) FROM inbounds_services)
        + (SELECT COUNT(*) FROM host_chains) + (SELECT COUNT(*) FROM hosts WHERE inbound_id IS NOT NULL)";
    assert_eq!(number(&db, LEFT).await, 0);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM hosts").await, 1, "an unbound host stays");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM node_usage_hours").await, 1, "the usage stays");
    let mut tx = db.begin().await.unwrap();
    let next = nodes::insert(&mut tx, &new("de", "192.0.2.1"), Moment::from_micros(0)).await.unwrap();
    assert_eq!(next, NodeId(2), "an id is never used twice");
}

async fn removed_node_with_many_hosts_vanishes_at_once(db: Db) {
    execute(
        &db,
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 5000)
         INSERT INTO inbounds (node_id, tag, protocol, config) SELECT 1, 'tag' || n, 'vmess', '{}' FROM n;
         INSERT INTO hosts (inbound_id, spec) SELECT id, '{\"remark\":\"r\",\"address\":\"a\"}' FROM inbounds;
         INSERT INTO services (name) VALUES ('s');
         INSERT INTO inbounds_services (inbound_id, service_id) SELECT id, 1 FROM inbounds",
    )
    .await;
    assert_eq!(inbounds::count(&db, "").await.unwrap(), 5_000);
    let mut tx = db.begin().await.unwrap();
    assert!(nodes::hide(&mut tx, LOCAL, Moment::from_micros(7)).await.unwrap());
    assert!(!nodes::hide(&mut tx, LOCAL, Moment::from_micros(7)).await.unwrap(), "it is gone already");
    let again = nodes::insert(&mut tx, &new("local", "127.0.0.1"), Moment::from_micros(0)).await;
    assert_eq!(again.unwrap(), NodeId(2), "its name and address are free at once");
    tx.commit().await.unwrap();
    assert_eq!(nodes::by_id(&db, LOCAL).await.unwrap(), None);
    assert_eq!(nodes::count(&db, &NodeFilter::default()).await.unwrap(), 1);
    assert_eq!(sync_state::node(&db, LOCAL).await.unwrap(), None);
    assert_eq!(inbounds::count(&db, "").await.unwrap(), 0);
    assert_eq!(inbounds::by_id(&db, InboundId(1)).await.unwrap(), None);
    assert_eq!(inbounds::count_of_service(&db, ServiceId(1)).await.unwrap(), 0);
    assert!(subscription_sources::hosts(&db).await.unwrap().is_empty());
    let mut parts = 0;
    loop {
        parts += 1;
        let mut tx = db.begin().await.unwrap();
        assert_eq!(nodes::hidden(&mut tx).await.unwrap(), Some(LOCAL));
        let done = nodes::delete_part(&mut tx, LOCAL).await.unwrap();
        tx.commit().await.unwrap();
        if done {
            break;
        }
    }
    assert!(parts > 4, "{parts} transactions");
    let mut tx = db.begin().await.unwrap();
    assert_eq!(nodes::hidden(&mut tx).await.unwrap(), None);
    tx.rollback().await.unwrap();
    const LEFT: &str = "SELECT (SELECT COUNT(*) FROM inbounds) + (SELECT COUNT(*) FROM hosts)
        + (SELECT COUNT(*) FROM inbounds_services) + (SELECT COUNT(*) FROM nodes WHERE id = 1)";
    assert_eq!(number(&db, LEFT).await, 0);
}
