//! `/sub/…`: subscriptions, as client apps fetch them.

use reqwest::{Method, RequestBuilder};
use sarban::domain::moment::SECOND;
use sarban::store::Db;
use serde_json::json;

use crate::api::panel::{Answer, TestPanel, send};
use crate::support::database::{execute, on_both_engines};

on_both_engines!(
    link_is_answered_in_every_format,
    wrong_links_are_404_until_the_limit_and_right_links_never_count,
    every_wrong_link_is_answered_alike_and_after_the_same_delay,
    fetch_is_visible_at_once_in_the_user,
    head_has_the_headers_of_get_and_is_no_fetch,
    headers_name_the_file_and_the_expiry_as_apps_read_them,
    prefix_in_the_settings_wins_over_that_of_a_proxy,
    format_follows_the_rules_and_the_accept_header,
    subscription_shows_own_changes_at_once_and_others_after_a_second,
    built_in_page_is_not_cached_and_sends_no_referrer,
    known_sing_box_version_gets_only_supported_hosts,
    invalid_stored_patterns_are_skipped,
    subscription_that_the_client_has_is_304_with_its_headers,
    entity_tag_changes_only_with_the_entries_of_a_subscription,
    entity_tag_changes_with_the_time_that_an_entry_shows,
    subscription_with_random_values_has_no_entity_tag,
    revoked_link_stops_working_on_every_host,
);

const LINK: &str = "/sub/ann/00000000000000000000000000000001";
/// A host for all users.
const HOST: &str = r#"INSERT INTO hosts (universal, spec)
    VALUES (TRUE, '{"remark": "{USERNAME} there", "address": "192.0.2.1", "protocol": "trojan", "network": "tcp",
                    "port": 443, "password": "pw", "security": "tls"}')"#;
/// A host that sing-box refuses: Hysteria 2 with an unknown obfuscation.
const QUIC_WITHOUT_TLS: &str = r#"INSERT INTO hosts (universal, spec)
    VALUES (TRUE, '{"remark": "there", "address": "192.0.2.1", "protocol": "vless", "network": "quic", "port": 443,
                    "uuid": "5f0c1f3e-6f5c-4f1e-9d2b-3f6f0a8c7b11"}')"#;

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

