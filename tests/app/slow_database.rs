//! A panel with a slow way to PostgreSQL stands in with its copy for moments, and does not bring revoked links back with it; and
//! nobody waits for a way that is known to be cut.

use std::time::Duration;

use reqwest::Method;
use sarban::config::database_url::DatabaseUrl;
use sarban::store::Engine;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::without_database::{COPY_AGE, link, status, until};
use crate::app::panel_process::{PanelProcess, Setup};
use crate::app::processes::{call, first_admin};
use crate::cluster::latency::through_a_proxy;
use crate::support::database::{Content, TestDatabase, execute, number, with_database};
use crate::support::proxy::{Proxy, ProxyFault};

/// In each direction: a ping is answered within its limit of a second, and the two messages of a statement are not.
const DELAY: Duration = Duration::from_millis(300);
/// A copy that is not older than this stands in for a slow database.
const CURRENT: Duration = Duration::from_secs(5);
const USERS: &str = "INSERT INTO users (username, key, expire_strategy, created_at)
         SELECT 'user_' || n, lpad(to_hex(n), 32, '0'), 'never', 0 FROM generate_series(1, 2) AS n;
     INSERT INTO user_traffic (user_id, created_at) SELECT id, 0 FROM users";

/// A fetch that waits for the database takes at least this long.
const WAITED: Duration = Duration::from_secs(1);

/// The status of a fetch, and true if the answer came from the copy.
async fn fetch(panel: &PanelProcess, user: u64) -> (u16, bool) {
    let answer = panel.request(Method::GET, &link(user)).send().await.expect("an answer");
    (answer.status().as_u16(), answer.headers().contains_key(COPY_AGE))
}

async fn revoke(panel: &PanelProcess, token: &str, user: u64) {
    call(panel, token, Method::POST, &format!("/api/users/user_{user}/revoke_sub"), Value::Null).await;
}

async fn is_full(panel: &PanelProcess) -> bool {
    panel.counter("subscription_copy_users").await as u64 == 2
}

#[test]
fn revoked_link_is_not_served_from_the_copy_of_a_panel_with_a_slow_database() {
    with_database(Engine::Postgres, Content::Schema, slow);
}

