//! Size of a document: however many hosts there are, and whatever their texts hold, it is bounded.

use sarban::domain::host::HostSpec;
use sarban::domain::ids::{HostId, ServiceId};
use sarban::subscription::catalogue::{Catalogue, HostRow};
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

#[test]
fn only_the_hosts_that_a_user_sees_make_a_subscription_large() {
    let mut rows = hosts(20, &spec("host"));
    for row in &mut rows {
        row.service_ids = vec![ServiceId(if row.host.id.0 <= 15 { 1 } else { 2 })];
    }
    let catalogue = Catalogue::new(rows.clone());
    let is_large = |catalogue: &Catalogue, services: &[i64]| {
        let services: Vec<ServiceId> = services.iter().copied().map(ServiceId).collect();
        catalogue.is_larger_than(14 << 10, &services)
    };
    assert!(is_large(&catalogue, &[1]) && is_large(&catalogue, &[1, 2]));
    assert!(!is_large(&catalogue, &[2]) && !is_large(&catalogue, &[]));
    // Hops count for each host that dials through them, and so do long lists of names.
    rows[19].host.chain_ids = (1..=12).map(HostId).collect();
    assert!(is_large(&Catalogue::new(rows.clone()), &[2]));
    rows[19].host.chain_ids.clear();
    rows[18].host.spec.sni = Some("a.example,".repeat(2_000));
    assert!(is_large(&Catalogue::new(rows), &[2]));
}
