//! Change events between real processes: a change made by one process or by a command is visible in another process
//! within a second.

use std::time::Duration;

use reqwest::Method;
use sarban::cluster::redis_status::{RedisMonitor, RedisStatus};
use sarban::cluster::wakeup::Wakeup;
use sarban::cluster::wakeup_relay;
use sarban::store::Engine;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app::panel_process::{PanelProcess, Setup};
use crate::cluster::redis_lock::panel_redis;
use crate::support;
use crate::support::database::{TestDatabase, execute, on_both_engines};

on_both_engines! {
    change_is_visible_in_another_process_within_a_second,
    command_that_writes_sends_a_wakeup_to_panels,
    change_by_one_process_is_announced_by_another,
}

const ANN: &str = "
    INSERT INTO users (id, username, key, expire_strategy, created_at)
        VALUES (1, 'ann', '00000000000000000000000000000001', 'never', 0);
    INSERT INTO user_traffic (user_id, created_at) VALUES (1, 0)";
const LINKS: &str = "/sub/ann/00000000000000000000000000000001/links";

fn setup<'a>(test: &'a TestDatabase, folder: &'a std::path::Path, redis: Option<String>) -> Setup<'a> {
    let cluster = format!("test-{}", Uuid::new_v4().simple());
    Setup { database: &test.options.url, redis, cluster, folder, more: vec![] }
}

/// Runs `sarban` with these arguments.
fn sarban(setup: &Setup<'_>, arguments: &[&str]) {
    let ran = setup.command().args(arguments).env("SARBAN_ADMIN_PASSWORD", "rootpass").output().expect("it runs");
    assert!(ran.status.success(), "{ran:?}");
}

/// With Redis, a wake-up clears the caches. Without Redis, cache entries expire within a second.
async fn change_is_visible_in_another_process_within_a_second(test: TestDatabase) {
    execute(&test.db, ANN).await;
    let folder = tempfile::tempdir().expect("a folder");
    sarban(&setup(&test, folder.path(), None), &["admin", "create", "-u", "root", "--sudo"]);
    // Panels on SQLite share one machine and need no Redis.
    let with_redis = (test.db.engine() == Engine::Postgres).then(|| Some(support::redis_url()));
    for redis in std::iter::once(None).chain(with_redis) {
        let setup = setup(&test, folder.path(), redis);
        let (mut here, mut there) = (setup.start("here"), setup.start("there"));
        here.ready().await;
        there.ready().await;
        let token = token(&here).await;
        let host = |address: &str| {
            json!({"remark": "r", "address": address, "protocol": "trojan", "network": "tcp", "port": 443,
                   "password": "p", "universal": true})
        };
        let put = async |method: Method, path: &str, body: Value| {
            let answer = here.request(method, path).bearer_auth(&token).json(&body).send().await.expect("an answer");
            assert_eq!(answer.status(), 200);
            answer.json::<Value>().await.expect("JSON")
        };
        let id = put(Method::POST, "/api/inbounds/hosts", host("first.example")).await["id"].clone();
        for round in 0..5 {
            let address = format!("host{round}.example");
            put(Method::PUT, &format!("/api/inbounds/hosts/{id}"), host(&address)).await;
            let here_now = text(&here, LINKS).await;
            assert!(here_now.contains(&address), "a process does not show its own change at once: {here_now}");
            shown_within_a_second(&there, LINKS, None, &address).await;
        }
        // A command changes a user that the panels have cached.
        let ann = "/api/users/ann";
        for owner in ["null", "\"root\""] {
            if owner != "null" {
                sarban(&setup, &["user", "set-owner", "-u", "ann", "--owner", "root", "-y"]);
            }
            for panel in [&here, &there] {
                shown_within_a_second(panel, ann, Some(&token), &format!("\"owner_username\":{owner}")).await;
            }
        }
        put(Method::DELETE, &format!("/api/inbounds/hosts/{id}"), Value::Null).await;
        execute(&test.db, "UPDATE users SET owner_id = NULL").await;
        assert!(here.stop().await.success() && there.stop().await.success());
    }
}

