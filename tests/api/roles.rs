//! Roles: made, changed, deleted and given to admins, and what nobody can do with them.

use sarban::domain::rights::Rights;
use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::{TestPanel, send};
use crate::api::role_rights::{give, insert_admin_with};
use crate::support::database::{execute, number, on_both_engines};

on_both_engines! {
    role_is_made_changed_and_deleted,
    wrong_roles_are_refused_by_field,
    role_in_use_and_built_in_roles_are_not_deleted,
    admins_without_a_role_follow_their_flag,
    own_and_all_decide_which_users_an_admin_reaches,
    support_reads_all_users_and_resets_them,
    nobody_gives_rights_that_it_lacks,
    nobody_acts_as_an_admin_with_more_rights,
    another_role_ends_sessions_and_acts_elsewhere_within_a_second,
    changed_role_acts_elsewhere_within_a_second,
    api_token_of_an_admin_never_exceeds_its_role,
    lost_rights_are_used_nowhere_to_give_rights,
    disabled_and_replaced_admins_leave_nothing_behind,
    lost_rights_change_no_users_and_no_factor_of_other_admins,
    ended_sessions_leave_no_admin_and_no_token_behind,
}

const SECOND: i64 = 1_000_000;

async fn add_user(panel: &TestPanel, by: &str, name: &str) {
    panel.post(by, "/api/users", json!({"username": name, "expire_strategy": "never"})).await.ok();
}

fn new_admin(name: &str, role: &str) -> Value {
    json!({"username": name, "password": format!("{name}pass"), "is_sudo": role == "owner", "role": role})
}

async fn role_is_made_changed_and_deleted(db: Db) {
    let panel = TestPanel::start(db).await;
    let rights = json!({"users": {"read": "all", "reset": "own"}, "nodes": {"read": "all"}});
    let made = panel.post("root", "/api/roles", json!({"name": "Night", "rights": rights})).await.ok();
    assert_eq!((&made["built_in"], &made["admins"]), (&json!(false), &json!(0)));
    assert_eq!(made["rights"]["users"], json!({"read": "all", "write": "none", "reset": "own"}));
    assert_eq!(made["rights"]["settings"], json!({"read": "none", "write": "none"}));
    assert_eq!(made["requires_second_factor"], false);
    let change = json!({"name": "Day", "rights": {"users": {"reset": "all"}}, "requires_second_factor": true});
    let changed = panel.put("root", "/api/roles/Night", change).await.ok();
    assert_eq!(changed["rights"]["users"], json!({"read": "all", "write": "none", "reset": "all"}));
    assert_eq!(
        (&changed["rights"]["nodes"]["read"], &changed["requires_second_factor"]),
        (&json!("all"), &json!(true))
    );
    let listed = panel.get("root", "/api/roles").await.ok();
    assert_eq!(listed.as_array().map(Vec::len), Some(5));
    assert_eq!(listed[4], changed);
    panel.delete("root", "/api/roles/Day").await.ok();
    panel.delete("root", "/api/roles/Day").await.refused(404);
    panel.put("root", "/api/roles/Day", json!({})).await.refused(404);
}

async fn wrong_roles_are_refused_by_field(db: Db) {
    let panel = TestPanel::start(db).await;
    let role = async |body: Value| panel.post("root", "/api/roles", body).await;
    for name in ["", " ", "a\nb", &"a".repeat(65)] {
        role(json!({"name": name})).await.wrong_fields(&["name"]);
    }
    for (rights, text) in [
        (json!({"plans": {"read": "all"}}), "\"plans:read\" is no right"),
        (json!({"audit": {"write": "all"}}), "\"audit:write\" is no right"),
        (json!({"nodes": {"read": "own"}}), "nodes:read can't be own: it can be none or all"),
        (json!({"users": {"read": "some"}}), "\"some\" must be none, own or all"),
    ] {
        let answer = role(json!({"name": "a", "rights": rights})).await;
        answer.wrong_fields(&["rights"]);
        assert!(answer.body["detail"]["rights"].as_str().is_some_and(|it| it.contains(text)), "{}", answer.body);
    }
    role(json!({"name": "owner"})).await.refused(409);
    role(json!({"name": "one"})).await.ok();
    role(json!({"name": "one"})).await.refused(409);
    panel.put("root", "/api/roles/one", json!({"name": "support"})).await.refused(409);
    panel.post("root", "/api/admins", new_admin("ann", "nothing")).await.wrong_fields(&["role"]);
    for (is_sudo, role) in [(true, "support"), (true, "one"), (true, "reseller"), (false, "owner")] {
        let body = json!({"username": "ann", "password": "x", "is_sudo": is_sudo, "role": role});
        panel.post("root", "/api/admins", body).await.wrong_fields(&["role"]);
    }
    panel.get("root", "/api/admins/ann").await.refused(404);
}

