//! An edge whose `EDGE_PANELS` name panels of two databases: users and fetches of the two are never mixed, and the edge says what is
//! wrong.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use sarban::config::database_url::DatabaseUrl;
use sarban::store::{Db, Engine};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, raw_sql};
use tokio::time::sleep;
use uuid::Uuid;

use crate::app::edge_world::{KEY, OTHER_KEY, World, fetches_in, is_in, set_key, status, until};
use crate::app::panel_process::Setup;
use crate::support::database::{Content, TestDatabase, execute, number, options, with_database};

#[test]
fn panel_of_another_database_is_not_followed_while_the_right_one_may_come_back() {
    // A database with the same token, and another user of the same name: a copy of the first one that is a database of its own.
    with_database(Engine::Sqlite, Content::Schema, two_databases);
}

async fn two_databases(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let other_folder = tempfile::tempdir().expect("a folder");
    let mut world = World::start(&test, folder.path()).await;
    let DatabaseUrl::Sqlite { path } = &test.options.url else { panic!("not SQLite") };
    let other_path = other_folder.path().join("other.sqlite3");
    let mut session = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.expect("a session");
    let copy = format!("VACUUM INTO '{}'", other_path.display());
    raw_sql(AssertSqlSafe(copy)).execute(&mut session).await.expect("it is copied");
    session.close().await.expect("closed");
    let other_url = DatabaseUrl::Sqlite { path: other_path };
    let other_db = Db::open(&options(other_url.clone())).await.expect("it opens");
    execute(&other_db, "UPDATE copy_source SET identity = zeroblob(16)").await;
    set_key(&other_db, OTHER_KEY).await;
    let cluster = format!("test-{}", Uuid::new_v4().simple());
    let more = world.setup.more.clone();
    let other_setup = Setup { database: &other_url, redis: None, cluster, folder: other_folder.path(), more };
    let mut other = other_setup.start("other");
    other.ready().await;

    let ports = [world.panel.port, other.port];
    let mut edge = world.edge("edge", &ports);
    edge.ready().await;
    assert_eq!((status(&edge, KEY).await, status(&edge, OTHER_KEY).await), (StatusCode::OK, StatusCode::NOT_FOUND));
    world.panel.kill();
    let said = format!("the panel http://127.0.0.1:{} has another database than the copy of this edge", other.port);
    until("it says which panel is wrong", async || edge.log().contains(&said)).await;
    until("it is degraded", async || is_in(&edge, "degraded", "no panel can be followed").await).await;
    // Also after a restart, when the other panel is the only one that answers from the beginning.
    for restarts in [false, true] {
        if restarts {
            assert!(edge.stop().await.success());
            edge = world.edge("edge", &ports);
            until("it serves", async || is_in(&edge, "degraded", "no panel can be followed").await).await;
        }
        assert_eq!((status(&edge, KEY).await, status(&edge, OTHER_KEY).await), (StatusCode::OK, StatusCode::NOT_FOUND));
    }
    let fetched = edge.request(Method::GET, &format!("/sub/ann/{KEY}")).send().await.expect("an answer").status();
    assert_eq!(fetched, StatusCode::OK);
    world.restart_panel().await;
    edge.ready().await;
    until("the fetches arrive", async || number(&test.db, "SELECT COUNT(*) FROM subscription_fetches").await == 1)
        .await;
    assert_eq!(number(&other_db, "SELECT COUNT(*) FROM subscription_fetches").await, 0, "fetches of another database");

    // The database behind the panel that the edge follows is another one, and the other panel is away.
    other.kill();
    world.panel.kill();
    let mut replaced = other_setup.start_on("replaced", world.panel.port, &[]);
    replaced.ready().await;
    let said = format!("the panel http://127.0.0.1:{} has another database than the copy of this edge", replaced.port);
    until("it says which panel is wrong", async || edge.log().contains(&said)).await;
    let fetched = edge.request(Method::GET, &format!("/sub/ann/{KEY}")).send().await.expect("an answer").status();
    assert_eq!(fetched, StatusCode::OK);
    // Longer than the five seconds between reports.
    sleep(Duration::from_secs(7)).await;
    assert_eq!(number(&other_db, "SELECT COUNT(*) FROM subscription_fetches").await, 0, "fetches of another database");
    replaced.kill();
    world.restart_panel().await;
    until("nothing waits", async || fetches_in(folder.path(), "edge").await == 0).await;
    let mut other = other_setup.start("other");
    other.ready().await;
    assert!(!edge.log().contains("a new one is made"), "{}", edge.log());
    assert!(edge.stop().await.success());

    // The database was replaced: all panels have the new one.
    let mut edge = world.edge("edge", &[other.port]);
    edge.ready().await;
    // A request that began before the change may read the new copy, which is not complete for a moment yet.
    let statuses = async || (status(&edge, OTHER_KEY).await, status(&edge, KEY).await);
    until("the new database is copied", async || statuses().await == (StatusCode::OK, StatusCode::NOT_FOUND)).await;
    assert_eq!(edge.log().matches("a new one is made").count(), 1, "{}", edge.log());
    other_db.close().await;
}
