//! `sarban export`: an exported database equals the one that was imported.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sarban::domain::moment::SECOND;
use sarban::store::OpenOptions;
use sarban::store::cluster::members::{self, Member};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Row, SqliteConnection, query, query_scalar};

use super::WorkDir;
use super::import::{ODD_ROWS, ROWS, SCHEMA, import, old_panel, url};
use crate::support::database::{Content, execute, number, on_both_engines, with_database};

const TABLES: [&str; 19] = [
    "alembic_version",
    "admins",
    "services",
    "admins_services",
    "users",
    "users_services",
    "nodes",
    "backends",
    "inbounds",
    "inbounds_services",
    "hosts",
    "hosts_services",
    "host_chains",
    "settings",
    "jwt",
    "tls",
    "system",
    "node_usages",
    "node_user_usages",
];

on_both_engines!(
    empty export_equals_the_imported_database,
    empty changed_rows_are_stable_over_a_second_round_trip,
    empty recorded_panel_survives_the_round_trip,
    empty settings_that_the_old_panel_lacks_are_named,
    empty export_is_refused_while_a_panel_runs,
    empty file_is_complete_if_only_its_report_fails,
);

/// Exports a panel into a new file of the folder.
fn export(dir: &WorkDir, from: &OpenOptions, name: &str) -> PathBuf {
    let path = dir.0.path().join(name);
    let to = format!("sqlite:///{}", path.display());
    dir.run(&["export", "--to", &to], &[("DATABASE_URL", url(from).as_str())]).expect_success();
    path
}

async fn open(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).read_only(true).connect().await.expect("a database of the old panel")
}

/// The rows of a table, with JSON documents parsed, because the order of their fields may differ.
async fn rows(database: &mut SqliteConnection, table: &str) -> Vec<Vec<Value>> {
    let columns: Vec<String> = query_scalar("SELECT name FROM pragma_table_info($1) ORDER BY name")
        .bind(table)
        .fetch_all(&mut *database)
        .await
        .expect("columns");
    let cells: Vec<String> = columns.iter().map(|column| format!("CAST(\"{column}\" AS TEXT)")).collect();
    let text = format!("SELECT {} FROM \"{table}\"", cells.join(", "));
    let found = query(AssertSqlSafe(text)).fetch_all(database).await.expect("rows");
    let cell = |text: Option<String>| match text {
        Some(text) if text.starts_with(['{', '[']) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        text => Value::from(text),
    };
    let row = |row: &sqlx::sqlite::SqliteRow| (0..columns.len()).map(|at| cell(row.get(at))).collect();
    let mut rows: Vec<Vec<Value>> = found.iter().map(row).collect();
    rows.sort_by_key(|row| format!("{row:?}"));
    rows
}

async fn assert_same(one: &Path, other: &Path, but: &[&str]) {
    let (mut one, mut other) = (open(one).await, open(other).await);
    for table in TABLES.iter().filter(|table| !but.contains(table)) {
        assert_eq!(rows(&mut one, table).await, rows(&mut other, table).await, "{table}");
    }
}

async fn export_equals_the_imported_database(panel: OpenOptions) {
    let dir = WorkDir::new();
    let old = old_panel(&dir, &[SCHEMA, ROWS]).await;
    import(&dir, &old, &panel, &[]).expect_success();
    let back = export(&dir, &panel, "back.sqlite3");
    let mode = std::fs::metadata(&back).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the file holds the secret that signs tokens");
    // A node without a creation time gets one, backends get new ids, and empty documents of hosts become `null`.
    assert_same(&old, &back, &["nodes", "backends", "hosts"]).await;

    let taken = format!("sqlite:///{}", back.display());
    let again = dir.run(&["export", "--to", &taken], &[("DATABASE_URL", url(&panel).as_str())]);
    assert!(again.expect_failure(1).contains("back.sqlite3"));
    let mut names = std::fs::read_dir(dir.0.path()).expect("the folder").map(|it| it.expect("a file").file_name());
    assert!(names.all(|name| !name.to_string_lossy().ends_with(".part")), "no partial file is left behind");
}