async fn token(panel: &PanelProcess) -> String {
    let form = [("username", "root"), ("password", "rootpass")];
    let answer = panel.request(Method::POST, "/api/admins/token").form(&form).send().await.expect("an answer");
    answer.json::<Value>().await.expect("JSON")["access_token"].as_str().expect("a token").to_owned()
}

async fn text(panel: &PanelProcess, path: &str) -> String {
    let request = panel.request(Method::GET, path).header("user-agent", "v2rayNG/1.9.5");
    request.send().await.expect("an answer").text().await.expect("a text")
}

/// Checks that each request that begins more than a second after the change shows `expected`. Call it right after the
/// change.
async fn shown_within_a_second(panel: &PanelProcess, path: &str, token: Option<&str>, expected: &str) {
    let changed = Instant::now();
    loop {
        let began = changed.elapsed();
        let mut request = panel.request(Method::GET, path).header("user-agent", "v2rayNG/1.9.5");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let shown = request.send().await.expect("an answer").text().await.expect("a text");
        if shown.contains(expected) {
            return;
        }
        assert!(began < Duration::from_secs(1), "{} {began:?} after the change: {shown}", panel.name);
        sleep(Duration::from_millis(20)).await;
    }
}

async fn command_that_writes_sends_a_wakeup_to_panels(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(&test, folder.path(), Some(support::redis_url()));
    let (wakeup, stop) = (Wakeup::default(), CancellationToken::new());
    let mut wakeups = wakeup.subscribe();
    let redis = panel_redis(&support::redis_url(), &setup.cluster);
    let monitor = RedisMonitor::new(RedisStatus::Ok);
    let listening = tokio::spawn(wakeup_relay::listen(wakeup, redis, Uuid::new_v4(), monitor, stop.clone()));
    timeout(Duration::from_secs(20), wakeups.wait()).await.expect("the first wake-up, after subscribing");
    sarban(&setup, &["admin", "list"]);
    let woken = timeout(Duration::from_millis(200), wakeups.wait()).await;
    assert!(woken.is_err(), "a command that only reads sent a wake-up");
    sarban(&setup, &["admin", "create", "-u", "root", "--sudo"]);
    timeout(Duration::from_secs(20), wakeups.wait()).await.expect("a wake-up");
    stop.cancel();
    listening.await.expect("the listener ends");
}

/// A change by one process or a command is announced to those who follow the events of another, within a second.
async fn change_by_one_process_is_announced_by_another(test: TestDatabase) {
    execute(&test.db, ANN).await;
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(&test, folder.path(), Some(support::redis_url()));
    sarban(&setup, &["admin", "create", "-u", "root", "--sudo"]);
    let (mut here, mut there) = (setup.start("here"), setup.start("there"));
    here.ready().await;
    there.ready().await;
    let token = token(&here).await;
    let events = there.request(Method::GET, "/api/events").bearer_auth(&token).send();
    let mut events = events.await.expect("an answer");
    let mut expect = async |what: &str| {
        let (mut text, began) = (String::new(), Instant::now());
        while !text.contains(what) {
            let some = timeout(Duration::from_secs(20), events.chunk()).await.expect("in time").expect("a chunk");
            text += std::str::from_utf8(&some.expect("it goes on")).expect("text");
        }
        began.elapsed()
    };
    expect("\"all_hosts\":true").await;
    let note = json!({"username": "ann", "note": "x"});
    let change = here.request(Method::PUT, "/api/users/ann").bearer_auth(&token).json(&note).send();
    assert_eq!(change.await.expect("an answer").status(), 200);
    let after = expect("\"id\":1").await;
    assert!(after < Duration::from_secs(1), "{after:?}");
    sarban(&setup, &["user", "set-owner", "-u", "ann", "--owner", "root", "-y"]);
    expect("\"id\":1").await;
    // It does not hold up the stop of its process.
    let began = Instant::now();
    assert!(there.stop().await.success());
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert!(here.stop().await.success());
}
