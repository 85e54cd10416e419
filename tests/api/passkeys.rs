//! Passkeys: added, listed, renamed, removed, and used to sign in, with a software authenticator.

use futures_util::future::join_all;
use reqwest::Method;
use sarban::store::Db;
use serde_json::json;

use crate::api::panel::{TestPanel, send};
use crate::api::passkey_client::{At, Begun, refused_with, text};
use crate::support::authenticator::SoftPasskey;
use crate::support::database::{execute, number, on_both_engines, texts};

on_both_engines! {
    passkey_signs_in_alone_on_each_host,
    first_passkey_is_a_second_factor_of_the_password,
    answer_is_accepted_once_on_all_hosts,
    challenge_is_for_its_purpose_its_admin_and_five_minutes,
    passkey_of_another_origin_is_refused,
    address_in_place_of_a_name_is_refused,
    domain_of_the_settings_holds_behind_any_proxy,
    authenticator_must_verify_its_user_and_not_be_a_copy,
    wrong_answers_are_limited_as_passwords_are,
    passkeys_are_listed_and_renamed_by_their_admin,
    removal_needs_the_password_and_ends_other_sessions,
    admin_has_twenty_passkeys_at_most,
    role_that_requires_a_factor_accepts_a_passkey,
    reset_removes_passkeys,
    passkeys_go_with_their_admin,
}

const SECONDS: i64 = 1_000_000;
const HOST: &str = "panel.example.com";
const ORIGIN: &str = "https://panel.example.com";
const PASSKEYS: &str = "SELECT COUNT(*) FROM passkey";

/// The changes of second factors in the audit log.
async fn actions(db: &Db) -> Vec<String> {
    texts(db, "SELECT action FROM audit_entry WHERE action LIKE 'second%' ORDER BY id").await
}

async fn passkey_signs_in_alone_on_each_host(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let elsewhere = TestPanel::beside(&panel, &[]).await;
    let (here, there) = (At(&panel, HOST), At(&elsewhere, "Panel.Example.com:8443"));
    let token = here.session("root").await;
    let begun = here.begin(&token, "root").await;
    let options = &begun.options;
    assert_eq!((&options["rp"]["id"], &options["user"]["name"]), (&json!(HOST), &json!("root")));
    let selection = &options["authenticatorSelection"];
    assert_eq!((&selection["residentKey"], &selection["userVerification"]), (&json!("required"), &json!("required")));
    assert_eq!(options["extensions"], json!({}), "any authenticator will do");
    let passkey = SoftPasskey::new(ORIGIN, options);
    // The second request reaches the other host.
    there.add(&token, &begun, &passkey).await.ok();
    let signing = here.begin_sign_in().await;
    let asked = (&signing.options["userVerification"], &signing.options["rpId"], &signing.options["allowCredentials"]);
    assert_eq!(asked, (&json!("required"), &json!(HOST), &json!([])));
    let signed_in = there.finish_sign_in(&signing, &passkey.assertion(&signing.options)).await.ok();
    assert_eq!(signed_in["is_sudo"], true);
    let token = text(&signed_in["access_token"]);
    // The other host learns of the first change within a second.
    panel.panel.clock.advance(SECONDS);
    assert_eq!((here.status(&token).await, there.status(&token).await), (200, 200));
    let own = json!({"current_password": "rootpass"});
    let second = Begun::of(&here.post(&token, "passkey-options", &own).await.ok());
    assert_eq!(second.options["user"]["id"], options["user"]["id"]);
    assert_eq!(second.options["excludeCredentials"][0]["id"], passkey.registration(options)["id"]);
    // That authenticator does not obey.
    here.add(&token, &second, &passkey).await.refused(409);
    let entries =
        texts(&db, "SELECT action || ' ' || actor_name FROM audit_entry WHERE actor = 'admin' ORDER BY id").await;
    assert_eq!(entries, ["session.start root", "second_factor.add_passkey root", "session.start root"]);
    let log = texts(&db, "SELECT COALESCE(after_change, '') FROM audit_entry WHERE action LIKE 'second%'").await;
    assert!(log[0].contains("phone") && !log[0].contains(&text(&begun.state)), "{log:?}");
}