async fn role_in_use_and_built_in_roles_are_not_deleted(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    panel.post("root", "/api/roles", json!({"name": "night"})).await.ok();
    for name in ["ann", "bob"] {
        assert_eq!(panel.post("root", "/api/admins", new_admin(name, "night")).await.ok()["role"], "night");
    }
    let refused = panel.delete("root", "/api/roles/night").await;
    refused.refused(409);
    assert_eq!(refused.body["detail"], "2 admins have this role; give them another one first");
    panel.put("root", "/api/admins/ann", json!({"role": "reseller"})).await.ok();
    panel.delete("root", "/api/admins/bob").await.ok();
    panel.delete("root", "/api/roles/night").await.ok();
    for name in ["reseller", "support", "observer", "owner"] {
        let path = format!("/api/roles/{name}");
        panel.delete("root", &path).await.refused(403);
        panel.put("root", &path, json!({"name": "other"})).await.refused(403);
        panel.put("root", &path, json!({"rights": {"profile": {"write": "none"}}})).await.refused(403);
        let changed = panel.put("root", &path, json!({"requires_second_factor": true})).await.ok();
        assert_eq!((&changed["name"], &changed["requires_second_factor"]), (&json!(name), &json!(true)));
    }
    let required = "SELECT COUNT(*) FROM admin_role WHERE requires_second_factor";
    assert_eq!(number(&db, required).await, 4);
}

async fn admins_without_a_role_follow_their_flag(db: Db) {
    let panel = TestPanel::start(db).await;
    let old = json!({"username": "ann", "password": "x", "is_sudo": false});
    assert_eq!(panel.post("root", "/api/admins", old).await.ok()["role"], "reseller");
    assert_eq!(panel.get("root", "/api/admins/current").await.ok()["role"], "owner");
    let change = async |body: Value| panel.put("root", "/api/admins/ann", body).await.ok();
    assert_eq!(change(json!({"role": "support"})).await["role"], "support");
    let same = change(json!({"is_sudo": false, "enabled": true, "modify_users_access": true})).await;
    assert_eq!((&same["role"], &same["enabled"]), (&json!("support"), &json!(true)), "as old clients send it");
    assert_eq!(change(json!({"enabled": false})).await["enabled"], false);
    assert_eq!(panel.get("ann", "/api/admins/current").await.status, 401, "disabled, with a role");
    let sudo = change(json!({"is_sudo": true})).await;
    assert_eq!((&sudo["role"], &sudo["is_sudo"], &sudo["enabled"]), (&json!("owner"), &json!(true), &json!(false)));
    let own = panel.get("root", "/api/admins/current").await.ok();
    assert_eq!(own["rights"]["settings"], json!({"read": "all", "write": "all"}));
}

async fn own_and_all_decide_which_users_an_admin_reaches(db: Db) {
    let panel = TestPanel::start(db).await;
    let rights = "users:read=all users:write=own services:read=all stats:read=own profile:write=own";
    insert_admin_with(&panel, "ann", Rights::stored(rights)).await;
    panel.insert_admin("bob", false).await;
    add_user(&panel, "ann", "own").await;
    add_user(&panel, "bob", "other").await;
    assert_eq!(panel.get("ann", "/api/users").await.ok()["total"], 2);
    assert_eq!(panel.get("ann", "/api/users?owner_username=bob").await.ok()["total"], 1);
    assert_eq!(panel.get("bob", "/api/users").await.ok()["total"], 1);
    panel.get("ann", "/api/users/other").await.ok();
    panel.get("ann", "/api/users/nobody").await.refused(404);
    panel.get("bob", "/api/users/own").await.refused(403);
    let change = json!({"username": "own", "note": "n"});
    panel.put("ann", "/api/users/own", change.clone()).await.ok();
    panel.put("ann", "/api/users/other", change).await.refused(403);
    for path in ["/api/users/other/reset", "/api/users/other/disable", "/api/users/other/revoke_sub"] {
        panel.post("ann", path, Value::Null).await.refused(403);
    }
    panel.delete("ann", "/api/users/other").await.refused(403);
    let bulk = json!({"action": "reset", "filter": {}});
    assert_eq!(panel.post("ann", "/api/users/bulk", bulk).await.ok()["matched"], 1, "its own only");
    let of_bob = json!({"action": "reset", "filter": {"owner_username": "bob"}});
    panel.post("ann", "/api/users/bulk", of_bob).await.refused(403);
    let give = json!({"action": "set_owner", "admin_username": "ann", "filter": {}});
    panel.post("ann", "/api/users/bulk", give).await.refused(403);
    assert_eq!(panel.get("ann", "/api/system/stats/users").await.ok()["total"], 1);
}

