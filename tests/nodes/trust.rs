//! Certificates: the first one seen is pinned, another one is refused, and the panel presents its own.

use std::net::SocketAddr;

use sarban::clock::Clock;
use sarban::nodes::panel_certificate;
use sarban::store::Db;

use crate::nodes::panel::{Panel, add_node, healthy, number, sql, unhealthy};
use crate::support::database::on_both_engines;
use crate::support::test_node::{Certificate, Options, TestNode};

on_both_engines!(
    changed_certificate_is_refused_until_repinned,
    pinned_certificate_is_accepted_again,
    node_with_another_client_certificate_refuses_panel,
    x509_version_1_certificate_is_accepted,
    hang_up_after_handshake_is_explained,
    concurrent_processes_obtain_one_certificate,
);

fn tls(listen: Option<SocketAddr>, certificate: Option<Certificate>) -> Options {
    let listen = listen.unwrap_or(([127, 0, 0, 1], 0).into());
    Options { listen, tls: true, certificate, ..Options::default() }
}

async fn changed_certificate_is_refused_until_repinned(db: Db) {
    let node = TestNode::start(tls(None, None)).await.unwrap();
    let address = node.address();
    add_node(&db, 1, address, "grpclib").await;
    let _panel = Panel::lead(&db).await;
    healthy(&db, 1).await;
    assert_eq!(number(&db, "SELECT COUNT(*) FROM nodes WHERE LENGTH(certificate_pin) = 64").await, 1);
    drop(node);
    unhealthy(&db, 1, "").await;
    let impostor = TestNode::start(tls(Some(address), None)).await.unwrap();
    unhealthy(&db, 1, "certificate has changed: pinned").await;
    assert!(impostor.events().is_empty(), "the impostor was sent nothing");
    sql(&db, "UPDATE nodes SET certificate_pin = NULL").await;
    healthy(&db, 1).await;
}

async fn pinned_certificate_is_accepted_again(db: Db) {
    let certificate = Certificate::fresh();
    let node = TestNode::start(tls(None, Some(certificate.clone()))).await.unwrap();
    let address = node.address();
    add_node(&db, 1, address, "grpclib").await;
    let _panel = Panel::lead(&db).await;
    healthy(&db, 1).await;
    drop(node);
    unhealthy(&db, 1, "").await;
    let _node = TestNode::start(tls(Some(address), Some(certificate))).await.unwrap();
    healthy(&db, 1).await;
}

async fn node_with_another_client_certificate_refuses_panel(db: Db) {
    let own = panel_certificate::obtain(&db, Clock::real().now()).await.unwrap();
    let knows = |certificate: String| Options { client_certificate: Some(certificate), ..tls(None, None) };
    let friend = TestNode::start(knows(own.certificate)).await.unwrap();
    let other = TestNode::start(knows(Certificate::fresh().certificate)).await.unwrap();
    add_node(&db, 1, friend.address(), "grpclib").await;
    add_node(&db, 2, other.address(), "grpclib").await;
    let _panel = Panel::lead(&db).await;
    healthy(&db, 1).await;
    unhealthy(&db, 2, "refuses this panel").await;
}

/// Many nodes generate such a certificate, without a version and without names.
async fn x509_version_1_certificate_is_accepted(db: Db) {
    let certificate = Certificate {
        certificate: include_str!("version_1/certificate.pem").to_owned(),
        key: include_str!("version_1/key.pem").to_owned(),
    };
    let node = TestNode::start(tls(None, Some(certificate))).await.unwrap();
    add_node(&db, 1, node.address(), "grpclib").await;
    let _panel = Panel::lead(&db).await;
    healthy(&db, 1).await;
}

async fn hang_up_after_handshake_is_explained(db: Db) {
    let node = TestNode::start(Options { hangs_up: true, ..tls(None, None) }).await.unwrap();
    add_node(&db, 1, node.address(), "grpclib").await;
    let _panel = Panel::lead(&db).await;
    unhealthy(&db, 1, "right after the TLS handshake").await;
}

async fn concurrent_processes_obtain_one_certificate(db: Db) {
    let now = Clock::real().now();
    let (one, two) = tokio::join!(panel_certificate::obtain(&db, now), panel_certificate::obtain(&db, now));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!((one.certificate, one.key), (two.certificate, two.key));
    assert_eq!(number(&db, "SELECT COUNT(*) FROM tls").await, 1);
}
