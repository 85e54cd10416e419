//! Hosts: written and read as a whole, with existing services and chains only.

use std::collections::BTreeMap;

use sarban::actions::hosts::HostError;
use sarban::actions::{self, Panel};
use sarban::clock::Clock;
use sarban::domain::host::{Alpn, Fingerprint, Host, HostSecurity, HostSpec, Noise, NoiseKind};
use sarban::domain::ids::{HostId, InboundId, NodeId, ServiceId};
use sarban::domain::moment::Moment;
use sarban::store::Db;
use sarban::store::hosts::inbounds;
use sarban::store::hosts::{self, HostView};

use crate::support::database::{execute, number, on_both_engines};

on_both_engines! {
    host_reads_back_as_written,
    chain_keeps_order_and_drops_missing_hosts,
    host_of_a_missing_inbound_is_refused,
    replace_writes_every_field,
    removed_host_is_removed_from_chains,
    inbounds_are_listed_with_node_and_services,
}

const PARTS: &str = "INSERT INTO inbounds (node_id, tag, protocol, config) VALUES
        (1, 'VMess tcp', 'vmess', '{\"a\":  1}'), (1, 'vless_ws', 'vless', '{}'), (1, 'vlessXws', 'vless', '{}');
    INSERT INTO services (name) VALUES ('one'), ('two');
    INSERT INTO inbounds_services (inbound_id, service_id) VALUES (1, 2), (1, 1), (3, 2)";

fn panel(db: &Db) -> Panel {
    Panel::new(db.clone(), Clock::fixed(Moment::from_micros(0)))
}

fn host(remark: &str) -> Host {
    Host {
        id: HostId(0),
        inbound_id: None,
        is_disabled: false,
        universal: false,
        weight: 1,
        spec: HostSpec { remark: remark.to_owned(), address: "192.0.2.1".to_owned(), ..HostSpec::default() },
        service_ids: Vec::new(),
        chain_ids: Vec::new(),
    }
}

async fn create(db: &Db, host: &Host) -> HostView {
    actions::hosts::create(&panel(db), host).await.expect("its inbound exists")
}

async fn host_reads_back_as_written(db: Db) {
    execute(&db, PARTS).await;
    let full = Host {
        inbound_id: Some(InboundId(2)),
        universal: true,
        is_disabled: true,
        weight: i64::MAX,
        spec: HostSpec {
            remark: "🇩🇪 {USERNAME}".into(),
            port: Some(-1),
            security: HostSecurity::Tls,
            alpn: Alpn::H3H2Http1,
            fingerprint: Fingerprint::Browser360,
            noise: Some(vec![Noise { kind: NoiseKind::Base64, packet: "7nQ=".into(), delay: "5".into() }]),
            http_headers: Some(BTreeMap::from([("X-A".into(), "b\"\\".into())])),
            ..host("").spec
        },
        service_ids: vec![ServiceId(2), ServiceId(99), ServiceId(1), ServiceId(2)],
        ..host("")
    };
    let view = create(&db, &full).await;
    let stored = Host { id: HostId(1), service_ids: vec![ServiceId(1), ServiceId(2)], ..full };
    assert_eq!(view, HostView { host: stored, inbound_protocol: Some("vless".into()) });
    assert_eq!(hosts::by_id(&db, HostId(1)).await.unwrap(), Some(view.clone()));
    let bare = create(&db, &host("bare")).await;
    assert_eq!(bare, HostView { host: Host { id: HostId(2), ..host("bare") }, inbound_protocol: None });
    assert_eq!(hosts::page(&db, "", 50, 0).await.unwrap(), [view.clone(), bare.clone()]);
    assert_eq!(hosts::page(&db, "", 1, 1).await.unwrap(), [bare]);
    assert_eq!(hosts::count(&db, "").await.unwrap(), 2);
    assert_eq!(hosts::page_of_inbound(&db, InboundId(2), 50, 0).await.unwrap(), [view]);
    assert_eq!(hosts::count_of_inbound(&db, InboundId(2)).await.unwrap(), 1);
    assert_eq!(hosts::count_of_inbound(&db, InboundId(1)).await.unwrap(), 0);
    assert_eq!(hosts::by_id(&db, HostId(i64::MAX)).await.unwrap(), None);
}

