//! Rights of roles: requests to every operation by admins with each built-in role, and with roles that lack just the right.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::Method;
use sarban::api::operations::OPERATIONS;
use sarban::domain::admin::Admin;
use sarban::domain::ids::RoleId;
use sarban::domain::rights::{Extent, Rights};
use sarban::domain::role::Role;
use sarban::domain::scope::Scope;
use sarban::store::access::{admins, roles};
use sarban::store::{Db, StoreError};
use serde_json::{Value, json};

use crate::api::panel::TestPanel;
use crate::api::scopes::{NOT_DESCRIBED, filled};
use crate::support::database::on_both_engines;

on_both_engines! {
    every_operation_needs_its_right_and_no_other,
    built_in_roles_may_do_what_their_rights_say,
    nobody_but_a_sudo_admin_sets_the_own_quota,
}

/// Inserts an admin with a role of these rights, both of that name.
pub(super) async fn insert_admin_with(panel: &TestPanel, name: &str, rights: Rights) {
    panel.insert_admin(name, false).await;
    let role = Role { id: RoleId(0), name: name.to_owned(), rights, requires_second_factor: false };
    let inserted = panel.panel.db.transaction("insert role", async |tx| -> Result<_, StoreError> {
        roles::insert(tx, &role).await?;
        give(tx, name, name).await
    });
    inserted.await.expect("a role");
}

/// Gives an admin a stored role.
pub(super) async fn give(tx: &mut sarban::store::Tx, admin: &str, role: &str) -> Result<(), StoreError> {
    let role = roles::by_name(tx, role).await?.map(Arc::new);
    let admin = admins::lock_by_username(tx, admin).await?.expect("an admin");
    admins::update(tx, &Admin { role, ..admin }, None).await
}

/// The answer to a request of an admin; the text is empty if all went well.
async fn ask(panel: &TestPanel, admin: &str, operation: &str) -> (u16, String) {
    let (method, path) = operation.split_once(' ').expect("a method and a path");
    let method: Method = method.parse().expect("a method");
    let mut request = panel.request(method, &filled(path)).bearer_auth(panel.token_of(admin));
    if operation == NOT_DESCRIBED {
        request = request.header("connection", "upgrade").header("upgrade", "websocket");
    }
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    // Streams have no end.
    let text = if status == 200 { String::new() } else { response.text().await.expect("a body") };
    (status, text)
}

fn with(rights: Rights, scope: Scope, extent: Extent) -> Rights {
    rights.with(scope, extent).expect("a right")
}

async fn every_operation_needs_its_right_and_no_other(db: Db) {
    let panel = TestPanel::start(db).await;
    let furthest = |scope: &Scope| *scope.extents().last().expect("an extent");
    // Writing includes resets, so it is left out of what else a role may have.
    let all_but = |without: Scope| {
        let others = Scope::of_roles().filter(|scope| {
            *scope != without && !(without == Scope::USERS_RESET && scope.to_string() == "users:write")
        });
        others.fold(Rights::default(), |rights, scope| with(rights, scope, furthest(&scope)))
    };
    for scope in Scope::of_roles() {
        insert_admin_with(&panel, &format!("without {scope}"), all_but(scope)).await;
        if scope.extents() == [Extent::Own, Extent::All] {
            insert_admin_with(&panel, &format!("own {scope}"), with(all_but(scope), scope, Extent::Own)).await;
        }
    }
    let mut alone = BTreeMap::new();
    for (operation, need) in OPERATIONS {
        let needed: Vec<(Scope, Extent)> = need.rights().collect();
        for (scope, extent) in &needed {
            let (status, text) = ask(&panel, &format!("without {scope}"), operation).await;
            let lacks = format!("Your role lacks the right {scope}");
            assert!(status == 403 && text.contains(&lacks), "{operation}: {status} {text}");
            if *extent == Extent::All && scope.extents().contains(&Extent::Own) {
                let (status, text) = ask(&panel, &format!("own {scope}"), operation).await;
                let lacks = format!("Your role has the right {scope} only for what is your own");
                assert!(status == 403 && text.contains(&lacks), "{operation}: {status} {text}");
            }
        }
        if needed.is_empty() {
            continue;
        }
        let rights = needed.iter().fold(Rights::default(), |rights, (scope, extent)| with(rights, *scope, *extent));
        let name = format!("only {}", rights.texts().join(" "));
        if alone.insert(name.clone(), ()).is_none() {
            insert_admin_with(&panel, &name, rights).await;
        }
        let (status, text) = ask(&panel, &name, operation).await;
        assert!(![401, 429].contains(&status) && !text.contains("Your role"), "{operation}: {status} {text}");
    }
}

