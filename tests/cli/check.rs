//! `sarban check` on a running panel.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{Output, WorkDir};

/// A panel that is killed when this is dropped.
struct Panel {
    child: Child,
    url: String,
}

impl Drop for Panel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(dir: &WorkDir, settings: &[(&str, &str)]) -> Panel {
    let port = crate::support::ports::free_port().to_string();
    let address = [("UVICORN_HOST", "127.0.0.1"), ("UVICORN_PORT", port.as_str())];
    let child = Command::new(env!("CARGO_BIN_EXE_sarban"))
        .arg("serve")
        .env_clear()
        .envs(address)
        .envs(settings.iter().copied())
        .current_dir(dir.0.path())
        .stdout(Stdio::null())
        .stderr(File::create(dir.0.path().join("log")).expect("a log"))
        .spawn()
        .unwrap();
    let panel = Panel { child, url: format!("http://127.0.0.1:{port}") };
    let limit = Instant::now() + Duration::from_secs(30);
    while dir.run(&["healthcheck"], &address).code != Some(0) {
        assert!(Instant::now() < limit, "the panel did not start within 30 s");
        std::thread::sleep(Duration::from_millis(50));
    }
    panel
}

fn check(dir: &WorkDir, url: &str, more: &[&str]) -> Output {
    let arguments = [&["check", "--url", url, "-u", "root"], more].concat();
    dir.run(&arguments, &[("SARBAN_ADMIN_PASSWORD", "rootpass")])
}

fn steps(output: &Output) -> Vec<(String, bool, String)> {
    let steps: Vec<Value> = serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let text = |step: &Value, field: &str| step[field].as_str().expect("a text").to_owned();
    steps
        .iter()
        .map(|step| (text(step, "name"), step["passed"].as_bool().expect("a boolean"), text(step, "measured")))
        .collect()
}

#[test]
fn working_panel_passes_all_steps() {
    let dir = WorkDir::new();
    dir.run(&["admin", "create", "-u", "root", "--sudo"], &[("SARBAN_ADMIN_PASSWORD", "rootpass")]).expect_success();
    let tasks = [("TASKS_RECORD_USER_USAGES_INTERVAL", "1"), ("TASKS_REVIEW_USERS_INTERVAL", "1")];
    let panel = start(&dir, &tasks);
    let output = check(&dir, &panel.url, &["--json", "--watch", "10", "--load", "1", "--p95", "60000"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let steps = steps(&output);
    let names: Vec<&str> = steps.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["starts", "endpoints", "cluster", "tasks", "speed", "memory", "files"]);
    assert!(steps[0].2.contains("scheduler leader"), "{steps:?}");
    assert!(steps[4].2.contains("by 32 clients"), "{steps:?}");
}

#[test]
fn values_out_of_bounds_fail_their_steps() {
    let dir = WorkDir::new();
    dir.run(&["admin", "create", "-u", "root", "--sudo"], &[("SARBAN_ADMIN_PASSWORD", "rootpass")]).expect_success();
    // `check` does not have this token, and no task is due within its time.
    let panel = start(&dir, &[("METRICS_TOKEN", "other")]);
    let output = check(&dir, &panel.url, &["--json", "--watch", "1", "--p95", "0"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    let passed: Vec<bool> = steps(&output).iter().map(|(_, passed, _)| *passed).collect();
    assert_eq!(passed, [true, true, true, false, false, false, true], "{output:?}");
    assert!(output.stderr.contains("3 of 7 steps"), "{output:?}");
}

#[test]
fn files_open_to_others_are_closed_at_the_start_or_named() {
    let dir = WorkDir::new();
    let mode = |name: &str, mode| {
        fs::set_permissions(dir.0.path().join(name), Permissions::from_mode(mode)).expect("the mode is set");
    };
    let create = ["admin", "create", "-u", "root", "--sudo"];
    dir.run(&create, &[("SARBAN_ADMIN_PASSWORD", "rootpass")]).expect_success();
    dir.file(".env", "METRICS_TOKEN=secret");
    mode("", 0o711);
    mode("db.sqlite3", 0o644);
    mode(".env", 0o644);
    let panel = start(&dir, &[]);
    for name in ["db.sqlite3", "db.sqlite3-wal", "db.sqlite3-shm"] {
        let found = fs::metadata(dir.0.path().join(name)).expect("it exists").permissions().mode() & 0o777;
        assert_eq!(found, 0o600, "{name}");
    }
    let output = check(&dir, &panel.url, &["--json", "--watch", "1", "--p95", "60000"]);
    let (name, passed, found) = steps(&output).pop().expect("a step");
    assert_eq!((name.as_str(), passed), ("files", false), "{output:?}");
    assert!(found.contains("/.env has secrets and is open to other users (mode 0644): run chmod 600 '"), "{found}");
    assert_eq!(found.matches("mode ").count(), 1, "{found}");
    let log = fs::read_to_string(dir.0.path().join("log")).expect("a log");
    assert_eq!(log.lines().filter(|line| line.contains("WARN") && line.contains("chmod 600")).count(), 1, "{log}");
}

#[test]
fn unreachable_panel_and_wrong_url_are_errors() {
    let dir = WorkDir::new();
    let output = check(&dir, "http://127.0.0.1:1", &[]);
    assert_eq!(output.code, Some(1));
    assert!(output.stdout.starts_with("✗ starts"), "{output:?}");
    assert_eq!(check(&dir, "127.0.0.1:1", &[]).code, Some(2));
}