async fn link_is_answered_in_every_format(db: Db) {
    execute(&db, HOST).await;
    let panel = start(db).await;
    let links = send(fetch(&panel, &format!("{LINK}/links?a=b"))).await;
    assert_eq!(links.header("content-disposition"), Some("attachment; filename=\"ann\""));
    assert_eq!(links.header("profile-title"), Some("base64:U3VwcG9ydA=="));
    assert_eq!(links.header("profile-update-interval"), Some("12"));
    assert_eq!(links.header("support-url"), Some("t.me/support"));
    assert_eq!(links.header("subscription-userinfo"), Some("upload=0; download=0; total=7"));
    let own_url = panel.url(&format!("{LINK}/links?a=b"));
    assert_eq!(links.header("profile-web-page-url"), Some(own_url.as_str()));
    assert_eq!(links.ok(), "trojan://pw@192.0.2.1:443?security=tls&type=tcp#ann%20there");
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

async fn wrong_links_are_404_until_the_limit_and_right_links_never_count(db: Db) {
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

async fn every_wrong_link_is_answered_alike_and_after_the_same_delay(db: Db) {
    let panel = start(db).await;
    panel.post("root", "/api/users", json!({"username": "bob", "expire_strategy": "never", "key": "b0b"})).await.ok();
    panel.post("root", "/api/users/bob/revoke_sub", json!(null)).await.ok();
    let long = format!("/sub/{}/abc", "a".repeat(5_000));
    let mut bodies = Vec::new();
    for (link, status) in [
        ("/sub/nobody/abc", 404),
        // The missing user is cached now.
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

async fn fetch_is_visible_at_once_in_the_user(db: Db) {
    let panel = start(db).await;
    send(fetch(&panel, &format!("{LINK}/links")).header("user-agent", "browsing")).await.ok();
    assert_eq!(
        panel.get("root", "/api/users/ann").await.ok()["sub_updated_at"],
        json!(null),
        "only the link without a format counts"
    );
    send(fetch(&panel, LINK).header("user-agent", "clash/1.0")).await.ok();
    let ann = panel.get("root", "/api/users/ann").await.ok();
    assert_eq!(ann["sub_updated_at"], "2026-11-23T20:36:25");
    assert_eq!(ann["sub_last_user_agent"], "clash/1.0");
    panel.panel.clock.advance(SECOND);
    send(fetch(&panel, LINK)).await.ok();
    let info = send(fetch(&panel, &format!("{LINK}/info"))).await.ok();
    assert_eq!((&info["sub_updated_at"], &info["sub_last_user_agent"]), (&json!("2026-11-23T20:36:26"), &json!("")));
}

async fn head_has_the_headers_of_get_and_is_no_fetch(db: Db) {
    execute(&db, HOST).await;
    let panel = start(db).await;
    let paths = [LINK.to_owned(), format!("{LINK}/info"), format!("{LINK}/usage"), format!("{LINK}/sing-box")];
    let mut heads = Vec::new();
    for path in &paths {
        heads.push(send(panel.request(Method::HEAD, path)).await);
    }
    let ann = panel.get("root", "/api/users/ann").await.ok();
    assert_eq!((&ann["sub_updated_at"], &ann["sub_last_user_agent"]), (&json!(null), &json!(null)));
    for (path, head) in paths.iter().zip(heads) {
        let get = send(fetch(&panel, path)).await;
        assert_eq!((head.status, &head.body), (get.status, &json!(null)), "{path}");
        for name in ["content-type", "content-disposition", "etag", "subscription-userinfo", "profile-web-page-url"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
        assert!(head.header("content-length").is_some_and(|length| length != "0"), "{path}");
    }
}

async fn headers_name_the_file_and_the_expiry_as_apps_read_them(db: Db) {
    let panel = start(db).await;
    let key = "00000000000000000000000000000002";
    let user = json!({"username": "آن_7", "expire_strategy": "never", "key": key});
    panel.post("root", "/api/users", user).await.ok();
    let get = async |agent: &str| {
        send(fetch(&panel, &format!("/sub/%D8%A2%D9%86_7/{key}/links")).header("user-agent", agent)).await
    };
    let named = get("x").await;
    let both = "attachment; filename=\"_7\"; filename*=UTF-8''%D8%A2%D9%86_7";
    assert_eq!(named.header("content-disposition"), Some(both));
    let info = async |agent: &str| get(agent).await.header("subscription-userinfo").map(str::to_owned);
    let without = Some("upload=0; download=0; total=0".to_owned());
    for agent in ["", "Happ/3.1.3", "clash-verge/v2.4.2", "SFA/1.12.0"] {
        assert_eq!(info(agent).await, without, "{agent}");
    }
    let with = Some("upload=0; download=0; total=0; expire=0".to_owned());
    assert_eq!(info("HiddifyNext/2.5.7 (android) like ClashMeta v2ray sing-box").await, with);
    let dated = json!({"username": "آن_7", "expire_strategy": "fixed_date", "expire_date": "2026-11-24T00:00:00"});
    panel.put("root", "/api/users/%D8%A2%D9%86_7", dated).await.ok();
    assert_eq!(info("").await, Some("upload=0; download=0; total=0; expire=1795478400".to_owned()));
}

async fn prefix_in_the_settings_wins_over_that_of_a_proxy(db: Db) {
    let panel = start(db).await;
    let page_url = async |panel: &TestPanel| {
        let request = fetch(panel, &format!("{LINK}/links?a=b")).header("host", "panel.example");
        let request = request.header("x-forwarded-proto", "https").header("x-forwarded-prefix", "/my/panel");
        send(request).await.header("profile-web-page-url").map(str::to_owned)
    };
    assert_eq!(page_url(&panel).await, Some(format!("https://panel.example/my/panel{LINK}/links?a=b")));
    let page = fetch(&panel, LINK).header("accept", "text/html").header("x-forwarded-prefix", "/my/panel");
    let page = send(page).await.ok();
    let page = page.as_str().expect("a text");
    assert!(page.contains(&format!("/my/panel{LINK}</code>")), "{page}");
    let prefixed = TestPanel::beside(&panel, &[("SUBSCRIPTION_URL_PREFIX", "https://sub.example/deep/")]).await;
    assert_eq!(page_url(&prefixed).await, Some(format!("https://sub.example/deep{LINK}/links?a=b")));
    let owner = json!({"subscription_url_prefix": "https://own.example"});
    panel.put("root", "/api/admins/root", owner).await.ok();
    prefixed.panel.clock.advance(SECOND);
    assert_eq!(page_url(&prefixed).await, Some(format!("https://own.example{LINK}/links?a=b")));
}

async fn format_follows_the_rules_and_the_accept_header(db: Db) {
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
    assert_eq!(media_type("not bad", "*/*").await.0, 404, "patterns match from the start only");
    assert_eq!(media_type("web", "*/*").await, (200, "text/html; charset=utf-8".to_owned()));
}

async fn subscription_shows_own_changes_at_once_and_others_after_a_second(db: Db) {
    let panel = start(db).await;
    let count = async || {
        let links = send(fetch(&panel, &format!("{LINK}/links"))).await.ok();
        links.as_str().map_or(0, |links| links.lines().count())
    };
    assert_eq!(count().await, 0);
    execute(&panel.panel.db, HOST).await;
    assert_eq!(count().await, 0, "changes by other processes take a second");
    panel.panel.clock.advance(SECOND);
    assert_eq!(count().await, 1);
    execute(&panel.panel.db, HOST).await;
    panel.post("root", "/api/services", json!({})).await.ok();
    assert_eq!(count().await, 2, "changes by this process take effect at once");
    panel.post("root", "/api/users/ann/disable", json!(null)).await.ok();
    assert_eq!(count().await, 1, "only the placeholder is left");
    panel.post("root", "/api/users/ann/revoke_sub", json!(null)).await.ok();
    send(fetch(&panel, LINK)).await.refused(404);
}

async fn built_in_page_is_not_cached_and_sends_no_referrer(db: Db) {
    execute(&db, HOST).await;
    let panel = start(db).await;
    let page = send(fetch(&panel, LINK).header("accept", "text/html")).await;
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let page = page.ok();
    let page = page.as_str().expect("a text");
    assert!(page.contains("<svg") && page.contains("1 server"), "{page}");
    let link = format!("<code>{}</code>", panel.url(LINK));
    assert!(page.contains(&link), "an absolute link, for apps: {page}");
    panel.post("root", "/api/users/ann/disable", json!(null)).await.ok();
    let page = send(fetch(&panel, LINK).header("accept", "text/html")).await.ok();
    assert!(!page.as_str().expect("a text").contains("server"), "the placeholder does not count as a server");
    let home = send(fetch(&panel, "/")).await;
    assert_eq!(home.header("content-type"), Some("text/html; charset=utf-8"));
    home.ok();
}

async fn known_sing_box_version_gets_only_supported_hosts(db: Db) {
    execute(&db, HOST).await;
    execute(&db, QUIC_WITHOUT_TLS).await;
    let panel = start(db).await;
    let outbounds = async |agent: &str| {
        let answer = send(fetch(&panel, &format!("{LINK}/sing-box")).header("user-agent", agent)).await.ok();
        answer["outbounds"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(outbounds("golden/1.0").await, 5 + 2);
    assert_eq!(outbounds("SFA/1.12.0 (570; sing-box 1.12.0; language de)").await, 3 + 1, "QUIC without TLS");
}

async fn invalid_stored_patterns_are_skipped(db: Db) {
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

/// Fetches a subscription with `If-None-Match`.
async fn fetch_known(panel: &TestPanel, format: &str, known: &str) -> Answer {
    send(fetch(panel, &format!("{LINK}/{format}")).header("if-none-match", known)).await
}

fn etag(answer: &Answer) -> String {
    answer.header("etag").expect("an entity tag").to_owned()
}

async fn subscription_that_the_client_has_is_304_with_its_headers(db: Db) {
    execute(&db, HOST).await;
    let panel = start(db).await;
    let links = etag(&fetch_known(&panel, "links", "").await);
    let again = fetch_known(&panel, "links", &format!("\"other\", {links}")).await;
    assert_eq!((again.status.as_u16(), &again.body), (304, &json!(null)));
    assert_eq!(etag(&again), links);
    assert_eq!(again.header("subscription-userinfo"), Some("upload=0; download=0; total=7"));
    let weak = fetch_known(&panel, "links", &format!("W/{links}")).await;
    assert_eq!(weak.status, 304, "proxies that compress make tags weak");
    assert_ne!(etag(&fetch_known(&panel, "v2ray", &links).await), links, "each format has its own tag");
}

async fn entity_tag_changes_only_with_the_entries_of_a_subscription(db: Db) {
    execute(&db, HOST).await;
    let panel = start(db).await;
    let links = etag(&fetch_known(&panel, "links", "").await);
    panel.put("root", "/api/users/ann", json!({"username": "ann", "data_limit": 9})).await.ok();
    let again = fetch_known(&panel, "links", &links).await;
    assert_eq!(again.status, 304, "no entry shows the limit");
    assert_eq!(again.header("subscription-userinfo"), Some("upload=0; download=0; total=9"));
    panel.post("root", "/api/users/ann/disable", json!(null)).await.ok();
    assert_eq!(fetch_known(&panel, "links", &links).await.status, 200, "a placeholder instead of the host");
    panel.post("root", "/api/users/ann/enable", json!(null)).await.ok();
    assert_eq!(etag(&fetch_known(&panel, "links", "").await), links, "the host again");
}

async fn entity_tag_changes_with_the_time_that_an_entry_shows(db: Db) {
    const TIME_LEFT: &str = r#"INSERT INTO hosts (universal, spec)
        VALUES (TRUE, '{"remark": "{DATA_USAGE} {TIME_LEFT}", "address": "192.0.2.1", "protocol": "trojan",
                        "network": "tcp", "port": 443, "password": "pw"}')"#;
    execute(&db, TIME_LEFT).await;
    let panel = start(db).await;
    let expiring = json!({"username": "ann", "expire_strategy": "fixed_date", "expire_date": "2026-11-24T00:00:00"});
    panel.put("root", "/api/users/ann", expiring).await.ok();
    let links = etag(&fetch_known(&panel, "links", "").await);
    assert_eq!(fetch_known(&panel, "links", &links).await.status, 304);
    panel.panel.clock.advance(60 * SECOND);
    assert_ne!(etag(&fetch_known(&panel, "links", &links).await), links, "less time left");
}

async fn subscription_with_random_values_has_no_entity_tag(db: Db) {
    const RANDOM_SNI: &str = r#"INSERT INTO hosts (universal, spec)
        VALUES (TRUE, '{"remark": "", "address": "a", "protocol": "trojan", "network": "tcp", "port": 443,
                        "password": "pw", "sni": "a.example.org,b.example.org"}')"#;
    execute(&db, RANDOM_SNI).await;
    let panel = start(db).await;
    assert_eq!(fetch_known(&panel, "links", "").await.header("etag"), None);
}

async fn revoked_link_stops_working_on_every_host(db: Db) {
    let first = start(db).await;
    first.insert_admin("dave", false).await;
    // No wake-up reaches the second panel: it may be lost.
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
    second.panel.clock.advance(SECOND);
    assert_eq!(works(&second).await, (401, 404), "once its cache has expired, without a wake-up");
}
