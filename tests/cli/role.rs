//! `sarban role`: roles are created, changed, given to admins and deleted.

use serde_json::{Value, json};

use super::WorkDir;

fn list(dir: &WorkDir, what: &str) -> Vec<Value> {
    serde_json::from_str(&dir.run(&[what, "list", "--json"], &[]).expect_success()).expect("JSON")
}

#[test]
fn roles_are_created_changed_given_and_deleted() {
    let dir = WorkDir::new();
    let names = |roles: &[Value]| roles.iter().map(|role| role["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&list(&dir, "role")), ["owner", "reseller", "support", "observer"]);
    let create = ["role", "create", "night", "-r", "users:read=all", "-r", "users:reset=all"];
    dir.run(&create, &[]).expect_success();
    let update = ["role", "update", "night", "-r", "users:reset=none", "--require-second-factor", "true"];
    dir.run(&update, &[]).expect_success();
    let night = list(&dir, "role").pop().expect("a role");
    assert_eq!((&night["rights"], &night["requires_second_factor"]), (&json!(["users:read=all"]), &json!(true)));
    assert!(dir.run(&["role", "list"], &[]).expect_success().contains("users:read=all"));

    let password = [("SARBAN_ADMIN_PASSWORD", "correct horse")];
    dir.run(&["admin", "create", "-u", "ann", "--role", "night"], &password).expect_success();
    dir.run(&["admin", "create", "-u", "bob", "--no-sudo"], &password).expect_success();
    let updated = dir.run(&["admin", "update", "-u", "bob", "--role", "night"], &[]).expect_success();
    assert!(updated.contains("admin with the role \"night\"") && !updated.contains("password"), "{updated}");
    let roles: Vec<Value> = list(&dir, "admin").iter().map(|admin| admin["role"].clone()).collect();
    assert_eq!(roles, ["night", "night"]);
    assert!(dir.run(&["role", "delete", "night", "-y"], &[]).expect_failure(1).contains("2 admins have this role"));
    for name in ["ann", "bob"] {
        dir.run(&["admin", "update", "-u", name, "--role", "support"], &[]).expect_success();
    }
    dir.run(&["role", "update", "night", "--rename", "day"], &[]).expect_success();
    dir.run(&["role", "delete", "day", "-y"], &[]).expect_success();
    assert_eq!(list(&dir, "role").len(), 4);
}

#[test]
fn wrong_roles_are_named() {
    let dir = WorkDir::new();
    let create = |right: &str| dir.run(&["role", "create", "a", "-r", right], &[]).expect_failure(2);
    assert!(create("plans:read=all").contains("plans:read=all"));
    assert!(create("nodes:read=own").contains("it can be none or all"));
    let fails = |arguments: &[&str]| dir.run(arguments, &[]).expect_failure(1);
    assert!(fails(&["role", "update", "nobody"]).contains("`sarban role list`"));
    assert!(fails(&["role", "delete", "support", "-y"]).contains("built-in role"));
    dir.run(&["admin", "create", "-u", "ann"], &[("SARBAN_ADMIN_PASSWORD", "correct horse")]).expect_success();
    assert!(fails(&["admin", "update", "-u", "ann", "--role", "nothing"]).contains("no role \"nothing\""));
}
