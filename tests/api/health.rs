//! Probes, metrics and the API's description: who may read them.

use reqwest::Method;
use sarban::store::Db;
use serde_json::json;

use crate::panel::{TestPanel, send};
use crate::support::database::on_both_engines;

on_both_engines!(
    probes_need_no_token,
    metrics_are_for_local_peers_or_by_token,
    the_description_is_there_when_asked_for
);

async fn probes_need_no_token(db: Db) {
    let panel = TestPanel::start(db).await;
    send(panel.request(Method::GET, "/health/live")).await.ok();
    let ready = send(panel.request(Method::GET, "/health/ready")).await.ok();
    assert_eq!(ready, json!({"status": "ok", "database": "ok", "redis": "off", "scheduler": "leader"}));
}

async fn metrics_are_for_local_peers_or_by_token(db: Db) {
    let local = TestPanel::start(db.clone()).await;
    let answer = send(local.request(Method::GET, "/metrics")).await;
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    assert_eq!(answer.status.as_u16(), 200);
    send(local.request(Method::GET, "/metrics").header("x-forwarded-for", "127.0.0.1")).await.refused(403);
    send(local.request(Method::GET, "/metrics").header("forwarded", "for=127.0.0.1")).await.refused(403);
}

async fn the_description_is_there_when_asked_for(db: Db) {
    let panel = TestPanel::start_with(db, &[("DOCS", "true"), ("METRICS_TOKEN", "s3cret")]).await;
    let document = send(panel.request(Method::GET, "/openapi.json")).await.ok();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/api/admins/{username}"]["put"].is_object());
    send(panel.request(Method::GET, "/metrics")).await.refused(401);
    send(panel.request(Method::GET, "/metrics").bearer_auth("s3cre")).await.refused(401);
    let answer = send(panel.request(Method::GET, "/metrics").bearer_auth("s3cret")).await;
    assert_eq!(answer.status.as_u16(), 200);
}
