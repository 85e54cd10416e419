//! `sarban import`: a panel moves in from a database that this test makes, on either engine.

use std::path::{Path, PathBuf};

use sarban::config::database_url::DatabaseUrl;
use sarban::domain::ids::{HostId, UserId};
use sarban::domain::moment::Moment;
use sarban::domain::user::{Expiry, ResetStrategy};
use sarban::store::access::{admins, secrets};
use sarban::store::hosts::services;
use sarban::store::nodes::tls_material;
use sarban::store::{Db, Engine, IdList, OpenOptions, hosts, nodes, settings, users};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, raw_sql};
use uuid::Uuid;

use super::mariadb::MariaDb;
use super::{Box, Ran};
use crate::support::database::{execute, number, on_both_engines};

pub const SCHEMA: &str = include_str!("old_panel/schema.sql");
pub const ROWS: &str = include_str!("old_panel/rows.sql");
pub const ODD_ROWS: &str = include_str!("old_panel/odd_rows.sql");

/// A database of the old panel in the folder of a test.
pub async fn old_panel(place: &Box, texts: &[&str]) -> PathBuf {
    let path = place.0.path().join("old.sqlite3");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut connection = options.connect().await.expect("a database");
    for text in texts {
        raw_sql(AssertSqlSafe((*text).to_owned())).execute(&mut connection).await.expect("rows of the old panel");
    }
    connection.close().await.expect("closed");
    path
}

/// Imports a file.
pub fn import(place: &Box, from: &Path, into: &OpenOptions, more: &[&str]) -> Ran {
    import_url(place, &format!("sqlite:///{}", from.display()), into, more)
}

fn import_url(place: &Box, from: &str, into: &OpenOptions, more: &[&str]) -> Ran {
    place.run(&[&["import", "--from", from], more].concat(), &[("DATABASE_URL", url(into).as_str())])
}

/// The address of a test's database.
pub fn url(of: &OpenOptions) -> String {
    match &of.url {
        DatabaseUrl::Sqlite { path } => format!("sqlite:///{}", path.display()),
        DatabaseUrl::Postgres { url } => url.expose().to_owned(),
    }
}

fn report(ran: Ran) -> Value {
    serde_json::from_str(&ran.well()).expect("JSON")
}

/// The rows of each finding, by its table and a part of its reason.
#[track_caller]
fn found(report: &Value, kind: &str, table: &str, reason: &str) -> Vec<String> {
    let findings = report[kind].as_array().expect("findings");
    let matches = |it: &&Value| it["table"] == table && it["reason"].as_str().is_some_and(|it| it.contains(reason));
    let found = findings.iter().find(matches).unwrap_or_else(|| panic!("{table}, {reason}: {findings:#?}"));
    found["rows"].as_array().expect("rows").iter().map(|row| row.as_str().expect("a key").to_owned()).collect()
}

on_both_engines!(
    empty a_panel_moves_in,
    empty odd_rows_are_named_and_stop_nothing,
    empty only_an_empty_database_takes_one,
    empty the_recorded_panel_moves_in,
    empty a_panel_moves_in_from_postgres_and_mariadb,
);

