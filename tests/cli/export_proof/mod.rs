//! An export is opened by the old panel: random databases of this panel are exported, a program that knows only the old
//! schema reads the file, and an import brings back what the reports do not name.

mod random_panel;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use futures_util::TryStreamExt as _;
use sarban::store::import::tables::{self, Stored};
use sarban::store::{Db, OpenOptions, Tx};
use serde::Serialize;
use serde_json::Value;

use self::random_panel::RandomPanel;
use super::WorkDir;
use super::import::url;
use crate::support::database::on_both_engines;

on_both_engines!(random_panels_survive_export_and_import, export_includes_usage_that_is_not_folded_yet,);

/// Reads a file with the old schema as the old panel does, and prints what it could not take: rows of table, key, column and
/// problem.
const OLD_PANEL: &str = include_str!("old_panel.py");

/// Rows of one list of a report: of which table, and their keys.
fn named_in(report: &Value, list: &str) -> BTreeSet<(String, String)> {
    let rows = report[list].as_array().expect("a list").iter().flat_map(|issue| {
        let table = issue["table"].as_str().expect("a table").to_owned();
        let keys = issue["rows"].as_array().expect("rows").iter();
        keys.map(move |key| (table.clone(), key.as_str().expect("a key").to_owned()))
    });
    rows.collect()
}

/// True for a row that refers to one of these, and so goes with it.
fn refers_to_any((table, _, row): &(&str, String, Value), rows: &BTreeSet<(String, String)>) -> bool {
    const REFERENCES: [(&str, &str, &str); 4] = [
        ("inbounds_services", "inbound_id", "inbounds"),
        ("hosts_services", "host_id", "hosts"),
        ("host_chains", "host_id", "hosts"),
        ("host_chains", "chained_host_id", "hosts"),
    ];
    REFERENCES
        .iter()
        .any(|(from, column, to)| from == table && rows.contains(&((*to).to_owned(), row[*column].to_string())))
}

/// Rows that a report names.
fn named(report: &Value) -> BTreeSet<(String, String)> {
    let rows = ["left_out", "changed", "meaning"].into_iter().flat_map(|list| named_in(report, list));
    let hosts = report["hosts_without_core_settings"].as_array().into_iter().flatten();
    let hosts = hosts.map(|id| ("hosts".to_owned(), id.to_string()));
    rows.chain(hosts).collect()
}

/// Problems of the old panel with a file: table, key, column, and why.
fn problems(file: &Path) -> Vec<[String; 4]> {
    let output = Command::new("python3").args(["-c", OLD_PANEL]).arg(file).output().expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a list")
}

fn report(dir: &WorkDir, arguments: &[&str], database: &str) -> Value {
    let output = dir.run(arguments, &[("DATABASE_URL", database)]).expect_success();
    serde_json::from_str(&output).expect("JSON")
}

/// All rows of a table, by the key that reports use.
async fn rows<R: Stored + Serialize + 'static>(tx: &mut Tx, key: &str) -> Vec<(String, Value)> {
    let found: Vec<R> = tables::rows::<R>(tx).try_collect().await.expect("rows");
    let row = |row: &R| {
        let row = serde_json::to_value(row).expect("JSON");
        (row[key].to_string(), row)
    };
    found.iter().map(row).collect()
}

/// Everything that an export writes, by the old panel's table and the key of the row.
async fn content(db: &Db) -> Vec<(&'static str, String, Value)> {
    let mut tx = db.begin_bulk().await.expect("a transaction");
    let mut all = Vec::new();
    macro_rules! add {
        ($($table:literal $key:literal $row:ident,)*) => {$(
            let found = rows::<tables::$row>(&mut tx, $key).await;
            all.extend(found.into_iter().map(|(key, row)| ($table, key, row)));
        )*};
    }
    add!(
        "settings" "id" SettingsRow, "jwt" "id" JwtRow, "tls" "id" TlsRow, "admins" "id" AdminRow, "services" "id" ServiceRow,
        "admins_services" "admin_id" AdminServiceRow, "users" "id" UserRow, "users" "user_id" TrafficRow,
        "users" "user_id" FetchRow, "users_services" "user_id" UserServiceRow, "nodes" "id" NodeRow,
        "inbounds" "id" InboundRow, "inbounds_services" "inbound_id" InboundServiceRow, "hosts" "id" HostRow,
        "hosts_services" "host_id" HostServiceRow, "host_chains" "host_id" HostChainRow,
    );
    let hours: Vec<tables::UserHour> = tables::rows::<tables::UserHour>(&mut tx).try_collect().await.expect("rows");
    all.extend(hours.iter().map(|it| ("node_user_usages", String::new(), Value::from(format!("{it:?}")))));
    let hours: Vec<tables::NodeHour> = tables::rows::<tables::NodeHour>(&mut tx).try_collect().await.expect("rows");
    all.extend(hours.iter().map(|it| ("node_usages", String::new(), Value::from(format!("{it:?}")))));
    tx.rollback().await.expect("rolled back");
    all
}

