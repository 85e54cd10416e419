//! `sarban user` and `sarban subscription`, on an imported panel.

use serde_json::Value;

use super::WorkDir;
use super::import::{ROWS, SCHEMA, old_panel};

const PREFIX: (&str, &str) = ("SUBSCRIPTION_URL_PREFIX", "https://sub.example.org/");

async fn panel() -> WorkDir {
    let dir = WorkDir::new();
    old_panel(&dir, &[SCHEMA, ROWS]).await;
    dir.run(&["import", "--from", "sqlite:///old.sqlite3"], &[]).expect_success();
    dir
}

fn names(dir: &WorkDir, arguments: &[&str]) -> Vec<String> {
    let text = dir.run(&[&["user", "list", "--json"], arguments].concat(), &[]).expect_success();
    let users: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    users.iter().map(|user| user["username"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn users_are_listed_and_their_owner_changed() {
    let dir = panel().await;
    assert_eq!(names(&dir, &[]), ["dated", "waits", "free"]);
    assert_eq!(names(&dir, &["-u", "AIT"]), ["waits"]);
    assert_eq!(names(&dir, &["--owner", "mina"]), ["dated"]);
    assert_eq!(names(&dir, &["--offset", "1", "--limit", "1"]), ["waits"]);
    let table = dir.run(&["user", "list", "--limit", "2"], &[]).expect_success();
    for part in ["OWNER", "mina", "700 B", "2031-01-01T00:00:00", "on hold", "2 of 3 users; see more with --offset 2"] {
        assert!(table.contains(part), "{part}: {table}");
    }

    let set_owner = |arguments: &[&str]| dir.run(&[&["user", "set-owner"], arguments].concat(), &[]);
    assert!(set_owner(&["-u", "free", "--owner", "mina"]).expect_failure(2).contains("-y"));
    set_owner(&["-u", "free", "--admin", "mina", "-y"]).expect_success();
    assert_eq!(names(&dir, &["--admin", "mina"]), ["dated", "free"]);
    assert!(set_owner(&["-u", "nobody", "--owner", "mina", "-y"]).expect_failure(1).contains("sarban user list"));
    assert!(set_owner(&["-u", "free", "--owner", "nobody", "-y"]).expect_failure(1).contains("sarban admin list"));
    let unknown = dir.run(&["user", "list", "--owner", "nobody"], &[]);
    assert!(unknown.expect_failure(1).contains("sarban admin list"));
}

#[tokio::test]
async fn many_users_are_counted_and_changed_at_once() {
    let dir = panel().await;
    let bulk = |arguments: &[&str]| dir.run(&[&["user", "bulk"], arguments].concat(), &[]);
    let done = |arguments: &[&str]| bulk(&[arguments, &["-y"]].concat()).expect_success();
    let limit = |name: &str| {
        let text = dir.run(&["user", "list", "--json", "-u", name], &[]).expect_success();
        serde_json::from_str::<Value>(&text).expect("JSON")[0]["data_limit"].clone()
    };
    assert_eq!(bulk(&["disable", "--all", "--dry-run"]).expect_success(), "3 users match; nothing was changed\n");
    let counted: Value =
        serde_json::from_str(&bulk(&["disable", "--owner", "mina", "--dry-run", "--json"]).expect_success())
            .expect("JSON");
    assert_eq!(counted, serde_json::json!({"matched": 1, "changed": 0, "dry_run": true}));
    assert_eq!(done(&["disable", "--on-hold"]), "1 user matched, 1 changed\n");
    assert_eq!(done(&["disable", "--all"]), "3 users matched, 2 changed\n");
    assert_eq!(
        bulk(&["enable", "--enabled=false", "--dry-run"]).expect_success(),
        "3 users match; nothing was changed\n"
    );
    assert_eq!(done(&["enable", "-u", "dated", "-u", "free"]), "2 users matched, 2 changed\n");
    assert_eq!(done(&["set-owner", "--to", "mina", "--enabled"]), "2 users matched, 1 changed\n");
    assert_eq!(names(&dir, &["--owner", "mina"]), ["dated", "free"]);
    let before = limit("dated").as_i64().expect("a limit");
    done(&["add-data", "--gib", "2", "--owner", "mina"]);
    assert_eq!(limit("dated"), before + (2 << 30));
    assert_eq!(limit("free"), Value::Null);
    assert_eq!(done(&["extend", "--days", "3", "--expires-before", "2031-01-02"]), "1 user matched, 1 changed\n");
    // The same run again, after its answer was lost, makes no part again; another run does.
    let expires = |name: &str| {
        let text = dir.run(&["user", "list", "--json", "-u", name], &[]).expect_success();
        serde_json::from_str::<Value>(&text).expect("JSON")[0]["expire_date"].as_str().map(str::to_owned)
    };
    let (first, second) = ("6f0d9c9e-6f5c-4f1e-9d2b-3f6f0a8c7b11", "0c1d2e3f-6f5c-4f1e-9d2b-3f6f0a8c7b11");
    let extend = ["extend", "--days", "3", "-u", "dated", "--key"];
    let started = expires("dated");
    assert_eq!(done(&[&extend[..], &[first]].concat()), "1 user matched, 1 changed\n");
    let extended = expires("dated");
    assert_ne!(extended, started);
    assert_eq!(done(&[&extend[..], &[first]].concat()), "1 user matched, 1 changed\n");
    assert_eq!(expires("dated"), extended, "the key is that of a run that was made");
    done(&[&extend[..], &[second]].concat());
    assert_ne!(expires("dated"), extended);
    let other = bulk(&["disable", "-u", "dated", "-y", "--key", first]).expect_failure(1);
    assert!(other.contains("the idempotency key was used for another change") && other.contains(first), "{other}");
    assert_eq!(done(&["delete", "-u", "AIT"]), "1 user matched, 1 changed\n");
    assert_eq!(names(&dir, &[]), ["dated", "free"]);

    assert!(
        bulk(&["reset", "--all"]).expect_failure(2).contains("reset: 2 users? No terminal to ask; confirm with -y")
    );
    assert!(bulk(&["reset", "-y"]).expect_failure(2).contains("--all"));
    assert!(bulk(&["extend", "--all", "-y"]).expect_failure(2).contains("extend needs --days or --seconds"));
    assert!(bulk(&["add-service", "--all", "-y", "--service", "99"]).expect_failure(1).contains("no service"));
    assert!(bulk(&["reset", "--owner", "nobody", "-y"]).expect_failure(1).contains("sarban admin list"));
    assert!(bulk(&["set-owner", "--all", "--to", "nobody", "-y"]).expect_failure(1).contains("\"nobody\" not found"));
    assert!(bulk(&["dance", "--all", "-y"]).stderr.contains("revoke-sub"));
}

#[tokio::test]
async fn links_and_configurations_are_printed_and_written() {
    let dir = panel().await;
    let subscription = |arguments: &[&str]| dir.run(&[&["subscription"], arguments].concat(), &[PREFIX]);
    let key = "1f0c8a3b5d7e9f2a4c6e8b0d1f3a5c7e";
    let link = subscription(&["get-link", "-u", "dated"]).expect_success();
    let (host, path) = link.trim().split_once("/sub/").expect("a link");
    assert_eq!(path, format!("dated/{key}"));
    let star = host.trim_start_matches("https://").trim_end_matches(".mina.example.org");
    assert!(star.len() == 16 && star.bytes().all(|digit| digit.is_ascii_hexdigit()), "{link}");
    let link: Value =
        serde_json::from_str(&subscription(&["get-link", "-u", "waits", "--json"]).expect_success()).expect("JSON");
    assert_eq!(link["subscription_url"], "https://sub.example.org/sub/waits/2f0c8a3b5d7e9f2a4c6e8b0d1f3a5c7e");

    let links = subscription(&["get-config", "-u", "dated"]);
    assert!(links.stdout.contains("trojan://open%20sesame@192.0.2.9:993"), "{links:?}");
    assert_eq!(
        (links.code, links.stderr.as_str()),
        (Some(0), "host 14 left out: the format does not support chains\n")
    );
    let xray = subscription(&["get-config", "-u", "dated", "-f", "xray"]).expect_success();
    assert!(serde_json::from_str::<Vec<Value>>(&xray).expect("JSON").len() > 1, "with the chained host: {xray}");
    assert_eq!(subscription(&["get-config", "-u", "dated", "--base64", "-o", "links.txt"]).code, Some(0));
    let written = std::fs::read_to_string(dir.0.path().join("links.txt")).expect("written");
    assert_eq!(subscription(&["get-config", "-u", "dated", "-f", "v2ray"]).stdout.trim(), written);
    let taken = subscription(&["get-config", "-u", "dated", "-o", "links.txt"]);
    assert!(taken.code == Some(1) && taken.stderr.contains("links.txt"), "{taken:?}");
    assert_eq!(subscription(&["get-config", "-u", "dated", "-f", "pigeon"]).code, Some(2));
    assert!(subscription(&["get-link"]).expect_failure(2).contains("--username"));
}

#[tokio::test]
async fn why_prints_what_stands_in_the_way() {
    let dir = panel().await;
    let why = |arguments: &[&str]| dir.run(&[&["user", "why"], arguments].concat(), &[PREFIX]);
    let text = why(&["waits", "--as", "SFA/1.12.0"]).expect_success();
    for part in [
        "nothing keeps the user from connecting\n",
        "(host_left_out)\n",
        "info: the time of the account starts with its first use",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json: Value = serde_json::from_str(&why(&["waits", "--json"]).expect_success()).expect("JSON");
    assert_eq!((&json["username"], &json["works"]), (&"waits".into(), &true.into()));
    assert!(
        json["findings"].as_array().is_some_and(|all| all.iter().any(|one| one["code"] == "user_on_hold")),
        "{json}"
    );
    assert!(why(&["nobody"]).expect_failure(1).contains("sarban user list"));
}

#[test]
fn completions_contain_all_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = WorkDir::new().run(&["completions", shell], &[]).expect_success();
        assert!(script.contains("get-config") && script.contains("import"), "{shell}");
    }
}

#[tokio::test]
async fn imported_rules_stay_until_those_of_today_are_taken() {
    let dir = panel().await;
    let rules = |arguments: &[&str]| dir.run(&[&["subscription", "rules"], arguments].concat(), &[]).expect_success();
    let json = |arguments: &[&str]| -> Value { serde_json::from_str(&rules(arguments)).expect("JSON") };
    let text = rules(&[]);
    for part in ["2     base64-links  .*", "Mihomo", "--take-defaults", "mihomo/1.19.27"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let before = json(&["--json"]);
    assert_eq!(before["rules"][0]["pattern"], "^Hiddify");
    assert_eq!(before["offer"][0]["then"], "clash-meta");
    assert_eq!(json(&["--as", "mihomo/1.19.27", "--json"])["rule"]["result"], "base64-links");
    assert_eq!(json(&["--json"]), before, "looking changes nothing");

    let text = rules(&["--take-defaults"]);
    assert!(text.contains("BEFORE") && text.contains("took today's rules for"), "{text}");
    let after = json(&["--json"]);
    assert_eq!(after["offer"].as_array().map(Vec::len), Some(0));
    let found = json(&["--as", "mihomo/1.19.27", "--json"]);
    assert_eq!(
        (&found["position"], &found["format"], &found["core_version"]),
        (&1.into(), &"clash-meta".into(), &"1.19.27".into())
    );
    let text = rules(&["--as", "Mozilla/5.0"]);
    assert!(text.contains("format: v2ray") && text.contains("program: unknown"), "{text}");
    assert_eq!(json(&["--take-defaults", "--json"]), after, "once is enough");
    assert!(rules(&[]).contains("all known programs get what today's rules give them"));
}