async fn first_passkey_is_a_second_factor_of_the_password(db: Db) {
    let panel = TestPanel::start(db).await;
    let at = At(&panel, HOST);
    let first = at.session("root").await;
    let other = at.session("root").await;
    let begun = at.begin(&first, "root").await;
    let done = at.add(&first, &begun, &SoftPasskey::new(ORIGIN, &begun.options)).await.ok();
    let codes = done["recovery_codes"].as_array().expect("codes");
    assert_eq!(codes.len(), 10);
    assert_eq!((at.status(&first).await, at.status(&other).await), (401, 401), "other sessions end at once");
    let next = text(&done["token"]["access_token"]);
    let factors = at.send(Some(&next), Method::GET, "/api/second-factor", &json!({})).await.ok();
    assert_eq!(factors, json!({"totp": false, "passkeys": 1, "recovery_codes": 10, "required": false}));
    refused_with(&at.password("root", None).await, 401, "otp_required");
    refused_with(&at.password("root", Some("000000")).await, 401, "otp_wrong");
    at.password("root", codes[0].as_str()).await.ok();
    // The codes so far stay good.
    let begun = at.begin(&next, "root").await;
    let done = at.add(&next, &begun, &SoftPasskey::new(ORIGIN, &begun.options)).await.ok();
    assert_eq!(done["recovery_codes"], json!([]));
    at.password("root", codes[1].as_str()).await.ok();
}

async fn answer_is_accepted_once_on_all_hosts(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let elsewhere = TestPanel::beside(&panel, &[]).await;
    let (here, there) = (At(&panel, HOST), At(&elsewhere, HOST));
    let token = here.session("root").await;
    let begun = here.begin(&token, "root").await;
    let passkey = SoftPasskey::new(ORIGIN, &begun.options);
    let done = here.add(&token, &begun, &passkey).await.ok();
    let token = text(&done["token"]["access_token"]);
    let again = SoftPasskey::new(ORIGIN, &begun.options);
    refused_with(&here.add(&token, &begun, &again).await, 400, "challenge_used");
    assert_eq!(number(&db, PASSKEYS).await, 1);
    let begun = here.begin_sign_in().await;
    let answer = passkey.assertion(&begun.options);
    let attempts = [here, there, here, there].map(|at| at.finish_sign_in(&begun, &answer));
    let answers = join_all(attempts).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        refused_with(refused, 400, "challenge_used");
    }
    assert_eq!(number(&db, "SELECT COUNT(*) FROM used_challenge").await, 2);
    here.sign_in(&passkey).await.ok();
}

async fn challenge_is_for_its_purpose_its_admin_and_five_minutes(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("bob", false).await;
    let at = At(&panel, HOST);
    let (passkey, token) = at.set_up("root").await;
    let bob = at.session("bob").await;
    let bobs = at.begin(&bob, "bob").await;
    let signing = at.begin_sign_in().await;
    let session = Begun { options: signing.options.clone(), state: json!(token) };
    let forged = Begun { options: signing.options.clone(), state: json!(format!("{}x", text(&signing.state))) };
    for begun in [&bobs, &session, &forged] {
        let answer = at.finish_sign_in(begun, &passkey.assertion(&begun.options)).await;
        refused_with(&answer, 400, "challenge_expired");
    }
    let new = SoftPasskey::new(ORIGIN, &bobs.options);
    refused_with(&at.add(&token, &bobs, &new).await, 400, "challenge_expired");
    let mixed = Begun { options: bobs.options.clone(), state: signing.state.clone() };
    refused_with(&at.add(&bob, &mixed, &new).await, 400, "challenge_expired");
    // A state is no token of a session.
    assert_eq!(at.status(&text(&signing.state)).await, 401);
    // The challenge of one ceremony with the state of another.
    let second = at.begin_sign_in().await;
    at.finish_sign_in(&signing, &passkey.assertion(&second.options)).await.refused(401);
    panel.panel.clock.advance(299 * SECONDS);
    at.finish_sign_in(&signing, &passkey.assertion(&signing.options)).await.ok();
    panel.panel.clock.advance(2 * SECONDS);
    refused_with(&at.finish_sign_in(&second, &passkey.assertion(&second.options)).await, 400, "challenge_expired");
    let bob = at.session("bob").await;
    refused_with(&at.add(&bob, &bobs, &new).await, 400, "challenge_expired");
    assert_eq!(number(&db, PASSKEYS).await, 1);
}

