//! Size of a document: however many hosts there are, and whatever their texts hold, it is bounded.

use sarban::domain::host::HostSpec;
use sarban::domain::ids::HostId;
use sarban::subscription::catalogue::HostRow;
use sarban::subscription::formats::{CLASH_META, LINKS, SING_BOX, XRAY};

use crate::subscription::literal::{rendered, row, spec};

fn hosts(count: i64, spec: &HostSpec) -> Vec<HostRow> {
    let inbound = || Some(("trojan", r#"{"port": 1, "network": "ws"}"#.to_owned()));
    (1..=count).map(|id| row(id, spec.clone(), inbound())).collect()
}

#[test]
fn documents_of_many_hosts_with_long_texts_are_bounded() {
    for expensive in [
        HostSpec { path: Some("{USERNAME:ü>256}".repeat(250)), ..spec(&"{USERNAME:🚀>256}".repeat(250)) },
        HostSpec { sni: Some("*".repeat(20_000)), host: Some("*".repeat(20_000)), ..spec("stars") },
        HostSpec { http_headers: Some([("x".to_owned(), "\u{1}".repeat(100_000))].into()), ..spec("headers") },
        spec(&"x".repeat(300_000)),
    ] {
        let rows = hosts(300, &expensive);
        for format in [&LINKS, &XRAY, &SING_BOX, &CLASH_META] {
            let size = rendered(format, rows.clone()).len();
            assert!(size < 40 << 20, "{}: {} MB", format.client_type, size >> 20);
        }
    }
}

#[test]
fn thousands_of_ordinary_hosts_are_all_in_the_document() {
    assert_eq!(rendered(&LINKS, hosts(3_000, &spec("A host {USERNAME} ({PROTOCOL}) 🚀"))).lines().count(), 3_000);
}

#[test]
fn host_whose_chain_is_too_long_is_left_out() {
    let mut rows = hosts(20, &spec("host"));
    rows[0].host.chain_ids = (2..=17).map(HostId).collect();
    rows[1].host.chain_ids = (3..=20).map(HostId).collect();
    let document: serde_json::Value = serde_json::from_str(&rendered(&XRAY, rows)).expect("JSON");
    assert_eq!(document.as_array().expect("entries").len(), 19);
}
