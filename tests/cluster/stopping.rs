//! How a process stops: whoever decides by `/health/ready` where to send requests sees it before the door is shut.

use rustix::process::Signal;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::time::sleep;
use uuid::Uuid;

use crate::panel_process::Setup;
use crate::processes::{call, first_admin};
use crate::support::database::{TestDatabase, number, on_both_engines};

on_both_engines!(
    a_panel_that_is_watched_says_that_it_stops_before_it_does,
    fetches_of_the_last_moment_are_written_at_the_end,
);

async fn a_panel_that_is_watched_says_that_it_stops_before_it_does(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = format!("test-{}", Uuid::new_v4().simple());
    let setup = Setup { database: &test.options.url, redis: None, cluster, folder: folder.path(), more: vec![] };
    let mut panel = setup.start("ann");
    panel.ready().await;
    panel.signal(Signal::TERM);
    // New connections all the while, as a proxy's checks are.
    let answer = loop {
        let request = panel.request(Method::GET, "/health/ready").header("connection", "close");
        let answer = request.send().await.expect("the door is open until it was seen");
        if answer.status() != 200 {
            break answer;
        }
        sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(answer.status(), 503);
    let served = panel.request(Method::GET, "/health/live").send().await.expect("and requests are served meanwhile");
    assert_eq!(served.status(), 200);
    assert!(panel.ended().await.success());
}

async fn fetches_of_the_last_moment_are_written_at_the_end(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = format!("test-{}", Uuid::new_v4().simple());
    let setup = Setup { database: &test.options.url, redis: None, cluster, folder: folder.path(), more: vec![] };
    let mut panel = setup.start("ann");
    panel.ready().await;
    let token = first_admin(&setup, &panel).await;
    let mut links = Vec::new();
    for name in ["ann", "ben", "cyd"] {
        let user = json!({"username": name, "expire_strategy": "never"});
        let user = call(&panel, &token, Method::POST, "/api/users", user).await;
        links.push(user["subscription_url"].as_str().expect("a link").to_owned());
    }
    for link in &links {
        for _ in 0..100 {
            assert_eq!(panel.request(Method::GET, link).send().await.expect("an answer").status(), 200);
        }
    }
    assert!(panel.stop().await.success());
    assert_eq!(number(&test.db, "SELECT COUNT(*) FROM subscription_fetches").await, 3);
}
