//! Every table and every type of the schema is known to back-ups.

use std::collections::BTreeSet;

use sarban::store::backup::{DATA, JSON_COLUMNS, LEFT_OUT, SECRETS, tables};
use sarban::store::{Db, Engine};

use crate::support::database::{on_both_engines, texts};

on_both_engines!(every_table_is_in_back_ups_or_left_out_for_a_reason, json_columns_are_known);

async fn every_table_is_in_back_ups_or_left_out_for_a_reason(db: Db) {
    let found = match db.engine() {
        Engine::Postgres => {
            texts(&db, "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = 'public'").await
        }
        Engine::Sqlite => {
            let all = texts(&db, "SELECT name FROM sqlite_master WHERE type = 'table'").await;
            // Tables of SQLite itself, and those that the index of names consists of.
            all.into_iter().filter(|it| !it.starts_with("sqlite_") && !it.starts_with("users_fts_")).collect()
        }
    };
    let listed: BTreeSet<&str> = [DATA, SECRETS].concat().into_iter().chain(LEFT_OUT.iter().map(|it| it.0)).collect();
    let unlisted: Vec<&String> = found.iter().filter(|it| !listed.contains(it.as_str())).collect();
    assert_eq!(
        unlisted,
        Vec::<&String>::new(),
        "add them to DATA in src/store/backup/catalog.rs, behind those they refer to"
    );
    let mut tx = db.begin().await.expect("a transaction");
    let (tables, unsupported) = tables(&mut tx, &[DATA, SECRETS].concat()).await.expect("the columns");
    tx.rollback().await.expect("read");
    assert_eq!(unsupported, Vec::<String>::new(), "columns of types that a back-up can't represent");
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, [DATA, SECRETS].concat(), "tables that do not exist");
}

async fn json_columns_are_known(db: Db) {
    if db.engine() == Engine::Sqlite {
        // Its columns with JSON are texts.
        return;
    }
    let found = texts(
        &db,
        "SELECT CONCAT(table_name, '.', column_name) FROM information_schema.columns
         WHERE table_schema = 'public' AND data_type IN ('json', 'jsonb')",
    );
    let found: BTreeSet<String> = found.await.into_iter().collect();
    let listed: BTreeSet<String> = JSON_COLUMNS.iter().map(|(table, name)| format!("{table}.{name}")).collect();
    assert_eq!(found, listed);
}
