//! A database with rows in every table, made from the tables' own columns, so that new tables and columns are in it, too.

use std::path::Path;

use sarban::store::backup::{Column, DATA, Kind, SECRETS, Table, tables};
use sarban::store::migrate::migrate;
use sarban::store::{Db, Engine};

use super::sqlite_in;
use crate::support::database::execute;

/// Values of columns that allow only some; all others follow from the column's kind. Every id is 1.
const VALUES: &[(&str, &str, &str)] = &[
    // An admin with a role is neither.
    ("admins", "enabled", "FALSE"),
    ("admins", "is_sudo", "FALSE"),
    ("users", "expire_strategy", "'fixed_date'"),
    ("user_traffic", "data_limit_reset_strategy", "'month'"),
    ("nodes", "connection_backend", "'grpcio'"),
    ("nodes", "status", "'healthy'"),
    ("usage_batch", "state", "'staged'"),
    ("outbox", "channel", "'webhook'"),
    ("outbox", "state", "'dead'"),
    ("task_run", "trigger", "'schedule'"),
    ("task_run", "state", "'done'"),
];

/// A SQLite database in a folder, with rows in every table.
pub async fn filled_in(folder: &Path) -> Db {
    let db = sqlite_in(folder).await;
    migrate(&db).await.expect("a schema");
    fill(&db).await;
    db
}

/// Fills every table.
pub async fn fill(db: &Db) {
    let mut tx = db.begin().await.expect("a transaction");
    let (found, unsupported) = tables(&mut tx, &[DATA, SECRETS].concat()).await.expect("the tables");
    tx.rollback().await.expect("read");
    assert_eq!((found.len(), unsupported), (DATA.len() + SECRETS.len(), Vec::new()));
    for table in found.iter().rev() {
        execute(db, &format!("DELETE FROM {}", table.name)).await;
    }
    for table in &found {
        // Triggers of the tables before it may have added rows.
        execute(db, &format!("DELETE FROM {}", table.name)).await;
        execute(db, &insert(table, db.engine())).await;
    }
    // Rows with NULLs, with a text in several scripts, and with ids that were not assigned in turn.
    // Of two owners: the traffic of one owner's users fits into 64 bits.
    let more = "INSERT INTO users (id, username, key, expire_strategy, created_at, owner_id)
                    VALUES (7, 'سرباز \"7\" \\N', 'key-7', 'never', 5, NULL), (9, NULL, 'key-9', 'never', -5, 1);
                INSERT INTO user_traffic (user_id, used_traffic, lifetime_used_traffic, created_at)
                    VALUES (7, 4611686018427387904, 4611686018427387904, 5), (9, 0, 4611686018427387905, 5)";
    execute(db, more).await;
    execute(db, set_last_id(db.engine())).await;
}

/// The users 10 to 41 were created and deleted.
const fn set_last_id(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "SELECT setval(pg_get_serial_sequence('users', 'id'), 41)",
        Engine::Sqlite => "UPDATE sqlite_sequence SET seq = 41 WHERE name = 'users'",
    }
}

fn insert(table: &Table, engine: Engine) -> String {
    let names: Vec<String> = table.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    let values: Vec<String> = table.columns.iter().map(|column| value(table, column, engine)).collect();
    // For ids that PostgreSQL otherwise assigns itself.
    let overriding = if engine == Engine::Postgres { "OVERRIDING SYSTEM VALUE" } else { "" };
    format!("INSERT INTO {} ({}) {overriding} VALUES ({})", table.name, names.join(", "), values.join(", "))
}

fn value(table: &Table, column: &Column, engine: Engine) -> String {
    let listed = VALUES.iter().find(|(of, name, _)| (*of, *name) == (table.name.as_str(), column.name.as_str()));
    if let Some((.., value)) = listed {
        return (*value).to_owned();
    }
    match (column.kind, engine) {
        (Kind::Integer, _) => "1".to_owned(),
        (Kind::Boolean, _) => "TRUE".to_owned(),
        (Kind::Float, _) => "1.25".to_owned(),
        (Kind::Text, _) => format!("'{}.{}'", table.name, column.name),
        (Kind::Json, _) => r#"'{"b": [1, 2.50, null], "a": {"d": "x", "c": true}}'"#.to_owned(),
        (Kind::Bytes, Engine::Sqlite) => "X'00112233445566778899aabbccddeeff'".to_owned(),
        (Kind::Bytes, Engine::Postgres) if column.name == "payload" => {
            r"'\x00112233445566778899aabbccddeeff'".to_owned()
        }
        (Kind::Bytes, Engine::Postgres) => "'00112233445566778899aabbccddeeff'".to_owned(),
    }
}
