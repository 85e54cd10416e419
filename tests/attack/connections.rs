//! Connections that are opened and held.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use crate::attack::{Target, size};
use crate::support::database::{TestDatabase, on_both_engines};

on_both_engines!(
    empty more_idle_connections_than_descriptors_delay_nobody,
    empty connections_that_drip_headers_delay_nobody,
);

const SOON: Duration = Duration::from_secs(5);
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
    target.withstands(60, SOON, attack).await;
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
    target.withstands(60, SOON, attack).await;
}