async fn built_in_roles_may_do_what_their_rights_say(db: Db) {
    let panel = TestPanel::start(db).await;
    let listed = panel.get("root", "/api/roles").await.ok();
    let rights: BTreeMap<&str, &Value> = listed.as_array().expect("roles").iter().map(named).collect();
    assert_eq!(rights.keys().copied().collect::<Vec<_>>(), ["observer", "owner", "reseller", "support"]);
    for role in rights.keys() {
        panel.insert_admin(role, *role == "owner").await;
    }
    for role in ["support", "observer"] {
        let given = panel.panel.db.transaction("give role", async |tx| give(tx, role, role).await);
        given.await.expect("a role");
    }
    let refusals = ["Your role lacks", "Your role has", "You are not allowed to do this"];
    for (operation, need) in OPERATIONS {
        for (role, rights) in &rights {
            let reaches = |(scope, extent): (Scope, Extent)| {
                let right = rights[scope.0.name()][scope.1.name()].as_str().expect("an extent");
                let furthest = scope.extents().last().copied();
                Extent::read(right).expect("an extent") >= extent.min(furthest.expect("an extent"))
            };
            let (status, text) = ask(&panel, role, operation).await;
            if need.rights().all(reaches) {
                assert!(![401, 429].contains(&status) && !text.contains("Your role"), "{role}: {operation}: {text}");
            } else {
                let is_named = *role == "reseller" || !text.contains(refusals[2]);
                let is_refusal = refusals.iter().any(|refusal| text.contains(refusal));
                assert!(status == 403 && is_refusal && is_named, "{role}: {operation}: {status} {text}");
            }
        }
    }
    // The words of the built-in roles.
    let right = |role: &str, resource: &str, action: &str| rights[role][resource][action].clone();
    assert_eq!(right("support", "users", "reset"), json!("all"));
    assert_eq!(right("support", "users", "write"), json!("none"));
    assert_eq!(right("observer", "nodes", "read"), json!("all"));
    assert_eq!(right("observer", "settings", "read"), json!("none"), "they have the token of the Telegram bot");
    let changes = rights["observer"].as_object().expect("rights").iter().filter(|(_, actions)| {
        actions.get("write").is_some_and(|extent| extent == "all")
            || actions.get("reset").is_some_and(|it| it != "none")
    });
    assert_eq!(changes.count(), 0, "an observer changes nothing but what is its own");
}

fn named(role: &Value) -> (&str, &Value) {
    (role["name"].as_str().expect("a name"), &role["rights"])
}

async fn nobody_but_a_sudo_admin_sets_the_own_quota(db: Db) {
    let panel = TestPanel::start(db).await;
    let writes = Scope::of_roles().filter(|scope| ["admins", "users"].contains(&scope.0.name()));
    let rights = writes.fold(Rights::default(), |rights, scope| with(rights, scope, Extent::All));
    insert_admin_with(&panel, "boss", rights).await;
    panel.insert_admin("eve", false).await;
    let limits = json!({"users": 5, "traffic": 1_000});
    let quota = |name: &str| format!("/api/admins/{name}/quota");
    panel.put("root", &quota("boss"), limits.clone()).await.ok();
    for more in [json!({"users": 9, "traffic": 1_000}), json!({})] {
        panel.put("boss", &quota("boss"), more).await.refused(403);
    }
    panel.post("boss", "/api/admins/boss/quota/reset", Value::Null).await.refused(403);
    assert_eq!(panel.get("boss", &quota("boss")).await.ok()["limits"]["users"], 5);
    panel.put("root", &quota("root"), limits.clone()).await.ok();
    panel.put("root", &quota("root"), json!({})).await.ok();
}