async fn random_panels_survive_export_and_import(panel: OpenOptions) {
    let db = Db::open(&panel).await.expect("the database");
    for seed in 0..4 {
        RandomPanel::new(seed, db.engine()).write(&db).await;
        let before = content(&db).await;
        let dir = WorkDir::new();
        let exported = report(&dir, &["export", "--json", "--to", "sqlite:///back.sqlite3"], &url(&panel));
        let named_by_export = named(&exported);
        let file = dir.0.path().join("back.sqlite3");
        for [table, key, column, problem] in problems(&file) {
            let is_named = named_by_export.contains(&(table.clone(), key.clone()));
            assert!(is_named, "seed {seed}: {table} {key}: {column}: {problem}: {exported:#}");
        }

        let again = report(&dir, &["import", "--json", "--from", "sqlite:///back.sqlite3"], "sqlite:///again.sqlite3");
        let mut named = named(&again);
        named.extend(named_by_export.clone());
        let options = OpenOptions {
            url: sarban::config::database_url::DatabaseUrl::Sqlite { path: dir.0.path().join("again.sqlite3") },
            ..panel.clone()
        };
        let second = Db::open(&options).await.expect("the second database");
        let after = content(&second).await;
        second.close().await;
        let left_out = named_in(&exported, "left_out");
        let is_here = |row: &(&str, String, Value), rows: &[(&str, String, Value)]| rows.contains(row);
        let is_named = |row: &(&str, String, Value)| named.contains(&(row.0.to_owned(), row.1.clone()));
        for (one, other, what) in [(&before, &after, "is lost"), (&after, &before, "is new")] {
            for row in one.iter().filter(|row| !is_here(row, other)) {
                let goes_with_another = what == "is lost" && refers_to_any(row, &left_out);
                assert!(is_named(row) || goes_with_another, "seed {seed}: {row:?} {what}: {exported:#} {again:#}");
            }
        }
        let most = before.len() / 2;
        assert!(
            named.len() < most,
            "seed {seed}: most rows are as they were, not {} of {} named",
            named.len(),
            before.len()
        );
        RandomPanel::remove(&db).await;
    }
    db.close().await;
}

/// The traffic of the users of a file, in bytes: of their totals and of their hours.
async fn traffic(file: &Path) -> (i64, i64) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file).read_only(true);
    let mut old = sqlx::ConnectOptions::connect(&options).await.expect("a file");
    let mut sum =
        async |text: &'static str| sqlx::query_scalar::<_, i64>(text).fetch_one(&mut old).await.expect("a sum");
    let totals = sum("SELECT CAST(SUM(used_traffic) AS BIGINT) FROM users").await;
    (totals, sum("SELECT CAST(SUM(used_traffic) AS BIGINT) FROM node_user_usages").await)
}

async fn export_includes_usage_that_is_not_folded_yet(panel: OpenOptions) {
    use sarban::domain::ids::{NodeId, UserId};
    use sarban::domain::moment::{HOUR, Moment};
    use sarban::domain::usage::UsageReply;
    use sarban::store::usage::totals::{ApplyOptions, apply};
    use sarban::store::usage::{batches, hours};

    let db = Db::open(&panel).await.expect("the database");
    RandomPanel::plain().write(&db).await;
    let at = Moment::from_micros(1_795_464_000_000_000);
    let stage = async |hour: i64, bytes: u64| {
        let reply = UsageReply::new(NodeId(1), at.plus(hour * HOUR), 1.0, [(UserId(1), bytes), (UserId(2), 2 * bytes)]);
        batches::stage(&db, uuid::Uuid::new_v4(), &reply).await.expect("staged");
    };
    let options = ApplyOptions { node_hours: true, notify_percent: None };
    let take_all = async |fold: bool| {
        while let Some(due) = Some(batches::oldest_staged(&db).await.expect("batches")).filter(|due| !due.is_empty()) {
            let mut tx = db.begin().await.expect("a transaction");
            apply(&mut tx, &due.batches, options, at).await.expect("applied");
            tx.commit().await.expect("committed");
        }
        while fold
            && let Some(due) = Some(batches::oldest_applied(&db, at.plus(100 * HOUR)).await.expect("batches"))
                .filter(|due| !due.is_empty())
        {
            let mut tx = db.begin().await.expect("a transaction");
            hours::fold(&mut tx, &due.batches, true, at).await.expect("folded");
            tx.commit().await.expect("committed");
        }
    };
    // Folded, applied and only staged: as a panel leaves them that was stopped a moment ago.
    stage(0, 15_000).await;
    take_all(true).await;
    stage(1, 3_000).await;
    stage(1, 500).await;
    take_all(false).await;
    stage(2, 1_000).await;
    let before = batches::pending(&db).await.expect("counts");
    assert_eq!((before.staged, before.applied), (1, 2));

    let dir = WorkDir::new();
    for name in ["one.sqlite3", "two.sqlite3"] {
        let to = format!("sqlite:///{name}");
        let report = report(&dir, &["export", "--json", "--to", &to], &url(&panel));
        assert_eq!(report["usage_batches_left_out"], 0);
        assert_eq!(traffic(&dir.0.path().join(name)).await, (58_500, 58_500), "{name}");
    }
    assert_eq!(batches::pending(&db).await.expect("counts"), before, "the panel's own database is as it was");

    // What a killed process has left in its spool is not in the database.
    std::fs::create_dir_all(dir.0.path().join("data/spool")).expect("a folder");
    let spooled = dir.file("data/spool/x.log", "a reply");
    let settings = [("DATABASE_URL", &*url(&panel)), ("DATA_DIR", "data")];
    let said =
        dir.run(&["export", "--to", "sqlite:///three.sqlite3", "--report", "three.json"], &settings).expect_success();
    assert!(said.contains("start the panel, stop it, and export again"), "{said}");
    let stored: Value =
        serde_json::from_slice(&std::fs::read(dir.0.path().join("three.json")).expect("a report")).expect("JSON");
    assert_eq!(stored["spool_files"], serde_json::json!([spooled.strip_prefix(dir.0.path()).expect("inside")]));
    db.close().await;
}