async fn chain_keeps_order_and_drops_missing_hosts(db: Db) {
    for remark in ["a", "b", "c"] {
        create(&db, &host(remark)).await;
    }
    let chain_ids = [3, 99, 1, 3, 2].map(HostId).to_vec();
    let view = create(&db, &Host { chain_ids, ..host("chain") }).await;
    assert_eq!(view.host.chain_ids, [HostId(3), HostId(1), HostId(2)]);
    let itself = Host { id: HostId(1), chain_ids: vec![HostId(1)], ..host("a") };
    let view = actions::hosts::replace(&panel(&db), &itself, false).await.unwrap();
    assert_eq!(view.host, itself, "a host may chain to itself");
}

async fn host_of_a_missing_inbound_is_refused(db: Db) {
    let lost = Host { inbound_id: Some(InboundId(7)), ..host("lost") };
    assert!(matches!(actions::hosts::create(&panel(&db), &lost).await, Err(HostError::InboundNotFound)));
    assert_eq!(number(&db, "SELECT COUNT(*) FROM hosts").await, 0);
}

async fn replace_writes_every_field(db: Db) {
    execute(&db, PARTS).await;
    let first = Host {
        inbound_id: Some(InboundId(1)),
        universal: true,
        service_ids: vec![ServiceId(1)],
        spec: HostSpec { path: Some("/p".into()), ..host("old").spec },
        ..host("")
    };
    let chained = create(&db, &first).await;
    let chained = Host { chain_ids: vec![chained.host.id], ..chained.host };
    actions::hosts::replace(&panel(&db), &chained, false).await.unwrap();
    let plain = Host { id: chained.id, is_disabled: true, ..host("new") };
    let view = actions::hosts::replace(&panel(&db), &plain, false).await.unwrap();
    let expected = Host { inbound_id: Some(InboundId(1)), ..plain };
    assert_eq!(view, HostView { host: expected, inbound_protocol: Some("vmess".into()) });
    let unknown = Host { id: HostId(99), ..host("x") };
    assert!(matches!(actions::hosts::replace(&panel(&db), &unknown, false).await, Err(HostError::NotFound)));
}

async fn removed_host_is_removed_from_chains(db: Db) {
    for remark in ["a", "b"] {
        create(&db, &host(remark)).await;
    }
    let chain_ids = vec![HostId(2), HostId(1)];
    let view = create(&db, &Host { chain_ids, ..host("chain") }).await;
    actions::hosts::remove(&panel(&db), HostId(2)).await.unwrap();
    let view = hosts::by_id(&db, view.host.id).await.unwrap().unwrap();
    assert_eq!(view.host.chain_ids, [HostId(1)]);
    assert!(matches!(actions::hosts::remove(&panel(&db), HostId(2)).await, Err(HostError::NotFound)));
}

async fn inbounds_are_listed_with_node_and_services(db: Db) {
    execute(&db, PARTS).await;
    let first = inbounds::by_id(&db, InboundId(1)).await.unwrap().unwrap();
    assert_eq!(first.inbound.config, "{\"a\":  1}", "the text is unchanged");
    assert_eq!((first.node.id, first.node.name.as_str(), first.node.port), (NodeId(1), "local", 53042));
    assert_eq!(first.service_ids, [ServiceId(1), ServiceId(2)]);
    assert_eq!(inbounds::by_id(&db, InboundId(99)).await.unwrap(), None);
    for (tag, expected) in
        [("", vec![1, 2, 3]), ("VLESS_W", vec![2, 3]), ("%", vec![1, 2, 3]), ("s_t", vec![1]), ("no", vec![])]
    {
        let page = inbounds::page(&db, tag, 50, 0).await.unwrap();
        assert_eq!(page.iter().map(|view| view.inbound.id.0).collect::<Vec<_>>(), expected, "{tag}");
        assert_eq!(inbounds::count(&db, tag).await.unwrap(), expected.len() as i64);
    }
    let given = inbounds::page_of_service(&db, ServiceId(2), 50, 0).await.unwrap();
    assert_eq!(given.iter().map(|view| view.inbound.id.0).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(given[0], first);
    assert_eq!(inbounds::count_of_service(&db, ServiceId(2)).await.unwrap(), 2);
    assert_eq!(inbounds::page_of_service(&db, ServiceId(2), 1, 1).await.unwrap().len(), 1);
    assert!(inbounds::exists(&db, InboundId(3)).await.unwrap());
    assert!(!inbounds::exists(&db, InboundId(4)).await.unwrap());
}
