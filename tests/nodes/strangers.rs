//! Anything may answer at a node's address: the node's message says what it is.

use std::net::SocketAddr;

use sarban::store::Db;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::nodes::panel::{Panel, add_node, eventually, healthy, number, sql, unhealthy};
use crate::support::database::on_both_engines;
use crate::support::test_node::{Options, TestNode};

on_both_engines!(
    closed_port_is_reported_as_connection_refused,
    echo_server_is_not_a_node,
    web_server_is_not_a_node,
    node_without_tls_is_reported,
    tls_node_is_not_a_plain_node,
    invalid_address_is_reported,
    moved_node_is_connected_at_new_address,
    disabled_node_has_no_session,
);

/// A server that answers everything with `reply`, or echoes it.
async fn stranger(reply: Option<&'static [u8]>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut received = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut received).await {
                    if stream.write_all(reply.unwrap_or(&received[..length])).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

async fn closed_port_is_reported_as_connection_refused(db: Db) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    add_node(&db, 1, address, "grpcio").await;
    let _panel = Panel::lead(&db).await;
    unhealthy(&db, 1, "connection refused").await;
}

async fn echo_server_is_not_a_node(db: Db) {
    add_node(&db, 1, stranger(None).await, "grpcio").await;
    let _panel = Panel::lead(&db).await;
    unhealthy(&db, 1, "does not speak the node protocol").await;
}

async fn web_server_is_not_a_node(db: Db) {
    let reply = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    add_node(&db, 1, stranger(Some(reply)).await, "grpcio").await;
    let _panel = Panel::lead(&db).await;
    unhealthy(&db, 1, "does not speak the node protocol").await;
}

async fn node_without_tls_is_reported(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    add_node(&db, 1, node.address(), "grpclib").await;
    let _panel = Panel::lead(&db).await;
    unhealthy(&db, 1, "does not answer with TLS").await;
}

async fn tls_node_is_not_a_plain_node(db: Db) {
    let node = TestNode::start(Options { tls: true, ..Options::default() }).await.unwrap();
    add_node(&db, 1, node.address(), "grpcio").await;
    let _panel = Panel::lead(&db).await;
    unhealthy(&db, 1, "does not speak the node protocol").await;
}

async fn invalid_address_is_reported(db: Db) {
    add_node(&db, 1, ([127, 0, 0, 1], 1).into(), "grpcio").await;
    sql(&db, "UPDATE nodes SET address = 'no such place', port = 70000").await;
    let _panel = Panel::lead(&db).await;
    unhealthy(&db, 1, "no such place:70000 is not a valid address").await;
}

async fn moved_node_is_connected_at_new_address(db: Db) {
    let (old, new) = (TestNode::start(Options::default()).await.unwrap(), TestNode::start(Options::default()).await);
    let new = new.unwrap();
    add_node(&db, 1, old.address(), "grpcio").await;
    let panel = Panel::lead(&db).await;
    healthy(&db, 1).await;
    sql(&db, &format!("UPDATE nodes SET port = {}, status = 'unhealthy'", new.address().port())).await;
    eventually("the new address is connected to", async || !new.events().is_empty()).await;
    healthy(&db, 1).await;
    let before = new.events().len();
    sql(&db, "UPDATE nodes SET status = 'unhealthy', usage_coefficient = 2.5").await;
    healthy(&db, 1).await;
    assert_eq!(new.events().len(), before, "the connection stays");
    let coefficient = || panel.supervisor.connected().first().map(|node| node.coefficient);
    eventually("the coefficient is the new one", async || coefficient() == Some(2.5)).await;
}

async fn disabled_node_has_no_session(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    add_node(&db, 1, node.address(), "grpcio").await;
    let panel = Panel::lead(&db).await;
    healthy(&db, 1).await;
    sql(&db, "UPDATE nodes SET status = 'disabled', message = NULL").await;
    eventually("no node is connected", async || panel.supervisor.connected().is_empty()).await;
    node.drop_connections();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(number(&db, "SELECT COUNT(*) FROM nodes WHERE status = 'disabled' AND message IS NULL").await, 1);
    sql(&db, "UPDATE nodes SET status = 'unhealthy'").await;
    healthy(&db, 1).await;
    sql(&db, "DELETE FROM nodes").await;
    eventually("no node is connected", async || panel.supervisor.connected().is_empty()).await;
}
