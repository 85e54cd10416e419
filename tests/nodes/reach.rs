//! The rounds of connections by which a panel finds out how many nodes it reaches.

use std::time::Duration;

use sarban::domain::node_reach::NodeReach;
use sarban::nodes::reach::{Pace, watch};
use sarban::store::{Db, Tx};
use sqlx::{AssertSqlSafe, raw_sql};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::support::database::{execute, on_both_engines};
use crate::support::ports::free_port;

on_both_engines!(enabled_nodes_that_accept_a_connection_are_counted, connections_of_a_round_are_spread_over_it);

async fn add_nodes(db: &Db, ports: &[(u16, &str)]) {
    execute(db, "DELETE FROM nodes").await;
    for (index, (port, status)) in ports.iter().enumerate() {
        // No two nodes have the same address and port.
        let id = index + 1;
        let text = format!(
            "INSERT INTO nodes (id, name, address, port, connection_backend, usage_coefficient, status, created_at)
             VALUES ({id}, 'n{id}', '127.0.0.{id}', {port}, 'grpclib', 1.0, '{status}', 0)"
        );
        let mut tx = db.begin().await.expect("a transaction");
        match &mut tx {
            Tx::Pg(tx) => raw_sql(AssertSqlSafe(text)).execute(tx.connection().expect("a connection")).await.map(drop),
            Tx::Lite { tx, .. } => raw_sql(AssertSqlSafe(text)).execute(&mut **tx).await.map(drop),
        }
        .expect("a node");
        tx.commit().await.expect("committed");
    }
}

async fn enabled_nodes_that_accept_a_connection_are_counted(db: Db) {
    let listening = TcpListener::bind("0.0.0.0:0").await.expect("a socket");
    let open = listening.local_addr().expect("its address").port();
    // A socket whose queue is full drops requests for a connection: nothing answers, as behind a firewall.
    let silent = TcpSocket::new_v4().expect("a socket");
    silent.bind("127.0.0.5:0".parse().expect("an address")).expect("bound");
    let silent = silent.listen(1).expect("it listens");
    let full = silent.local_addr().expect("its address");
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) = timeout(Duration::from_millis(500), TcpStream::connect(full)).await {
        queued.push(stream);
        assert!(queued.len() < 10, "its queue is never full");
    }
    let nodes = [
        (open, "healthy"),
        (open, "unhealthy"),
        (open, "disabled"),
        (free_port(), "healthy"),
        (full.port(), "healthy"),
        (0, "healthy"),
    ];
    add_nodes(&db, &nodes).await;
    let (sender, mut results) = unbounded_channel();
    let pace = Pace { round: Duration::from_millis(100), pause: Duration::from_millis(1) };
    let watching = watch(db.clone(), pace, move |reach| {
        let _ = sender.send(reach);
    });
    let _watching = AbortOnDropHandle::new(tokio::spawn(watching));
    let first = timeout(Duration::from_secs(10), results.recv()).await.expect("the silent one delays it by 3 s");
    assert_eq!(first.expect("it lives"), Some(NodeReach { reached: 2, enabled: 5 }));
    drop(listening);
    execute(&db, "UPDATE nodes SET status = 'disabled' WHERE id = 4").await;
    let none = Some(NodeReach { reached: 0, enabled: 4 });
    let limit = Instant::now() + Duration::from_secs(15);
    while timeout(Duration::from_secs(10), results.recv()).await.expect("a round").expect("it lives") != none {
        assert!(Instant::now() < limit, "the closed socket still counts");
    }
}

async fn connections_of_a_round_are_spread_over_it(db: Db) {
    let listening = TcpListener::bind("0.0.0.0:0").await.expect("a socket");
    let port = listening.local_addr().expect("its address").port();
    add_nodes(&db, &[(port, "healthy"); 20]).await;
    let pace = Pace { round: Duration::from_secs(2), pause: Duration::from_millis(1) };
    let _watching = AbortOnDropHandle::new(tokio::spawn(watch(db.clone(), pace, |_| {})));
    let begun = Instant::now();
    for _ in 0..20 {
        timeout(Duration::from_secs(10), listening.accept()).await.expect("a connection").expect("accepted");
    }
    assert!(begun.elapsed() > Duration::from_millis(1_800), "20 connections within {:?}", begun.elapsed());
}
