//! Connections that are opened and held.

use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use reqwest::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use crate::app::processes::call;
use crate::attack::{Target, exchange, size};
use crate::support::database::{TestDatabase, on_both_engines};
use crate::support::test_node::{Options, TestNode};

on_both_engines!(
    empty more_idle_connections_than_descriptors_delay_nobody,
    empty connections_that_drip_headers_delay_nobody,
    empty stalled_tls_handshakes_delay_nobody,
    empty event_streams_and_logs_that_are_held_delay_nobody,
);

const DESCRIPTORS: u32 = 256;

async fn more_idle_connections_than_descriptors_delay_nobody(test: TestDatabase) {
    let target = Target::start_as(&test, async |setup| setup.start_with_descriptors("target", DESCRIPTORS)).await;
    let attack = async {
        let mut held = Vec::new();
        for _ in 0..size(400, 900) {
            // The panel may close one connection for the next.
            held.extend(target.connect().await.ok());
        }
        sleep(Duration::from_secs(size(2, 20) as u64)).await;
    };
    target.withstands(60, attack).await;
    let log = target.panel.log();
    assert_eq!(log.matches("the maximum of connections is reached").count(), 1, "{log}");
    assert!(target.panel.counter("http_connections_closed_total").await > 200.0);
}

async fn connections_that_drip_headers_delay_nobody(test: TestDatabase) {
    let target = Target::start_as(&test, async |setup| setup.start_with_descriptors("target", DESCRIPTORS)).await;
    let attack = async {
        let mut held = Vec::new();
        for _ in 0..size(300, 900) {
            let Ok(mut stream) = target.connect().await else { continue };
            if stream.write_all(b"GET / HTTP/1.1\r\nx: ").await.is_ok() {
                held.push(stream);
            }
        }
        for _ in 0..size(10, 200) {
            for stream in &mut held {
                // Most of them have been closed for newer ones.
                let _ = stream.write_all(b"x").await;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    target.withstands(60, attack).await;
}

/// Connections to a panel with a certificate that never finish their handshake: they send nothing, or half of it.
async fn stalled_tls_handshakes_delay_nobody(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    let certificate = params.self_signed(&key).expect("a certificate");
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let (certificate, key) = (write("chain.pem", certificate.pem()), write("key.pem", key.serialize_pem()));
    let settings = [("UVICORN_SSL_CERTFILE", certificate.as_str()), ("UVICORN_SSL_KEYFILE", key.as_str())];
    let target = Target::start(&test, &settings).await;
    // The head of a record of 512 bytes, and of a ClientHello in it.
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    let attack = async {
        let mut held = Vec::new();
        for nth in 0..size(300, 3_000) {
            let Ok(mut stream) = target.connect().await else { continue };
            if nth % 2 == 0 || stream.write_all(&hello).await.is_ok() {
                held.push(stream);
            }
        }
        for _ in 0..size(20, 200) {
            for stream in &mut held {
                // Most of them may have been closed for newer ones.
                let _ = stream.write_all(&[0]).await;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    target.withstands(60, attack).await;
}

/// An admin follows changes, and a sudo admin the log of an engine, over as many connections as they can make.
async fn event_streams_and_logs_that_are_held_delay_nobody(test: TestDatabase) {
    let target = Target::start_as(&test, async |setup| setup.start_with_descriptors("target", DESCRIPTORS)).await;
    let node = TestNode::start(Options::default()).await.expect("a node");
    let place = json!({"address": "127.0.0.1", "port": node.address().port(), "connection_backend": "grpcio"});
    call(&target.panel, &target.root, Method::PUT, "/api/nodes/1", place).await;
    let events = format!("GET /api/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", target.mallory);
    let log = format!(
        "GET /api/nodes/1/quiet/logs HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        target.eve
    );
    let attack = async {
        let (mut held, mut followed, mut logs) = (Vec::new(), 0, 0);
        for nth in 0..size(200, 1_000) {
            let Ok(mut stream) = target.connect().await else { continue };
            let asked = if nth % 2 == 0 { &events } else { &log };
            let answer = exchange(&mut stream, &[asked.as_bytes()]).await;
            match answer.split(' ').nth(1) {
                Some("200") => followed += 1,
                Some("101") => logs += 1,
                // The panel may have closed the connection for a newer one.
                Some("429") | None => continue,
                Some(_) => panic!("{answer}"),
            }
            held.push(stream);
        }
        sleep(Duration::from_secs(size(2, 20) as u64)).await;
        (followed, logs)
    };
    let (followed, logs) = target.withstands(60, attack).await;
    assert!(followed >= 64, "{followed} event streams");
    assert_eq!(logs, 16, "logs of engines");
}