async fn passkey_of_another_origin_is_refused(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let at = At(&panel, HOST);
    let (mut passkey, token) = at.set_up("root").await;
    let begun = at.begin(&token, "root").await;
    let mut new = SoftPasskey::new(ORIGIN, &begun.options);
    let others = [
        "https://evil.example",
        "http://panel.example.com",
        "https://a.panel.example.com",
        "https://example.com",
        "null",
    ];
    for origin in others {
        new.origin = origin.to_owned();
        refused_with(&at.add(&token, &begun, &new).await, 403, "passkey_origin");
        passkey.origin = origin.to_owned();
        refused_with(&at.sign_in(&passkey).await, 403, "passkey_origin");
    }
    (new.origin, passkey.origin) = (ORIGIN.to_owned(), ORIGIN.to_owned());
    (new.rp_id, passkey.rp_id) = ("evil.example".to_owned(), "evil.example".to_owned());
    refused_with(&at.add(&token, &begun, &new).await, 403, "passkey_origin");
    refused_with(&at.sign_in(&passkey).await, 403, "passkey_origin");
    // The same passkey under another name of the panel.
    (passkey.origin, passkey.rp_id) = ("https://other.example".to_owned(), "other.example".to_owned());
    refused_with(&At(&panel, "other.example").sign_in(&passkey).await, 403, "passkey_origin");
    assert_eq!((number(&db, PASSKEYS).await, number(&db, "SELECT COUNT(*) FROM used_challenge").await), (1, 1));
    assert_eq!(number(&db, "SELECT COUNT(*) FROM passkey WHERE last_used_at IS NOT NULL").await, 0);
    // What was refused used nothing up.
    (new.rp_id, passkey.origin, passkey.rp_id) = (HOST.to_owned(), format!("{ORIGIN}:8443"), HOST.to_owned());
    at.add(&token, &begun, &new).await.ok();
    at.sign_in(&passkey).await.ok();
}

async fn address_in_place_of_a_name_is_refused(db: Db) {
    let panel = TestPanel::start(db).await;
    let token = At(&panel, HOST).session("root").await;
    for host in ["127.0.0.1:8000", "[::1]:8000", "192.0.2.1"] {
        let at = At(&panel, host);
        let own = json!({"current_password": "rootpass"});
        refused_with(&at.post(&token, "passkey-options", &own).await, 400, "passkey_needs_host_name");
        let answer = at.send(None, Method::POST, "/api/passkey-sign-in/options", &json!({})).await;
        refused_with(&answer, 400, "passkey_needs_host_name");
    }
    // On this machine no TLS is needed.
    let at = At(&panel, "localhost:8000");
    let begun = at.begin(&token, "root").await;
    let passkey = SoftPasskey::new("http://localhost:8000", &begun.options);
    at.add(&token, &begun, &passkey).await.ok();
    at.sign_in(&passkey).await.ok();
}

async fn domain_of_the_settings_holds_behind_any_proxy(db: Db) {
    let panel = TestPanel::start_with(db, &[("PASSKEY_DOMAIN", "Example.com")]).await;
    // A proxy that does not pass on the name.
    let at = At(&panel, "127.0.0.1:8000");
    let token = at.session("root").await;
    let begun = at.begin(&token, "root").await;
    assert_eq!(begun.options["rp"]["id"], "example.com");
    let mut passkey = SoftPasskey::new(ORIGIN, &begun.options);
    at.add(&token, &begun, &passkey).await.ok();
    for (origin, good) in
        [("https://example.com", true), ("https://b.example.com:8443", true), ("https://evil-example.com", false)]
    {
        passkey.origin = origin.to_owned();
        for host in ["127.0.0.1:8000", "b.example.com"] {
            let answer = At(&panel, host).sign_in(&passkey).await;
            assert_eq!(answer.status.as_u16(), if good { 200 } else { 403 }, "{origin}: {}", answer.body);
        }
    }
}

