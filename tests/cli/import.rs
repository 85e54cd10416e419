//! `sarban import` from databases of Marzneshin that the tests create, on both engines.

use std::path::{Path, PathBuf};

use sarban::config::database_url::DatabaseUrl;
use sarban::domain::admin::Admin;
use sarban::domain::ids::{HostId, ServiceId, UserId};
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
use super::{Output, WorkDir};
use crate::support::database::{execute, number, on_both_engines};

pub const SCHEMA: &str = include_str!("old_panel/schema.sql");
pub const ROWS: &str = include_str!("old_panel/rows.sql");
pub const ODD_ROWS: &str = include_str!("old_panel/odd_rows.sql");

/// Creates a database of Marzneshin in the folder, and returns its path.
pub async fn old_panel(dir: &WorkDir, texts: &[&str]) -> PathBuf {
    let path = dir.0.path().join("old.sqlite3");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut connection = options.connect().await.expect("a database");
    for text in texts {
        raw_sql(AssertSqlSafe((*text).to_owned())).execute(&mut connection).await.expect("rows of the old panel");
    }
    connection.close().await.expect("closed");
    path
}

/// Imports a SQLite file.
pub fn import(dir: &WorkDir, from: &Path, into: &OpenOptions, more: &[&str]) -> Output {
    import_url(dir, &format!("sqlite:///{}", from.display()), into, more)
}

fn import_url(dir: &WorkDir, from: &str, into: &OpenOptions, more: &[&str]) -> Output {
    dir.run(&[&["import", "--from", from], more].concat(), &[("DATABASE_URL", url(into).as_str())])
}

/// The address of a test's database.
pub fn url(of: &OpenOptions) -> String {
    match &of.url {
        DatabaseUrl::Sqlite { path } => format!("sqlite:///{}", path.display()),
        DatabaseUrl::Postgres { url } => url.expose().to_owned(),
    }
}

fn report(output: Output) -> Value {
    let mut report: Value = serde_json::from_str(&output.expect_success()).expect("JSON");
    // The time is another one each time.
    report.as_object_mut().expect("an object").remove("at");
    report
}

/// The keys of the rows of an issue, which is found by its table and a part of its reason.
#[track_caller]
fn found(report: &Value, kind: &str, table: &str, reason: &str) -> Vec<String> {
    let issues = report[kind].as_array().expect("issues");
    let matches = |it: &&Value| it["table"] == table && it["reason"].as_str().is_some_and(|it| it.contains(reason));
    let found = issues.iter().find(matches).unwrap_or_else(|| panic!("{table}, {reason}: {issues:#?}"));
    found["rows"].as_array().expect("rows").iter().map(|row| row.as_str().expect("a key").to_owned()).collect()
}

on_both_engines!(
    empty import_copies_every_table,
    empty invalid_rows_are_reported_and_the_rest_imported,
    empty database_that_is_not_empty_is_refused,
    empty recorded_panel_is_imported_without_issues,
    empty postgres_and_mariadb_give_the_same_import_as_sqlite,
);

