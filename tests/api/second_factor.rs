//! The second factor: authenticator apps, recovery codes, and what a sign-in needs because of them.

use std::net::Ipv4Addr;

use reqwest::Method;
use sarban::store::Db;
use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

use crate::api::panel::{Answer, TestPanel, send};
use crate::support::database::{execute, number, on_both_engines, texts};

on_both_engines! {
    app_is_set_up_and_needed_from_then_on,
    code_is_accepted_once_on_all_hosts,
    code_of_the_neighbouring_half_minutes_is_accepted,
    recovery_code_is_good_once,
    admins_without_a_factor_sign_in_as_before,
    wrong_codes_are_limited_as_passwords_are,
    wrong_codes_of_a_new_app_are_limited_as_passwords_are,
    session_that_was_ended_adds_no_factor,
    guessing_codes_for_long_blocks_the_app,
    second_app_replaces_the_first,
    changes_need_the_password_and_end_other_sessions,
    sudo_admin_resets_another_admin,
    secrets_stay_out_of_the_audit_log,
    factors_go_with_their_admin,
    role_that_requires_a_factor_leaves_only_its_setup,
    role_without_rights_lets_its_admins_set_a_factor_up,
    admin_who_must_set_a_factor_up_reaches_no_session_of_others,
}

const SECONDS: i64 = 1_000_000;

/// The code of an app at the clock of a panel, some seconds later.
fn code(panel: &TestPanel, secret: &str, seconds_later: i64) -> String {
    let secret = Secret::try_from_base32(secret).expect("base32");
    let totp = Builder::new().with_secret(secret).build().expect("a secret");
    let at = panel.panel.clock.now().seconds() + seconds_later;
    totp.generate(u64::try_from(at).expect("a time after 1970")).to_string()
}

async fn sign_in_as(panel: &TestPanel, name: &str, otp: Option<&str>) -> Answer {
    let password = format!("{name}pass");
    let mut form = vec![("username", name), ("password", password.as_str())];
    form.extend(otp.map(|otp| ("otp", otp)));
    send(panel.request(Method::POST, "/api/admins/token").form(&form)).await
}

async fn sign_in(panel: &TestPanel, otp: Option<&str>) -> Answer {
    sign_in_as(panel, "root", otp).await
}

#[track_caller]
fn token(answer: &Value) -> String {
    answer["access_token"].as_str().expect("a token").to_owned()
}

async fn by(panel: &TestPanel, token: &str, method: Method, path: &str, body: Value) -> Answer {
    send(panel.request(method, path).bearer_auth(token).json(&body)).await
}

async fn status(panel: &TestPanel, token: &str) -> u16 {
    send(panel.request(Method::GET, "/api/admins/current").bearer_auth(token)).await.status.as_u16()
}

