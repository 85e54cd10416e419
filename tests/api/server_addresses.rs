//! `{SERVER_IP}` and `{SERVER_IPV6}` in hosts: the address of the node, or of the panel, the same from every panel.

use std::net::IpAddr;

use reqwest::Method;
use sarban::clock::Clock;
use sarban::store::Db;
use sarban::store::cluster::members::{self, Member};
use serde_json::json;
use uuid::Uuid;

use crate::api::panel::{TestPanel, send};
use crate::support::database::{execute, on_both_engines};

on_both_engines!(
    hosts_of_a_node_show_its_address_if_clients_reach_it,
    every_panel_shows_the_address_that_the_first_one_found,
    setting_wins_over_what_a_machine_finds,
    addresses_in_use_are_shown_with_the_cluster,
    host_without_a_known_address_is_left_out,
);

const KEY: &str = "00000000000000000000000000000001";

/// Default hosts on six nodes, a host of the panel, and one with an IPv6 address.
const HOSTS: &str = r#"
    DELETE FROM nodes;
    INSERT INTO services (name) VALUES ('all');
    INSERT INTO nodes (id, name, address, port, connection_backend, created_at) VALUES
        (1, 'a', '203.0.113.9', 1, 'grpcio', 0), (2, 'b', 'de.example.com', 1, 'grpcio', 0),
        (3, 'c', '2001:db8::9', 1, 'grpcio', 0), (4, 'd', '127.0.0.1', 1, 'grpcio', 0),
        (5, 'e', '10.0.0.3', 1, 'grpcio', 0), (6, 'f', 'marznode', 1, 'grpcio', 0);
    INSERT INTO inbounds (id, node_id, tag, protocol, config)
        SELECT id, id, 't', 'trojan', '{"tls": "tls", "port": 443, "network": "tcp"}' FROM nodes;
    INSERT INTO inbounds_services (inbound_id, service_id) SELECT id, 1 FROM inbounds;
    INSERT INTO hosts (inbound_id, weight, spec)
        SELECT id, id, '{"remark": "node", "address": "{SERVER_IP}"}' FROM inbounds;
    INSERT INTO hosts (universal, weight, spec) VALUES
        (TRUE, 90, '{"remark": "panel", "address": "{SERVER_IP}", "protocol": "trojan", "network": "tcp", "port": 443,
                     "password": "pw", "security": "tls"}'),
        (TRUE, 91, '{"remark": "six", "address": "{SERVER_IPV6}", "protocol": "trojan", "network": "tcp", "port": 443,
                     "password": "pw", "security": "tls"}')"#;
const NO_NODES: &str = "DELETE FROM hosts WHERE weight < 90";

/// A panel on a host with this label, on a machine with these addresses.
async fn start(db: &Db, host: &str, addresses: &[&str], settings: &[(&str, &str)]) -> TestPanel {
    let addresses: Vec<IpAddr> = addresses.iter().map(|ip| ip.parse().expect("an address")).collect();
    let settings: Vec<_> = settings.iter().copied().chain([("INSTANCE_NAME", host)]).collect();
    TestPanel::on_machine(db.clone(), &settings, addresses).await
}

async fn insert_ann(panel: &TestPanel) {
    panel.insert_admin("root", true).await;
    let ann = json!({"username": "ann", "expire_strategy": "never", "key": KEY, "service_ids": [1]});
    panel.post("root", "/api/users", ann).await.ok();
}

/// The addresses in the links of `ann`.
async fn shown(panel: &TestPanel) -> Vec<String> {
    // What other processes changed shows after a second.
    panel.panel.clock.advance(1_000_000);
    let links = send(panel.request(Method::GET, &format!("/sub/ann/{KEY}/links"))).await;
    let text = links.body.as_str().unwrap_or_default();
    let address = |link: &str| Some(link.split_once('@')?.1.split_once(":443")?.0.to_owned());
    text.lines().filter_map(address).collect()
}

/// Enters a live member of the cluster, as a process does every two seconds.
async fn enter_member(db: &Db, host: &str) {
    let member = Member {
        instance: Uuid::new_v4(),
        host: host.to_owned(),
        pid: 1,
        worker_threads: 1,
        cores: 1.0,
        version: "0".to_owned(),
        started_at: 0,
        last_seen: 0,
        tasks: "{}".to_owned(),
        report: "{}".to_owned(),
    };
    let now = Clock::real().now();
    db.transaction("test", async |tx| members::beat(tx, &member, now).await).await.expect("a member");
}

