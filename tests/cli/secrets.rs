//! No secret leaves the process: neither in its log at level trace, nor in its metrics, nor in its errors.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::WorkDir;

/// Secret settings: name, value, and the part of the value that must not appear anywhere.
const SECRETS: [(&str, &str, &str); 9] = [
    ("METRICS_TOKEN", "mark-metrics", "mark-metrics"),
    ("WEBHOOK_ADDRESS", "http://u:mark-hook-password@127.0.0.1:1/mark-hook-path", "mark-hook"),
    ("WEBHOOK_SECRET", "mark-hook-secret", "mark-hook-secret"),
    ("TELEGRAM_API_TOKEN", "1:mark-bot", "mark-bot"),
    ("TELEGRAM_PROXY_URL", "http://u:mark-proxy@127.0.0.1:1", "mark-proxy"),
    ("REDIS_URL", "redis://:mark-redis@127.0.0.1:1", "mark-redis"),
    ("SARBAN_ADMIN_PASSWORD", "mark-admin", "mark-admin"),
    ("AWS_SECRET_ACCESS_KEY", "mark-aws-secret", "mark-aws-secret"),
    ("AWS_SESSION_TOKEN", "mark-aws-token", "mark-aws-token"),
];

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn log_and_metrics_contain_no_secret() {
    let dir = WorkDir::new();
    let port = crate::support::ports::free_port();
    let variables = || SECRETS.into_iter().map(|(name, value, _)| (name, value)).chain([("LOG_LEVEL", "trace")]);
    let given: Vec<_> = variables().collect();
    let made = dir.run(&["admin", "create", "-u", "root", "--sudo"], &given);
    assert_eq!(made.code, Some(0), "{made:?}");
    let log = dir.0.path().join("log");
    let panel = Command::new(env!("CARGO_BIN_EXE_sarban"))
        .arg("serve")
        .env_clear()
        .envs(variables())
        .env("UVICORN_HOST", "127.0.0.1")
        .env("UVICORN_PORT", port.to_string())
        .env("TELEGRAM_ADMIN_ID", "1")
        .env("NUMBER_OF_RECURRENT_NOTIFICATIONS", "1")
        .current_dir(dir.0.path())
        .stdout(Stdio::null())
        .stderr(File::create(&log).unwrap())
        .spawn();
    let _panel = Running(panel.unwrap());
    let client = Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
    wait(async || client.get(at("/health/live")).send().await.is_ok()).await;

    let form = [("username", "root"), ("password", "mark-admin")];
    let answer: Value = client.post(at("/api/admins/token")).form(&form).send().await.unwrap().json().await.unwrap();
    let token = answer["access_token"].as_str().expect("a token").to_owned();
    let wrong = [("username", "root"), ("password", "mark-wrong")];
    client.post(at("/api/admins/token")).form(&wrong).send().await.unwrap();
    let user = json!({"username": "ann", "expire_strategy": "never", "key": "mark-key"});
    let made = client.post(at("/api/users")).bearer_auth(&token).json(&user).send().await.unwrap();
    assert_eq!(made.status(), 200);
    for path in ["/sub/ann/mark-key", "/sub/ann/mark-key/links", "/sub/ann/mark-other", "/api/users/ann"] {
        client.get(at(path)).bearer_auth(&token).send().await.unwrap();
    }
    let bot = json!({"name": "bot", "scopes": ["*"]});
    let made = client.post(at("/api/tokens")).bearer_auth(&token).json(&bot).send().await.unwrap();
    let made: Value = made.json().await.unwrap();
    let api_token = made["secret"].as_str().expect("an API token");
    // The id is no secret: the audit log names it.
    let (_, secret) = api_token.rsplit_once('_').expect("an id and a secret");
    let password = json!({"current_password": "mark-no", "new_password": "mark-new"});
    client.put(at("/api/password")).bearer_auth(&token).json(&password).send().await.unwrap();
    for path in ["/api/users", &format!("/api/nodes/1/xray/logs?token={api_token}")] {
        let request = client.get(at(path)).bearer_auth(api_token).header("upgrade", "websocket");
        request.send().await.unwrap();
    }
    // Wait until the deliveries to Telegram and to the webhook have failed, which is logged.
    wait(async || {
        let list = client.get(at("/api/notifications?state=dead")).bearer_auth(&token).send().await.unwrap();
        list.json::<Value>().await.unwrap()["total"] == 2
    })
    .await;

    let metrics = client.get(at("/metrics")).bearer_auth("mark-metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("http_requests_total"), "{metrics}");
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("could not deliver notifications"), "{log}");
    let marks = SECRETS.iter().map(|(_, _, mark)| *mark).chain([
        "mark-wrong",
        "mark-no",
        "mark-new",
        "mark-key",
        "mark-other",
        &token,
        secret,
    ]);
    for mark in marks {
        assert!(!log.contains(mark), "the log contains {mark}:\n{log}");
        assert!(!metrics.contains(mark), "the metrics contain {mark}:\n{metrics}");
    }
}

#[test]
fn error_about_an_address_hides_its_password() {
    let postgres = "postgresql://u:mark-database@127.0.0.1:1/d";
    for (command, name, value) in [
        ("migrate", "SQLALCHEMY_DATABASE_URL", postgres),
        ("migrate", "SQLALCHEMY_DATABASE_URL", "mysql://u:mark-database@h/d"),
        ("plan", "REDIS_URL", "redis://u:mark-redis@"),
        ("plan", "TELEGRAM_PROXY_URL", "ftp://u:mark-proxy@h:1"),
        ("plan", "WEBHOOK_ADDRESS", "ftp://u:mark-hook@h"),
    ] {
        let output = WorkDir::new().run(&[command], &[(name, value)]);
        assert_ne!(output.code, Some(0), "{name}={value}: {output:?}");
        assert!(!output.stderr.contains("mark-") && output.stderr.contains(name), "{output:?}");
    }
}

async fn wait(mut done: impl AsyncFnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(30);
    while !done().await {
        assert!(Instant::now() < limit, "the condition did not hold within 30 s");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
