//! How long it takes to stage and apply the usage of one node, and to fold it: `cargo bench --bench usage`.
//!
//! On SQLite, and on PostgreSQL when `SARBAN_TEST_POSTGRES_URL` names a database server (`eval "$(make -s services)"`).

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use sarban::domain::ids::{NodeId, UserId};
use sarban::domain::moment::Moment;
use sarban::domain::usage::UsageReply;
use sarban::store::usage_batches::{apply, fold, oldest_applied, oldest_staged, stage};
use sarban::store::{Db, Engine};
use support::database::{Content, execute, with_database};
use tokio::time::Instant;
use uuid::Uuid;

const USERS: i64 = 100_000;
const AT: Moment = Moment::from_micros(1_800_000_000_000_000);

fn main() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        with_database(engine, Content::Schema, async |test| measure(&test.db).await);
    }
}

async fn measure(db: &Db) {
    seed(db).await;
    let entries = (1..=USERS).map(|user| (UserId(user), 1_000 + user.unsigned_abs()));
    let reply = UsageReply::new(NodeId(1), AT, 1.5, entries);
    for round in 1..=5 {
        let began = Instant::now();
        stage(db, Uuid::from_u128(round), &reply).await.expect("staged");
        let staged = began.elapsed();
        let (applied, longest) = all(db, true).await;
        let (folded, _) = all(db, false).await;
        println!(
            "{:?} round {round}: {USERS} users staged in {staged:.0?}, applied in {applied:.0?} (longest transaction {longest:.0?}), folded in {folded:.0?}",
            db.engine()
        );
    }
}

/// Applies, or folds, all there is: the whole time, and that of the longest transaction.
async fn all(db: &Db, applying: bool) -> (Duration, Duration) {
    let (began, mut longest) = (Instant::now(), Duration::ZERO);
    loop {
        let next = if applying { oldest_staged(db).await } else { oldest_applied(db, AT).await };
        let Some(batch) = next.expect("a batch is read") else { return (began.elapsed(), longest) };
        let one = Instant::now();
        let mut tx = db.begin().await.expect("a transaction");
        if applying {
            apply(&mut tx, &batch, true, AT).await.expect("applied");
        } else {
            fold(&mut tx, &batch, true, AT).await.expect("folded");
        }
        tx.commit().await.expect("committed");
        longest = longest.max(one.elapsed());
    }
}

async fn seed(db: &Db) {
    const USERS_ROWS: &str = "WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 100000)
        INSERT INTO users (id, username, key, expire_strategy, created_at)
        SELECT id, 'user' || id, 'key' || id, 'never', 0 FROM n";
    const TRAFFIC_ROWS: &str = "INSERT INTO user_traffic (user_id, data_limit, created_at)
        SELECT id, 1000000000000, 0 FROM users";
    execute(db, USERS_ROWS).await;
    execute(db, TRAFFIC_ROWS).await;
}
