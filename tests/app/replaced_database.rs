//! A follower whose connections lead to another server all at once: one that was restored from a back-up, with the same id of the
//! database and other numbers of changes.

use std::time::Duration;

use sarban::actions::changes::Changes;
use sarban::actions::copy::LocalCopy;
use sarban::actions::copy::follower::follow;
use sarban::actions::copy::source::Source;
use sarban::clock::Clock;
use sarban::cluster::self_report::SelfReport;
use sarban::config::database_url::DatabaseUrl;
use sarban::domain::moment::HOUR;
use sarban::store::{Db, migrate};
use tokio_util::task::AbortOnDropHandle;

use super::without_database::until;
use crate::support;
use crate::support::database::{execute, options, texts};
use crate::support::proxy::Proxy;
use crate::support::servers::{Postgres, open_folder};

async fn database(port: u16) -> Db {
    let url = DatabaseUrl::parse(&format!("postgresql://postgres@127.0.0.1:{port}/postgres")).expect("an address");
    Db::open(&options(url)).await.expect("it opens")
}

fn user(key: &str) -> String {
    format!(
        "INSERT INTO users (id, username, key, expire_strategy, created_at) VALUES (1, 'ann', '{key}', 'never', 0);
         INSERT INTO user_traffic (user_id, created_at) VALUES (1, 0)"
    )
}

#[test]
fn copy_is_made_again_when_another_server_takes_the_database_s_place() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(replaced());
}

async fn replaced() {
    let folder = open_folder().expect("a folder");
    let start = |name: &str| Postgres::start(support::postgres_bin(), folder.path().join(name));
    let (first, second) = (start("first").await.expect("a server"), start("second").await.expect("a server"));
    for (port, key) in [(first.port, "a1"), (second.port, "b1")] {
        let db = database(port).await;
        migrate::migrate(&db).await.expect("the schema");
        execute(&db, &user(key)).await;
        db.close().await;
    }
    let (one, other) = (database(first.port).await, database(second.port).await);
    let identity = texts(&one, "SELECT CAST(identity AS TEXT) FROM copy_source").await.pop().expect("an id");
    // As after a restore, and the numbers of its changes are beyond those of the other server.
    execute(
        &other,
        &format!(
            "UPDATE copy_source SET identity = '{identity}'; CREATE TABLE counted (n INTEGER);
             DO $$ BEGIN FOR n IN 1..3000 LOOP BEGIN INSERT INTO counted VALUES (n); EXCEPTION WHEN OTHERS THEN NULL; END;
                 END LOOP; END $$"
        ),
    )
    .await;
    one.close().await;

    let proxy = Proxy::start(first.port).await.expect("a proxy");
    let db = database(proxy.port).await;
    let copy = LocalCopy::new(&folder.path().join("copy"), Clock::real(), HOUR);
    let changes = Changes::default();
    let wakeups = changes.wakeup().subscribe();
    let following = follow(copy.clone(), Source::Database(db), wakeups, SelfReport::default());
    let _following = AbortOnDropHandle::new(tokio::spawn(following));
    let key = async || {
        let found = copy.subscriber("ann", "").await.expect("it is read");
        found.and_then(|found| found.user).map(|user| user.key.clone())
    };
    until("the copy is complete", async || key().await.as_deref() == Some("a1")).await;
    until("the copy agrees", async || copy.is_current(None)).await;
    // Between two looks at the changes: no statement of the follower fails.
    tokio::time::sleep(Duration::from_millis(300)).await;
    proxy.lead_to(second.port);
    proxy.cut();
    until("the copy is that of the other server", async || key().await.as_deref() == Some("b1")).await;
}