async fn authenticator_must_verify_its_user_and_not_be_a_copy(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let at = At(&panel, HOST);
    let (mut passkey, token) = at.set_up("root").await;
    let begun = at.begin(&token, "root").await;
    let mut new = SoftPasskey::new(ORIGIN, &begun.options);
    new.verifies_user = false;
    at.add(&token, &begun, &new).await.wrong_fields(&["credential"]);
    let body = json!({"name": "x", "state": begun.state, "credential": {"id": "x"}});
    at.post(&token, "passkeys", &body).await.wrong_fields(&["credential"]);
    passkey.verifies_user = false;
    at.sign_in(&passkey).await.refused(401);
    passkey.verifies_user = true;
    passkey.counter = 7;
    at.sign_in(&passkey).await.ok();
    // A copy counts from where the original stood.
    at.sign_in(&passkey).await.refused(401);
    passkey.counter = 8;
    at.sign_in(&passkey).await.ok();
    let signing = at.begin_sign_in().await;
    at.finish_sign_in(&signing, &json!({"id": "x"})).await.wrong_fields(&["credential"]);
    let stranger = SoftPasskey::new(ORIGIN, &begun.options);
    let answer = at.sign_in(&stranger).await;
    answer.refused(401);
    assert_eq!(answer.body["detail"], "No admin has this passkey");
    assert_eq!(number(&db, PASSKEYS).await, 1);
}

async fn wrong_answers_are_limited_as_passwords_are(db: Db) {
    let settings = [("LOGIN_ATTEMPTS_PER_MINUTE", "2"), ("TRUSTED_PROXIES", "127.0.0.1")];
    let panel = TestPanel::start_with(db, &settings).await;
    let at = At(&panel, HOST);
    let (mut passkey, _) = at.set_up("root").await;
    let from = async |last: u8, passkey: &SoftPasskey| {
        let begun = at.begin_sign_in().await;
        let body = json!({"state": begun.state, "credential": passkey.assertion(&begun.options)});
        let request = panel.request(Method::POST, "/api/passkey-sign-in").header("host", HOST);
        send(request.header("x-forwarded-for", format!("198.51.100.{last}")).json(&body)).await
    };
    // By credential, from several addresses.
    passkey.verifies_user = false;
    from(1, &passkey).await.refused(401);
    from(2, &passkey).await.refused(401);
    passkey.verifies_user = true;
    from(3, &passkey).await.refused(429);
    panel.panel.clock.advance(60 * SECONDS);
    for _ in 0..4 {
        from(3, &passkey).await.ok();
    }
    // By address, with several credentials.
    let options = json!({"rp": {"id": HOST}, "user": {"id": "AAAAAAAAAAAAAAAAAAAAAA"}});
    for _ in 0..2 {
        from(4, &SoftPasskey::new(ORIGIN, &options)).await.refused(401);
    }
    from(4, &passkey).await.refused(429);
    from(3, &passkey).await.ok();
}

async fn passkeys_are_listed_and_renamed_by_their_admin(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("bob", false).await;
    let at = At(&panel, HOST);
    let (passkey, token) = at.set_up("bob").await;
    let list = async |by: &str, query: &str| {
        at.send(Some(by), Method::GET, &format!("/api/second-factor/passkeys{query}"), &json!({})).await
    };
    let listed = list(&token, "").await.ok();
    assert_eq!((&listed[0]["name"], &listed[0]["rp_id"]), (&json!("phone"), &json!(HOST)));
    assert!(listed[0]["created_at"].is_string() && listed[0]["last_used_at"].is_null(), "{listed}");
    panel.panel.clock.advance(90 * SECONDS);
    at.sign_in(&passkey).await.ok();
    let used = list(&token, "").await.ok();
    assert!(used[0]["last_used_at"].as_str() > listed[0]["created_at"].as_str(), "{used}");
    let path = format!("/api/second-factor/passkeys/{}", text(&listed[0]["id"]));
    let rename =
        async |by: &str, path: &str, name: &str| at.send(Some(by), Method::PUT, path, &json!({"name": name})).await;
    for wrong in ["", " ", "a\nb", &"x".repeat(65)] {
        rename(&token, &path, wrong).await.wrong_fields(&["name"]);
    }
    let root = at.session("root").await;
    rename(&root, &path, "mine").await.refused(404);
    rename(&token, "/api/second-factor/passkeys/7", "mine").await.refused(404);
    rename(&token, &path, "blue key").await.ok();
    assert_eq!(actions(&db).await, ["second_factor.add_passkey", "second_factor.rename_passkey"]);
    assert_eq!(list(&root, "?admin=bob").await.ok()[0]["name"], "blue key");
    assert_eq!(list(&root, "").await.ok(), json!([]));
    list(&token, "?admin=root").await.refused(403);
}

