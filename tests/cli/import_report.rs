//! The report of `sarban import`: what an operator keeps.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::WorkDir;
use super::import::{ODD_ROWS, ROWS, SCHEMA, old_panel};

/// A host with the default address of a reported inbound, and one with it in other fields; two users with a date that nothing
/// uses.
const HOSTS: &str =
    "INSERT INTO hosts (id, remark, address, security, alpn, fingerprint, weight, universal, inbound_id) VALUES
    (95, 'default', '{SERVER_IP}', 'inbound_default', 'none', 'none', 1, FALSE, 6),
    (96, 'at {SERVER_IPV6!s}', '{SERVER_IPX}', 'inbound_default', 'none', 'none', 1, FALSE, 6);
    UPDATE hosts SET path = '/{SERVER_IP:>20}' WHERE id = 96;
    UPDATE users SET expire_date = '2030-01-01 00:00:00.000000' WHERE id IN (11, 40)";

#[tokio::test]
async fn report_has_counts_sums_reasons_and_the_way_back_and_no_secret() {
    let dir = WorkDir::new();
    let old = old_panel(&dir, &[SCHEMA, ROWS, ODD_ROWS, HOSTS]).await;
    let import = ["import", "--from", "sqlite:///old.sqlite3", "--report", "report.json"];
    let shown = dir.run(&import, &[]).expect_success();
    let path = dir.0.path().join("report.json");
    assert_eq!(fs::metadata(&path).expect("a report").permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).expect("a report");
    for secret in ["1f0c8a3b5d7e9f2a4c6e8b0d1f3a5c7e", "c0ffee00", "BEGIN", "$2b$", "open sesame"] {
        assert!(!text.contains(secret) && !shown.contains(secret), "{secret}");
    }
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let of = |list: &str, key: &str, name: &str| {
        let all = report[list].as_array().expect("a list");
        all.iter().find(|it| it[key] == name).unwrap_or_else(|| panic!("{name}: {report:#}")).clone()
    };
    for (table, rows, left_out) in
        [("admins", 4, 1), ("users", 9, 0), ("services", 2, 0), ("nodes", 6, 0), ("hosts", 6, 1)]
    {
        let found = of("tables", "table", table);
        assert_eq!((&found["rows"], &found["left_out"]), (&rows.into(), &left_out.into()), "{table}");
        assert_eq!(found["copied"], rows - left_out, "{table}");
    }
    assert_eq!(of("sums", "what", "used traffic of users, bytes")["sum"], "9000000000000000758");
    let rows = |list: &str, reason: &str| {
        let all = report[list].as_array().expect("a list");
        let found = all.iter().find(|it| it["reason"].as_str().is_some_and(|it| it.starts_with(reason)));
        found.unwrap_or_else(|| panic!("{reason}: {report:#}"))["rows"].clone()
    };
    for (field, host) in [("address", "95"), ("remark", "96"), ("path", "96")] {
        assert_eq!(rows("meaning", &format!("{field} has {{SERVER_IP}} or")), serde_json::json!([host]));
    }
    for (strategy, user) in [("start_on_first_use", "11"), ("never", "40")] {
        let reason = format!("expire_date is there, and expire_strategy is {strategy}: cleared");
        assert_eq!(rows("changed", &reason), serde_json::json!([user]));
    }
    assert!(report["checks"].as_array().expect("checks").iter().all(|check| check["ok"] == true));
    let back = format!("sarban export --to sqlite:///{}", dir.0.path().join("back.sqlite3").display());
    assert_eq!(
        (&report["way_back"]["command"], &report["dry_run"]),
        (&Value::from(back.as_str()), &Value::from(false))
    );
    for part in [back.as_str(), "means something else now: 1 row of hosts", "used traffic of users", "start the panel"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }

    // The command does what it says.
    let words: Vec<&str> = back.split(' ').skip(1).collect();
    dir.run(&words, &[]).expect_success();
    assert!(dir.0.path().join("back.sqlite3").exists() && old.exists());
}

#[tokio::test]
async fn report_file_must_be_new_and_is_removed_if_nothing_is_reported() {
    let dir = WorkDir::new();
    old_panel(&dir, &[SCHEMA, ROWS]).await;
    let import =
        |from: &str, report: &str| dir.run(&["import", "--from", from, "--dry-run", "--json", "--report", report], &[]);
    let shown = import("sqlite:///old.sqlite3", "report.json").expect_success();
    assert_eq!(fs::read_to_string(dir.0.path().join("report.json")).expect("a report"), shown);
    assert!(import("sqlite:///old.sqlite3", "report.json").expect_failure(2).contains("report.json"));
    assert!(import("sqlite:///old.sqlite3", "missing/report.json").expect_failure(2).contains("--report"));
    assert!(import("sqlite:///nothing.sqlite3", "other.json").expect_failure(1).contains("--from"));
    assert!(!dir.0.path().join("other.json").exists());
}

#[tokio::test]
async fn dry_run_names_a_database_that_is_not_empty() {
    let dir = WorkDir::new();
    old_panel(&dir, &[SCHEMA, ROWS]).await;
    let import = |more: &[&str]| dir.run(&[&["import", "--from", "sqlite:///old.sqlite3"], more].concat(), &[]);
    import(&[]).expect_success();
    let dry = import(&["--dry-run"]);
    let refused = import(&[]).expect_failure(1);
    assert_eq!((dry.code, dry.stderr), (Some(2), refused));
}
