//! Usernames of every script: in the API, in search and in subscription links.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use sarban::store::Db;
use serde_json::json;

use crate::api::panel::{TestPanel, send};
use crate::support::database::{execute, on_both_engines};

on_both_engines!(names_with_marks_and_joiners_work_everywhere, names_that_differ_in_code_points_are_two_names);

/// Persian with a joiner, Arabic with vowel signs, Hindi with a joiner, Thai, a letter with a separate accent.
const NAMES: [&str; 5] = ["کاربر\u{200c}۱", "مُحَمَّد", "क्\u{200d}षमा", "ผู้ใช้", "ame\u{301}lie"];

const HOST: &str = r#"INSERT INTO hosts (universal, spec)
    VALUES (TRUE, '{"remark": "{USERNAME}", "address": "192.0.2.1", "protocol": "trojan", "network": "tcp",
                    "port": 443, "password": "pw", "security": "tls"}')"#;

fn encoded(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}

async fn names_with_marks_and_joiners_work_everywhere(db: Db) {
    execute(&db, HOST).await;
    let panel = TestPanel::start(db).await;
    for name in NAMES {
        let created =
            panel.post("root", "/api/users", json!({"username": name, "expire_strategy": "never"})).await.ok();
        assert_eq!(created["username"], name);
        let path = format!("/api/users/{}", encoded(name));
        assert_eq!(panel.get("root", &path).await.ok()["username"], name);
        panel.put("root", &path, json!({"username": name, "note": "n"})).await.ok();
        let some: String = name.chars().skip(1).take(3).collect();
        for text in [name, &some] {
            let found = panel.get("root", &format!("/api/users?username={}", encoded(text))).await.ok();
            assert_eq!((&found["total"], &found["items"][0]["username"]), (&json!(1), &json!(name)), "{text}");
        }
        let link = format!("/sub/{}/{}", encoded(name), created["key"].as_str().expect("a key"));
        let links = send(panel.request(Method::GET, &format!("{link}/links"))).await;
        let file = links.header("content-disposition").expect("a file name").to_owned();
        assert!(file.ends_with(&format!("filename*=UTF-8''{}", encoded(name))), "{file}");
        assert_eq!(links.status, 200, "{link}");
        let text = links.body.as_str().expect("a link");
        assert!(text.trim_end().ends_with(&format!("#{}", encoded(name))), "{text}");
        assert_eq!(send(panel.request(Method::GET, &format!("{link}/info"))).await.ok()["username"], name);
    }
    let refused = json!({"username": "a\u{202e}bc", "expire_strategy": "never"});
    panel.post("root", "/api/users", refused).await.wrong_fields(&["username"]);
}

async fn names_that_differ_in_code_points_are_two_names(db: Db) {
    let panel = TestPanel::start(db).await;
    let user = |name: &str| json!({"username": name, "expire_strategy": "never"});
    panel.post("root", "/api/users", user("caf\u{e9}")).await.ok();
    panel.get("root", &format!("/api/users/{}", encoded("cafe\u{301}"))).await.refused(404);
    panel.post("root", "/api/users", user("cafe\u{301}")).await.ok();
    panel.post("root", "/api/users", user("CAFE\u{301}")).await.refused(409);
    assert_eq!(panel.get("root", "/api/users").await.ok()["total"], 2);
}