async fn hosts_of_a_node_show_its_address_if_clients_reach_it(db: Db) {
    execute(&db, HOSTS).await;
    let panel = start(&db, "one", &["203.0.113.1", "2001:db8::1"], &[]).await;
    insert_ann(&panel).await;
    let of_panel = "203.0.113.1";
    let expected =
        ["203.0.113.9", "de.example.com", "[2001:db8::9]", of_panel, of_panel, of_panel, of_panel, "[2001:db8::1]"];
    assert_eq!(shown(&panel).await, expected);
    execute(&db, "UPDATE nodes SET address = '203.0.113.4' WHERE id = 4").await;
    assert_eq!(shown(&panel).await[3], "203.0.113.4");
}

async fn every_panel_shows_the_address_that_the_first_one_found(db: Db) {
    execute(&db, HOSTS).await;
    execute(&db, NO_NODES).await;
    // Behind NAT: better than nothing, until another panel knows a public address.
    let nat = start(&db, "nat", &["172.17.0.2"], &[]).await;
    insert_ann(&nat).await;
    enter_member(&db, "nat").await;
    assert_eq!(shown(&nat).await, ["172.17.0.2"]);
    let first = start(&db, "first", &["203.0.113.1"], &[]).await;
    enter_member(&db, "first").await;
    let second = start(&db, "second", &["203.0.113.2", "2001:db8::2"], &[]).await;
    for panel in [&nat, &first, &second] {
        assert_eq!(shown(panel).await, ["203.0.113.1", "[2001:db8::2]"]);
    }
    // The host that stored it has another address now.
    let moved = start(&db, "first", &["203.0.113.3"], &[]).await;
    assert_eq!(shown(&moved).await, ["203.0.113.3", "[2001:db8::2]"]);
    // It is gone, and the panel runs elsewhere.
    execute(&db, "DELETE FROM cluster_member").await;
    let elsewhere = start(&db, "elsewhere", &["203.0.113.4"], &[]).await;
    for panel in [&elsewhere, &nat] {
        assert_eq!(shown(panel).await[0], "203.0.113.4");
    }
}

async fn setting_wins_over_what_a_machine_finds(db: Db) {
    execute(&db, HOSTS).await;
    execute(&db, "DELETE FROM hosts WHERE weight < 6").await;
    let found = start(&db, "one", &["203.0.113.1"], &[]).await;
    insert_ann(&found).await;
    enter_member(&db, "one").await;
    let settings = [("SERVER_IP", "203.0.113.50"), ("SERVER_IPV6", "2001:db8::50")];
    let set = start(&db, "two", &["203.0.113.2"], &settings).await;
    enter_member(&db, "two").await;
    let third = start(&db, "three", &["203.0.113.3"], &[("SERVER_IP", "203.0.113.60")]).await;
    for panel in [&found, &set, &third] {
        assert_eq!(shown(panel).await, ["203.0.113.50", "203.0.113.50", "[2001:db8::50]"]);
    }
}

async fn host_without_a_known_address_is_left_out(db: Db) {
    execute(&db, HOSTS).await;
    execute(&db, "DELETE FROM hosts WHERE weight IN (2, 3, 5, 6)").await;
    let panel = start(&db, "one", &["127.0.0.1"], &[]).await;
    insert_ann(&panel).await;
    assert_eq!(shown(&panel).await, ["203.0.113.9"]);
    let explained = panel.get("root", "/api/users/ann/subscription?format=links").await.ok();
    let reasons: Vec<_> =
        explained["hosts"].as_array().expect("hosts").iter().map(|host| host["left_out"].clone()).collect();
    assert_eq!(reasons.iter().filter(|reason| !reason.is_null()).count(), 3, "{explained}");
}

async fn addresses_in_use_are_shown_with_the_cluster(db: Db) {
    let panel = start(&db, "one", &["172.17.0.2"], &[("SERVER_IPV6", "2001:db8::50")]).await;
    panel.insert_admin("root", true).await;
    let expected = json!([
        {"address": "172.17.0.2", "source": "private", "host": "one"},
        {"address": "2001:db8::50", "source": "setting", "host": "one"},
    ]);
    assert_eq!(panel.get("root", "/api/cluster").await.ok()["addresses"], expected);
    execute(&db, "DELETE FROM panel_address").await;
    assert_eq!(panel.get("root", "/api/cluster").await.ok()["addresses"], json!([]));
}
