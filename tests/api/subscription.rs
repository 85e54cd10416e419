//! What `/sub/…` promises to apps.

use reqwest::{Method, RequestBuilder};
use sarban::actions::recent::MAX_AGE;
use sarban::domain::moment::SECOND;
use sarban::store::Db;
use serde_json::json;

use crate::panel::{TestPanel, send};
use crate::support::database::{execute, on_both_engines};

on_both_engines!(
    a_link_answers_in_every_format,
    wrong_links_are_not_found_and_counted,
    whatever_is_wrong_with_a_link_the_answer_takes_as_long,
    a_fetch_is_noted_at_once,
    programs_get_what_the_rules_say,
    changes_are_seen,
    operators_bring_their_own_pages,
    the_built_in_pages_keep_the_link_to_themselves,
    programs_that_are_known_get_what_they_can_load,
    patterns_that_were_stored_wrong_break_nothing,
    what_a_program_has_already_is_not_sent_again,
    what_is_revoked_stops_working_on_every_host,
);

const LINK: &str = "/sub/ann/00000000000000000000000000000001";
/// A host for everybody.
const HOST: &str = r#"INSERT INTO hosts (universal, spec)
    VALUES (TRUE, '{"remark": "{USERNAME} there", "address": "192.0.2.1", "protocol": "trojan", "network": "tcp",
                    "port": 443, "password": "pw"}')"#;
/// Another one, which Hysteria 2 does not have like this.
const HYSTERIA_WITHOUT_TLS: &str = r#"INSERT INTO hosts (universal, spec)
    VALUES (TRUE, '{"remark": "there", "address": "192.0.2.1", "protocol": "hysteria2", "network": "tcp", "port": 443,
                    "password": "pw"}')"#;

async fn start(db: Db) -> TestPanel {
    let panel = TestPanel::start_with(db, &[("SUBSCRIPTION_MISSES_PER_MINUTE", "3")]).await;
    let ann = json!({
        "username": "ann", "expire_strategy": "never", "key": "00000000000000000000000000000001", "data_limit": 7
    });
    panel.post("root", "/api/users", ann).await.ok();
    panel
}

fn fetch(panel: &TestPanel, path: &str) -> RequestBuilder {
    panel.request(Method::GET, path)
}

async fn a_link_answers_in_every_format(db: Db) {
    execute(&db, HOST).await;
    let panel = start(db).await;
    let links = send(fetch(&panel, &format!("{LINK}/links?a=b"))).await;
    assert_eq!(links.header("content-disposition"), Some("attachment; filename=\"ann\""));
    assert_eq!(links.header("profile-title"), Some("base64:U3VwcG9ydA=="));
    assert_eq!(links.header("profile-update-interval"), Some("12"));
    assert_eq!(links.header("support-url"), Some("t.me/support"));
    assert_eq!(links.header("subscription-userinfo"), Some("upload=0; download=0; total=7; expire=0"));
    let own_url = panel.url(&format!("{LINK}/links?a=b"));
    assert_eq!(links.header("profile-web-page-url"), Some(own_url.as_str()));
    assert_eq!(links.ok(), "trojan://pw@192.0.2.1:443?security=none&type=tcp#ann%20there");
    for (client, media_type) in [
        ("v2ray", "text/plain"),
        ("xray", "application/json"),
        ("sing-box", "application/json"),
        ("clash", "text/yaml"),
        ("clash-meta", "text/yaml"),
        ("wireguard", "application/json"),
    ] {
        let answer = send(fetch(&panel, &format!("{LINK}/{client}"))).await;
        assert!(answer.header("content-type").is_some_and(|found| found.starts_with(media_type)), "{client}");
        answer.ok();
    }
    assert_eq!(send(fetch(&panel, &format!("{LINK}/info"))).await.ok()["username"], "ann");
    send(fetch(&panel, &format!("{LINK}/surge"))).await.wrong_fields(&["client_type"]);
    send(panel.request(Method::POST, LINK)).await.refused(405);
}

