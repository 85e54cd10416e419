//! A restore whose commit was not confirmed keeps the replies that belong to what may be in the database.

use std::fs;

use sarban::backup::CreateOptions;
use sarban::nodes::spool::FOLDER;
use sarban::store::Engine;
use sarban::store::migrate::migrate;
use tempfile::tempdir;

use super::filled::fill;
use super::{back_up, restore_bytes, sqlite_in};
use crate::support::database::{Content, TestDatabase, execute, with_database};

/// Fails the commit with this error.
fn breaks_commit(state: &str) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION break_commit() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN RAISE EXCEPTION ''gone'' USING ERRCODE = ''{state}''; END';
         DROP TRIGGER IF EXISTS break_commit ON admins;
         CREATE CONSTRAINT TRIGGER break_commit AFTER INSERT ON admins DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION break_commit()"
    )
}

#[test]
fn replies_stay_when_the_commit_is_not_confirmed() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { db, .. }| {
        let (from, into) = (tempdir().expect("a folder"), tempdir().expect("a folder"));
        let source = sqlite_in(from.path()).await;
        migrate(&source).await.expect("a schema");
        fill(&source).await;
        fs::create_dir(from.path().join(FOLDER)).expect("a folder");
        fs::write(from.path().join(FOLDER).join("reply.log"), [5; 3_000]).expect("a spool file");
        let options = CreateOptions { data_dir: Some(from.path().to_owned()), ..CreateOptions::default() };
        let (_, bytes) = back_up(&source, options).await;
        source.close().await;

        // Data that is refused was not committed; a connection that breaks says nothing.
        for (state, files, expected) in
            [("23514", 0, "could not commit what was restored"), ("08006", 1, "see whether it has users now")]
        {
            execute(&db, &breaks_commit(state)).await;
            let error = restore_bytes(&db, into.path(), &bytes).await.expect_err("the commit fails").to_string();
            assert!(error.contains(expected), "{error}");
            let spool = fs::read_dir(into.path().join(FOLDER)).expect("the spool");
            assert_eq!(spool.count(), files, "{state}");
        }
    });
}
