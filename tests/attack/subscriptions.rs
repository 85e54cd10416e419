//! Subscriptions that are expensive to render, fetched again and again.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::app::processes::call;
use crate::attack::documents::insert_expensive_hosts;
use crate::attack::{Target, size};
use crate::support::database::{TestDatabase, on_both_engines};

on_both_engines!(
    empty slow_client_rules_delay_nobody_else,
    empty subscriptions_of_megabytes_delay_nobody_else,
);

/// Fetches the subscription over some connections at once, for some seconds. Returns the number of fetches.
async fn fetch_again_and_again(target: &Target, at_once: usize, path: &str, agent: &str) -> usize {
    let end = Instant::now() + Duration::from_secs(size(3, 20) as u64);
    let fetches = (0..at_once).map(async |_| {
        let mut count = 0;
        while Instant::now() < end {
            let request = target.panel.request(Method::GET, path).header("user-agent", agent);
            // Beyond its share an address is refused, and a client may give up.
            if let Ok(answer) = request.send().await
                && answer.status().is_success()
                && answer.bytes().await.is_ok()
            {
                count += 1;
            }
        }
        count
    });
    join_all(fetches).await.into_iter().sum()
}

/// A hundred patterns that backtrack up to their limit.
async fn slow_client_rules_delay_nobody_else(test: TestDatabase) {
    let target = Target::start(&test, &[]).await;
    let path = "/api/system/settings/subscription";
    let mut settings = call(&target.panel, &target.root, Method::GET, path, Value::Null).await;
    settings["rules"] = json!(vec![json!({"pattern": "(.*)(.*)(.*)(.*)(.*)(?=never)", "result": "links"}); 99]);
    settings["rules"].as_array_mut().expect("a list").push(json!({"pattern": ".", "result": "links"}));
    call(&target.panel, &target.root, Method::PUT, path, settings).await;
    let agent = "a".repeat(512);
    let attack = fetch_again_and_again(&target, 20, "/sub/ann/a1b2", &agent);
    let fetched = target.withstands(60, attack).await;
    assert!(fetched > 0);
    println!("{fetched} fetches");
}

/// Documents of as many texts as they may have.
async fn subscriptions_of_megabytes_delay_nobody_else(test: TestDatabase) {
    let target = Target::start(&test, &[]).await;
    insert_expensive_hosts(&test).await;
    let attack = fetch_again_and_again(&target, size(2, 20), "/sub/ann/a1b2/xray", "x");
    let fetched = target.withstands(300, attack).await;
    assert!(fetched > 0);
    println!("{fetched} fetches");
}