async fn a_panel_moves_in(into: OpenOptions) {
    let place = Box::new();
    let old = old_panel(&place, &[SCHEMA, ROWS]).await;
    place.run(&["migrate"], &[("DATABASE_URL", url(&into).as_str())]).well();
    let indices = indices(&into).await;
    let dry = report(import(&place, &old, &into, &["--dry-run", "--json"]));
    let shown = report(import(&place, &old, &into, &["--json"]));
    assert_eq!(dry["tables"], shown["tables"], "a dry run tells what happens");
    assert_eq!((&shown["left_out"], &shown["changed"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    assert!(shown["checks"].as_array().expect("checks").iter().all(|check| check["ok"] == true), "{shown:#}");

    assert_is_all_here(&into).await;
    assert_eq!(indices, self::indices(&into).await, "what was taken away for the loading is back");

    // New rows are numbered after the ones that came.
    let password = ("SARBAN_ADMIN_PASSWORD", "p");
    place.run(&["admin", "create", "-u", "new"], &[("DATABASE_URL", &url(&into)), password]).well();
}

/// A number that tells all indices with their definitions.
async fn indices(of: &OpenOptions) -> i64 {
    let db = Db::open(of).await.expect("the new database");
    let text = match db.engine() {
        Engine::Postgres => {
            "SELECT hashtextextended(string_agg(indexdef, ';' ORDER BY indexdef), 0) FROM pg_indexes
             WHERE schemaname = 'public'"
        }
        Engine::Sqlite => "SELECT SUM(length(name) + 1000 * length(sql)) FROM sqlite_master WHERE type = 'index'",
    };
    let number = number(&db, text).await;
    db.close().await;
    number
}

/// What `rows.sql` holds, in the new database.
async fn assert_is_all_here(into: &OpenOptions) {
    let db = Db::open(into).await.expect("the new database");
    let root = admins::by_username(&db, "Root").await.expect("read").expect("Root");
    assert!(root.is_sudo && root.password_reset_at.is_none());
    let hash = admins::password_hash(&db, "mina").await.expect("read");
    assert_eq!(hash.as_deref(), Some("$2b$12$TIlIVuIhTZKAxIVUuVxEzuPbGxz3YMpxQZg8nAF1FLnvBqEAFVtEe"));
    assert_eq!(secrets::jwt(&db, "").await.expect("read"), "c0ffee00".repeat(8));
    assert_eq!(tls_material::current(&db).await.expect("read").expect("TLS").key, "a key in PEM");
    assert_eq!(settings::subscription(&db).await.expect("read").profile_title, "Fin");

    let dated = users::by_username(&db, "dated").await.expect("read").expect("dated");
    assert_eq!((dated.id, dated.key.as_str()), (UserId(10), "1f0c8a3b5d7e9f2a4c6e8b0d1f3a5c7e"));
    assert_eq!(dated.expiry, Expiry::FixedDate(Moment::parse("2031-01-01").expect("a date")));
    assert_eq!((dated.reset_strategy, dated.data_limit), (ResetStrategy::Month, Some(1000)));
    assert_eq!((dated.used_traffic, dated.lifetime_used_traffic, dated.usage_duration), (700, 9000, Some(86400)));
    assert_eq!(dated.created_at.naive_iso(), "2024-05-01T12:00:00.250000");
    assert_eq!(dated.sub_last_user_agent.as_deref(), Some("v2rayNG/1.8.5"));
    assert_eq!(dated.owner.expect("an owner").subscription_url_prefix, "https://*.mina.example.org");
    let waits = users::by_username(&db, "waits").await.expect("read").expect("waits");
    assert!(matches!(waits.expiry, Expiry::StartOnFirstUse { duration: 2_592_000, deadline: Some(_) }));
    let removed = users::by_ids(&db, IdList::new([12])).await.expect("read");
    assert!(removed[0].removed && removed[0].username.is_none());
    let gold = services::by_id(&db, sarban::domain::ids::ServiceId(2)).await.expect("read").expect("gold");
    assert_eq!((gold.first_users.len(), gold.inbound_ids.len()), (2, 1));
    let node = nodes::by_id(&db, sarban::domain::ids::NodeId(4)).await.expect("read").expect("fin");
    assert_eq!((node.address.as_str(), node.usage_coefficient, node.backends.len()), ("fin.example.org", 1.5, 1));
    let host = hosts::by_id(&db, HostId(14)).await.expect("read").expect("a host").host;
    assert_eq!(host.chain_ids, [HostId(15)]);
    assert_eq!(host.spec.noise.expect("noise").len(), 1);
    let counted = "SELECT CAST(SUM(counted) AS BIGINT) FROM node_usage_hours WHERE node_id = 4";
    assert_eq!(number(&db, counted).await, 698, "what users were charged on the node");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM nodes").await, 1, "the local node of a new panel is gone");
    db.close().await;
}

/// Whatever the old panel ran on, what comes out of it is what comes out of SQLite.
async fn a_panel_moves_in_from_postgres_and_mariadb(into: OpenOptions) {
    let place = Box::new();
    let expected = report(import(&place, &old_panel(&place, &[SCHEMA, ROWS]).await, &into, &["--json", "--dry-run"]));

    let name = format!("old_panel_{}", Uuid::new_v4().simple());
    let server = crate::support::postgres_url();
    let mut postgres = PgConnection::connect(&server).await.expect("PostgreSQL");
    let run = |text: String| raw_sql(AssertSqlSafe(text));
    run(format!("CREATE DATABASE {name}")).execute(&mut postgres).await.expect("a database");
    let address = format!("{}/{name}", server.rsplit_once('/').expect("a server").0);
    let mut old = PgConnection::connect(&address).await.expect("the old database");
    run([SCHEMA, ROWS].concat()).execute(&mut old).await.expect("rows of the old panel");
    old.close().await.expect("closed");
    let shown = report(import_url(&place, &address, &into, &["--json", "--dry-run"]));
    run(format!("DROP DATABASE {name} WITH (FORCE)")).execute(&mut postgres).await.expect("gone");
    assert_eq!(shown, expected, "from PostgreSQL");

    let mariadb = MariaDb::start(place.0.path()).await;
    let mut old = mariadb.connect("").await;
    // Its times are another type, and double quotes are for texts unless told otherwise.
    let text = format!("SET sql_mode = 'ANSI_QUOTES'; CREATE DATABASE old_panel; USE old_panel; {SCHEMA} {ROWS}");
    run(text.replace("TIMESTAMP", "DATETIME(6)")).execute(&mut old).await.expect("rows of the old panel");
    old.close().await.expect("closed");
    let dry = report(import_url(&place, &mariadb.url("old_panel"), &into, &["--json", "--dry-run"]));
    assert_eq!(dry, expected, "from MariaDB");
    let shown = report(import_url(&place, &mariadb.url("old_panel"), &into, &["--json"]));
    assert!(shown["checks"].as_array().expect("checks").iter().all(|check| check["ok"] == true), "{shown:#}");
    assert_is_all_here(&into).await;
}

async fn odd_rows_are_named_and_stop_nothing(into: OpenOptions) {
    let place = Box::new();
    let old = old_panel(&place, &[SCHEMA, ROWS, ODD_ROWS]).await;
    let shown = report(import(&place, &old, &into, &["--json"]));
    assert!(shown["checks"].as_array().expect("checks").iter().all(|check| check["ok"] == true), "{shown:#}");
    let left_out = |table, reason| found(&shown, "left_out", table, reason);
    let changed = |table, reason| found(&shown, "changed", table, reason);
    assert_eq!(left_out("admins", "without a name"), ["20"]);
    assert_eq!(left_out("admins_services", "service_id names nothing"), ["9/77"]);
    assert_eq!(left_out("users_services", "user_id names nothing"), ["777/2"]);
    assert_eq!(left_out("backends", "its node is gone"), ["82", "83"]);
    assert_eq!(left_out("backends", "another engine of that name"), ["81"]);
    assert_eq!(left_out("inbounds", "its node is gone"), ["60"]);
    assert_eq!(left_out("hosts", "its inbound is gone"), ["90"]);
    assert_eq!(left_out("host_chains", "names nothing"), ["91/0", "91/2"]);
    assert_eq!(left_out("node_user_usages", "hour can't be read"), ["34"]);
    assert_eq!(changed("users", "there was no key"), ["50"]);
    assert_eq!(changed("users", "owner is not there"), ["50", "51"]);
    assert_eq!(changed("users", "there was no name"), ["51"]);
    assert_eq!(changed("users", "NUL"), ["52"]);
    assert_eq!(changed("users", "UTF-8"), ["53"]);
    assert_eq!(changed("hosts", "fingerprint"), ["91"]);

    let db = Db::open(&into).await.expect("the new database");
    let all = users::by_ids(&db, IdList::new([50, 51, 52, 53, 54])).await.expect("read");
    let of = |id| all.iter().find(|user| user.id == UserId(id)).expect("a user");
    assert_eq!((of(50).key.len(), &of(50).owner, of(50).data_limit), (32, &None, None));
    assert!(of(51).removed && of(51).expiry == Expiry::Never && of(51).used_traffic == 0);
    assert_eq!(of(52).note.as_deref(), Some("ab"));
    assert_eq!((of(52).used_traffic, of(52).reset_strategy), (9_000_000_000_000_000_000, ResetStrategy::Year));
    assert_eq!(of(53).expiry, Expiry::Never);
    assert_eq!(of(54).username, None, "a removed user's name is free");
    let sum = |what: &'static str| number(&db, what);
    assert_eq!(sum("SELECT counted FROM user_usage_hours WHERE user_id = 10 AND node_id = 0").await, 77, "gone nodes");
    assert_eq!(sum("SELECT MAX(counted) FROM user_usage_hours WHERE user_id = 10 AND node_id = 4").await, 600);
    assert_eq!(sum("SELECT downlink FROM node_usage_hours WHERE node_id = 0").await, 42);
    db.close().await;
}

async fn only_an_empty_database_takes_one(into: OpenOptions) {
    let place = Box::new();
    let old = old_panel(&place, &[SCHEMA, ROWS]).await;
    import(&place, &old, &into, &[]).well();
    let error = import(&place, &old, &into, &[]).failed(1);
    for there in ["2 admins", "4 users", "1 node", "settings", "a certificate", "SQLALCHEMY_DATABASE_URL"] {
        assert!(error.contains(there), "{there}: {error}");
    }
    // As the migrations leave it, but for a node that somebody has used.
    let db = Db::open(&into).await.expect("the new database");
    execute(&db, "DELETE FROM users; DELETE FROM admins; DELETE FROM services; DELETE FROM nodes; DELETE FROM hosts")
        .await;
    execute(&db, "DELETE FROM settings; DELETE FROM jwt; DELETE FROM tls; DELETE FROM node_usage_hours").await;
    execute(&db, "DELETE FROM user_usage_hours; INSERT INTO nodes (name, address, port, connection_backend, created_at, message) VALUES ('local', '127.0.0.1', 53042, 'grpcio', 1, 'timeout')").await;
    db.close().await;
    let error = import(&place, &old, &into, &[]).failed(1);
    assert!(error.contains("it has 1 node;"), "{error}");
}

/// The recordings are not part of this repository; the variable says where they are.
#[allow(clippy::disallowed_methods, reason = "a test's own switch")]
async fn the_recorded_panel_moves_in(into: OpenOptions) {
    let Some(recordings) = std::env::var_os("SARBAN_CONTRACT_DIR") else {
        println!("skipped: SARBAN_CONTRACT_DIR is not set");
        return;
    };
    let old = Path::new(&recordings).join("corpus/seeded.sqlite3");
    let shown = report(import(&Box::new(), &old, &into, &["--json"]));
    assert_eq!((&shown["left_out"], &shown["changed"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    assert!(shown["checks"].as_array().expect("checks").iter().all(|check| check["ok"] == true), "{shown:#}");
}

#[tokio::test]
async fn what_is_no_old_panel_is_one_line() {
    let place = Box::new();
    let import = |from: &str| place.run(&["import", "--from", from], &[]);
    assert!(import("db.sqlite3").failed(2).contains("sqlite:///"));
    assert!(import("sqlite:///db.sqlite3").failed(2).contains("of this panel"));
    let secret = import("mysql://root:hunter2@127.0.0.1/panel").failed(2);
    assert!(secret.contains("SARBAN_IMPORT_FROM") && !secret.contains("hunter2"), "{secret}");
    assert!(place.run(&["import"], &[]).failed(2).contains("--from"));
    let nobody = [("SARBAN_IMPORT_FROM", "mysql://root:hunter2@127.0.0.1:1/panel")];
    let unreachable = place.run(&["import"], &nobody).failed(1);
    assert!(unreachable.contains("can't be read") && !unreachable.contains("hunter2"), "{unreachable}");
    assert!(import("sqlite:///nowhere.sqlite3").failed(1).contains("--from"));
    place.file("text", "This is no database, however long the text may be that it holds.");
    assert!(import("sqlite:///text").failed(1).contains("--from"));
    let old = old_panel(&place, &["CREATE TABLE users (id INTEGER)"]).await;
    assert!(import("sqlite:///old.sqlite3").failed(2).contains("no database of Marzneshin"));
    std::fs::remove_file(old).expect("gone");
    old_panel(&place, &[SCHEMA, "UPDATE alembic_version SET version_num = '0123456789ab'"]).await;
    let error = import("sqlite:///old.sqlite3").failed(2);
    assert!(error.contains("0123456789ab") && error.contains("57eba0a293f2"), "{error}");
}

#[tokio::test]
async fn people_get_tables() {
    let place = Box::new();
    old_panel(&place, &[SCHEMA, ROWS, ODD_ROWS]).await;
    let dry = place.run(&["import", "--from", "sqlite:///old.sqlite3", "--dry-run"], &[]).well();
    for part in
        ["TO COPY", "node_user_usages", "left out: 1 row of hosts: its inbound is gone\n  90\n", "nothing was written"]
    {
        assert!(dry.contains(part), "{part}: {dry}");
    }
    assert!(!place.0.path().join("db.sqlite3").exists(), "a dry run makes nothing");
    let done = place.run(&["import", "--from", "sqlite:///old.sqlite3"], &[]).well();
    for part in ["COPIED", "links of that sample, unchanged", "✓", "start the panel"] {
        assert!(done.contains(part), "{part}: {done}");
    }
    assert!(!done.contains('✗'), "{done}");
}