async fn support_reads_all_users_and_resets_them(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    panel.post("root", "/api/admins", new_admin("sue", "support")).await.ok();
    add_user(&panel, "root", "bob").await;
    execute(&db, "UPDATE user_traffic SET used_traffic = 5").await;
    assert_eq!(panel.get("sue", "/api/users").await.ok()["total"], 1);
    assert_eq!(panel.post("sue", "/api/users/bob/reset", Value::Null).await.ok()["used_traffic"], 0);
    for path in ["/api/users/bob/disable", "/api/users/bob/revoke_sub"] {
        let refused = panel.post("sue", path, Value::Null).await;
        refused.refused(403);
        assert_eq!(refused.body["detail"], "Your role lacks the right users:write", "{path}");
    }
    panel.post("sue", "/api/users", json!({"username": "new", "expire_strategy": "never"})).await.refused(403);
    panel.get("sue", "/api/nodes").await.refused(403);
    let own = panel.get("sue", "/api/admins/current").await.ok();
    assert_eq!(own["rights"]["users"], json!({"read": "all", "write": "none", "reset": "all"}));
}

/// A role that may change admins and roles, and users of its own.
const RECRUITER: &str = "admins:read=all admins:write=all roles:read=all roles:write=all tokens:write=all sessions:write=all \
    users:read=own users:write=own services:read=own stats:read=own events:read=all sessions:read=own tokens:read=own \
    profile:write=own";

#[track_caller]
fn is_beyond(answer: &crate::api::panel::Answer, right: &str) {
    answer.refused(403);
    let text = format!("You can't give or change rights that you lack yourself: {right}");
    assert_eq!(answer.body["detail"], text);
}

