//! A node that nothing arrives from, and whose connections nobody closes. Every call ends.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use sarban::clock::Clock;
use sarban::domain::node::ConnectionBackend;
use sarban::nodes::connection::{NodeConnection, Target};
use sarban::nodes::{PanelIdentity, panel_certificate};
use sarban::store::Db;
use tokio::time::timeout;

use crate::nodes::panel::{Panel, add_node, add_users, eventually, give, healthy, marks, unhealthy};
use crate::support::database::on_both_engines;
use crate::support::proxy::{Proxy, ProxyFault};
use crate::support::test_node::{Options, TestNode};

on_both_engines!(silent_cut_is_noticed_and_every_call_ends, vanished_node_is_noticed_within_seconds);

/// Interval of pings and the time limit of their answers, 25 s, with some reserve.
const NOTICED: Duration = Duration::from_secs(29);
/// The same without an acknowledgement of the node's kernel: 11 s.
const KERNEL_NOTICED: Duration = Duration::from_secs(14);

/// A frozen proxy: its kernel goes on acknowledging.
async fn silent_cut_is_noticed_and_every_call_ends(db: Db) {
    let node = TestNode::start(Options::default()).await.expect("a node");
    let proxy = Proxy::start(node.address().port()).await.expect("a proxy");
    add_node(&db, 1, SocketAddr::from(([127, 0, 0, 1], proxy.port)), "grpcio").await;
    let panel = Panel::lead(&db).await;
    healthy(&db, 1).await;
    let material = panel_certificate::obtain(&db, Clock::real().now()).await.expect("a certificate");
    let identity = PanelIdentity::from_pem(&material.certificate, &material.key).expect("a good one");
    let target = |kind| Target { address: "127.0.0.1".to_owned(), port: i64::from(proxy.port), kind, pin: None };
    let plain = target(ConnectionBackend::Grpcio);
    let open = NodeConnection::connect(&plain, &identity).await.expect("a connection");
    let log = open.clone().backend_logs("xray".to_owned(), false);

    proxy.set(ProxyFault::Lost);
    let reading = async {
        let mut log = std::pin::pin!(log);
        while let Some(Ok(_)) = log.next().await {}
    };
    let calling = async { open.backend_stats("xray".to_owned()).await.map(drop).expect_err("no answer") };
    let handshake = async {
        let target = target(ConnectionBackend::Grpclib);
        NodeConnection::connect(&target, &identity).await.map(drop).expect_err("no answer")
    };
    let first_call = async {
        let connection = NodeConnection::connect(&plain, &identity).await?;
        connection.backend_stats("xray".to_owned()).await.map(drop)
    };
    let session = eventually("the session has ended", async || panel.supervisor.connected().is_empty());
    tokio::join!(
        async { timeout(NOTICED, reading).await.expect("the log of a silent node ends") },
        async { timeout(Duration::from_secs(12), calling).await.expect("the call ends") },
        async { timeout(Duration::from_secs(7), handshake).await.expect("the handshake ends") },
        async {
            let ended = timeout(Duration::from_secs(17), first_call).await.expect("the first call ends");
            ended.expect_err("no answer");
        },
        async { timeout(NOTICED, session).await.expect("the session ends") },
    );
    proxy.set(ProxyFault::Clear);
    healthy(&db, 1).await;
    eventually("the node is connected again", async || panel.supervisor.connected().len() == 1).await;
}

/// A host without power, or a firewall that forgot its connections: one of a session at rest, and one of a session in the
/// middle of a full list.
async fn vanished_node_is_noticed_within_seconds(db: Db) {
    let mut nodes = Vec::new();
    for id in [1, 2] {
        let node = TestNode::start(Options::default()).await.expect("a node");
        let proxy = Proxy::start(node.address().port()).await.expect("a proxy");
        add_node(&db, id, SocketAddr::from(([127, 0, 0, 1], proxy.port)), "grpcio").await;
        nodes.push((node, proxy));
    }
    let listing = &nodes[1].0;
    add_users(&db, 50).await;
    let _panel = Panel::lead(&db).await;
    healthy(&db, 1).await;
    healthy(&db, 2).await;
    give(&db, "vless", 50).await;
    eventually("the nodes have all users", async || nodes.iter().all(|(node, _)| node.users().len() == 50)).await;
    eventually("no mark is left", async || marks(&db).await == 0).await;
    listing.slow_engines(Duration::from_millis(500));
    listing.restart();
    eventually("a list is being applied", async || (1..20).contains(&listing.users().len())).await;

    for (_, proxy) in &nodes {
        proxy.set(ProxyFault::Vanished);
    }
    let noticed = async { tokio::join!(unhealthy(&db, 1, "timed out"), unhealthy(&db, 2, "timed out")) };
    timeout(KERNEL_NOTICED, noticed).await.expect("both sessions end");
    listing.slow_engines(Duration::ZERO);
    for (_, proxy) in &nodes {
        proxy.set(ProxyFault::Clear);
    }
    healthy(&db, 1).await;
    healthy(&db, 2).await;
}
