//! `/api/system/settings`: settings of subscriptions and of Telegram.

use reqwest::Method;
use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::{TestPanel, send};

use crate::support::database::{execute, number, on_both_engines};
use crate::support::receiver::{Receiver, Reply};

on_both_engines!(
    subscription_settings_have_defaults_until_replaced,
    wrong_subscription_settings_are_refused_and_change_nothing,
    new_rule_applies_to_the_next_subscription_fetch,
    telegram_settings_are_null_until_replaced,
    wrong_telegram_settings_are_refused_and_change_nothing,
    imported_null_counts_as_no_telegram_settings,
    change_of_some_settings_leaves_the_others,
    concurrent_changes_of_different_settings_are_both_kept,
    old_rules_are_offered_those_of_today,
    rule_tester_shows_rule_format_program_and_core,
    telegram_test_reports_each_chat_in_words,
    telegram_test_without_a_usable_bot_sends_nothing,
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

async fn change_of_some_settings_leaves_the_others(db: Db) {
    let panel = TestPanel::start(db).await;
    let mut expected = panel.get("root", SUBSCRIPTION).await.ok();
    assert_eq!(panel.patch("root", SUBSCRIPTION, json!({})).await.ok(), expected);
    let change = json!({"profile_title": "New", "update_interval": "3", "support_link": null});
    expected["profile_title"] = json!("New");
    expected["update_interval"] = json!(3);
    assert_eq!(panel.patch("root", SUBSCRIPTION, change).await.ok(), expected);
    let rules = json!([{"pattern": "^a", "result": "links"}]);
    expected["rules"] = rules.clone();
    assert_eq!(panel.patch("root", SUBSCRIPTION, json!({"rules": rules})).await.ok(), expected);
    let wrong = json!({"rules": [{"pattern": "(", "result": "links"}], "profile_title": "lost"});
    panel.patch("root", SUBSCRIPTION, wrong).await.wrong_fields(&["pattern"]);
    let wrong = json!({"rules": [{"pattern": "a", "result": "zzz"}], "update_interval": "x"});
    panel.patch("root", SUBSCRIPTION, wrong).await.wrong_fields(&["result", "update_interval"]);
    assert_eq!(panel.get("root", SUBSCRIPTION).await.ok(), expected);

    let telegram = json!({"token": "", "admin_id": [], "channel_id": -7});
    assert_eq!(panel.patch("root", TELEGRAM, json!({"channel_id": -7})).await.ok(), telegram);
    let telegram = json!({"token": "1:a", "admin_id": [5], "channel_id": -7});
    assert_eq!(panel.patch("root", TELEGRAM, json!({"token": "1:a", "admin_id": ["5"]})).await.ok(), telegram);
    let telegram = json!({"token": "1:a", "admin_id": [5], "channel_id": null});
    assert_eq!(panel.patch("root", TELEGRAM, json!({"channel_id": null})).await.ok(), telegram);
    assert_eq!(panel.get("root", TELEGRAM).await.ok(), telegram);
    assert_eq!(panel.get("root", SUBSCRIPTION).await.ok(), expected);
}

async fn concurrent_changes_of_different_settings_are_both_kept(db: Db) {
    let panel = TestPanel::start(db).await;
    for round in 1..=5 {
        let one = panel.patch("root", SUBSCRIPTION, json!({"profile_title": format!("title {round}")}));
        let other = panel.patch("root", SUBSCRIPTION, json!({"support_link": format!("link {round}")}));
        let third = panel.patch("root", TELEGRAM, json!({"token": format!("1:{round}")}));
        let (one, other, third) = tokio::join!(one, other, third);
        drop((one.ok(), other.ok(), third.ok()));
        let now = panel.get("root", SUBSCRIPTION).await.ok();
        assert_eq!(now["profile_title"], format!("title {round}"));
        assert_eq!(now["support_link"], format!("link {round}"));
        assert_eq!(panel.get("root", TELEGRAM).await.ok()["token"], format!("1:{round}"));
    }
}

async fn old_rules_are_offered_those_of_today(db: Db) {
    const OFFER: &str = "/api/system/settings/subscription/offer";
    let panel = TestPanel::start(db).await;
    let today = panel.get("root", SUBSCRIPTION).await.ok()["rules"].clone();
    let none = panel.get("root", OFFER).await.ok();
    assert_eq!((&none["changes"], &none["rules"]), (&json!([]), &today));
    let old = json!({"rules": [
        {"pattern": "^Happ", "result": "xray"},
        {"pattern": "^([Cc]lash-verge|[Cc]lash-?[Mm]eta)", "result": "clash-meta"},
        {"pattern": "^([Cc]lash|[Ss]tash)", "result": "clash"},
        {"pattern": "^Karing", "result": "block"},
        {"pattern": ".*", "result": "links"},
    ]});
    panel.patch("root", SUBSCRIPTION, old.clone()).await.ok();
    let offer = panel.get("root", OFFER).await.ok();
    let change = |program: &str| {
        let changes = offer["changes"].as_array().expect("changes");
        changes.iter().find(|change| change["program"] == program).cloned()
    };
    assert_eq!(
        change("Mihomo"),
        Some(json!({"program": "Mihomo", "user_agent": "mihomo/1.19.27", "now": "links", "then": "clash-meta"}))
    );
    assert_eq!(change("Stash").map(|change| change["now"].clone()), Some(json!("clash")));
    assert_eq!((change("Karing"), change("Clash")), (None, None));
    assert_eq!(panel.get("root", SUBSCRIPTION).await.ok()["rules"], old["rules"], "an offer changes nothing");

    let taken = panel.post("root", OFFER, Value::Null).await.ok();
    assert_eq!(taken["rules"], offer["rules"]);
    let rules = taken["rules"].as_array().expect("rules");
    assert_eq!((&rules[0]["pattern"], &rules[rules.len() - 1]["result"]), (&json!("^Happ"), &json!("links")));
    assert_eq!(panel.get("root", SUBSCRIPTION).await.ok(), taken);
    assert_eq!(panel.get("root", OFFER).await.ok()["changes"], json!([]));
    assert_eq!(panel.post("root", OFFER, Value::Null).await.ok(), taken, "again");

    let many: Vec<_> = (0..99).map(|index| json!({"pattern": format!("^own {index}"), "result": "links"})).collect();
    panel.patch("root", SUBSCRIPTION, json!({"rules": many})).await.ok();
    panel.post("root", OFFER, Value::Null).await.wrong_fields(&["rules"]);
}

async fn rule_tester_shows_rule_format_program_and_core(db: Db) {
    const TEST: &str = "/api/system/settings/subscription/test";
    let panel = TestPanel::start(db).await;
    let found = panel.post("root", TEST, json!({"user_agent": "Flowvy/0.3.3 Mihomo/1.19.27"})).await.ok();
    assert_eq!(found["rule"]["result"], "clash-meta");
    assert_eq!((&found["position"], &found["format"]), (&json!(1), &json!("clash-meta")));
    assert_eq!(
        (&found["program"], &found["core"], &found["core_version"]),
        (&json!("Flowvy"), &json!("mihomo"), &json!("1.19.27"))
    );
    assert_eq!(found["reads_best"], "clash-meta");
    let rules = json!([{"pattern": "^b", "result": "block"}, {"pattern": "^Karing", "result": "template"}]);
    let found = panel.post("root", TEST, json!({"user_agent": "Karing/1", "rules": rules})).await.ok();
    assert_eq!((&found["position"], &found["rule"]["pattern"]), (&json!(2), &json!("^Karing")));
    assert_eq!(
        (&found["format"], &found["core_version"], &found["reads_best"]),
        (&Value::Null, &Value::Null, &json!("sing-box"))
    );
    let found = panel.post("root", TEST, json!({"user_agent": "Happ/1", "rules": rules})).await.ok();
    assert_eq!((&found["position"], &found["rule"], &found["program"]), (&Value::Null, &Value::Null, &Value::Null));
    let wrong = json!({"user_agent": "a", "rules": [{"pattern": "(", "result": "links"}]});
    panel.post("root", TEST, wrong).await.wrong_fields(&["pattern"]);
    panel.post("root", TEST, json!({})).await.wrong_fields(&["user_agent"]);
}

const TEST_MESSAGE: &str = "/api/system/settings/telegram/test";

async fn telegram_test_reports_each_chat_in_words(db: Db) {
    let bot_api = Receiver::start().await;
    let url = bot_api.url("");
    let settings =
        [("TELEGRAM_API_URL", url.as_str()), ("TELEGRAM_API_TOKEN", "9:environment"), ("TELEGRAM_ADMIN_ID", "70")];
    let panel = TestPanel::start_with(db, &settings).await;
    bot_api.refuse_chat("11");
    let typed = json!({"token": "12:ab-C_d", "admin_id": [11, 10], "channel_id": -100});
    let tested = panel.post("root", TEST_MESSAGE, json!({"settings": typed})).await.ok();
    let refused = "Telegram says: Forbidden: bot was blocked by the user";
    assert_eq!(
        tested["chats"],
        json!([{"chat": -100, "error": null}, {"chat": 10, "error": null}, {"chat": 11, "error": refused}])
    );
    assert!(bot_api.requests().iter().all(|request| request.path == "/bot12:ab-C_d/sendMessage"));
    assert_eq!(panel.get("root", TELEGRAM).await.ok(), Value::Null, "a test stores nothing");

    // Without settings, those in force: first those of the environment, then the stored ones.
    assert_eq!(panel.post("root", TEST_MESSAGE, json!({})).await.ok()["chats"][0]["chat"], 70);
    assert_eq!(bot_api.requests().last().expect("a request").path, "/bot9:environment/sendMessage");
    panel.put("root", TELEGRAM, json!({"token": "5:stored", "admin_id": [50], "channel_id": null})).await.ok();
    for (reply, words) in [
        (
            Reply::Answer(401, r#"{"ok":false,"description":"Unauthorized"}"#),
            "Unauthorized; check the token of the bot",
        ),
        (
            Reply::Answer(400, r#"{"ok":false,"description":"Bad Request: chat not found"}"#),
            "chat not found; check the id, and write to the bot or add it to the channel first",
        ),
        (Reply::Answer(429, r#"{"ok":false,"parameters":{"retry_after":7}}"#), "pause of 7 s"),
        (Reply::Status(502), "the receiver answered 502 Bad Gateway"),
    ] {
        bot_api.behave([reply]);
        let tested = panel.post("root", TEST_MESSAGE, json!({})).await.ok();
        let error = tested["chats"][0]["error"].as_str().expect("an error");
        assert!(tested["chats"][0]["chat"] == 50 && error.contains(words) && !error.contains("5:stored"), "{error}");
    }
}

async fn telegram_test_without_a_usable_bot_sends_nothing(db: Db) {
    let bot_api = Receiver::start().await;
    let url = bot_api.url("");
    let panel = TestPanel::start_with(db, &[("TELEGRAM_API_URL", url.as_str())]).await;
    panel.post("root", TEST_MESSAGE, json!({})).await.refused(409);
    let test = async |token: &str, chats: Vec<i64>| {
        let settings = json!({"token": token, "admin_id": chats, "channel_id": null});
        panel.post("root", TEST_MESSAGE, json!({"settings": settings})).await
    };
    for token in ["", "1:a/../../x", "1:a?b=c", "1:a b", &"1".repeat(201)] {
        test(token, vec![1]).await.wrong_fields(&["token"]);
    }
    test("1:a", vec![]).await.wrong_fields(&["admin_id"]);
    test("1:a", vec![0]).await.wrong_fields(&["admin_id"]);
    test("1:a", (1..=31).collect()).await.wrong_fields(&["admin_id"]);
    panel
        .post("root", TEST_MESSAGE, json!({"settings": {"token": "1:a"}}))
        .await
        .wrong_fields(&["admin_id", "channel_id"]);
    assert_eq!(bot_api.requests().len(), 0);
    // One at a time: a slow server is not asked again and again.
    bot_api.behave([Reply::Slow(std::time::Duration::from_secs(2))]);
    let (one, other) = tokio::join!(test("1:a", vec![1]), async {
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        test("1:a", vec![1]).await
    });
    other.refused(409);
    one.ok();
    test("1:a", vec![1]).await.ok();
}
