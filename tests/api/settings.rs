//! `/api/system/settings`: settings of subscriptions and of Telegram.

use reqwest::Method;
use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::{TestPanel, send};
use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(
    subscription_settings_have_defaults_until_replaced,
    wrong_subscription_settings_are_refused_and_change_nothing,
    new_rule_applies_to_the_next_subscription_fetch,
    telegram_settings_are_null_until_replaced,
    wrong_telegram_settings_are_refused_and_change_nothing,
    imported_null_counts_as_no_telegram_settings,
);

const SUBSCRIPTION: &str = "/api/system/settings/subscription";
const TELEGRAM: &str = "/api/system/settings/telegram";

/// A valid body, with lenient spellings and an unknown field.
fn subscription_settings() -> Value {
    json!({
        "template_on_acceptance": "no", "profile_title": "Título ✓", "support_link": "a\nb", "update_interval": "1",
        "placeholder_remark": "{", "rules": [{"pattern": "^(?!x)a", "result": "links"}], "foo": 1,
    })
}

async fn subscription_settings_have_defaults_until_replaced(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let initial = panel.get("root", SUBSCRIPTION).await.ok();
    assert_eq!((&initial["profile_title"], &initial["update_interval"]), (&json!("Support"), &json!(12)));
    assert_eq!(initial["rules"].as_array().map(Vec::len), Some(6));
    let expected = json!({
        "template_on_acceptance": false, "profile_title": "Título ✓", "support_link": "a\nb", "update_interval": 1,
        "shuffle_configs": false, "placeholder_if_disabled": true, "placeholder_remark": "{",
        "rules": [{"pattern": "^(?!x)a", "result": "links"}],
    });
    assert_eq!(panel.put("root", SUBSCRIPTION, subscription_settings()).await.ok(), expected);
    assert_eq!(panel.get("root", SUBSCRIPTION).await.ok(), expected);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM settings").await, 1);
}

async fn wrong_subscription_settings_are_refused_and_change_nothing(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("alice", false).await;
    let before = panel.get("root", SUBSCRIPTION).await.ok();
    let missing = ["profile_title", "rules", "support_link", "template_on_acceptance", "update_interval"];
    panel.put("root", SUBSCRIPTION, json!({})).await.wrong_fields(&missing);
    let mut wrong = subscription_settings();
    wrong["template_on_acceptance"] = json!("maybe");
    wrong["rules"] = json!([{"pattern": "(", "result": "links"}, {"pattern": "a", "result": "zzz"}, {}]);
    panel.put("root", SUBSCRIPTION, wrong).await.wrong_fields(&["pattern", "result", "template_on_acceptance"]);
    let rules = |rules: Vec<Value>| {
        let mut settings = subscription_settings();
        settings["rules"] = rules.into();
        settings
    };
    let rule = |pattern: &str| json!({"pattern": pattern, "result": "links"});
    panel.put("root", SUBSCRIPTION, rules(vec![rule("a"); 101])).await.wrong_fields(&["rules"]);
    let long = "a".repeat(1_001);
    let refused = panel.put("root", SUBSCRIPTION, rules(vec![rule("a"), rule(&long)])).await;
    assert_eq!(refused.body["detail"]["pattern"], "rule 2: must have at most 1000 bytes");
    refused.wrong_fields(&["pattern"]);
    let mut null = subscription_settings();
    null["rules"] = Value::Null;
    panel.put("root", SUBSCRIPTION, null).await.wrong_fields(&["rules"]);
    panel.put("alice", SUBSCRIPTION, subscription_settings()).await.refused(403);
    panel.get("alice", SUBSCRIPTION).await.refused(403);
    send(panel.request(Method::GET, SUBSCRIPTION)).await.refused(401);
    assert_eq!(panel.get("root", SUBSCRIPTION).await.ok(), before);
}

async fn new_rule_applies_to_the_next_subscription_fetch(db: Db) {
    let panel = TestPanel::start(db).await;
    let ann = json!({"username": "ann", "expire_strategy": "never", "key": "00000000000000000000000000000001"});
    panel.post("root", "/api/users", ann).await.ok();
    let fetch = || {
        let link = panel.request(Method::GET, "/sub/ann/00000000000000000000000000000001");
        send(link.header("user-agent", "app/1"))
    };
    assert_eq!(fetch().await.header("content-type"), Some("text/plain; charset=utf-8"));
    let mut settings = panel.get("root", SUBSCRIPTION).await.ok();
    settings["rules"] = json!([{"pattern": "^app/", "result": "sing-box"}]);
    panel.put("root", SUBSCRIPTION, settings.clone()).await.ok();
    assert_eq!(fetch().await.header("content-type"), Some("application/json"));
    settings["rules"] = json!([{"pattern": "^app/", "result": "block"}]);
    panel.put("root", SUBSCRIPTION, settings).await.ok();
    fetch().await.refused(404);
}

async fn telegram_settings_are_null_until_replaced(db: Db) {
    let panel = TestPanel::start(db).await;
    assert_eq!(panel.get("root", TELEGRAM).await.ok(), Value::Null);
    let new = json!({"token": "1:a", "admin_id": [1, "2"], "channel_id": null});
    let expected = json!({"token": "1:a", "admin_id": [1, 2], "channel_id": null});
    assert_eq!(panel.put("root", TELEGRAM, new).await.ok(), expected);
    assert_eq!(panel.get("root", TELEGRAM).await.ok(), expected);
    let channel = json!({"token": "", "admin_id": [], "channel_id": -100_123});
    assert_eq!(panel.put("root", TELEGRAM, channel.clone()).await.ok(), channel);
    assert_eq!(panel.get("root", SUBSCRIPTION).await.ok()["profile_title"], "Support", "still the defaults");
}

async fn wrong_telegram_settings_are_refused_and_change_nothing(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("alice", false).await;
    panel.put("root", TELEGRAM, Value::Null).await.wrong_fields(&["body"]);
    let keys = ["admin_id", "channel_id", "token"];
    panel.put("root", TELEGRAM, json!({"token": 1, "admin_id": "x"})).await.wrong_fields(&keys);
    panel.put("alice", TELEGRAM, Value::Null).await.refused(403);
    panel.get("alice", TELEGRAM).await.refused(403);
    assert_eq!(panel.get("root", TELEGRAM).await.ok(), Value::Null);
}

async fn imported_null_counts_as_no_telegram_settings(db: Db) {
    execute(
        &db,
        r#"INSERT INTO settings (id, subscription, telegram) VALUES (1, '{"template_on_acceptance": true,
            "profile_title": "t", "support_link": "s", "update_interval": 1, "rules": []}', 'null')"#,
    )
    .await;
    let panel = TestPanel::start(db).await;
    assert_eq!(panel.get("root", TELEGRAM).await.ok(), Value::Null);
    assert_eq!(panel.get("root", SUBSCRIPTION).await.ok()["placeholder_remark"], "disabled");
}