async fn import_copies_every_table(into: OpenOptions) {
    let dir = WorkDir::new();
    let old = old_panel(&dir, &[SCHEMA, ROWS]).await;
    dir.run(&["migrate"], &[("DATABASE_URL", url(&into).as_str())]).expect_success();
    let indices = indices(&into).await;
    let dry = report(import(&dir, &old, &into, &["--dry-run", "--json"]));
    let shown = report(import(&dir, &old, &into, &["--json"]));
    assert_eq!(dry["tables"], shown["tables"], "a dry run shows the same counts");
    assert_eq!((&shown["left_out"], &shown["changed"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    let advice = shown["advice"][0].as_str().expect("old rules");
    assert!(advice.contains("known programs get something else") && advice.contains(": Mihomo, "), "{advice}");
    assert!(!advice.contains("Hiddify"), "it gets what it reads: {advice}");
    assert_eq!(dry["advice"], shown["advice"]);
    assert!(shown["checks"].as_array().expect("checks").iter().all(|check| check["ok"] == true), "{shown:#}");

    assert_is_all_here(&into).await;
    assert_eq!(indices, self::indices(&into).await, "the indexes that the import drops are created again");

    // The ids of new rows follow those of the imported ones.
    let password = ("SARBAN_ADMIN_PASSWORD", "p");
    dir.run(&["admin", "create", "-u", "new"], &[("DATABASE_URL", &url(&into)), password]).expect_success();
}

/// A hash over the definitions of all indexes.
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

/// Asserts that the new database has the content of `rows.sql`.
async fn assert_is_all_here(into: &OpenOptions) {
    let db = Db::open(into).await.expect("the new database");
    let root = admins::by_username(&db, "Root").await.expect("read").expect("Root");
    assert!(root.is_sudo && root.password_reset_at.is_none());
    assert_eq!(Some(root.created_at), Moment::parse("2024-02-03T04:05:06.000007"));
    let mina = admins::by_username(&db, "mina").await.expect("read").expect("mina");
    assert_eq!(mina.created_at, Moment::from_micros(0), "without a date, so that it is older than every token");
    // The rights of before: sudo, all services, may change users, may sign in; and no quota, which nobody had.
    let rights = |it: &Admin| (it.is_sudo, it.all_services_access, it.modify_users_access, it.enabled);
    assert_eq!((rights(&root), rights(&mina)), ((true, false, true, true), (false, true, false, true)));
    assert_eq!(mina.service_ids, [ServiceId(2)]);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM admin_quota").await, 0);
    let stored = admins::password(&db, "mina").await.expect("read").expect("mina");
    assert_eq!(stored.hash, "$2b$12$TIlIVuIhTZKAxIVUuVxEzuPbGxz3YMpxQZg8nAF1FLnvBqEAFVtEe");
    assert_eq!(secrets::jwt(&db, "").await.expect("read"), "c0ffee00".repeat(8));
    assert_eq!(
        tls_material::current(&db).await.expect("read").expect("TLS").key.lines().next(),
        Some("-----BEGIN PRIVATE KEY-----")
    );
    assert_eq!(settings::subscription(&db).await.expect("read").profile_title, "Fin");
    let entries = "SELECT COUNT(*) FROM audit_entry WHERE actor = 'command' AND action = 'database.import'";
    assert_eq!(number(&db, entries).await, 1);

    let dated = users::by_username(&db, "dated").await.expect("read").expect("dated");
    assert_eq!((dated.id, dated.key.as_str()), (UserId(10), "1f0c8a3b5d7e9f2a4c6e8b0d1f3a5c7e"));
    assert_eq!(dated.expiry, Expiry::FixedDate(Moment::parse("2031-01-01").expect("a date")));
    assert_eq!((dated.reset_strategy, dated.data_limit), (ResetStrategy::Month, Some(1000)));
    assert_eq!(
        (dated.used_traffic, dated.lifetime_used_traffic, dated.unused_expiry.duration),
        (700, 9000, Some(86400))
    );
    assert_eq!(dated.created_at.naive_iso(), "2024-05-01T12:00:00.250000");
    assert_eq!(dated.sub_last_user_agent.as_deref(), Some("v2rayNG/1.8.5"));
    assert_eq!(dated.owner.expect("an owner").subscription_url_prefix, "https://*.mina.example.org");
    let waits = users::by_username(&db, "waits").await.expect("read").expect("waits");
    assert!(matches!(waits.expiry, Expiry::StartOnFirstUse { duration: 2_592_000, deadline: Some(_) }));
    let removed = users::by_ids(&db, IdList::new([12])).await.expect("read");
    assert!(removed[0].removed && removed[0].username.is_none());
    let gold = services::by_id(&db, sarban::domain::ids::ServiceId(2), None).await.expect("read").expect("gold");
    assert_eq!((gold.first_users.len(), gold.inbound_ids.len()), (2, 1));
    let node = nodes::by_id(&db, sarban::domain::ids::NodeId(4)).await.expect("read").expect("fin");
    assert_eq!((node.address.as_str(), node.usage_coefficient, node.backends.len()), ("fin.example.org", 1.5, 1));
    let host = hosts::by_id(&db, HostId(14)).await.expect("read").expect("a host").host;
    assert_eq!(host.chain_ids, [HostId(15)]);
    assert_eq!(host.spec.noise.expect("noise").len(), 1);
    let counted = "SELECT CAST(SUM(counted) AS BIGINT) FROM node_usage_hours WHERE node_id = 4";
    assert_eq!(number(&db, counted).await, 698, "the counted traffic of the users of the node");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM nodes").await, 1, "the local node of a new panel is removed");
    db.close().await;
}

async fn postgres_and_mariadb_give_the_same_import_as_sqlite(into: OpenOptions) {
    let dir = WorkDir::new();
    let expected = report(import(&dir, &old_panel(&dir, &[SCHEMA, ROWS]).await, &into, &["--json", "--dry-run"]));

    let name = format!("old_panel_{}", Uuid::new_v4().simple());
    let server = crate::support::postgres_url();
    let mut postgres = PgConnection::connect(&server).await.expect("PostgreSQL");
    let run = |text: String| raw_sql(AssertSqlSafe(text));
    run(format!("CREATE DATABASE {name}")).execute(&mut postgres).await.expect("a database");
    let address = format!("{}/{name}", server.rsplit_once('/').expect("a server").0);
    let mut old = PgConnection::connect(&address).await.expect("the old database");
    run([SCHEMA, ROWS].concat()).execute(&mut old).await.expect("rows of the old panel");
    old.close().await.expect("closed");
    let shown = report(import_url(&dir, &address, &into, &["--json", "--dry-run"]));
    run(format!("DROP DATABASE {name} WITH (FORCE)")).execute(&mut postgres).await.expect("gone");
    assert_eq!(shown, expected, "from PostgreSQL");

    let mariadb = MariaDb::start(dir.0.path()).await;
    let mut old = mariadb.connect("").await;
    // MariaDB has another type for times, and reads double quotes as text without ANSI_QUOTES.
    let text = format!("SET sql_mode = 'ANSI_QUOTES'; CREATE DATABASE old_panel; USE old_panel; {SCHEMA} {ROWS}");
    run(text.replace("TIMESTAMP", "DATETIME(6)")).execute(&mut old).await.expect("rows of the old panel");
    old.close().await.expect("closed");
    let dry = report(import_url(&dir, &mariadb.url("old_panel"), &into, &["--json", "--dry-run"]));
    assert_eq!(dry, expected, "from MariaDB");
    let shown = report(import_url(&dir, &mariadb.url("old_panel"), &into, &["--json"]));
    assert!(shown["checks"].as_array().expect("checks").iter().all(|check| check["ok"] == true), "{shown:#}");
    assert_is_all_here(&into).await;
}

async fn invalid_rows_are_reported_and_the_rest_imported(into: OpenOptions) {
    let dir = WorkDir::new();
    let old = old_panel(&dir, &[SCHEMA, ROWS, ODD_ROWS]).await;
    let shown = report(import(&dir, &old, &into, &["--json"]));
    assert!(shown["checks"].as_array().expect("checks").iter().all(|check| check["ok"] == true), "{shown:#}");
    let left_out = |table, reason| found(&shown, "left_out", table, reason);
    let changed = |table, reason| found(&shown, "changed", table, reason);
    assert_eq!(left_out("admins", "no username"), ["20"]);
    assert_eq!(left_out("admins_services", "service_id refers to a row that doesn't exist"), ["9/77"]);
    assert_eq!(left_out("users_services", "user_id refers to a row that doesn't exist"), ["777/2"]);
    assert_eq!(left_out("backends", "node not found"), ["82", "83"]);
    assert_eq!(left_out("backends", "already has a backend with this name"), ["81"]);
    assert_eq!(left_out("inbounds", "node not found"), ["60"]);
    assert_eq!(left_out("hosts", "inbound not found"), ["90"]);
    assert_eq!(left_out("host_chains", "refers to a row that doesn't exist"), ["91/0", "91/2"]);
    assert_eq!(left_out("node_user_usages", "created_at is not a time"), ["34"]);
    assert_eq!(changed("users", "no key"), ["50"]);
    assert_eq!(changed("users", "owner not found"), ["50", "51"]);
    assert_eq!(changed("users", "no username"), ["51"]);
    assert_eq!(changed("users", "NUL"), ["52"]);
    assert_eq!(changed("users", "UTF-8"), ["53"]);
    assert_eq!(changed("hosts", "fingerprint"), ["91"]);
    assert_eq!(changed("nodes", "\"[2001:db8::1]\" is written \"2001:db8::1\""), ["32"]);
    assert_eq!(changed("nodes", "the same address and port as another node"), ["33"]);
    let means = |reason| found(&shown, "meaning", "nodes", reason);
    assert_eq!((means("without a scheme"), means("port 70000")), (vec!["34".to_owned()], vec!["34".to_owned()]));

    let db = Db::open(&into).await.expect("the new database");
    let hidden = "SELECT COUNT(*) FROM hosts WHERE id = 91 AND is_disabled = TRUE";
    assert_eq!(number(&db, hidden).await, 1, "Marzneshin hides a host without a flag");
    let all = users::by_ids(&db, IdList::new([50, 51, 52, 53, 54])).await.expect("read");
    let of = |id| all.iter().find(|user| user.id == UserId(id)).expect("a user");
    assert_eq!((of(50).key.len(), &of(50).owner, of(50).data_limit), (32, &None, None));
    assert!(of(51).removed && of(51).expiry == Expiry::Never && of(51).used_traffic == 0);
    assert_eq!(of(52).note.as_deref(), Some("ab"));
    assert_eq!((of(52).used_traffic, of(52).reset_strategy), (9_000_000_000_000_000_000, ResetStrategy::Year));
    assert_eq!(of(53).expiry, Expiry::Never);
    assert_eq!(of(54).username, None, "a removed user's name is free");
    let sum = |what: &'static str| number(&db, what);
    assert_eq!(
        sum("SELECT counted FROM user_usage_hours WHERE user_id = 10 AND node_id = 0").await,
        77,
        "traffic on deleted nodes"
    );
    assert_eq!(sum("SELECT MAX(counted) FROM user_usage_hours WHERE user_id = 10 AND node_id = 4").await, 600);
    assert_eq!(sum("SELECT downlink FROM node_usage_hours WHERE node_id = 0").await, 42);
    db.close().await;
}

async fn database_that_is_not_empty_is_refused(into: OpenOptions) {
    let dir = WorkDir::new();
    let old = old_panel(&dir, &[SCHEMA, ROWS]).await;
    import(&dir, &old, &into, &[]).expect_success();
    let error = import(&dir, &old, &into, &[]).expect_failure(1);
    for part in ["2 admins", "4 users", "1 node", "settings", "a certificate", "SQLALCHEMY_DATABASE_URL"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    // Empty as after the migrations, except for a node that was in use.
    let db = Db::open(&into).await.expect("the new database");
    execute(&db, "DELETE FROM users; DELETE FROM admins; DELETE FROM services; DELETE FROM nodes; DELETE FROM hosts")
        .await;
    execute(&db, "DELETE FROM settings; DELETE FROM jwt; DELETE FROM tls; DELETE FROM node_usage_hours").await;
    execute(&db, "DELETE FROM user_usage_hours; INSERT INTO nodes (name, address, port, connection_backend, created_at, message) VALUES ('local', '127.0.0.1', 53042, 'grpcio', 1, 'timeout')").await;
    db.close().await;
    let error = import(&dir, &old, &into, &[]).expect_failure(1);
    assert!(error.contains("it has 1 node;"), "{error}");
}

/// Needs recordings of Marzneshin, which are not part of this repository, in the folder `SARBAN_CONTRACT_DIR`.
#[expect(clippy::disallowed_methods, reason = "only this test reads the variable")]
async fn recorded_panel_is_imported_without_issues(into: OpenOptions) {
    let Some(recordings) = std::env::var_os("SARBAN_CONTRACT_DIR") else {
        println!("skipped: SARBAN_CONTRACT_DIR is not set");
        return;
    };
    let old = Path::new(&recordings).join("corpus/seeded.sqlite3");
    let shown = report(import(&WorkDir::new(), &old, &into, &["--json"]));
    assert_eq!((&shown["left_out"], &shown["changed"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    assert!(shown["checks"].as_array().expect("checks").iter().all(|check| check["ok"] == true), "{shown:#}");
}

#[tokio::test]
async fn wrong_source_is_a_one_line_error() {
    let dir = WorkDir::new();
    let import = |from: &str| dir.run(&["import", "--from", from], &[]);
    assert!(import("db.sqlite3").expect_failure(2).contains("sqlite:///"));
    assert!(import("sqlite:///db.sqlite3").expect_failure(2).contains("of this panel"));
    let secret = import("mysql://root:hunter2@127.0.0.1/panel").expect_failure(2);
    assert!(secret.contains("SARBAN_IMPORT_FROM") && !secret.contains("hunter2"), "{secret}");
    assert!(dir.run(&["import"], &[]).expect_failure(2).contains("--from"));
    let unreachable = [("SARBAN_IMPORT_FROM", "mysql://root:hunter2@127.0.0.1:1/panel")];
    let error = dir.run(&["import"], &unreachable).expect_failure(1);
    assert!(error.contains("could not read") && !error.contains("hunter2"), "{error}");
    assert!(import("sqlite:///nowhere.sqlite3").expect_failure(1).contains("--from"));
    dir.file("text", "This is not a database, and it is longer than the header of a SQLite file.");
    assert!(import("sqlite:///text").expect_failure(1).contains("--from"));
    let old = old_panel(&dir, &["CREATE TABLE users (id INTEGER)"]).await;
    assert!(import("sqlite:///old.sqlite3").expect_failure(2).contains("Marzneshin"));
    std::fs::remove_file(old).expect("gone");
    old_panel(&dir, &[SCHEMA, "UPDATE alembic_version SET version_num = '0123456789ab'"]).await;
    let error = import("sqlite:///old.sqlite3").expect_failure(2);
    assert!(error.contains("0123456789ab") && error.contains("57eba0a293f2"), "{error}");
}

#[tokio::test]
async fn report_without_json_has_tables() {
    let dir = WorkDir::new();
    old_panel(&dir, &[SCHEMA, ROWS, ODD_ROWS]).await;
    let dry = dir.run(&["import", "--from", "sqlite:///old.sqlite3", "--dry-run"], &[]).expect_success();
    for part in
        ["TO COPY", "node_user_usages", "left out: 1 row of hosts: inbound not found\n  90\n", "nothing was written"]
    {
        assert!(dry.contains(part), "{part}: {dry}");
    }
    assert!(!dir.0.path().join("db.sqlite3").exists(), "a dry run creates no file");
    let done = dir.run(&["import", "--from", "sqlite:///old.sqlite3"], &[]).expect_success();
    for part in ["COPIED", "equal links in the sample", "✓", "start the panel"] {
        assert!(done.contains(part), "{part}: {done}");
    }
    assert!(!done.contains('✗'), "{done}");
}
