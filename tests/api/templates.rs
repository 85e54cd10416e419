//! Templates of the operator: what they render, and that no wrong one keeps a panel from starting.

use std::path::Path;

use reqwest::{Method, RequestBuilder};
use sarban::store::Db;
use serde_json::json;
use tempfile::TempDir;

use crate::api::panel::{TestPanel, send};
use crate::support::database::{execute, on_both_engines};

on_both_engines!(
    templates_of_the_operator_replace_the_built_in_ones,
    templates_with_methods_of_python_are_rendered,
    built_in_templates_serve_in_place_of_those_that_can_not_be_used,
    sing_box_template_serves_the_versions_that_read_it,
    xray_template_serves_the_versions_that_start_it,
);

const LINK: &str = "/sub/ann/00000000000000000000000000000001";
/// A host for all users.
const HOST: &str = r#"INSERT INTO hosts (universal, spec)
    VALUES (TRUE, '{"remark": "{USERNAME} there", "address": "192.0.2.1", "protocol": "trojan", "network": "tcp",
                    "port": 443, "password": "pw", "security": "tls"}')"#;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        std::fs::write(path, text).expect("written");
    }
    folder
}

async fn add_ann(panel: &TestPanel) {
    let ann = json!({
        "username": "ann", "expire_strategy": "fixed_date", "expire_date": "2026-12-01T12:00:00", "key": &LINK[9..],
        "data_limit": 7
    });
    panel.post("root", "/api/users", ann).await.ok();
}

async fn start(db: Db, folder: &Path) -> TestPanel {
    execute(&db, HOST).await;
    let folder = folder.to_str().expect("UTF-8");
    let panel = TestPanel::start_with(db, &[("CUSTOM_TEMPLATES_DIRECTORY", folder)]).await;
    add_ann(&panel).await;
    panel
}

fn fetch(panel: &TestPanel, path: &str) -> RequestBuilder {
    panel.request(Method::GET, path)
}

async fn page(panel: &TestPanel) -> String {
    let page = send(fetch(panel, LINK).header("accept", "text/html")).await.ok();
    page.as_str().expect("a text").to_owned()
}

async fn templates_of_the_operator_replace_the_built_in_ones(db: Db) {
    execute(&db, HOST).await;
    let folder = folder(&[
        ("home/index.html", "own home"),
        ("page.html", "{{ user.username }}: {{ links | length }} of {{ user.data_limit | bytesformat }}"),
        (
            "clash/default.yml",
            "own: yes\n{{ conf | except('proxy-groups', 'mode', 'port', 'rules') | yaml }}names: {{ proxy_remarks | join }}\n",
        ),
    ]);
    let settings = [
        ("CUSTOM_TEMPLATES_DIRECTORY", folder.path().to_str().expect("UTF-8")),
        ("SUBSCRIPTION_PAGE_TEMPLATE", "page.html"),
    ];
    let panel = TestPanel::start_with(db, &settings).await;
    add_ann(&panel).await;
    assert_eq!(send(fetch(&panel, "/")).await.ok(), "own home");
    assert_eq!(send(fetch(&panel, LINK).header("accept", "text/html")).await.ok(), "ann: 1 of 7.0 B");
    let clash = send(fetch(&panel, &format!("{LINK}/clash"))).await.ok();
    let clash = clash.as_str().expect("a text");
    assert!(clash.starts_with("own: yes\n\"proxies\":\n- {\"name\": \"ann there\""), "{clash}");
    assert!(clash.ends_with("names: ann there"), "{clash}");
}

