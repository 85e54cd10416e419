//! Hosts of a subscription: selection, order and random choices.

use std::collections::BTreeSet;

use sarban::domain::host::{HostSecurity, HostSpec};
use sarban::domain::ids::{HostId, ServiceId};
use sarban::domain::subscription_settings::SubscriptionSettings;
use sarban::domain::user::User;
use sarban::subscription::catalogue::HostRow;
use sarban::subscription::formats::{CLASH, CLASH_META, LINKS, SING_BOX, WIREGUARD, XRAY};

use crate::subscription::literal::{rendered, rendered_with, row, spec, user};
use crate::subscription::parse;

fn trojan() -> Option<(&'static str, String)> {
    Some(("trojan", r#"{"port": 1, "network": "tcp"}"#.to_owned()))
}

fn weighing(weight: i64, mut row: HostRow) -> HostRow {
    row.host.weight = weight;
    row
}

fn remarks(links: &str) -> Vec<String> {
    links.lines().map(|link| parse::link(link)["remark"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn subscription_of_a_user_contains_hosts_of_its_services_and_universal_hosts() {
    let unbound = |remark| HostSpec {
        protocol: Some("trojan".to_owned()),
        network: Some("tcp".to_owned()),
        password: Some("pw".to_owned()),
        port: Some(443),
        ..spec(remark)
    };
    let elsewhere = |row| HostRow { service_ids: vec![ServiceId(2)], ..row };
    let mut disabled = row(3, spec("disabled"), trojan());
    disabled.host.is_disabled = true;
    let mut universal = elsewhere(row(4, unbound("universal"), None));
    universal.host.universal = true;
    let mut bound_universal = elsewhere(row(5, spec("universal in name only"), trojan()));
    bound_universal.host.universal = true;
    let rows = vec![
        row(1, spec("bound"), trojan()),
        row(2, unbound("unbound"), None),
        disabled,
        universal,
        bound_universal,
        elsewhere(row(6, spec("elsewhere"), trojan())),
        row(7, HostSpec { password: None, ..unbound("no credential") }, None),
        row(8, HostSpec { protocol: Some("socks".to_owned()), ..unbound("no protocol") }, None),
    ];
    assert_eq!(remarks(&rendered(&LINKS, rows.clone())), ["bound", "unbound", "universal"]);
    let nobody = User { service_ids: Vec::new(), ..user() };
    let settings = SubscriptionSettings::initial();
    assert_eq!(remarks(&rendered_with(&LINKS, &nobody, rows, &settings)), ["universal"]);
}

#[test]
fn hosts_of_equal_weight_are_ordered_by_id_with_chains_last() {
    let mut chained = row(1, spec("chained"), trojan());
    chained.host.chain_ids = vec![HostId(2)];
    let rows = vec![
        weighing(2, row(3, spec("heavy"), trojan())),
        weighing(-1, row(9, spec("light"), trojan())),
        row(4, spec("later"), trojan()),
        row(2, spec("sooner"), trojan()),
        chained,
    ];
    assert_eq!(remarks(&rendered(&LINKS, rows.clone())), ["light", "sooner", "later", "heavy"]);
    let xray: serde_json::Value = serde_json::from_str(&rendered(&XRAY, rows)).unwrap();
    let order: Vec<_> = xray.as_array().unwrap().iter().map(|one| one["remarks"].as_str().unwrap()).collect();
    assert_eq!(order, ["light", "sooner", "later", "chained", "heavy"]);
}

#[test]
fn wireguard_hosts_with_weights_and_shuffling_are_ordered_by_id() {
    let wireguard = || Some(("wireguard", r#"{"port": 1, "path": "key", "address": "10.0.0.1/24"}"#.to_owned()));
    let rows = vec![weighing(1, row(2, spec("second"), wireguard())), weighing(9, row(1, spec("first"), wireguard()))];
    let shuffled = SubscriptionSettings { shuffle_configs: true, ..SubscriptionSettings::initial() };
    let text = rendered_with(&WIREGUARD, &user(), rows.clone(), &shuffled);
    assert!(text.find("first") < text.find("second"));
    let short = User { key: "abc".to_owned(), ..user() };
    assert_eq!(rendered_with(&WIREGUARD, &short, rows, &shuffled), "[]", "key is shorter than 32 bytes");
}

#[test]
fn shuffled_links_contain_every_host() {
    let rows: Vec<HostRow> = (0..20).map(|id| row(id, spec(&format!("{id:02}")), trojan())).collect();
    let in_order = remarks(&rendered(&LINKS, rows.clone()));
    let shuffled = SubscriptionSettings { shuffle_configs: true, ..SubscriptionSettings::initial() };
    let mut shuffled = remarks(&rendered_with(&LINKS, &user(), rows, &shuffled));
    assert_ne!(shuffled, in_order);
    shuffled.sort();
    assert_eq!(shuffled, in_order);
}

#[test]
fn hosts_with_name_lists_use_one_name_and_all_wildcards_get_one_salt() {
    let starred = |remark: &str, sni: &str| HostSpec {
        sni: Some(sni.to_owned()),
        host: Some("*.h.example".to_owned()),
        security: HostSecurity::Tls,
        ..spec(remark)
    };
    let mut rows: Vec<HostRow> = (0..40).map(|id| row(id, starred("", "a.example, b.example,,"), trojan())).collect();
    rows.push(row(40, starred("star", "*.*.example"), trojan()));
    let links: Vec<_> = rendered(&LINKS, rows).lines().map(parse::link).collect();
    let picked: BTreeSet<_> = links[..40].iter().map(|link| link["parts"]["sni"].as_str().unwrap()).collect();
    assert_eq!(picked, BTreeSet::from(["a.example", "b.example"]));
    let hosts: BTreeSet<_> = links.iter().map(|link| link["parts"]["host"].as_str().unwrap()).collect();
    let salt = hosts.first().unwrap().strip_suffix(".h.example").unwrap();
    assert_eq!(hosts.len(), 1);
    assert!(salt.len() == 16 && salt.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(links[40]["parts"]["sni"], format!("{salt}.{salt}.example"));
}

#[test]
fn host_with_own_fields_overrides_its_inbound() {
    let inbound = r#"{"port": 1, "network": "ws", "tls": "tls", "sni": ["in.example"], "host": "in.example",
                      "path": "/{USERNAME}", "fp": "ios"}"#;
    let own = HostSpec {
        address: "2001:db8::1".to_owned(),
        port: Some(2),
        path: Some("/{USERNAME}".to_owned()),
        security: HostSecurity::None,
        ..spec("own")
    };
    let bound = || Some(("vless", inbound.to_owned()));
    let text = rendered(&LINKS, vec![row(1, own, bound()), row(2, spec("inbound's"), bound())]);
    let user = "vless://92ac8641-a192-b9f3-b912-a2a7b516ac83";
    let own = format!("{user}@[2001:db8::1]:2?security=none&type=ws&path=%2Fann&host=in.example#own");
    // The path of an inbound comes from the node and is not a template.
    let inbounds = format!(
        "{user}@a.example:1?security=tls&type=ws&path=%2F%7BUSERNAME%7D&host=in.example&sni=in.example&fp=ios#inbound%27s"
    );
    assert_eq!(text.lines().collect::<Vec<_>>(), [own, inbounds]);
}

#[test]
fn no_document_without_hosts_connects_directly() {
    for format in [&CLASH, &CLASH_META] {
        assert!(rendered(format, Vec::new()).contains(r#""proxies": ["REJECT"]"#), "{}", format.client_type);
    }
    let document: serde_json::Value = serde_json::from_str(&rendered(&SING_BOX, Vec::new())).expect("JSON");
    assert_eq!(document["outbounds"][0]["outbounds"], serde_json::json!(["Best Latency", "no server yet"]));
    assert_eq!(document["outbounds"][1]["outbounds"], serde_json::json!(["no server yet"]));
}