async fn wrong_links_are_not_found_and_counted(db: Db) {
    let panel = start(db).await;
    panel
        .post("root", "/api/users", json!({"username": "odd", "expire_strategy": "never", "key": "by hand"}))
        .await
        .ok();
    let wrong = [
        "/sub/ANN/00000000000000000000000000000001",
        "/sub/ann/00000000000000000000000000000002",
        "/sub/odd/by%20hand",
    ];
    for link in wrong {
        send(fetch(&panel, link)).await.refused(404);
    }
    for link in wrong {
        let answer = send(fetch(&panel, link)).await;
        answer.refused(429);
        assert!(answer.header("retry-after").is_some());
    }
    for _ in 0..10 {
        send(fetch(&panel, LINK)).await.ok();
    }
    panel.panel.clock.advance(61 * SECOND);
    send(fetch(&panel, wrong[0])).await.refused(404);
}

async fn whatever_is_wrong_with_a_link_the_answer_takes_as_long(db: Db) {
    let panel = start(db).await;
    panel.post("root", "/api/users", json!({"username": "bob", "expire_strategy": "never", "key": "b0b"})).await.ok();
    panel.post("root", "/api/users/bob/revoke_sub", json!(null)).await.ok();
    let long = format!("/sub/{}/abc", "a".repeat(5_000));
    let mut bodies = Vec::new();
    for (link, status) in [
        ("/sub/nobody/abc", 404),
        // Known to be nobody by now.
        ("/sub/nobody/abc", 404),
        ("/sub/bob/b0b", 404),
        (long.as_str(), 429),
        ("/sub/ann/00000000000000000000000000000002", 429),
        ("/sub/ann/00000000000000000000000000000002/links", 429),
    ] {
        let asked = tokio::time::Instant::now();
        let answer = send(fetch(&panel, link)).await;
        let took = asked.elapsed();
        answer.refused(status);
        assert!(took >= std::time::Duration::from_millis(25), "{link}: after {took:?}");
        bodies.push(answer.body);
    }
    assert!(bodies[1..3].iter().all(|body| *body == bodies[0]), "{bodies:?}");
    assert!(bodies[4..].iter().all(|body| *body == bodies[3]), "{bodies:?}");
}

async fn a_fetch_is_noted_at_once(db: Db) {
    let panel = start(db).await;
    send(fetch(&panel, &format!("{LINK}/links")).header("user-agent", "browsing")).await.ok();
    assert_eq!(panel.get("root", "/api/users/ann").await.ok()["sub_updated_at"], json!(null), "only the bare link");
    send(fetch(&panel, LINK).header("user-agent", "clash/1.0")).await.ok();
    let ann = panel.get("root", "/api/users/ann").await.ok();
    assert_eq!(ann["sub_updated_at"], "2026-11-23T20:36:25");
    assert_eq!(ann["sub_last_user_agent"], "clash/1.0");
    panel.panel.clock.advance(SECOND);
    send(fetch(&panel, LINK)).await.ok();
    let info = send(fetch(&panel, &format!("{LINK}/info"))).await.ok();
    assert_eq!((&info["sub_updated_at"], &info["sub_last_user_agent"]), (&json!("2026-11-23T20:36:26"), &json!("")));
}

async fn programs_get_what_the_rules_say(db: Db) {
    let panel = start(db).await;
    let media_type = async |agent: &str, accept: &str| {
        let answer = send(fetch(&panel, LINK).header("user-agent", agent).header("accept", accept)).await;
        (answer.status.as_u16(), answer.header("content-type").unwrap_or_default().to_owned())
    };
    assert_eq!(media_type("Clash/1", "*/*").await, (200, "text/yaml; charset=utf-8".to_owned()));
    assert_eq!(media_type("SFA/1", "*/*").await, (200, "application/json".to_owned()));
    assert_eq!(media_type("anything", "*/*").await, (200, "text/plain; charset=utf-8".to_owned()));
    assert_eq!(media_type("Clash/1", "text/html, */*").await, (200, "text/html; charset=utf-8".to_owned()));
    execute(
        &panel.panel.db,
        r#"INSERT INTO settings (id, subscription) VALUES (1, '{"template_on_acceptance": false, "profile_title": "", "support_link": "",
            "update_interval": 1, "rules": [{"pattern": "bad", "result": "block"}, {"pattern": "web", "result": "template"}]}')"#,
    )
    .await;
    panel.panel.clock.advance(SECOND);
    assert_eq!(media_type("bad", "text/html").await.0, 404);
    assert_eq!(media_type("not bad", "*/*").await.0, 404, "no rule matches from the start");
    assert_eq!(media_type("web", "*/*").await, (200, "text/html; charset=utf-8".to_owned()));
}