/// Rows that the first import changed are not changed by a second one.
async fn changed_rows_are_stable_over_a_second_round_trip(panel: OpenOptions) {
    let dir = WorkDir::new();
    let old = old_panel(&dir, &[SCHEMA, ROWS, ODD_ROWS]).await;
    import(&dir, &old, &panel, &[]).expect_success();
    let once = export(&dir, &panel, "once.sqlite3");
    let twice = dir.0.path().join("twice.sqlite3");
    let (from, to) = (&once, &twice);
    let engine = sarban::store::Engine::Sqlite;
    // `with_database` starts a runtime, which needs a thread without one.
    std::thread::scope(|scope| {
        let moved = scope.spawn(|| {
            with_database(engine, Content::Empty, async |second| {
                let dir = WorkDir::new();
                import(&dir, from, &second.options, &[]).expect_success();
                let made = export(&dir, &second.options, "made.sqlite3");
                std::fs::copy(made, to).expect("copied");
            });
        });
        moved.join().expect("the second round trip");
    });
    // The inbound with a protocol that Marzneshin does not know was left out the first time.
    assert_same(&once, &twice, &[]).await;
}

async fn settings_that_the_old_panel_lacks_are_named(panel: OpenOptions) {
    let dir = WorkDir::new();
    let old = old_panel(&dir, &[SCHEMA, ROWS]).await;
    import(&dir, &old, &panel, &[]).expect_success();
    let db = sarban::store::Db::open(&panel).await.expect("the database");
    let id = number(&db, "SELECT MIN(id) FROM hosts").await;
    let change = r#"UPDATE hosts SET spec = '{"remark": "r", "address": "a", "core_settings": {"encryption": "none"}}'
        WHERE id = (SELECT MIN(id) FROM hosts)"#;
    execute(&db, change).await;
    db.close().await;
    for (name, json) in [("one.sqlite3", false), ("two.sqlite3", true)] {
        let to = format!("sqlite:///{}", dir.0.path().join(name).display());
        let args: &[&str] = if json { &["export", "--json", "--to", &to] } else { &["export", "--to", &to] };
        let output = dir.run(args, &[("DATABASE_URL", url(&panel).as_str())]).expect_success();
        let expected = format!("left out core_settings of the hosts {id}:");
        match json {
            true => {
                let read: Value = serde_json::from_str(&output).expect("JSON");
                assert_eq!(read["hosts_without_core_settings"], serde_json::json!([id]));
            }
            false => assert!(output.contains(&expected), "{output}"),
        }
    }
}

/// A panel that runs would wait for the export, and go on writing what the file lacks.
async fn export_is_refused_while_a_panel_runs(panel: OpenOptions) {
    let dir = WorkDir::new();
    let old = old_panel(&dir, &[SCHEMA, ROWS]).await;
    import(&dir, &old, &panel, &[]).expect_success();
    let db = sarban::store::Db::open(&panel).await.expect("the database");
    let now = sarban::store::clock::now(&db).await.expect("the time");
    let member = Member {
        instance: uuid::Uuid::new_v4(),
        host: "box".to_owned(),
        pid: 7,
        worker_threads: 1,
        cores: 1.0,
        version: "1.0.0".to_owned(),
        started_at: 0,
        last_seen: 0,
        tasks: "{}".to_owned(),
        report: "{}".to_owned(),
    };
    let beat = async |at| {
        let mut tx = db.begin().await.expect("a transaction");
        members::beat(&mut tx, &member, at).await.expect("a heartbeat");
        tx.commit().await.expect("committed");
    };
    beat(now).await;
    let variables = [("DATABASE_URL", &*url(&panel))];
    let error = dir.run(&["export", "--to", "sqlite:///back.sqlite3"], &variables).expect_failure(1);
    assert!(error.contains("a panel is running: process 7 on box; stop all panels"), "{error}");
    assert!(!dir.0.path().join("back.sqlite3").exists() && !dir.0.path().join("back.sqlite3.part").exists());
    // Killed eleven seconds ago.
    beat(now.plus(-11 * SECOND)).await;
    db.close().await;
    export(&dir, &panel, "back.sqlite3");
}