async fn templates_with_methods_of_python_are_rendered(db: Db) {
    let folder = folder(&[
        (
            "subscription/index.html",
            "{{ (user.expire_date - now()).days }} {{ user.expire_date.strftime('%d.%m.%Y') }} \
             {{ user.expire_strategy.value.upper() }} {{ user.data_limit | filesizeformat }} {{ user.created_at.timestamp() | int }}",
        ),
        (
            "clash/default.yml",
            "{% for key in conf.keys() if key.startswith('pro') %}# {{ '%s' % key }}\n{% endfor %}\
             {% for key, value in conf.items() if key == 'mode' %}mode: {{ value.lower() }}\n{% endfor %}\
             {{ conf | only('proxies') | yaml }}\
             proxy-groups: [{name: all, type: select, proxies: [{{ \"'%s'\" % conf.get('proxies', [])[0].name }}]}]\n",
        ),
    ]);
    let panel = start(db, folder.path()).await;
    assert_eq!(page(&panel).await, "7 01.12.2026 FIXED_DATE 7 Bytes 1795466185");
    let clash = send(fetch(&panel, &format!("{LINK}/clash"))).await.ok();
    let clash = clash.as_str().expect("a text");
    assert!(clash.contains("# proxies\n") && clash.contains("mode: global\n\"proxies\":\n- {"), "{clash}");
    assert!(clash.ends_with("proxy-groups: [{name: all, type: select, proxies: ['ann there']}]"), "{clash}");
}

async fn built_in_templates_serve_in_place_of_those_that_can_not_be_used(db: Db) {
    let folder = folder(&[
        ("subscription/index.html", "{{ user.username"),
        ("home/index.html", "{{ 1 | nothing }}"),
        ("clash/default.yml", "{% for a in conf %}"),
        ("singbox/default.json", "{"),
        ("xray/default.json", "[]"),
    ]);
    let panel = start(db, folder.path()).await;
    assert!(page(&panel).await.starts_with("<!doctype html>"));
    assert!(send(fetch(&panel, "/")).await.ok().as_str().expect("a text").starts_with("<!doctype html>"));
    for (client, built_in) in [("clash", "Automatic"), ("sing-box", "Best Latency"), ("xray", "domainStrategy")] {
        let document = send(fetch(&panel, &format!("{LINK}/{client}"))).await.ok().to_string();
        assert!(document.contains(built_in) && document.contains("ann there"), "{client}: {document}");
    }
}

async fn sing_box_template_serves_the_versions_that_read_it(db: Db) {
    let folder = folder(&[(
        "singbox/default.json",
        r#"{"own": 1, "inbounds": [{"type": "tun", "inet4_address": "172.19.0.1/30", "sniff": true}],
            "dns": {"servers": [{"tag": "a", "address": "1.1.1.1"}]},
            "outbounds": [{"type": "selector", "tag": "mine", "outbounds": []}, {"type": "dns", "tag": "dns-out"}]}"#,
    )]);
    let panel = start(db, folder.path()).await;
    for (agent, is_own) in [
        ("SFA/1.8.0", true),
        ("SFA/1.11.9 (540; sing-box 1.11.9; language fa_IR)", true),
        ("curl/8", true),
        ("SFA/1.12.0 (570; sing-box 1.12.0; language de)", false),
        ("sing-box 1.13.2", false),
        ("sing-box", false),
        ("Karing/1.0.25", false),
        ("HiddifyNext/2.5.7 (android) like ClashMeta v2ray sing-box", false),
    ] {
        let document = send(fetch(&panel, &format!("{LINK}/sing-box")).header("user-agent", agent)).await.ok();
        assert_eq!(document["own"] == 1, is_own, "{agent}: {document}");
        assert!(document.to_string().contains("ann there"), "{agent}: {document}");
    }
}

async fn xray_template_serves_the_versions_that_start_it(db: Db) {
    let folder = folder(&[(
        "xray/default.json",
        r#"{"own": 1, "outbounds": [{"protocol": "freedom", "tag": "a"}, {"protocol": "freedom", "proxySettings": {"tag": "a"}}]}"#,
    )]);
    let panel = start(db, folder.path()).await;
    for (agent, is_own) in [
        ("Xray/25.1.1", true),
        ("Xray/26.7.28", true),
        ("curl/8", true),
        ("Xray/26.9.9", false),
        ("Xray/26.10.10", false),
        ("v2rayNG/1.10.3", false),
        ("Streisand/1.6", false),
    ] {
        let document = send(fetch(&panel, &format!("{LINK}/xray")).header("user-agent", agent)).await.ok();
        assert_eq!(document[0]["own"] == 1, is_own, "{agent}: {document}");
        assert_eq!(document[0]["remarks"], "ann there", "{agent}");
    }
}