async fn changes_are_seen(db: Db) {
    let panel = start(db).await;
    let count = async || {
        let links = send(fetch(&panel, &format!("{LINK}/links"))).await.ok();
        links.as_str().map_or(0, |links| links.lines().count())
    };
    assert_eq!(count().await, 0);
    execute(&panel.panel.db, HOST).await;
    assert_eq!(count().await, 0, "what another process writes takes a second");
    panel.panel.clock.advance(SECOND);
    assert_eq!(count().await, 1);
    execute(&panel.panel.db, HOST).await;
    panel.post("root", "/api/services", json!({})).await.ok();
    assert_eq!(count().await, 2, "what this process writes is seen at once");
    panel.post("root", "/api/users/ann/disable", json!(null)).await.ok();
    assert_eq!(count().await, 1, "a change of the user too: now there is only the placeholder");
    panel.post("root", "/api/users/ann/revoke_sub", json!(null)).await.ok();
    send(fetch(&panel, LINK)).await.refused(404);
}

async fn operators_bring_their_own_pages(db: Db) {
    execute(&db, HOST).await;
    let folder = tempfile::TempDir::new().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        std::fs::write(path, text).expect("written");
    };
    write("home/index.html", "own home");
    write("page.html", "{{ user.username }}: {{ links | length }} of {{ user.data_limit | bytesformat }}");
    write(
        "clash/default.yml",
        "own: yes\n{{ conf | except('proxy-groups', 'mode', 'port', 'rules') | yaml }}names: {{ proxy_remarks | join }}\n",
    );
    let settings = [
        ("CUSTOM_TEMPLATES_DIRECTORY", folder.path().to_str().expect("UTF-8")),
        ("SUBSCRIPTION_PAGE_TEMPLATE", "page.html"),
    ];
    let panel = TestPanel::start_with(db, &settings).await;
    let ann = json!({"username": "ann", "expire_strategy": "never", "key": &LINK[9..], "data_limit": 7});
    panel.post("root", "/api/users", ann).await.ok();
    assert_eq!(send(fetch(&panel, "/")).await.ok(), "own home");
    assert_eq!(send(fetch(&panel, LINK).header("accept", "text/html")).await.ok(), "ann: 1 of 7.0 B");
    let clash = send(fetch(&panel, &format!("{LINK}/clash"))).await.ok();
    let clash = clash.as_str().expect("a text");
    assert!(clash.starts_with("own: yes\n\"proxies\":\n- {\"name\": \"ann there\""), "{clash}");
    assert!(clash.ends_with("names: ann there"), "{clash}");
}

async fn the_built_in_pages_keep_the_link_to_themselves(db: Db) {
    execute(&db, HOST).await;
    let panel = start(db).await;
    let page = send(fetch(&panel, LINK).header("accept", "text/html")).await;
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let page = page.ok();
    let page = page.as_str().expect("a text");
    assert!(page.contains("<svg") && page.contains("1 server"), "{page}");
    let link = format!("<code>{}</code>", panel.url(LINK));
    assert!(page.replace("&#x2f;", "/").contains(&link), "a whole link, for apps: {page}");
    panel.post("root", "/api/users/ann/disable", json!(null)).await.ok();
    let page = send(fetch(&panel, LINK).header("accept", "text/html")).await.ok();
    assert!(!page.as_str().expect("a text").contains("server"), "a link to nowhere is no server");
    let home = send(fetch(&panel, "/")).await;
    assert_eq!(home.header("content-type"), Some("text/html; charset=utf-8"));
    home.ok();
}

