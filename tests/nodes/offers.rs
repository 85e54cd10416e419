//! A node's report of its engines and inbounds never destroys what an admin made.

use futures_util::StreamExt;
use sarban::actions::{self, engines, nodes};
use sarban::clock::Clock;
use sarban::domain::ids::{NodeId, UserId};
use sarban::nodes::proto::{Backend, Inbound};
use sarban::store::Db;
use sarban::store::hosts::subscription_sources;
use sarban::store::users::node_status;

use crate::nodes::panel::{Panel, eventually, healthy, in_step, marks, number, sql, unhealthy};
use crate::support::database::on_both_engines;
use crate::support::test_node::{Options, RawReply, TestNode};

on_both_engines!(
    new_inbounds_get_one_host_and_known_ones_a_new_config,
    vanished_inbounds_are_absent_and_come_back_with_hosts_and_services,
    chain_over_host_of_absent_inbound_is_left_out,
    report_beyond_its_bounds_makes_node_unhealthy_and_writes_nothing,
    ever_different_tags_are_refused_when_too_many_are_stored,
    long_log_line_is_cut,
    report_is_announced_if_it_differs,
);

const ABSENT: &str = "SELECT COUNT(*) FROM inbounds WHERE absent_since IS NOT NULL";

async fn resync(db: &Db) {
    nodes::resync(&actions::Panel::new(db.clone(), Clock::real()), NodeId(1)).await.unwrap();
}

/// Replaces the node's report, has it read, and waits until this many inbounds are absent.
async fn report(db: &Db, node: &TestNode, backends: Vec<Backend>, absent: i64) {
    node.set_backends(backends);
    resync(db).await;
    eventually(&format!("{absent} inbounds are absent"), async || number(db, ABSENT).await == absent).await;
}

fn engine(inbounds: impl IntoIterator<Item = (&'static str, &'static str)>) -> Vec<Backend> {
    let inbound = |(tag, config): (&str, &str)| Inbound { tag: tag.into(), config: Some(config.into()) };
    let inbounds = inbounds.into_iter().map(inbound).collect();
    vec![Backend { name: "xray".into(), inbounds, ..Backend::default() }]
}

/// Starts a panel, a node and two users on its inbound `vless`, whose host an admin has changed.
async fn start(db: &Db) -> (TestNode, Panel) {
    let node = TestNode::start(Options::default()).await.unwrap();
    let panel = in_step(db, &node, 2).await;
    let edit = r#"UPDATE hosts SET weight = 7, spec = '{"remark":"mine","address":"a.example"}'
        WHERE inbound_id = (SELECT id FROM inbounds WHERE tag = 'vless')"#;
    sql(db, edit).await;
    (node, panel)
}