#[track_caller]
fn refused_with(answer: &Answer, code: &str) {
    answer.refused(401);
    assert_eq!(answer.body["code"], code, "{}", answer.body);
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

/// An admin with an authenticator app.
struct WithApp {
    token: String,
    secret: String,
    recovery_codes: Vec<String>,
}

/// Sets up an app for an admin, and waits until its first code is over.
async fn set_up(panel: &TestPanel, name: &str) -> WithApp {
    let first = token(&sign_in_as(panel, name, None).await.ok());
    let own = json!({"current_password": format!("{name}pass")});
    let begun = by(panel, &first, Method::POST, "/api/second-factor/totp", own).await.ok();
    let secret = begun["secret"].as_str().expect("a secret").to_owned();
    assert_eq!(begun["url"], format!("otpauth://totp/Sarban:{name}?secret={secret}&issuer=Sarban"));
    let confirm = json!({"code": code(panel, &secret, 0)});
    let done = by(panel, &first, Method::PUT, "/api/second-factor/totp", confirm).await.ok();
    let codes = done["recovery_codes"].as_array().expect("codes").iter();
    let recovery_codes = codes.map(|code| code.as_str().expect("a text").to_owned()).collect();
    panel.panel.clock.advance(30 * SECONDS);
    WithApp { token: token(&done["token"]), secret, recovery_codes }
}

async fn app_is_set_up_and_needed_from_then_on(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let first = token(&sign_in(&panel, None).await.ok());
    let confirm =
        async |code: &str| by(&panel, &first, Method::PUT, "/api/second-factor/totp", json!({"code": code})).await;
    confirm("123456").await.refused(409);
    let own = json!({"current_password": "rootpass"});
    let begun = by(&panel, &first, Method::POST, "/api/second-factor/totp", own).await.ok();
    let secret = begun["secret"].as_str().expect("a secret");
    sign_in(&panel, None).await.ok();
    for wrong in ["", "12345", "abcd-efgh-ijkl-mnop", &code(&panel, secret, 90)] {
        confirm(wrong).await.wrong_fields(&["code"]);
    }
    assert_eq!(status(&panel, &first).await, 200);
    let done = confirm(&code(&panel, secret, 0)).await.ok();
    assert_eq!(done["recovery_codes"].as_array().expect("codes").len(), 10);
    let next = token(&done["token"]);
    assert_eq!((status(&panel, &first).await, status(&panel, &next).await), (401, 200));
    let factors = by(&panel, &next, Method::GET, "/api/second-factor", json!({})).await.ok();
    assert_eq!(factors, json!({"totp": true, "passkeys": 0, "recovery_codes": 10, "required": false}));
    refused_with(&sign_in(&panel, None).await, "otp_required");
    refused_with(&sign_in(&panel, Some(" ")).await, "otp_required");
    refused_with(&sign_in(&panel, Some("000000")).await, "otp_wrong");
    refused_with(&sign_in(&panel, Some(&code(&panel, secret, 0))).await, "otp_wrong");
    panel.panel.clock.advance(30 * SECONDS);
    let spaced = code(&panel, secret, 0);
    let spaced = format!("{} {}", &spaced[..3], &spaced[3..]);
    assert_eq!(status(&panel, &token(&sign_in(&panel, Some(&spaced)).await.ok())).await, 200);
    // Of a wrong password, no code tells anything.
    let wrong = [("username", "root"), ("password", "wrong"), ("otp", "000000")];
    let wrong = send(panel.request(Method::POST, "/api/admins/token").form(&wrong)).await;
    assert_eq!(wrong.body, json!({"detail": "Wrong username or password"}));
}

async fn code_is_accepted_once_on_all_hosts(db: Db) {
    let here = TestPanel::start(db).await;
    let elsewhere = TestPanel::beside(&here, &[]).await;
    let app = set_up(&here, "root").await;
    elsewhere.panel.clock.advance(30 * SECONDS);
    let code = code(&here, &app.secret, 0);
    let hosts = [&here, &elsewhere, &here, &elsewhere];
    let attempts = hosts.map(|host| sign_in(host, Some(&code)));
    let answers = futures_util::future::join_all(attempts).await;
    let accepted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(accepted, 1, "{answers:?}");
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        refused_with(refused, "otp_wrong");
    }
}

async fn code_of_the_neighbouring_half_minutes_is_accepted(db: Db) {
    let panel = TestPanel::start(db).await;
    let app = set_up(&panel, "root").await;
    panel.panel.clock.advance(120 * SECONDS);
    for (later, accepted) in [(-60, false), (60, false), (-30, true), (30, true)] {
        let answer = sign_in(&panel, Some(&code(&panel, &app.secret, later))).await;
        assert_eq!(answer.status == 200, accepted, "{later} s: {}", answer.body);
    }
    // A later code was accepted, so those before it are good no longer.
    refused_with(&sign_in(&panel, Some(&code(&panel, &app.secret, 0))).await, "otp_wrong");
}

