//! Several real processes on one database with a real node, whose leader is killed repeatedly while the node produces
//! known usage: one leader at a time, each slot run once, each byte recorded once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use sarban::clock::Clock;
use sarban::config::database_url::DatabaseUrl;
use sarban::nodes::spool;
use sarban::store::users::changes;
use sarban::store::{Db, Engine, IdList, Tx};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, raw_sql};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::app::panel_process::{PanelProcess, Setup};
use crate::support;
use crate::support::database::{TestDatabase, execute, number, on_both_engines};
use crate::support::test_node::{NodeUser, Options, TestNode};

on_both_engines!(
    empty killed_leader_loses_no_usage_and_no_change,
    empty stopped_leader_hands_over_and_removes_its_spool,
    empty processes_that_start_at_once_on_an_empty_database_all_serve
);

pub const USERS: i64 = 20;

/// PostgreSQL: three processes and Redis. SQLite: two processes on one box.
async fn killed_leader_loses_no_usage_and_no_change(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(&test, folder.path());
    let mut panels = start(&setup, &test).await;
    let node = TestNode::start(Options::default()).await.expect("a node");
    let link = set_up_users(&setup, &mut panels, &node).await;

    let producing = Arc::new(AtomicBool::new(true));
    let watched = tokio::spawn(watch_leaders(test.db.clone(), producing.clone()));
    let controls = node.controls();
    let on = producing.clone();
    let production = tokio::spawn(async move {
        for round in 1.. {
            for user in 1..=USERS {
                controls.0.add_usage(u32::try_from(user).expect("small"), round);
            }
            sleep(Duration::from_millis(50)).await;
            if !on.load(Ordering::Relaxed) {
                return;
            }
        }
    });
    for round in 1..=3 {
        let leader = leader(&test.db, &panels).await;
        wait_for_reply(&test.db).await;
        let name = panels[leader].name.clone();
        change_users(&test.db, round).await;
        panels[leader].kill();
        // Another process answers subscriptions meanwhile.
        let other = &panels[(leader + 1) % panels.len()];
        assert_eq!(other.request(Method::GET, &link).send().await.expect("an answer").status(), 200);
        let began = Instant::now();
        while number(&test.db, "SELECT COUNT(*) FROM scheduler_lease WHERE released = TRUE").await == 1
            || leader_name(&test.db).await.as_deref() == Some(name.as_str())
        {
            // The limit is TTL 2 s + 0.5 s; twice that on a machine that also runs other tests.
            assert!(began.elapsed() < Duration::from_secs(5), "no process took over from {name}");
            sleep(Duration::from_millis(20)).await;
        }
        println!("take-over from {name} took {:?}", began.elapsed());
        panels[leader] = setup.start(&name);
        panels[leader].ready().await;
        sleep(Duration::from_millis(1_500)).await;
    }
    producing.store(false, Ordering::Relaxed);
    production.await.expect("the production ends");
    watched.await.expect("there was one leader at a time");

    let produced = i64::try_from(node.totals().produced).expect("not that much");
    let recorded = "SELECT CAST(COALESCE(SUM(lifetime_used_traffic), 0) AS BIGINT) FROM user_traffic";
    let limit = Instant::now() + Duration::from_secs(15);
    while number(&test.db, recorded).await < produced && Instant::now() < limit {
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(number(&test.db, recorded).await, produced, "the bytes of users are not recorded once");
    let by_hour = "SELECT CAST(SUM(downlink) AS BIGINT) FROM node_usage_hours";
    assert_eq!(number(&test.db, by_hour).await, produced, "the bytes of the node are not recorded once");
    assert_every_slot_ran_once(&test.db).await;
    node_matches_the_database(&test.db, &node, 3).await;
}

/// Disables one user and changes the key of another, right before the leader is killed.
async fn change_users(db: &Db, round: i64) {
    let (off, renewed) = (round, USERS - round);
    let text = format!(
        "UPDATE key_change SET seq = seq + 1;
         UPDATE users SET enabled = FALSE, activated = FALSE WHERE id = {off};
         UPDATE users SET key = 'new-{round}', key_change_seq = (SELECT seq FROM key_change) WHERE id = {renewed}"
    );
    let mut tx = db.begin().await.expect("a transaction");
    match &mut tx {
        Tx::Pg(tx) => raw_sql(AssertSqlSafe(text)).execute(tx.connection().expect("a connection")).await.map(drop),
        Tx::Lite { tx, .. } => raw_sql(AssertSqlSafe(text)).execute(&mut **tx).await.map(drop),
    }
    .expect("users are changed");
    changes::mark(&mut tx, IdList::new([off, renewed]), Clock::real().now())
        .await
        .expect("users are marked as changed");
    tx.commit().await.expect("committed");
}

/// Waits until the node has exactly the users, tags and keys of the database, after this number of rounds.
async fn node_matches_the_database(db: &Db, node: &TestNode, rounds: i64) {
    let expected = |id: i64, user: &NodeUser| match id {
        off if off <= rounds => false,
        renewed if renewed >= USERS - rounds && renewed < USERS => user.key == format!("new-{}", USERS - renewed),
        _ => user.key.len() == 32,
    };
    let limit = Instant::now() + Duration::from_secs(15);
    loop {
        let users = node.users();
        let right = users.iter().filter(|(id, user)| user.tags.len() == 4 && expected(i64::from(**id), user)).count();
        let all = usize::try_from(USERS - rounds).expect("small");
        if (users.len(), right) == (all, all) && number(db, "SELECT COUNT(*) FROM user_change").await == 0 {
            return;
        }
        assert!(Instant::now() < limit, "the node has {users:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn stopped_leader_hands_over_and_removes_its_spool(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(&test, folder.path());
    let mut panels = start(&setup, &test).await;
    let leader = leader(&test.db, &panels).await;
    let epoch = number(&test.db, "SELECT epoch FROM scheduler_lease").await;
    let began = Instant::now();
    let stopping = panels[leader].stop();
    let handed_over = async {
        while number(&test.db, "SELECT epoch FROM scheduler_lease").await == epoch {
            sleep(Duration::from_millis(5)).await;
        }
        began.elapsed()
    };
    let (status, took) = tokio::join!(stopping, handed_over);
    println!("hand-over took {took:?}, the end of the process {:?}", began.elapsed());
    assert!(status.success(), "{status}");
    // Without Redis there is no wake-up between processes: a follower checks again when the lease expires.
    assert!(took < Duration::from_millis(if test.db.engine() == Engine::Postgres { 1_000 } else { 3_000 }), "{took:?}");
    let spools = std::fs::read_dir(folder.path().join("spool")).expect("the spool folder").count();
    assert_eq!(spools, panels.len() - 1, "the spool of the stopped process remains");
}

/// They create the same schema, certificate and folder, and each searches that folder for files of dead processes.
async fn processes_that_start_at_once_on_an_empty_database_all_serve(test: TestDatabase) {
    for _ in 0..3 {
        let folder = tempfile::tempdir().expect("a folder");
        let file = DatabaseUrl::Sqlite { path: folder.path().join("new.sqlite3") };
        let mut setup = setup(&test, folder.path());
        match test.db.engine() {
            Engine::Sqlite => setup.database = &file,
            Engine::Postgres => execute(&test.db, "DROP SCHEMA public CASCADE; CREATE SCHEMA public").await,
        }
        let mut panels = ["ann", "ben", "cyd", "dan"].map(|name| setup.start(name));
        // Each process searches the folder once as it starts. This loop searches it as often as possible.
        let spools = folder.path().join("spool");
        let folder_to_search = spools.clone();
        let _searching = AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                spool::orphans(&folder_to_search).expect("the folder is read");
                yield_now().await;
            }
        }));
        for panel in &mut panels {
            panel.ready().await;
        }
        assert_eq!(
            std::fs::read_dir(&spools).expect("the folder").count(),
            panels.len(),
            "not one spool file per process"
        );
    }
}

