//! `sarban export`: what moved in can move out again, and nothing is lost on the way.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sarban::store::OpenOptions;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Row, SqliteConnection, query, query_scalar};

use super::Box;
use super::import::{ODD_ROWS, ROWS, SCHEMA, import, old_panel, url};
use crate::support::database::{Content, on_both_engines, with_database};

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

on_both_engines!(empty what_moved_in_moves_out_again, empty odd_rows_come_and_go_once, empty the_recorded_panel_comes_back);

/// Exports a panel into a new file of the folder.
fn export(place: &Box, from: &OpenOptions, name: &str) -> PathBuf {
    let path = place.0.path().join(name);
    let to = format!("sqlite:///{}", path.display());
    place.run(&["export", "--to", &to], &[("DATABASE_URL", url(from).as_str())]).well();
    path
}

async fn open(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).read_only(true).connect().await.expect("a database of the old panel")
}

/// The rows of a table: documents as values, because nobody promises the order of their fields.
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

async fn what_moved_in_moves_out_again(panel: OpenOptions) {
    let place = Box::new();
    let old = old_panel(&place, &[SCHEMA, ROWS]).await;
    import(&place, &old, &panel, &[]).well();
    let back = export(&place, &panel, "back.sqlite3");
    // A node without a time of its making has one now, engines are numbered anew, and what hosts leave open is `null`.
    assert_same(&old, &back, &["nodes", "backends", "hosts"]).await;

    let taken = format!("sqlite:///{}", back.display());
    let again = place.run(&["export", "--to", &taken], &[("DATABASE_URL", url(&panel).as_str())]);
    assert!(again.failed(1).contains("is there already"));
    let mut names = std::fs::read_dir(place.0.path()).expect("the folder").map(|it| it.expect("a file").file_name());
    assert!(names.all(|name| !name.to_string_lossy().ends_with(".part")), "no draft is left behind");
}

/// What was mended on the way in stays as it is, however often the panel moves.
async fn odd_rows_come_and_go_once(panel: OpenOptions) {
    let place = Box::new();
    let old = old_panel(&place, &[SCHEMA, ROWS, ODD_ROWS]).await;
    import(&place, &old, &panel, &[]).well();
    let once = export(&place, &panel, "once.sqlite3");
    let twice = place.0.path().join("twice.sqlite3");
    let (from, to) = (&once, &twice);
    let engine = sarban::store::Engine::Sqlite;
    // Its own runtime needs its own thread.
    std::thread::scope(|scope| {
        let moved = scope.spawn(|| {
            with_database(engine, Content::Empty, async |second| {
                let place = Box::new();
                import(&place, from, &second.options, &[]).well();
                let made = export(&place, &second.options, "made.sqlite3");
                std::fs::copy(made, to).expect("kept");
            });
        });
        moved.join().expect("the second move");
    });
    // One inbound has a protocol that the old panel does not know; it was left out the first time.
    assert_same(&once, &twice, &[]).await;
}

/// The recordings are not part of this repository; the variable says where they are.
#[allow(clippy::disallowed_methods, reason = "a test's own switch")]
async fn the_recorded_panel_comes_back(panel: OpenOptions) {
    let Some(recordings) = std::env::var_os("SARBAN_CONTRACT_DIR") else {
        println!("skipped: SARBAN_CONTRACT_DIR is not set");
        return;
    };
    let place = Box::new();
    let old = Path::new(&recordings).join("corpus/seeded.sqlite3");
    import(&place, &old, &panel, &[]).well();
    let back = export(&place, &panel, "back.sqlite3");
    assert_same(&old, &back, &["nodes", "backends", "hosts", "node_usages", "node_user_usages"]).await;

    // The old panel's programs find every table as they know it, and in it values of the kinds that they wrote.
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

const COLUMNS: &str =
    "SELECT json_group_array(json_array(name, type, \"notnull\", pk > 0) ORDER BY name) FROM pragma_table_info($1)";
const INDICES: &str = "SELECT json_group_array(text ORDER BY text) FROM (
    SELECT CASE WHEN i.name LIKE 'sqlite_%' THEN '' ELSE i.name END || ' ' || i.\"unique\" || i.origin || i.partial || ' '
        || group_concat(c.name) AS text
    FROM pragma_index_list($1) AS i JOIN pragma_index_info(i.name) AS c GROUP BY i.name)";
const REFERENCES: &str = "SELECT json_group_array(text ORDER BY text) FROM (
    SELECT \"table\" || ' ' || \"from\" || ' ' || \"to\" || ' ' || on_delete AS text FROM pragma_foreign_key_list($1))";

/// Each column with each kind of value that it has.
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
fn only_a_new_sqlite_file_can_be_written() {
    let place = Box::new();
    let to = |url: &str| place.run(&["export", "--to", url], &[]);
    assert!(to("postgresql://h/d").failed(2).contains("sqlite:///"));
    assert!(to("file.sqlite3").failed(2).contains("sqlite:///"));
    assert!(to("sqlite:///nowhere/file.sqlite3").failed(1).contains("old panel"));
    assert!(to("sqlite:///file.sqlite3").failed(1).contains("start the panel once"), "nothing was ever signed");
    assert!(!place.0.path().join("file.sqlite3").exists());
}