async fn new_inbounds_get_one_host_and_known_ones_a_new_config(db: Db) {
    let (node, _panel) = start(&db).await;
    assert_eq!(number(&db, "SELECT COUNT(*) FROM backends WHERE name = 'xray' AND running").await, 1);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM inbounds WHERE protocol = tag").await, 4);
    let host = "SELECT COUNT(*) FROM hosts JOIN inbounds ON inbounds.id = inbound_id
                WHERE spec ->> 'address' = '{SERVER_IP}' AND tag = 'trojan'";
    assert_eq!(number(&db, host).await, 1, "a new inbound has a host");
    let id = number(&db, "SELECT id FROM inbounds WHERE tag = 'vless'").await;

    let mut backends = Options::default().backends;
    backends[0].inbounds[0].config = Some(r#"{"tag": "vless", "protocol": "vmess", "network": "ws"}"#.into());
    backends[0].inbounds.retain(|inbound| inbound.tag != "trojan");
    backends[0].inbounds.extend(engine([("new", r#"{"protocol": "vless"}"#)]).remove(0).inbounds);
    // Of equal tags the first counts.
    backends.extend(engine([("new", r#"{"protocol": "tuic"}"#)]));
    sql(&db, "DELETE FROM hosts WHERE inbound_id = (SELECT id FROM inbounds WHERE tag = 'vmess')").await;
    report(&db, &node, backends, 1).await;
    healthy(&db, 1).await;
    assert_eq!(number(&db, "SELECT id FROM inbounds WHERE tag = 'vless' AND protocol = 'vmess'").await, id);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM inbounds WHERE tag = 'new' AND protocol = 'vless'").await, 1);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM hosts").await, 4, "a known inbound gets no second host");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM inbounds_services").await, 1, "a service keeps its inbounds");
}

/// An engine that died, an old file, another node at the address, and garbage.
async fn vanished_inbounds_are_absent_and_come_back_with_hosts_and_services(db: Db) {
    const MADE_BY_ADMIN: &str = "SELECT COUNT(*) FROM inbounds i JOIN inbounds_services s ON s.inbound_id = i.id
        JOIN hosts h ON h.inbound_id = i.id WHERE i.tag = 'vless' AND h.weight = 7 AND h.spec ->> 'remark' = 'mine'";
    let (node, _panel) = start(&db).await;
    let mut old_file = Options::default().backends;
    old_file[0].inbounds.remove(0);
    for (absent, backends) in [
        (4, Vec::new()),
        (4, engine([])),
        (1, old_file),
        (4, engine([("vless", "{"), ("vmess", "[]"), ("trojan", r#"{"protocol": 7}"#), ("shadowsocks", "")])),
        (4, engine([("of another node", r#"{"protocol": "vless"}"#)])),
    ] {
        let inbounds = number(&db, "SELECT COUNT(*) FROM inbounds").await;
        report(&db, &node, backends.clone(), absent).await;
        eventually("no user is left on the node", async || node.users().is_empty()).await;
        assert_eq!(number(&db, MADE_BY_ADMIN).await, 1, "{backends:?}");
        let shown = subscription_sources::hosts(&db).await.unwrap();
        assert!(shown.iter().all(|row| row.host.spec.remark != "mine"), "{backends:?}");
        assert_eq!(node_status::of_user(&db, UserId(1)).await.unwrap(), [], "{backends:?}");

        let others = number(&db, "SELECT COUNT(*) FROM inbounds").await - inbounds;
        report(&db, &node, Options::default().backends, others).await;
        eventually("the users are back", async || node.users().len() == 2).await;
        assert_eq!(number(&db, MADE_BY_ADMIN).await, 1, "{backends:?}");
        let shown = subscription_sources::hosts(&db).await.unwrap();
        assert_eq!(shown.len(), 4, "{backends:?}");
        assert!(shown.iter().any(|row| row.host.spec.remark == "mine"), "{backends:?}");
        assert_eq!(number(&db, "SELECT COUNT(*) FROM hosts").await, 4 + others);
    }
    healthy(&db, 1).await;
    assert_eq!(marks(&db).await, 0);
}

async fn chain_over_host_of_absent_inbound_is_left_out(db: Db) {
    let (node, _panel) = start(&db).await;
    sql(
        &db,
        r#"INSERT INTO hosts (id, universal, spec) VALUES (99, TRUE, '{"remark":"r","address":"b.example"}');
           INSERT INTO host_chains (host_id, seq, chained_host_id) SELECT 99, 1, id FROM hosts WHERE weight = 7"#,
    )
    .await;
    report(&db, &node, Vec::new(), 4).await;
    let shown = subscription_sources::hosts(&db).await.unwrap();
    let [only] = &shown[..] else { panic!("{shown:?}") };
    assert_eq!(only.host.id.0, 99);
    let hop = only.host.chain_ids[0];
    assert!(shown.iter().all(|row| row.host.id != hop), "a host whose hop is missing is not rendered");
}

async fn report_beyond_its_bounds_makes_node_unhealthy_and_writes_nothing(db: Db) {
    const VLESS: &str = r#"{"protocol": "vless"}"#;
    const STORED: &str =
        "SELECT (SELECT COUNT(*) FROM inbounds WHERE absent_since IS NULL) + (SELECT COUNT(*) FROM backends)";
    let (node, _panel) = start(&db).await;
    let many = (0..1_001).map(|n| Inbound { tag: format!("tag{n}"), config: Some(VLESS.into()) }).collect();
    let long = Inbound { tag: "x".repeat(1 << 20), config: Some(VLESS.into()) };
    let named = |name: &str, inbounds| vec![Backend { name: name.into(), inbounds, ..Backend::default() }];
    for (backends, reason) in [
        (named("xray", many), "more than 1000 inbounds"),
        (engine([("a\0b", VLESS)]), "contains a NUL character"),
        (named("xray", vec![long]), "has 1048576 bytes, and 256 are accepted: xxxx"),
        (vec![Backend::default(); 33], "more than 32 engines"),
        (named(&"x".repeat(5 << 20), Vec::new()), "reply to FetchBackends is too large"),
    ] {
        node.set_backends(backends);
        resync(&db).await;
        unhealthy(&db, 1, reason).await;
        assert_eq!(number(&db, STORED).await, 5, "{reason}");
        node.set_backends(Options::default().backends);
        healthy(&db, 1).await;
    }
    // Two million empty inbounds.
    let pieces = vec![vec![0x0a, 0x80, 0x80, 0x80, 1], [0x22, 0].repeat(1 << 20)];
    node.reply_raw("FetchBackends", Some(RawReply { pieces, times: 1 }));
    resync(&db).await;
    unhealthy(&db, 1, "more than 1000 inbounds").await;
    node.reply_raw("FetchBackends", None);
    healthy(&db, 1).await;
    assert_eq!(number(&db, STORED).await, 5);
}

async fn ever_different_tags_are_refused_when_too_many_are_stored(db: Db) {
    let (node, _panel) = start(&db).await;
    sql(
        &db,
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 4996)
         INSERT INTO inbounds (node_id, tag, protocol, config, absent_since) SELECT 1, 'old' || n, 'vless', '{}', 1 FROM n",
    )
    .await;
    report(&db, &node, engine([("vless", r#"{"protocol": "vless"}"#)]), 4_999).await;
    node.set_backends(engine([("new", r#"{"protocol": "vless"}"#)]));
    resync(&db).await;
    unhealthy(&db, 1, "DELETE /api/inbounds/absent").await;
    assert_eq!(number(&db, "SELECT COUNT(*) FROM inbounds").await, 5_000);
    actions::inbounds::remove_absent(&actions::Panel::new(db.clone(), Clock::real()), NodeId(1)).await.unwrap();
    healthy(&db, 1).await;
    assert_eq!(number(&db, "SELECT COUNT(*) FROM inbounds WHERE absent_since IS NULL AND tag = 'new'").await, 1);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM inbounds").await, 2, "the one that was reported until then is absent");
}

async fn long_log_line_is_cut(db: Db) {
    let (node, _panel) = start(&db).await;
    let panel = actions::Panel::new(db.clone(), Clock::real());
    let pieces = [vec![0x0a, 0x80, 0x80, 0x80, 0x10], "é".repeat(1 << 10).into_bytes()];
    let pieces = [pieces[..1].to_vec(), vec![pieces[1].clone(); 1 << 14]].concat();
    node.reply_raw("StreamBackendLogs", Some(RawReply { pieces, times: 1 }));
    let connection = engines::for_logs(&panel, NodeId(1)).await.unwrap();
    let lines: Vec<_> = connection.backend_logs("xray".to_owned(), true).collect().await;
    let [Ok(line)] = &lines[..] else { panic!("{} lines", lines.len()) };
    assert!(line.starts_with("éé") && line.len() < 17_000, "{} bytes", line.len());
    assert!(line.ends_with("é… (cut: the line has 33554437 bytes)\n"), "{}", line.split_at(line.len() - 50).1);
    node.reply_raw("StreamBackendLogs", None);
    let connection = engines::for_logs(&panel, NodeId(1)).await.unwrap();
    let first = connection.backend_logs("brief".to_owned(), false).next().await.unwrap().unwrap();
    assert_eq!(first, "brief log line 0 buffer=False");
}

/// Open dashboards read inbounds again when they changed, and not at every full sync.
async fn report_is_announced_if_it_differs(db: Db) {
    let (node, panel) = start(&db).await;
    let mut announced = panel.supervisor.written_reports();
    announced.borrow_and_update();
    let synced = async || number(&db, "SELECT synced_at FROM nodes").await;
    let sync = async || {
        let before = synced().await;
        resync(&db).await;
        eventually("the node got its full list", async || synced().await != before).await;
    };
    sync().await;
    assert!(!announced.has_changed().unwrap(), "the same report");
    let mut versioned = Options::default().backends;
    versioned[0].version = Some("of another day".to_owned());
    let mut renamed = versioned.clone();
    renamed[0].inbounds[0].tag = "renamed".to_owned();
    let mut other = renamed.clone();
    other[0].inbounds[0].config = Some(r#"{"protocol": "vless", "port": 5}"#.to_owned());
    for (what, backends) in [("a version", versioned), ("a tag", renamed), ("a config", other), ("none", Vec::new())] {
        node.set_backends(backends);
        sync().await;
        assert!(announced.has_changed().unwrap(), "{what}");
        announced.borrow_and_update();
        sync().await;
        assert!(!announced.has_changed().unwrap(), "{what}: the same again");
    }
    assert_eq!(number(&db, "SELECT synced_users FROM nodes").await, 0, "no inbound, so no users");
    node.set_backends(Options::default().backends);
    sync().await;
    assert_eq!(number(&db, "SELECT synced_users FROM nodes").await, 2);
}