pub fn setup<'a>(test: &'a TestDatabase, folder: &'a std::path::Path) -> Setup<'a> {
    Setup {
        database: &test.options.url,
        redis: (test.db.engine() == Engine::Postgres).then(support::redis_url),
        cluster: format!("test-{}", Uuid::new_v4().simple()),
        folder,
        more: Vec::new(),
    }
}

/// Starts all processes at once on an empty database, which the first one migrates.
pub async fn start(setup: &Setup<'_>, test: &TestDatabase) -> Vec<PanelProcess> {
    let names: &[&str] = if test.db.engine() == Engine::Postgres { &["ann", "ben", "cyd"] } else { &["ann", "ben"] };
    let mut panels: Vec<PanelProcess> = names.iter().map(|name| setup.start(name)).collect();
    for panel in &mut panels {
        panel.ready().await;
    }
    panels
}

/// Creates an admin, the node, a service and users through different processes; returns the path of a subscription.
pub async fn set_up_users(setup: &Setup<'_>, panels: &mut [PanelProcess], node: &TestNode) -> String {
    let token = first_admin(setup, &panels[0]).await;
    let last = panels.len() - 1;

    let port = node.address().port();
    call(&panels[last], &token, Method::PUT, "/api/nodes/1", json!({"address": "127.0.0.1", "port": port})).await;
    let limit = Instant::now() + Duration::from_secs(10);
    let inbounds = loop {
        let page = call(&panels[0], &token, Method::GET, "/api/inbounds", Value::Null).await;
        let ids: Vec<Value> = page["items"].as_array().expect("items").iter().map(|it| it["id"].clone()).collect();
        if ids.len() == 4 {
            break ids;
        }
        assert!(Instant::now() < limit, "the node's inbounds did not appear: {page}");
        sleep(Duration::from_millis(50)).await;
    };
    let service = json!({"name": "all", "inbound_ids": inbounds});
    let service = call(&panels[0], &token, Method::POST, "/api/services", service).await["id"].clone();
    let mut link = String::new();
    for number in 1..=USERS {
        let user = json!({"username": format!("user_{number}"), "expire_strategy": "never", "service_ids": [service]});
        let panel = &panels[usize::try_from(number).expect("small") % panels.len()];
        let user = call(panel, &token, Method::POST, "/api/users", user).await;
        link = user["subscription_url"].as_str().expect("a link").to_owned();
    }
    let limit = Instant::now() + Duration::from_secs(10);
    while node.users().len() < usize::try_from(USERS).expect("small") {
        assert!(Instant::now() < limit, "the users did not reach the node: {}", node.users().len());
        sleep(Duration::from_millis(50)).await;
    }
    let answer = panels[last].request(Method::GET, &format!("{link}/links")).send().await.expect("an answer");
    let links = answer.text().await.expect("links");
    assert_eq!(links.lines().count(), 4, "{links}");
    link
}

