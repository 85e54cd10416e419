//! Charts that read the replies of all nodes, fetched again and again.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use sarban::store::Engine;
use tokio::time::Instant;

use crate::attack::{Target, size};
use crate::support::database::{TestDatabase, execute, on_both_engines};

on_both_engines!(
    empty charts_of_an_admin_take_turns,
);

/// Inserts replies of nodes that count and are not folded into hours yet, with 50,000 users each.
async fn insert_replies(test: &TestDatabase) {
    let count = size(100, 400);
    let text = match test.db.engine() {
        Engine::Postgres => format!(
            "INSERT INTO usage_batch
                 (batch_id, part, node_id, fetched_at, coefficient, entries, bytes, state, state_at, payload)
             SELECT gen_random_uuid(), 0, 1, now.at, 1, 50000, 0, 'applied', now.at, decode(repeat('00', 600000), 'hex')
             FROM generate_series(1, {count}),
                  (SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS at) AS now"
        ),
        Engine::Sqlite => format!(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})
             INSERT INTO usage_batch
                 (batch_id, part, node_id, fetched_at, coefficient, entries, bytes, state, state_at, payload)
             SELECT randomblob(16), 0, 1, strftime('%s', 'now') * 1000000, 1, 50000, 0, 'applied',
                    strftime('%s', 'now') * 1000000, zeroblob(600000)
             FROM numbers"
        ),
    };
    execute(&test.db, text.leak()).await;
}

async fn charts_of_an_admin_take_turns(test: TestDatabase) {
    let target = Target::start(&test, &[]).await;
    insert_replies(&test).await;
    let end = Instant::now() + Duration::from_secs(size(3, 20) as u64);
    let attack = async {
        let fetching = (0..size(30, 100)).map(async |_| {
            let mut shown = 0;
            while Instant::now() < end {
                let request = target.panel.request(Method::GET, "/api/system/stats/traffic");
                let answer = request.bearer_auth(&target.mallory).send().await.expect("an answer");
                match answer.status().as_u16() {
                    200 => shown += 1,
                    503 => {}
                    status => panic!("{status}"),
                }
            }
            shown
        });
        join_all(fetching).await.into_iter().sum::<usize>()
    };
    let shown = target.withstands(40, attack).await;
    assert!(shown > 0, "no chart was shown");
}
