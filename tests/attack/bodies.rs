//! Bodies that are large, endless, or expensive to answer.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use crate::attack::{Target, exchange, size};
use crate::support::database::{TestDatabase, on_both_engines};

on_both_engines!(
    empty large_login_forms_of_strangers_take_no_memory,
    empty endless_bodies_of_an_admin_delay_nobody_else,
    empty lists_of_wrong_ids_get_short_answers,
    empty large_bodies_of_a_sudo_admin_share_a_bounded_memory,
);

/// Each connection sends a form of 4 MiB, all but its last byte.
async fn large_login_forms_of_strangers_take_no_memory(test: TestDatabase) {
    let target = Target::start(&test, &[]).await;
    let head = "POST /api/admins/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n";
    let (declared, chunked) = (
        format!("{head}content-length: 4194304\r\n\r\n"),
        format!("{head}transfer-encoding: chunked\r\n\r\n3ffffe\r\n"),
    );
    let form = vec![b'x'; (4 << 20) - 1];
    let attack = async {
        join_all((0..size(100, 300)).map(async |nth| {
            let mut stream = target.connect().await.expect("a connection");
            let head = if nth % 2 == 0 { &declared } else { &chunked };
            let answer = exchange(&mut stream, &[head.as_bytes(), &form]).await;
            // A client that is still sending may lose the answer.
            assert!(answer.is_empty() || answer.contains(" 413 "), "{answer}");
        }))
        .await;
    };
    target.withstands(60, attack).await;
}

/// Each connection sends one of a hundred bytes, and holds on.
async fn endless_bodies_of_an_admin_delay_nobody_else(test: TestDatabase) {
    let target = Target::start(&test, &[]).await;
    let head = format!(
        "POST /api/users HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: 100\r\n\r\n{{",
        target.mallory
    );
    let attack = async {
        let mut held = Vec::new();
        for _ in 0..size(200, 600) {
            let mut stream = target.connect().await.expect("a connection");
            stream.write_all(head.as_bytes()).await.expect("sent");
            held.push(stream);
        }
        sleep(Duration::from_secs(size(2, 20) as u64)).await;
    };
    target.withstands(60, attack).await;
}

/// Ten requests at once, again and again, each of as many wrong ids as fit into a body.
async fn lists_of_wrong_ids_get_short_answers(test: TestDatabase) {
    let target = Target::start(&test, &[]).await;
    let ids = |count: usize| format!("[{}\"x\"]", "\"x\",".repeat(count));
    let attack = async {
        for _ in 0..size(2, 20) {
            join_all((0..10).map(async |nth| {
                let ids = if nth < 5 { ids(9_000) } else { ids(60_000) };
                let body = format!(r#"{{"username": "ben", "expire_strategy": "never", "service_ids": {ids}}}"#);
                let request = target.panel.request(Method::POST, "/api/users").bearer_auth(&target.mallory);
                let answer =
                    request.header("content-type", "application/json").body(body).send().await.expect("an answer");
                assert!(matches!(answer.status().as_u16(), 422 | 503), "{}", answer.status());
                assert!(answer.bytes().await.expect("a body").len() < 20_000);
            }))
            .await;
        }
    };
    target.withstands(60, attack).await;
}

/// Configurations of 4 MiB, more than fit into the memory for bodies.
async fn large_bodies_of_a_sudo_admin_share_a_bounded_memory(test: TestDatabase) {
    let target = Target::start(&test, &[]).await;
    let body = format!(r#"{{"config": "{}", "format": 1}}"#, "x".repeat((4 << 20) - 100));
    let attack = async {
        join_all((0..size(30, 100)).map(async |_| {
            let mut stream = target.connect().await.expect("a connection");
            let head = format!(
                "PUT /api/nodes/999/xray/config HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
                 content-length: {}\r\n\r\n",
                target.eve,
                body.len()
            );
            exchange(&mut stream, &[head.as_bytes(), body.as_bytes()]).await
        }))
        .await
    };
    let answers = target.withstands(250, attack).await;
    assert!(answers.iter().any(|answer| answer.contains(" 422 ")), "{answers:?}");
}