/// Creates the first admin; returns a token.
pub async fn first_admin(setup: &Setup<'_>, panel: &PanelProcess) -> String {
    let mut command = setup.command();
    command.args(["admin", "create", "-u", "root", "--sudo"]).env("SARBAN_ADMIN_PASSWORD", "rootpass");
    let created = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it runs");
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let login = [("username", "root"), ("password", "rootpass")];
    let answer = panel.request(Method::POST, "/api/admins/token").form(&login).send().await.expect("an answer");
    answer.json::<Value>().await.expect("a token")["access_token"].as_str().expect("text").to_owned()
}

pub async fn call(panel: &PanelProcess, token: &str, method: Method, path: &str, body: Value) -> Value {
    let mut request = panel.request(method, path).bearer_auth(token);
    if !body.is_null() {
        request = request.json(&body);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status();
    let body: Value = answer.json().await.expect("JSON");
    assert!(status.is_success(), "{path}: {status} {body}");
    body
}

async fn leader_name(db: &Db) -> Option<String> {
    let lease =
        sarban::store::cluster::lease::current(db, &Clock::real(), &boot_id(db)).await.expect("the lease is read");
    lease.host.filter(|_| lease.remaining > 0)
}

fn boot_id(db: &Db) -> String {
    sarban::cluster::identity::Identity::new(String::new()).boot_id(db.engine()).to_owned()
}

pub async fn leader(db: &Db, panels: &[PanelProcess]) -> usize {
    let limit = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(name) = leader_name(db).await {
            return panels.iter().position(|panel| panel.name == name).expect("a process of this test");
        }
        assert!(Instant::now() < limit, "no process leads");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the node's reply of this second is recorded: slots begin at the start of a second. A reply in flight is lost when its
/// process is killed.
async fn wait_for_reply(db: &Db) {
    const RECORDED: &str =
        "SELECT COALESCE(MAX(slot), 0) FROM task_run WHERE task = 'record_user_usages' AND state = 'done'";
    let limit = Instant::now() + Duration::from_secs(60);
    loop {
        let recorded = number(db, RECORDED).await;
        let now = Clock::real().now().micros();
        if recorded.div_euclid(1_000_000) == now.div_euclid(1_000_000) && now.rem_euclid(1_000_000) < 700_000 {
            return;
        }
        assert!(Instant::now() < limit, "no reply is recorded");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Checks until the test ends that epochs only grow, and that each has one holder.
async fn watch_leaders(db: Db, on: Arc<AtomicBool>) {
    let mut seen = (0, None);
    while on.load(Ordering::Relaxed) {
        let lease = sarban::store::cluster::lease::current(&db, &Clock::real(), &boot_id(&db))
            .await
            .expect("the lease is read");
        let now = (lease.epoch.0, lease.holder);
        assert!(now.0 > seen.0 || now == seen, "{seen:?} and then {now:?}");
        seen = now;
        sleep(Duration::from_millis(10)).await;
    }
}

pub async fn assert_every_slot_ran_once(db: &Db) {
    let shared_epochs =
        "SELECT COUNT(*) FROM (SELECT epoch FROM task_run GROUP BY epoch HAVING COUNT(DISTINCT instance) > 1) AS e";
    assert_eq!(number(db, shared_epochs).await, 0, "an epoch has several leaders");
    // Slots are a second apart, so a task without gaps has as many rows as seconds.
    let gaps = "SELECT COUNT(*) FROM (SELECT task FROM task_run WHERE task IN ('record_user_usages', 'review_users') GROUP BY task
                HAVING COUNT(*) <> (MAX(slot) - MIN(slot)) / 1000000 + 1) AS g";
    assert_eq!(number(db, gaps).await, 0, "a slot is missing");
    let count = async |state: &str| {
        let text = format!("SELECT COUNT(*) FROM task_run WHERE task = 'record_user_usages' AND state = '{state}'");
        number(db, text.leak()).await
    };
    let (done, coalesced) = (count("done").await, count("coalesced").await);
    println!("{done} slots done, {coalesced} coalesced");
    assert!(done > 0);
    // On a busy machine too, a slot is coalesced only where a newer one is run instead. The last one may not have begun
    // yet.
    let without_later_run = "SELECT COUNT(*) FROM task_run AS c WHERE c.state = 'coalesced'
        AND c.slot < (SELECT MAX(m.slot) FROM task_run AS m WHERE m.task = c.task AND m.state <> 'coalesced')
        AND NOT EXISTS (SELECT 1 FROM task_run AS n WHERE n.task = c.task AND n.slot > c.slot AND n.state IN ('done', 'running'))";
    assert_eq!(number(db, without_later_run).await, 0, "a coalesced slot has no later run");
    let bad = "SELECT COUNT(*) FROM task_run WHERE state IN ('failed', 'skipped')";
    assert_eq!(number(db, bad).await, 0, "a slot failed or was skipped");
}