async fn nobody_gives_rights_that_it_lacks(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    execute(&db, "INSERT INTO services (id, name) VALUES (1, 'one'), (2, 'two')").await;
    insert_admin_with(&panel, "ann", Rights::stored(RECRUITER)).await;
    execute(&db, "INSERT INTO admins_services (admin_id, service_id) SELECT id, 1 FROM admins WHERE username = 'ann'")
        .await;
    // Nobody above the author is made.
    is_beyond(&panel.post("ann", "/api/admins", new_admin("x", "owner")).await, "is_sudo");
    is_beyond(&panel.post("ann", "/api/admins", new_admin("x", "observer")).await, "users:read");
    let plain = |more: Value| {
        let mut body = json!({"username": "bob", "password": "x", "is_sudo": false});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    is_beyond(
        &panel.post("ann", "/api/admins", plain(json!({"all_services_access": true}))).await,
        "all_services_access",
    );
    is_beyond(&panel.post("ann", "/api/admins", plain(json!({"service_ids": [1, 2]}))).await, "service 2");
    panel.post("ann", "/api/admins", plain(json!({"service_ids": [1]}))).await.ok();
    // Nobody is lifted above the author, the author least of all.
    for name in ["bob", "ann"] {
        let path = format!("/api/admins/{name}");
        is_beyond(&panel.put("ann", &path, json!({"is_sudo": true})).await, "is_sudo");
        is_beyond(&panel.put("ann", &path, json!({"role": "observer"})).await, "users:read");
        is_beyond(&panel.put("ann", &path, json!({"service_ids": [2]})).await, "service 2");
    }
    // No role reaches further than the author's.
    let role = |rights: Value| json!({"name": "more", "rights": rights});
    is_beyond(&panel.post("ann", "/api/roles", role(json!({"nodes": {"read": "all"}}))).await, "nodes:read");
    is_beyond(&panel.post("ann", "/api/roles", role(json!({"users": {"read": "all"}}))).await, "users:read");
    panel.post("ann", "/api/roles", role(json!({"users": {"read": "own"}}))).await.ok();
    for path in ["/api/roles/more", "/api/roles/ann"] {
        is_beyond(&panel.put("ann", path, json!({"rights": {"nodes": {"read": "all"}}})).await, "nodes:read");
    }
    // A role above the author's is not changed, either, nor its requirement of a second factor.
    panel.post("root", "/api/roles", json!({"name": "top", "rights": {"settings": {"write": "all"}}})).await.ok();
    is_beyond(&panel.put("ann", "/api/roles/top", json!({"requires_second_factor": false})).await, "settings:write");
    is_beyond(
        &panel.put("ann", "/api/roles/top", json!({"rights": {"settings": {"write": "none"}}})).await,
        "settings:write",
    );
    is_beyond(&panel.delete("ann", "/api/roles/top").await, "settings:write");
    panel.delete("ann", "/api/roles/more").await.ok();
    let unchanged = "SELECT COUNT(*) FROM admins WHERE is_sudo OR all_services_access";
    assert_eq!(number(&db, unchanged).await, 1, "root");
}

async fn nobody_acts_as_an_admin_with_more_rights(db: Db) {
    let panel = TestPanel::start(db).await;
    insert_admin_with(&panel, "ann", Rights::stored(RECRUITER)).await;
    panel.post("root", "/api/admins", new_admin("eve", "observer")).await.ok();
    panel.insert_admin("bob", false).await;
    is_beyond(&panel.put("ann", "/api/admins/eve", json!({"password": "x"})).await, "users:read");
    panel.put("ann", "/api/admins/root", json!({"password": "x"})).await.refused(403);
    is_beyond(&panel.delete("ann", "/api/admins/eve").await, "users:read");
    panel.delete("ann", "/api/admins/root").await.refused(403);
    for name in ["eve", "root"] {
        let token = json!({"name": "t", "scopes": ["*"], "admin": name});
        panel.post("ann", "/api/tokens", token).await.refused(403);
        panel.delete("ann", &format!("/api/sessions?admin={name}")).await.refused(403);
    }
    panel.put("ann", "/api/admins/bob", json!({"password": "x"})).await.ok();
    panel.post("ann", "/api/tokens", json!({"name": "t", "scopes": ["*"], "admin": "bob"})).await.ok();
    panel.delete("ann", "/api/sessions?admin=bob").await.ok();
    // Users are no way around it: other admins' users are not reached by way of these admins.
    panel.get("ann", "/api/admins/bob/users").await.refused(403);
    panel.put("ann", "/api/admins/bob/users/set-owner?admin_username=ann", Value::Null).await.refused(403);
    panel.post("ann", "/api/admins/bob/disable_users", Value::Null).await.refused(403);
}

async fn another_role_ends_sessions_and_acts_elsewhere_within_a_second(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let elsewhere = TestPanel::beside(&panel, &[]).await;
    panel.insert_admin("ann", false).await;
    let sign_in = async || {
        let form = [("username", "ann"), ("password", "annpass")];
        let request = panel.request(reqwest::Method::POST, "/api/admins/token").form(&form);
        send(request).await.ok()["access_token"].as_str().expect("a token").to_owned()
    };
    let status = async |on: &TestPanel, token: &str, path: &str| {
        send(on.request(reqwest::Method::GET, path).bearer_auth(token)).await.status.as_u16()
    };
    let token = sign_in().await;
    for on in [&panel, &elsewhere] {
        assert_eq!(status(on, &token, "/api/users").await, 200);
    }
    panel.panel.clock.advance(SECOND);
    panel.put("root", "/api/admins/ann", json!({"role": "observer"})).await.ok();
    assert_eq!(status(&panel, &token, "/api/users").await, 401, "at once here");
    elsewhere.panel.clock.advance(SECOND);
    assert_eq!(status(&elsewhere, &token, "/api/users").await, 401, "after a second elsewhere");
    panel.panel.clock.advance(SECOND);
    let token = sign_in().await;
    assert_eq!(status(&panel, &token, "/api/nodes").await, 200);
    panel.put("root", "/api/admins/ann", json!({"role": "observer", "is_sudo": false})).await.ok();
    assert_eq!(status(&panel, &token, "/api/nodes").await, 200, "the same role ends nothing");
}

async fn changed_role_acts_elsewhere_within_a_second(db: Db) {
    let panel = TestPanel::start(db).await;
    let elsewhere = TestPanel::beside(&panel, &[]).await;
    insert_admin_with(&panel, "ann", Rights::stored("nodes:read=all")).await;
    for on in [&panel, &elsewhere] {
        on.get("ann", "/api/nodes").await.ok();
    }
    panel.put("root", "/api/roles/ann", json!({"rights": {"nodes": {"read": "none"}}})).await.ok();
    panel.get("ann", "/api/nodes").await.refused(403);
    elsewhere.panel.clock.advance(SECOND - 1);
    elsewhere.get("ann", "/api/nodes").await.ok();
    elsewhere.panel.clock.advance(1);
    elsewhere.get("ann", "/api/nodes").await.refused(403);
}

async fn api_token_of_an_admin_never_exceeds_its_role(db: Db) {
    let panel = TestPanel::start(db).await;
    insert_admin_with(&panel, "ann", Rights::stored("nodes:read=all users:read=all")).await;
    let made = panel.post("root", "/api/tokens", json!({"name": "t", "scopes": ["*"], "admin": "ann"})).await.ok();
    let secret = made["secret"].as_str().expect("a secret");
    let status =
        async |path: &str| send(panel.request(reqwest::Method::GET, path).bearer_auth(secret)).await.status.as_u16();
    assert_eq!((status("/api/nodes").await, status("/api/users").await), (200, 200));
    assert_eq!(status("/api/admins").await, 403);
    panel.put("root", "/api/roles/ann", json!({"rights": {"nodes": {"read": "none"}}})).await.ok();
    assert_eq!((status("/api/nodes").await, status("/api/users").await), (403, 200));
}

async fn lost_rights_are_used_nowhere_to_give_rights(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let elsewhere = TestPanel::beside(&panel, &[]).await;
    insert_admin_with(&panel, "ann", Rights::stored(RECRUITER)).await;
    panel.post("root", "/api/roles", json!({"name": "none"})).await.ok();
    panel.post("root", "/api/roles", json!({"name": "spare"})).await.ok();
    panel.post("root", "/api/admins", new_admin("bob", "none")).await.ok();
    elsewhere.get("ann", "/api/roles").await.ok();
    let less = json!({"roles": {"write": "none"}, "admins": {"write": "none"}, "tokens": {"write": "none"}});
    panel.put("root", "/api/roles/ann", json!({"rights": less})).await.ok();
    // The second is not over for this panel, whose clock stands still.
    let more = json!({"rights": {"roles": {"write": "all"}, "admins": {"write": "all"}}});
    elsewhere.put("ann", "/api/roles/ann", more).await.refused(403);
    elsewhere.post("ann", "/api/roles", json!({"name": "other"})).await.refused(403);
    elsewhere.delete("ann", "/api/roles/spare").await.refused(403);
    elsewhere.post("ann", "/api/admins", new_admin("eve", "none")).await.refused(403);
    elsewhere.put("ann", "/api/admins/ann", json!({"enabled": true})).await.refused(403);
    elsewhere.put("ann", "/api/admins/bob", json!({"password": "x"})).await.refused(403);
    elsewhere.put("ann", "/api/admins/bob/quota", json!({"users": 5})).await.refused(403);
    elsewhere.post("ann", "/api/admins/bob/quota/reset", json!({})).await.refused(403);
    elsewhere.delete("ann", "/api/admins/bob").await.refused(403);
    elsewhere.post("ann", "/api/tokens", json!({"name": "t", "scopes": ["*"]})).await.refused(403);
    let of_ann = "SELECT COUNT(*) FROM audit_entry WHERE actor_name = 'ann'";
    assert_eq!(number(&db, of_ann).await, 0, "nothing was changed");
}

async fn disabled_and_replaced_admins_leave_nothing_behind(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let elsewhere = TestPanel::beside(&panel, &[]).await;
    panel.post("root", "/api/roles", json!({"name": "none"})).await.ok();
    for name in ["ann", "bob"] {
        insert_admin_with(&panel, name, Rights::stored(RECRUITER)).await;
        elsewhere.get(name, "/api/roles").await.ok();
    }
    panel.put("root", "/api/admins/ann", json!({"enabled": false})).await.ok();
    // Another admin of the same name, with the same rights.
    panel.delete("root", "/api/admins/bob").await.ok();
    panel.insert_admin("bob", false).await;
    db.transaction("give role", async |tx| give(tx, "bob", "bob").await).await.expect("given");
    // The second is not over for this panel, whose clock stands still.
    for name in ["ann", "bob"] {
        elsewhere.post(name, "/api/admins", new_admin("eve", "none")).await.refused(403);
        elsewhere.post(name, "/api/roles", json!({"name": "other"})).await.refused(403);
    }
    elsewhere.post("bob", "/api/tokens", json!({"name": "t", "scopes": ["users:read"]})).await.refused(403);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM audit_entry WHERE actor_name IN ('ann', 'bob')").await, 0);
}

async fn lost_rights_change_no_users_and_no_factor_of_other_admins(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let elsewhere = TestPanel::beside(&panel, &[]).await;
    insert_admin_with(&panel, "ann", Rights::stored(&format!("{RECRUITER} users:read=all users:write=all"))).await;
    panel.insert_admin("bob", false).await;
    add_user(&panel, "bob", "user").await;
    execute(
        &db,
        "INSERT INTO totp (admin_id, secret) SELECT id, 'GEZDGNBVGY3TQOJQ' FROM admins WHERE username = 'bob'",
    )
    .await;
    let changes_users = async |allowed: bool| {
        for answer in [
            elsewhere.post("ann", "/api/admins/bob/disable_users", json!({})).await,
            elsewhere.post("ann", "/api/admins/bob/enable_users", json!({})).await,
            elsewhere.put("ann", "/api/admins/bob/users/set-owner?admin_username=ann", json!({})).await,
            elsewhere.put("ann", "/api/admins/ann/users/set-owner?admin_username=bob", json!({})).await,
        ] {
            if allowed { _ = answer.ok() } else { answer.refused(403) }
        }
    };
    changes_users(true).await;
    execute(&db, "DELETE FROM audit_entry").await;
    panel.put("root", "/api/roles/ann", json!({"rights": {"users": {"write": "own"}}})).await.ok();
    // The second is not over for this panel, whose clock stands still.
    changes_users(false).await;
    panel.put("root", "/api/roles/ann", json!({"rights": {"users": {"write": "all"}}})).await.ok();
    panel.put("root", "/api/roles/ann", json!({"rights": {"admins": {"write": "none"}}})).await.ok();
    changes_users(false).await;
    elsewhere.delete("ann", "/api/second-factor?admin=bob").await.refused(403);
    elsewhere.delete("ann", "/api/admins/bob").await.refused(403);
    assert_eq!(
        number(&db, "SELECT COUNT(*) FROM audit_entry WHERE actor_name = 'ann'").await,
        0,
        "nothing was changed"
    );
}

async fn ended_sessions_leave_no_admin_and_no_token_behind(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let elsewhere = TestPanel::beside(&panel, &[]).await;
    insert_admin_with(&panel, "ann", Rights::stored(RECRUITER)).await;
    panel.insert_admin("bob", false).await;
    panel.post("root", "/api/roles", json!({"name": "none"})).await.ok();
    let made = panel.post("bob", "/api/tokens", json!({"name": "bot", "scopes": ["*"]})).await.ok();
    for name in ["ann", "bob"] {
        elsewhere.get(name, "/api/users").await.ok();
        panel.delete("root", &format!("/api/sessions?admin={name}")).await.ok();
    }
    elsewhere.post("ann", "/api/admins", new_admin("eve", "none")).await.refused(403);
    let token = json!({"name": "t", "scopes": ["users:read"]});
    elsewhere.post("bob", "/api/tokens", token.clone()).await.refused(403);
    let bots = format!("/api/tokens/{}", made["id"].as_str().expect("an id"));
    elsewhere.post("bob", &format!("{bots}/rotate"), json!({})).await.refused(403);
    // It would end the sessions of who ended this one, and get a new token.
    elsewhere.delete("bob", "/api/sessions").await.refused(403);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM api_token").await, 1);
    let bot = made["secret"].as_str().expect("a secret");
    let by_bot =
        async || send(elsewhere.request(reqwest::Method::POST, "/api/tokens").bearer_auth(bot).json(&token)).await;
    by_bot().await.ok();
    // Known here again, after the change.
    send(elsewhere.request(reqwest::Method::GET, "/api/users").bearer_auth(bot)).await.ok();
    panel.delete("root", &bots).await.ok();
    by_bot().await.refused(403);
}