async fn programs_that_are_known_get_what_they_can_load(db: Db) {
    execute(&db, HOST).await;
    execute(&db, HYSTERIA_WITHOUT_TLS).await;
    let panel = start(db).await;
    let outbounds = async |agent: &str| {
        let answer = send(fetch(&panel, &format!("{LINK}/sing-box")).header("user-agent", agent)).await.ok();
        answer["outbounds"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(outbounds("golden/1.0").await, 5 + 2);
    assert_eq!(outbounds("SFA/1.12.0 (570; sing-box 1.12.0; language de)").await, 3 + 1, "Hysteria 2 needs TLS");
}

async fn patterns_that_were_stored_wrong_break_nothing(db: Db) {
    let panel = start(db).await;
    execute(
        &panel.panel.db,
        r#"UPDATE settings SET subscription = '{"template_on_acceptance": false, "profile_title": "", "support_link": "é",
            "update_interval": 1, "placeholder_remark": "{", "rules": [{"pattern": "(", "result": "block"},
            {"pattern": "(a+)+$(?!x)", "result": "block"}, {"pattern": "a", "result": "links"}]}'"#,
    )
    .await;
    panel.panel.clock.advance(SECOND);
    send(fetch(&panel, LINK).header("user-agent", format!("{}!", "a".repeat(5_000)))).await.ok();
}

async fn what_a_program_has_already_is_not_sent_again(db: Db) {
    const DATED: &str = r#"INSERT INTO hosts (universal, spec)
        VALUES (TRUE, '{"remark": "{DATA_USAGE} {TIME_LEFT}", "address": "192.0.2.1", "protocol": "trojan",
                        "network": "tcp", "port": 443, "password": "pw"}')"#;
    execute(&db, HOST).await;
    let panel = start(db).await;
    let get = async |form: &str, known: &str| {
        send(fetch(&panel, &format!("{LINK}/{form}")).header("if-none-match", known)).await
    };
    let tag = |answer: &crate::panel::Answer| answer.header("etag").expect("a tag").to_owned();
    let links = tag(&get("links", "").await);
    let again = get("links", &format!("\"other\", {links}")).await;
    assert_eq!((again.status.as_u16(), &again.body), (304, &json!(null)));
    assert_eq!(tag(&again), links);
    assert_eq!(get("links", &format!("W/{links}")).await.status, 304, "as a proxy that compresses names it");
    assert_eq!(again.header("subscription-userinfo"), Some("upload=0; download=0; total=7; expire=0"));
    assert_ne!(tag(&get("v2ray", &links).await), links, "each format has tags of its own");
    // What no entry shows changes nothing, and the headers tell it.
    panel.put("root", "/api/users/ann", json!({"username": "ann", "data_limit": 9})).await.ok();
    let again = get("links", &links).await;
    assert_eq!(again.status, 304);
    assert_eq!(again.header("subscription-userinfo"), Some("upload=0; download=0; total=9; expire=0"));
    panel.post("root", "/api/users/ann/disable", json!(null)).await.ok();
    let off = get("links", &links).await;
    assert_eq!(off.status, 200, "another entry");
    panel.post("root", "/api/users/ann/enable", json!(null)).await.ok();
    assert_eq!(tag(&get("links", "").await), links, "as it was");
    execute(&panel.panel.db, DATED).await;
    panel.panel.clock.advance(SECOND);
    let expiring = json!({"username": "ann", "expire_strategy": "fixed_date", "expire_date": "2026-11-24T00:00:00"});
    panel.put("root", "/api/users/ann", expiring).await.ok();
    let dated = tag(&get("links", &links).await);
    assert_eq!(get("links", &dated).await.status, 304);
    panel.panel.clock.advance(60 * SECOND);
    assert_ne!(tag(&get("links", &dated).await), dated, "less time left");
    execute(
        &panel.panel.db,
        r#"UPDATE hosts SET spec = '{"remark": "", "address": "a", "protocol": "trojan", "network": "tcp",
        "port": 443, "password": "pw", "sni": "a.example.org,b.example.org"}'"#,
    )
    .await;
    panel.panel.clock.advance(SECOND);
    assert_eq!(get("links", &dated).await.header("etag"), None, "chance has a part in it");
}

async fn what_is_revoked_stops_working_on_every_host(db: Db) {
    let first = start(db).await;
    first.insert_admin("dave", false).await;
    // No wakeup between the two: it may be lost.
    let second = TestPanel::beside(&first, &[]).await;
    let works = async |host: &TestPanel| {
        let dave = host.get("dave", "/api/admins/current").await.status.as_u16();
        (dave, send(fetch(host, &format!("{LINK}/info"))).await.status.as_u16())
    };
    for host in [&first, &second] {
        assert_eq!(works(host).await, (200, 200));
    }
    first.put("root", "/api/admins/dave", json!({"enabled": false})).await.ok();
    first.post("root", "/api/users/ann/revoke_sub", json!(null)).await.ok();
    assert_eq!(works(&first).await, (401, 404), "at once");
    second.panel.clock.advance(MAX_AGE);
    assert_eq!(works(&second).await, (401, 404), "in time, without having heard of it");
}
