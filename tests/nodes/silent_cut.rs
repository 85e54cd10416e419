//! A node behind a firewall that forgot its connections: nothing arrives, and nothing is closed. Every call ends.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use sarban::clock::Clock;
use sarban::domain::node::ConnectionBackend;
use sarban::nodes::connection::{NodeConnection, Target};
use sarban::nodes::{PanelIdentity, panel_certificate};
use sarban::store::Db;
use tokio::time::timeout;

use crate::nodes::panel::{Panel, add_node, eventually, healthy};
use crate::support::database::on_both_engines;
use crate::support::proxy::{Proxy, ProxyFault};
use crate::support::test_node::{Options, TestNode};

on_both_engines!(silent_cut_is_noticed_and_every_call_ends);

/// Interval of pings and the time limit of their answers, 25 s, with some reserve.
const NOTICED: Duration = Duration::from_secs(29);

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
