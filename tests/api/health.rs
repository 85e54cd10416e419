//! Probes and metrics, and the clients that may read them.

use reqwest::Method;
use sarban::store::Db;
use serde_json::json;

use crate::api::panel::{TestPanel, send};
use crate::support::database::on_both_engines;

on_both_engines!(
    probes_answer_without_a_token,
    metrics_without_a_token_setting_are_for_local_clients_only,
    metrics_with_a_token_setting_require_the_exact_token,
);

async fn probes_answer_without_a_token(db: Db) {
    let panel = TestPanel::start(db).await;
    send(panel.request(Method::GET, "/health/live")).await.ok();
    let ready = send(panel.request(Method::GET, "/health/ready")).await.ok();
    assert_eq!(ready, json!({"status": "ok", "database": "ok", "redis": "off", "scheduler": "leader"}));
}

async fn metrics_without_a_token_setting_are_for_local_clients_only(db: Db) {
    let local = TestPanel::start(db.clone()).await;
    let answer = send(local.request(Method::GET, "/metrics")).await;
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    assert_eq!(answer.status.as_u16(), 200);
    send(local.request(Method::GET, "/metrics").header("x-forwarded-for", "127.0.0.1")).await.refused(403);
    send(local.request(Method::GET, "/metrics").header("forwarded", "for=127.0.0.1")).await.refused(403);
}

async fn metrics_with_a_token_setting_require_the_exact_token(db: Db) {
    let panel = TestPanel::start_with(db, &[("METRICS_TOKEN", "s3cret")]).await;
    send(panel.request(Method::GET, "/metrics")).await.refused(401);
    for wrong in ["s3cre", "s3cre_", "s3cret_"] {
        send(panel.request(Method::GET, "/metrics").bearer_auth(wrong)).await.refused(401);
    }
    let answer = send(panel.request(Method::GET, "/metrics").bearer_auth("s3cret")).await;
    assert_eq!(answer.status.as_u16(), 200);
}