async fn recovery_code_is_good_once(db: Db) {
    let here = TestPanel::start(db.clone()).await;
    let elsewhere = TestPanel::beside(&here, &[]).await;
    let app = set_up(&here, "root").await;
    let one = &app.recovery_codes[0];
    let typed = one.replace('-', " ").to_uppercase();
    let answers = futures_util::future::join(sign_in(&here, Some(one)), sign_in(&elsewhere, Some(&typed))).await;
    let statuses = [answers.0.status.as_u16(), answers.1.status.as_u16()];
    assert!(statuses == [200, 401] || statuses == [401, 200], "{answers:?}");
    refused_with(&sign_in(&here, Some(one)).await, "otp_wrong");
    sign_in(&here, Some(&app.recovery_codes[1])).await.ok();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM recovery_code").await, 8);
    let stored = texts(&db, "SELECT code_hash FROM recovery_code").await;
    assert!(stored.iter().all(|hash| hash.len() == 64 && hash.bytes().all(|it| it.is_ascii_hexdigit())), "{stored:?}");
    // New ones replace those that are left.
    let own = json!({"current_password": "rootpass"});
    let done = by(&here, &app.token, Method::POST, "/api/second-factor/recovery-codes", own).await.ok();
    refused_with(&sign_in(&here, Some(&app.recovery_codes[2])).await, "otp_wrong");
    sign_in(&here, done["recovery_codes"][0].as_str()).await.ok();
}

async fn admins_without_a_factor_sign_in_as_before(db: Db) {
    let panel = TestPanel::start(db).await;
    for otp in [None, Some(""), Some("123456")] {
        let answer = sign_in(&panel, otp).await.ok();
        let keys: Vec<&String> = answer.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["access_token", "is_sudo", "token_type"]);
    }
    let token = token(&sign_in(&panel, None).await.ok());
    let factors = by(&panel, &token, Method::GET, "/api/second-factor", json!({})).await.ok();
    assert_eq!(factors, json!({"totp": false, "passkeys": 0, "recovery_codes": 0, "required": false}));
    let own = json!({"current_password": "rootpass"});
    for path in ["totp/remove", "recovery-codes"] {
        by(&panel, &token, Method::POST, &format!("/api/second-factor/{path}"), own.clone()).await.refused(404);
    }
}

