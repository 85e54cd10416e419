//! `sarban backup` and `sarban restore` as a person uses them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sarban::store::{Db, OpenOptions};
use serde_json::Value;

use super::WorkDir;
use super::import::url;
use crate::support::database::{number, on_both_engines};

on_both_engines!(empty panel_moves_to_another_database);

async fn panel_moves_to_another_database(into: OpenOptions) {
    let dir = WorkDir::new();
    let old = [("SQLALCHEMY_DATABASE_URL", "sqlite:///old.sqlite3")];
    let missing = dir.run(&["backup", "--to", "x.backup"], &old).expect_failure(2);
    assert!(missing.contains("there is no database at old.sqlite3"), "{missing}");
    let password = ("SARBAN_ADMIN_PASSWORD", "p");
    dir.run(&["admin", "create", "-u", "root", "--sudo"], &[old[0], password]).expect_success();
    let nowhere = dir.run(&["backup"], &old).expect_failure(2);
    assert!(nowhere.contains("give it with --to or in BACKUP_TO"), "{nowhere}");

    fs::create_dir(dir.0.path().join("backups")).expect("a folder");
    let made = dir.run(&["backup", "--json", "--with-secrets"], &[old[0], ("BACKUP_TO", "backups")]);
    let made: Value = serde_json::from_str(&made.expect_success()).expect("JSON");
    let file = made["file"].as_str().expect("a file");
    let mode = fs::metadata(dir.0.path().join(file)).expect("the file").permissions().mode();
    assert_eq!((mode & 0o777, &made["head"]["engine"]), (0o600, &Value::from("sqlite")));
    let again = dir.run(&["backup", "--to", file], &old).expect_failure(1);
    assert!(again.contains("exists already"), "{again}");

    let (url, before) = (url(&into), dir.run(&["admin", "list"], &old).expect_success());
    let new = [("SQLALCHEMY_DATABASE_URL", url.as_str())];
    let verified = dir.run(&["restore", "--from", file, "--verify"], &new).expect_success();
    assert!(verified.starts_with("verified ") && verified.contains("counts, sums and digests match"), "{verified}");
    let restored = dir.run(&["restore", "--from", "backups/"], &new).expect_success();
    assert!(restored.starts_with(&format!("restored {file}: made at ")), "{restored}");
    assert_eq!(dir.run(&["admin", "list"], &new).expect_success(), before);
    let db = Db::open(&into).await.expect("the restored database");
    let entered = "SELECT COUNT(*) FROM audit_entry WHERE actor = 'command' AND action = 'database.restore'
        AND id = (SELECT MAX(id) FROM audit_entry)";
    assert_eq!(number(&db, entered).await, 1);
    db.close().await;
    let twice = dir.run(&["restore", "--from", file], &new).expect_failure(1);
    assert!(twice.contains("is not empty: it has 1 admin"), "{twice}");
    let other = dir.file("other", "PGDMP: a dump of PostgreSQL");
    let other = dir.run(&["restore", "--from", other.to_str().expect("a path"), "--verify"], &new).expect_failure(2);
    assert!(other.contains("not a back-up of Sarban"), "{other}");
}