async fn slow(test: TestDatabase) {
    let (through_proxy, proxy) = through_a_proxy(&test).await;
    let folders = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let cluster = format!("test-{}", uuid::Uuid::new_v4().simple());
    let DatabaseUrl::Postgres { url } = &test.options.url else { panic!("not PostgreSQL") };
    let setup = |database, folder, more| Setup { database, redis: None, cluster: cluster.clone(), folder, more };
    let near_setup = setup(&test.options.url, folders[0].path(), Vec::new());
    let direct = vec![("DATABASE_DIRECT_URL", url.expose().to_owned())];
    let far_setup = setup(&through_proxy.options.url, folders[1].path(), direct);
    let mut near = near_setup.start("near");
    near.ready().await;
    let mut far = far_setup.start("far");
    far.ready().await;
    let token = first_admin(&near_setup, &near).await;
    execute(&test.db, USERS).await;
    until("all users are in the copy", async || is_full(&far).await).await;

    proxy.set(ProxyFault::Delay(DELAY));
    until("a subscription comes from the copy", async || fetch(&far, 1).await == (200, true)).await;

    // By another panel. A request that is sent later than the copy's age allows must know of it.
    revoke(&near, &token, 1).await;
    let revoked = Instant::now();
    let mut is_known = false;
    while !is_known || revoked.elapsed() < CURRENT + Duration::from_secs(2) {
        let sent = revoked.elapsed();
        let (status, from_copy) = fetch(&far, 1).await;
        assert!(
            !is_known || status != 200,
            "the revoked link is back {sent:?} after the revocation, from the copy: {from_copy}"
        );
        assert!(
            sent < CURRENT + Duration::from_secs(1) || status != 200,
            "the revoked link is served {sent:?} after the revocation, from the copy: {from_copy}"
        );
        is_known |= status == 404;
        sleep(Duration::from_millis(20)).await;
    }

    // By this panel: at once. The change itself has many round trips.
    proxy.set(ProxyFault::Clear);
    revoke(&far, &token, 2).await;
    proxy.set(ProxyFault::Delay(DELAY));
    let revoked = Instant::now();
    assert_eq!(fetch(&far, 2).await.0, 404, "it waits for the database, or the copy has the change");
    while revoked.elapsed() < Duration::from_secs(5) {
        let (status, from_copy) = fetch(&far, 2).await;
        assert_ne!(status, 200, "the link that this panel revoked, from the copy: {from_copy}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A panel whose way to PostgreSQL is a proxy, with all users in its copy.
struct Behind {
    panel: PanelProcess,
    proxy: Proxy,
    token: String,
    _folder: TempDir,
}

impl Behind {
    async fn start(test: &TestDatabase) -> Self {
        let (through_proxy, proxy) = through_a_proxy(test).await;
        let folder = tempfile::tempdir().expect("a folder");
        let cluster = format!("test-{}", uuid::Uuid::new_v4().simple());
        let DatabaseUrl::Postgres { url } = &test.options.url else { panic!("not PostgreSQL") };
        let more = vec![("DATABASE_DIRECT_URL", url.expose().to_owned())];
        let database = &through_proxy.options.url;
        let setup = Setup { database, redis: None, cluster, folder: folder.path(), more };
        let mut panel = setup.start("panel");
        panel.ready().await;
        execute(&test.db, USERS).await;
        until("all users are in the copy", async || is_full(&panel).await).await;
        let token = first_admin(&setup, &panel).await;
        Self { panel, proxy, token, _folder: folder }
    }
}

/// The commit of a change of user 2 takes a while.
const SLOW_COMMIT: &str = "
    CREATE FUNCTION rest() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(2); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER rest AFTER UPDATE ON users DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.id = 2) EXECUTE FUNCTION rest()";
const COMMITTING: &str = "SELECT COUNT(*) FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'active' AND query = 'COMMIT'";

#[test]
fn commit_of_unknown_outcome_refuses_nobody_while_the_database_hangs() {
    with_database(Engine::Postgres, Content::Schema, unknown_commit);
}

async fn unknown_commit(test: TestDatabase) {
    let Behind { panel, proxy, token, _folder } = Behind::start(&test).await;
    execute(&test.db, SLOW_COMMIT).await;
    let change = json!({"username": "user_2", "note": "changed"});
    let change = panel.request(Method::PUT, "/api/users/user_2").bearer_auth(&token).json(&change).send();
    let change = tokio::spawn(change);
    until("the change is being committed", async || number(&test.db, COMMITTING).await == 1).await;
    proxy.set(ProxyFault::Hold);
    let hangs = Instant::now();
    let mut longest = Duration::ZERO;
    // Longer than the commit is waited for, and than two probes take.
    while hangs.elapsed() < Duration::from_secs(14) {
        let asked = hangs.elapsed();
        assert_eq!(fetch(&panel, 1).await, (200, true), "asked after {asked:?}\n{}", panel.log());
        longest = longest.max(hangs.elapsed() - asked);
        sleep(Duration::from_millis(50)).await;
    }
    // It takes one until the probe's verdict, and six if that counts as older than the commit's end.
    assert!(longest < Duration::from_secs(5), "a fetch took {longest:?}");
    let status = change.await.expect("no panic").expect("an answer").status();
    assert_eq!(status, 503, "the change was answered");
    proxy.set(ProxyFault::Clear);
    until("it comes from the database again", async || fetch(&panel, 1).await == (200, false)).await;
}

#[test]
fn nobody_waits_for_a_database_that_is_known_to_be_away() {
    with_database(Engine::Postgres, Content::Schema, away);
}

async fn away(test: TestDatabase) {
    let Behind { panel, proxy, token, _folder } = Behind::start(&test).await;

    // The copy may not get this change. The other user is as the copy has it.
    call(&panel, &token, Method::PUT, "/api/users/user_2", json!({"username": "user_2", "note": "changed"})).await;
    proxy.set(ProxyFault::Hold);
    until("it is known", async || status(&panel, "/health/ready").await == 503).await;
    // While the copy could stand in for a slow database, and when it is too old for that.
    for _ in 0..2 {
        // All that wait do so for as long, and one may be slow because the machine is.
        let mut shortest = [Duration::MAX; 2];
        for _ in 0..3 {
            // As rarely as a panel with few users is asked.
            sleep(Duration::from_millis(1_300)).await;
            for (user, shortest) in (1..).zip(&mut shortest) {
                let asked = Instant::now();
                assert_eq!(fetch(&panel, user).await, (200, true));
                *shortest = asked.elapsed().min(*shortest);
            }
        }
        assert!(shortest.iter().all(|it| *it < WAITED), "each fetch waited for the database: {shortest:?} or more");
    }
    proxy.set(ProxyFault::Clear);
    until("it comes from the database again", async || fetch(&panel, 1).await == (200, false)).await;
}