async fn removal_needs_the_password_and_ends_other_sessions(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("bob", false).await;
    let at = At(&panel, HOST);
    let (passkey, token) = at.set_up("root").await;
    let other = text(&at.sign_in(&passkey).await.ok()["access_token"]);
    let ids = at.send(Some(&token), Method::GET, "/api/second-factor/passkeys", &json!({})).await.ok();
    let path = format!("passkeys/{}/remove", text(&ids[0]["id"]));
    at.post(&token, &path, &json!({"current_password": "wrong"})).await.wrong_fields(&["current_password"]);
    let bob = at.session("bob").await;
    at.post(&bob, &path, &json!({"current_password": "bobpass"})).await.refused(404);
    assert_eq!((number(&db, PASSKEYS).await, at.status(&other).await), (1, 200));
    let own = json!({"current_password": "rootpass"});
    let next = text(&at.post(&token, &path, &own).await.ok()["token"]["access_token"]);
    let statuses = [at.status(&other).await, at.status(&token).await, at.status(&next).await];
    assert_eq!(statuses, [401, 401, 200]);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM recovery_code").await, 0, "with the last factor");
    assert_eq!(actions(&db).await, ["second_factor.add_passkey", "second_factor.remove_passkey"]);
    at.password("root", None).await.ok();
    at.sign_in(&passkey).await.refused(401);
    at.post(&next, &path, &own).await.refused(404);
}

async fn admin_has_twenty_passkeys_at_most(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let at = At(&panel, HOST);
    let (_, token) = at.set_up("root").await;
    let begun = at.begin(&token, "root").await;
    for i in 10..29 {
        execute(
            &db,
            &format!(
                "INSERT INTO passkey
                    (id, admin_id, credential_id, user_handle, rp_id, name, static_state, dynamic_state, created_at)
                 SELECT '00000000-0000-0000-0000-0000000000{i}', admin_id, '{i}', user_handle, rp_id, name, static_state,
                     dynamic_state, 0 FROM passkey WHERE created_at > 0"
            ),
        )
        .await;
    }
    let own = json!({"current_password": "rootpass"});
    at.post(&token, "passkey-options", &own).await.refused(409);
    at.add(&token, &begun, &SoftPasskey::new(ORIGIN, &begun.options)).await.refused(409);
    assert_eq!(number(&db, PASSKEYS).await, 20);
}

async fn role_that_requires_a_factor_accepts_a_passkey(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("bob", false).await;
    execute(&db, "UPDATE admin_role SET requires_second_factor = TRUE WHERE name = 'reseller'").await;
    let at = At(&panel, HOST);
    let users = async |token: &str| at.send(Some(token), Method::GET, "/api/users", &json!({})).await;
    refused_with(&users(&at.session("bob").await).await, 403, "second_factor_required");
    let (passkey, token) = at.set_up("bob").await;
    users(&token).await.ok();
    users(&text(&at.sign_in(&passkey).await.ok()["access_token"])).await.ok();
    let ids = at.send(Some(&token), Method::GET, "/api/second-factor/passkeys", &json!({})).await.ok();
    let path = format!("passkeys/{}/remove", text(&ids[0]["id"]));
    at.post(&token, &path, &json!({"current_password": "bobpass"})).await.refused(409);
    assert_eq!(number(&db, PASSKEYS).await, 1, "nothing half-removed");
}

async fn reset_removes_passkeys(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("bob", false).await;
    let at = At(&panel, HOST);
    let (passkey, token) = at.set_up("bob").await;
    panel.delete("root", "/api/second-factor?admin=bob").await.ok();
    assert_eq!((number(&db, PASSKEYS).await, at.status(&token).await), (0, 401));
    at.sign_in(&passkey).await.refused(401);
    at.password("bob", None).await.ok();
}

async fn passkeys_go_with_their_admin(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("bob", false).await;
    let at = At(&panel, HOST);
    let (passkey, _) = at.set_up("bob").await;
    panel.delete("root", "/api/admins/bob").await.ok();
    assert_eq!(number(&db, PASSKEYS).await, 0);
    at.sign_in(&passkey).await.refused(401);
}
