//! Clients that do not read the documents that they ask for.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use crate::attack::{Target, size};
use crate::support::database::{TestDatabase, execute, on_both_engines};

on_both_engines!(
    empty clients_that_do_not_read_their_answers_take_little_memory,
);

/// Hosts whose texts grow when they are filled. A debug build takes a second to render six hundred.
pub async fn insert_expensive_hosts(test: &TestDatabase) {
    let spec = json!({
        "remark": "{USERNAME:>256}".repeat(250), "address": "192.0.2.1", "protocol": "trojan", "network": "ws",
        "port": 443, "password": "pw", "security": "tls", "path": "x".repeat(4_000)
    });
    let rows = vec![format!("(TRUE, '{spec}')"); size(150, 600)].join(", ");
    execute(&test.db, format!("INSERT INTO hosts (universal, spec) VALUES {rows}").leak()).await;
}

/// Each connection asks for a document of megabytes, and reads nothing of it.
async fn clients_that_do_not_read_their_answers_take_little_memory(test: TestDatabase) {
    let target = Target::start(&test, &[]).await;
    insert_expensive_hosts(&test).await;
    let request = format!("GET /api/users HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", target.mallory);
    let attack = async {
        let mut held = Vec::new();
        for nth in 0..size(60, 300) {
            let Ok(mut stream) = target.connect().await else { continue };
            let asked = if nth % 2 == 0 { "GET /sub/ann/a1b2/links HTTP/1.1\r\nhost: x\r\n\r\n" } else { &request };
            // The panel may have closed the connection for a newer one.
            if stream.write_all(asked.as_bytes()).await.is_ok() {
                held.push(stream);
            }
            sleep(Duration::from_millis(20)).await;
        }
        sleep(Duration::from_secs(size(2, 20) as u64)).await;
    };
    target.withstands(400, attack).await;
}
