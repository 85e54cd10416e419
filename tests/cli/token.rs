//! `sarban token`: made, listed, given a new secret and revoked.

use serde_json::Value;

use super::WorkDir;

fn list(dir: &WorkDir, arguments: &[&str]) -> Vec<Value> {
    let arguments = [&["token", "list", "--json"], arguments].concat();
    serde_json::from_str(&dir.run(&arguments, &[]).expect_success()).expect("JSON")
}

#[test]
fn tokens_are_created_listed_rotated_and_revoked() {
    let dir = WorkDir::new();
    for name in ["root", "sara"] {
        let password = [("SARBAN_ADMIN_PASSWORD", "correct horse")];
        dir.run(&["admin", "create", "-u", name, "--sudo"], &password).expect_success();
    }
    let create = ["token", "create", "-a", "root", "-n", "bot", "-s", "users:read", "-s", "nodes:*"];
    let secret = dir.run(&create, &[]).expect_success();
    assert!(secret.trim().starts_with("sarban_") && secret.trim().len() == 104, "only the token: {secret}");
    let more = ["--address", "192.0.2.0/24", "--expires-in-days", "2", "--json"];
    let other = dir.run(&[&["token", "create", "-a", "sara", "-n", "b", "-s", "*"], &more[..]].concat(), &[]);
    let other: Value = serde_json::from_str(&other.expect_success()).expect("JSON");
    assert_eq!(other["addresses"][0], "192.0.2.0/24");
    assert_eq!(list(&dir, &[]).len(), 2);
    let mine = list(&dir, &["-a", "root"]);
    assert_eq!((mine.len(), mine[0]["name"].as_str()), (1, Some("bot")));
    assert_eq!(mine[0]["scopes"], serde_json::json!(["users:read", "nodes:read", "nodes:write"]));
    let id = mine[0]["id"].as_str().expect("an id");
    assert!(secret.contains(&id.replace('-', "")), "a leaked token is found by its id");
    assert!(dir.run(&["token", "list"], &[]).expect_success().contains(id));

    let rotated = dir.run(&["token", "rotate", id, "--overlap-hours", "1"], &[]).expect_success();
    assert!(rotated != secret && rotated.contains(&id.replace('-', "")), "{rotated}");
    assert!(list(&dir, &["-a", "root"])[0]["previous_until"].is_string());
    dir.run(&["token", "revoke", id, "-y"], &[]).expect_success();
    assert_eq!(list(&dir, &["-a", "root"]).len(), 0);
    assert!(dir.run(&["token", "revoke", id, "-y"], &[]).expect_failure(1).contains("no such API token"));
}

#[test]
fn wrong_arguments_are_named() {
    let dir = WorkDir::new();
    dir.run(&["admin", "create", "-u", "root"], &[("SARBAN_ADMIN_PASSWORD", "correct horse")]).expect_success();
    let create = |more: &[&str]| dir.run(&[&["token", "create", "-n", "bot"], more].concat(), &[]);
    assert!(create(&["-a", "root", "-s", "plans:read"]).expect_failure(2).contains("plans:read"));
    assert!(create(&["-a", "root", "-s", "*", "--address", "x"]).expect_failure(2).contains("--address"));
    assert!(create(&["-a", "nobody", "-s", "*"]).expect_failure(1).contains("no such admin"));
    assert!(create(&["-a", "root"]).expect_failure(2).contains("--scope"));
    let wrong = dir.run(&["token", "revoke", "7", "-y"], &[]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(wrong.stderr.contains("must be the id of a token"), "{wrong:?}");
}
