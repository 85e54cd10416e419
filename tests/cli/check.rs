//! `sarban check` on a real panel: what it measures, and that it notifications what is wrong.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{Box, Ran};

/// A panel in this folder; dropped, it is killed.
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

fn start(home: &Box, settings: &[(&str, &str)]) -> Panel {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let address = [("UVICORN_HOST", "127.0.0.1"), ("UVICORN_PORT", port.as_str())];
    let child = Command::new(env!("CARGO_BIN_EXE_sarban"))
        .arg("serve")
        .env_clear()
        .envs(address)
        .envs(settings.iter().copied())
        .current_dir(home.0.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let panel = Panel { child, url: format!("http://127.0.0.1:{port}") };
    let limit = Instant::now() + Duration::from_secs(30);
    while home.run(&["healthcheck"], &address).code != Some(0) {
        assert!(Instant::now() < limit, "no panel within 30 s");
        std::thread::sleep(Duration::from_millis(50));
    }
    panel
}

fn check(home: &Box, url: &str, more: &[&str]) -> Ran {
    let arguments = [&["check", "--url", url, "-u", "root"], more].concat();
    home.run(&arguments, &[("SARBAN_ADMIN_PASSWORD", "rootpass")])
}

fn steps(ran: &Ran) -> Vec<(String, bool, String)> {
    let steps: Vec<Value> = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let text = |step: &Value, field: &str| step[field].as_str().expect("a text").to_owned();
    steps
        .iter()
        .map(|step| (text(step, "name"), step["passed"].as_bool().expect("a verdict"), text(step, "measured")))
        .collect()
}

#[test]
fn a_panel_that_works_passes_all_five_steps() {
    let home = Box::new();
    home.run(&["admin", "create", "-u", "root", "--sudo"], &[("SARBAN_ADMIN_PASSWORD", "rootpass")]).well();
    let tasks = [("TASKS_RECORD_USER_USAGES_INTERVAL", "1"), ("TASKS_REVIEW_USERS_INTERVAL", "1")];
    let panel = start(&home, &tasks);
    let ran = check(&home, &panel.url, &["--json", "--watch", "10", "--load", "1", "--p95", "60000"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let steps = steps(&ran);
    let names: Vec<&str> = steps.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["starts", "endpoints", "tasks", "speed", "memory"]);
    assert!(steps[0].2.contains("scheduler leader"), "{steps:?}");
    assert!(steps[3].2.contains("by 32 clients"), "{steps:?}");
}

#[test]
fn what_is_out_of_bounds_does_not_pass() {
    let home = Box::new();
    home.run(&["admin", "create", "-u", "root", "--sudo"], &[("SARBAN_ADMIN_PASSWORD", "rootpass")]).well();
    // Its metrics are for somebody else, and no task comes within the time.
    let panel = start(&home, &[("METRICS_TOKEN", "other")]);
    let ran = check(&home, &panel.url, &["--json", "--watch", "1", "--p95", "0"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let passed: Vec<bool> = steps(&ran).iter().map(|(_, passed, _)| *passed).collect();
    assert_eq!(passed, [true, true, false, false, false], "{ran:?}");
    assert!(ran.stderr.contains("3 steps of 5"), "{ran:?}");
}

#[test]
fn nobody_there_and_wrong_passwords_are_one_line() {
    let home = Box::new();
    let ran = check(&home, "http://127.0.0.1:1", &[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.starts_with("✗ starts"), "{ran:?}");
    assert_eq!(check(&home, "127.0.0.1:1", &[]).code, Some(2));
}
