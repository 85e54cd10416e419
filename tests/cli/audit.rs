//! `sarban audit`: changes by commands are in the log, which is exported and verified.

use serde_json::Value;

use super::WorkDir;
use super::import::{ROWS, SCHEMA, old_panel};

#[tokio::test]
async fn commands_enter_the_log_and_it_is_exported_and_verified() {
    let dir = WorkDir::new();
    old_panel(&dir, &[SCHEMA, ROWS]).await;
    dir.run(&["import", "--from", "sqlite:///old.sqlite3"], &[]).expect_success();
    dir.run(&["user", "set-owner", "-u", "free", "--owner", "mina", "-y"], &[]).expect_success();
    let text = dir.run(&["audit", "export"], &[]).expect_success();
    let entries: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let entry = entries.last().expect("an entry");
    assert_eq!((&entry["action"], &entry["actor"]), (&"user.set_owner".into(), &"command".into()), "{entry}");
    assert_eq!((&entry["object_name"], &entry["after"]["owner_username"]), (&"free".into(), &"mina".into()), "{entry}");
    let after = format!("{}", entry["id"]);
    assert_eq!(dir.run(&["audit", "export", "--after", &after], &[]).expect_success(), "");

    let verified = dir.run(&["audit", "verify", "--json"], &[]).expect_success();
    let verified: Value = serde_json::from_str(&verified).expect("JSON");
    // No leader has run, so nothing is sealed yet.
    assert_eq!((&verified["intact"], &verified["unsealed"]), (&true.into(), &entries.len().into()), "{verified}");
    let missing = dir.run(&["audit", "verify", "--expect", &format!("1:{}", "0".repeat(64))], &[]);
    assert!(missing.stdout.contains("seal 1, of which a digest is expected, is not in the log"), "{missing:?}");
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.stderr.contains("the audit log is not as it was written: 1 fault"), "{missing:?}");
    let wrong = dir.run(&["audit", "verify", "--expect", "x"], &[]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(wrong.stderr.contains("must be NUMBER:DIGEST"), "{wrong:?}");
}