/// Needs recordings of Marzneshin, which are not part of this repository, in the folder `SARBAN_CONTRACT_DIR`.
#[expect(clippy::disallowed_methods, reason = "only this test reads the variable")]
async fn recorded_panel_survives_the_round_trip(panel: OpenOptions) {
    let Some(recordings) = std::env::var_os("SARBAN_CONTRACT_DIR") else {
        println!("skipped: SARBAN_CONTRACT_DIR is not set");
        return;
    };
    let dir = WorkDir::new();
    let old = Path::new(&recordings).join("corpus/seeded.sqlite3");
    import(&dir, &old, &panel, &[]).expect_success();
    let back = export(&dir, &panel, "back.sqlite3");
    assert_same(&old, &back, &["nodes", "backends", "hosts", "node_usages", "node_user_usages"]).await;

    // Marzneshin finds the schema and the types of values that it wrote itself.
    let (mut old, mut back) = (open(&old).await, open(&back).await);
    for table in TABLES {
        for kind in [COLUMNS, INDICES, REFERENCES] {
            let old: String = query_scalar(kind).bind(table).fetch_one(&mut old).await.expect("the old schema");
            let back: String = query_scalar(kind).bind(table).fetch_one(&mut back).await.expect("the new schema");
            assert_eq!(old, back, "{table}");
        }
        let (old, back) = (types(&mut old, table).await, types(&mut back, table).await);
        assert!(back.is_subset(&old), "{table}: {:?}", back.difference(&old));
    }
}

/// The device is full: the file is what counts, and its report can be read from it.
async fn file_is_complete_if_only_its_report_fails(panel: OpenOptions) {
    let dir = WorkDir::new();
    let old = old_panel(&dir, &[SCHEMA, ROWS]).await;
    import(&dir, &old, &panel, &[]).expect_success();
    for (name, more) in [("one.sqlite3", &[][..]), ("two.sqlite3", &["--json"])] {
        let path = dir.0.path().join(name);
        let to = format!("sqlite:///{}", path.display());
        let report = dir.0.path().join(name).with_extension("report");
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("the device");
        let output = Command::new(env!("CARGO_BIN_EXE_sarban"))
            .args(["export", "--to", &to, "--report", &report.display().to_string()])
            .args(more)
            .env_clear()
            .env("DATABASE_URL", url(&panel))
            .current_dir(dir.0.path())
            .stdout(full)
            .output()
            .expect("sarban runs");
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(&format!("{name} is complete, and its report could not be written")), "{error}");
        assert!(error.contains("No space left"), "{error}");
        assert_same(&old, &path, &["nodes", "backends", "hosts"]).await;
        let stored: Value = serde_json::from_slice(&std::fs::read(&report).expect("the report")).expect("JSON");
        assert!(stored.is_object(), "the report of --report is written all the same");
    }
}

const COLUMNS: &str =
    "SELECT json_group_array(json_array(name, type, \"notnull\", pk > 0) ORDER BY name) FROM pragma_table_info($1)";
const INDICES: &str = "SELECT json_group_array(text ORDER BY text) FROM (
    SELECT CASE WHEN i.name LIKE 'sqlite_%' THEN '' ELSE i.name END || ' ' || i.\"unique\" || i.origin || i.partial || ' '
        || group_concat(c.name) AS text
    FROM pragma_index_list($1) AS i JOIN pragma_index_info(i.name) AS c GROUP BY i.name)";
const REFERENCES: &str = "SELECT json_group_array(text ORDER BY text) FROM (
    SELECT \"table\" || ' ' || \"from\" || ' ' || \"to\" || ' ' || on_delete AS text FROM pragma_foreign_key_list($1))";

/// Pairs of a column and a type of its values.
async fn types(database: &mut SqliteConnection, table: &str) -> BTreeSet<(String, String)> {
    let names = query_scalar::<_, String>("SELECT name FROM pragma_table_info($1)").bind(table);
    let mut types = BTreeSet::new();
    for column in names.fetch_all(&mut *database).await.expect("columns") {
        let text = format!("SELECT DISTINCT typeof(\"{column}\") FROM \"{table}\"");
        let found: Vec<String> = query_scalar(AssertSqlSafe(text)).fetch_all(&mut *database).await.expect("types");
        types.extend(found.into_iter().map(|of| (column.clone(), of)));
    }
    types
}

#[test]
fn target_must_be_a_new_sqlite_file() {
    let dir = WorkDir::new();
    let to = |url: &str| dir.run(&["export", "--to", url], &[]);
    assert!(to("postgresql://h/d").expect_failure(2).contains("sqlite:///"));
    assert!(to("file.sqlite3").expect_failure(2).contains("sqlite:///"));
    assert!(to("sqlite:///nowhere/file.sqlite3").expect_failure(1).contains("old panel"));
    assert!(
        to("sqlite:///file.sqlite3").expect_failure(1).contains("start the panel once"),
        "the panel has no secret before its first start"
    );
    assert!(!dir.0.path().join("file.sqlite3").exists());
}