async fn wrong_codes_are_limited_as_passwords_are(db: Db) {
    let panel =
        TestPanel::start_with(db, &[("LOGIN_ATTEMPTS_PER_MINUTE", "2"), ("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let app = set_up(&panel, "root").await;
    let from = async |last: u8, otp: Option<&str>| {
        let mut form = vec![("username", "root"), ("password", "rootpass")];
        form.extend(otp.map(|otp| ("otp", otp)));
        let address = Ipv4Addr::new(198, 51, 100, last).to_string();
        send(panel.request(Method::POST, "/api/admins/token").header("x-forwarded-for", address).form(&form)).await
    };
    // A missing code is no guess.
    for _ in 0..4 {
        refused_with(&from(1, None).await, "otp_required");
    }
    // By name, from several addresses.
    refused_with(&from(1, Some("000000")).await, "otp_wrong");
    refused_with(&from(2, Some("000000")).await, "otp_wrong");
    from(3, Some(&code(&panel, &app.secret, 0))).await.refused(429);
    panel.panel.clock.advance(60 * SECONDS);
    from(3, Some(&code(&panel, &app.secret, 0))).await.ok();
}

async fn wrong_codes_of_a_new_app_are_limited_as_passwords_are(db: Db) {
    let panel = TestPanel::start_with(db, &[("LOGIN_ATTEMPTS_PER_MINUTE", "2")]).await;
    let session = token(&sign_in(&panel, None).await.ok());
    let own = json!({"current_password": "rootpass"});
    let begun = by(&panel, &session, Method::POST, "/api/second-factor/totp", own).await.ok();
    let secret = begun["secret"].as_str().expect("a secret");
    let confirm =
        async |code: &str| by(&panel, &session, Method::PUT, "/api/second-factor/totp", json!({"code": code})).await;
    for _ in 0..2 {
        confirm(&code(&panel, secret, 90)).await.wrong_fields(&["code"]);
    }
    confirm(&code(&panel, secret, 0)).await.refused(429);
    sign_in(&panel, None).await.refused(429);
    panel.panel.clock.advance(60 * SECONDS);
    confirm(&code(&panel, secret, 0)).await.ok();
}

async fn session_that_was_ended_adds_no_factor(db: Db) {
    let here = TestPanel::start(db).await;
    let elsewhere = TestPanel::beside(&here, &[]).await;
    let (ended, owner) = (token(&sign_in(&here, None).await.ok()), token(&sign_in(&here, None).await.ok()));
    let own = json!({"current_password": "rootpass"});
    let begun = by(&here, &ended, Method::POST, "/api/second-factor/totp", own).await.ok();
    let confirm = json!({"code": code(&here, begun["secret"].as_str().expect("a secret"), 0)});
    assert_eq!(status(&elsewhere, &ended).await, 200);
    by(&here, &owner, Method::DELETE, "/api/sessions", Value::Null).await.ok();
    // The second is not over for this panel, whose clock stands still. The change would give the session a new token.
    by(&elsewhere, &ended, Method::PUT, "/api/second-factor/totp", confirm.clone()).await.refused(403);
    by(&elsewhere, &ended, Method::DELETE, "/api/sessions", Value::Null).await.refused(403);
    // Nor does the app that it began to set up come back with another session.
    let next = token(&sign_in(&here, None).await.ok());
    by(&here, &next, Method::PUT, "/api/second-factor/totp", confirm).await.refused(409);
}

async fn guessing_codes_for_long_blocks_the_app(db: Db) {
    let panel = TestPanel::start_with(db.clone(), &[("LOGIN_ATTEMPTS_PER_MINUTE", "0")]).await;
    let app = set_up(&panel, "root").await;
    execute(&db, "UPDATE totp SET wrong_codes = 49").await;
    sign_in(&panel, Some(&code(&panel, &app.secret, 0))).await.ok();
    assert_eq!(number(&db, "SELECT wrong_codes FROM totp").await, 0, "a right code ends the row");
    execute(&db, "UPDATE totp SET wrong_codes = 49").await;
    refused_with(&sign_in(&panel, Some("000000")).await, "otp_wrong");
    panel.panel.clock.advance(30 * SECONDS);
    refused_with(&sign_in(&panel, Some(&code(&panel, &app.secret, 0))).await, "otp_blocked");
    sign_in(&panel, Some(&app.recovery_codes[0])).await.ok();
}

async fn second_app_replaces_the_first(db: Db) {
    let panel = TestPanel::start(db).await;
    let app = set_up(&panel, "root").await;
    let own = json!({"current_password": "rootpass"});
    let begun = by(&panel, &app.token, Method::POST, "/api/second-factor/totp", own).await.ok();
    sign_in(&panel, Some(&code(&panel, &app.secret, 0))).await.ok();
    panel.panel.clock.advance(30 * SECONDS);
    let secret = begun["secret"].as_str().expect("a secret");
    let confirm = json!({"code": code(&panel, secret, 0)});
    let done = by(&panel, &app.token, Method::PUT, "/api/second-factor/totp", confirm).await.ok();
    assert_eq!(done["recovery_codes"], json!([]), "those so far stay good");
    panel.panel.clock.advance(30 * SECONDS);
    refused_with(&sign_in(&panel, Some(&code(&panel, &app.secret, 0))).await, "otp_wrong");
    sign_in(&panel, Some(&code(&panel, secret, 0))).await.ok();
    sign_in(&panel, Some(&app.recovery_codes[0])).await.ok();
}

async fn changes_need_the_password_and_end_other_sessions(db: Db) {
    let panel = TestPanel::start_with(db.clone(), &[("LOGIN_ATTEMPTS_PER_MINUTE", "4")]).await;
    let elsewhere = TestPanel::beside(&panel, &[]).await;
    let app = set_up(&panel, "root").await;
    elsewhere.panel.clock.advance(30 * SECONDS);
    let other = token(&sign_in(&panel, Some(&code(&panel, &app.secret, 0))).await.ok());
    assert_eq!(status(&elsewhere, &other).await, 200);
    let change = async |path: &str, password: &str| {
        let path = format!("/api/second-factor/{path}");
        by(&panel, &app.token, Method::POST, &path, json!({"current_password": password})).await
    };
    for path in ["totp", "totp/remove", "recovery-codes"] {
        change(path, "wrong").await.wrong_fields(&["current_password"]);
        by(&panel, &app.token, Method::POST, &format!("/api/second-factor/{path}"), json!({}))
            .await
            .wrong_fields(&["current_password"]);
    }
    assert_eq!(status(&panel, &other).await, 200);
    let next = token(&change("totp/remove", "rootpass").await.ok()["token"]);
    assert_eq!((status(&panel, &other).await, status(&panel, &app.token).await), (401, 401), "at once");
    elsewhere.panel.clock.advance(SECONDS);
    assert_eq!((status(&elsewhere, &other).await, status(&elsewhere, &next).await), (401, 200), "within a second");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM recovery_code").await, 0, "with the last factor");
    sign_in(&panel, None).await.ok();
    let wrong = json!({"current_password": "wrong"});
    by(&panel, &next, Method::POST, "/api/second-factor/totp", wrong.clone()).await.wrong_fields(&["current_password"]);
    by(&panel, &next, Method::POST, "/api/second-factor/totp", wrong).await.refused(429);
}

async fn sudo_admin_resets_another_admin(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    for (name, is_sudo) in [("bob", false), ("dave", true), ("eve", false)] {
        panel.insert_admin(name, is_sudo).await;
    }
    let app = set_up(&panel, "bob").await;
    set_up(&panel, "dave").await;
    let of = |name: &str| format!("/api/second-factor?admin={name}");
    let factors = panel.get("root", &of("bob")).await.ok();
    assert_eq!(factors, json!({"totp": true, "passkeys": 0, "recovery_codes": 10, "required": false}));
    panel.get("eve", &of("bob")).await.refused(403);
    panel.delete("eve", &of("bob")).await.refused(403);
    panel.delete("root", &of("dave")).await.refused(403);
    panel.delete("root", &of("root")).await.refused(403);
    panel.delete("root", "/api/second-factor").await.wrong_fields(&["admin"]);
    panel.delete("root", &of("eve")).await.refused(404);
    panel.delete("root", &of("nobody")).await.refused(404);
    panel.delete("root", &of("bob")).await.ok();
    assert_eq!(status(&panel, &app.token).await, 401);
    sign_in_as(&panel, "bob", None).await.ok();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM totp").await, 1);
    refused_with(&sign_in_as(&panel, "dave", None).await, "otp_required");
}

async fn secrets_stay_out_of_the_audit_log(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let app = set_up(&panel, "root").await;
    sign_in(&panel, Some(&app.recovery_codes[0])).await.ok();
    let own = json!({"current_password": "rootpass"});
    let token = token(&sign_in(&panel, Some(&code(&panel, &app.secret, 0))).await.ok());
    by(&panel, &token, Method::POST, "/api/second-factor/totp/remove", own).await.ok();
    let actions = texts(&db, "SELECT action FROM audit_entry WHERE action LIKE 'second%' ORDER BY id").await;
    assert_eq!(
        actions,
        [
            "second_factor.begin_totp",
            "second_factor.confirm_totp",
            "second_factor.use_recovery_code",
            "second_factor.remove_totp"
        ]
    );
    let log = texts(&db, "SELECT COALESCE(after_change, '') || COALESCE(before_change, '') FROM audit_entry").await;
    for secret in app.recovery_codes.iter().chain([&app.secret]) {
        assert!(log.iter().all(|entry| !entry.contains(secret.as_str())), "{log:?}");
    }
    let authors = texts(&db, "SELECT COALESCE(actor_name, '?') FROM audit_entry WHERE action LIKE 'second%'").await;
    assert_eq!(authors, ["root"; 4]);
}

async fn factors_go_with_their_admin(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("bob", false).await;
    set_up(&panel, "bob").await;
    panel.delete("root", "/api/admins/bob").await.ok();
    assert_eq!(number(&db, "SELECT (SELECT COUNT(*) FROM totp) + (SELECT COUNT(*) FROM recovery_code)").await, 0);
}

async fn role_that_requires_a_factor_leaves_only_its_setup(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("bob", false).await;
    let before = token(&sign_in_as(&panel, "bob", None).await.ok());
    by(&panel, &before, Method::GET, "/api/users", json!({})).await.ok();
    execute(&db, "UPDATE admin_role SET requires_second_factor = TRUE WHERE name = 'reseller'").await;
    panel.panel.clock.advance(SECONDS);
    let signed_in = token(&sign_in_as(&panel, "bob", None).await.ok());
    for token in [&before, &signed_in] {
        for (method, path) in [(Method::GET, "/api/users"), (Method::POST, "/api/tokens"), (Method::GET, "/api/events")]
        {
            let answer = by(&panel, token, method, path, json!({})).await;
            answer.refused(403);
            assert_eq!(answer.body["code"], "second_factor_required", "{path}");
        }
        assert_eq!(status(&panel, token).await, 200);
    }
    let factors = by(&panel, &signed_in, Method::GET, "/api/second-factor", json!({})).await.ok();
    assert_eq!(factors, json!({"totp": false, "passkeys": 0, "recovery_codes": 0, "required": true}));
    let app = set_up(&panel, "bob").await;
    by(&panel, &app.token, Method::GET, "/api/users", json!({})).await.ok();
    let own = json!({"current_password": "bobpass"});
    by(&panel, &app.token, Method::POST, "/api/second-factor/totp/remove", own).await.refused(409);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM recovery_code").await, 10, "nothing half-removed");
    // Sudo admins have another role.
    panel.get("root", "/api/users").await.ok();
    panel.delete("root", "/api/second-factor?admin=bob").await.ok();
    let again = token(&sign_in_as(&panel, "bob", None).await.ok());
    by(&panel, &again, Method::GET, "/api/users", json!({})).await.refused(403);
}

async fn role_without_rights_lets_its_admins_set_a_factor_up(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.post("root", "/api/roles", json!({"name": "bare", "requires_second_factor": true})).await.ok();
    let ann = json!({"username": "ann", "password": "annpass", "is_sudo": false, "role": "bare"});
    panel.post("root", "/api/admins", ann).await.ok();
    let app = set_up(&panel, "ann").await;
    by(&panel, &app.token, Method::GET, "/api/users", json!({})).await.refused(403);
    let own = json!({"current_password": "annpass"});
    by(&panel, &app.token, Method::POST, "/api/second-factor/totp", own).await.refused(403);
}

async fn admin_who_must_set_a_factor_up_reaches_no_session_of_others(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let rights = json!({"sessions": {"read": "all", "write": "all"}});
    let role = json!({"name": "guards", "rights": rights, "requires_second_factor": true});
    panel.post("root", "/api/roles", role).await.ok();
    let ann = json!({"username": "ann", "password": "annpass", "is_sudo": false, "role": "guards"});
    panel.post("root", "/api/admins", ann).await.ok();
    panel.insert_admin("bob", false).await;
    let bobs = token(&sign_in_as(&panel, "bob", None).await.ok());
    let listed = by(&panel, &bobs, Method::GET, "/api/sessions", json!({})).await.ok();
    let session = format!("/api/sessions/{}", listed["items"][0]["id"].as_str().expect("an id"));
    let anns = token(&sign_in_as(&panel, "ann", None).await.ok());
    by(&panel, &anns, Method::GET, "/api/sessions?admin=bob", json!({})).await.refused(403);
    by(&panel, &anns, Method::DELETE, "/api/sessions?admin=bob", json!({})).await.refused(403);
    by(&panel, &anns, Method::DELETE, &session, json!({})).await.refused(404);
    assert_eq!(status(&panel, &bobs).await, 200);
    by(&panel, &anns, Method::GET, "/api/sessions", json!({})).await.ok();
    by(&panel, &anns, Method::DELETE, "/api/sessions", json!({})).await.ok();
}
