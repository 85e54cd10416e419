//! Expiry of users as clients of Marzneshin change it: with and without a strategy.

use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::TestPanel;
use crate::support::database::{execute, on_both_engines};

on_both_engines!(
    expired_user_comes_back_with_a_later_date_alone,
    fields_without_a_strategy_change_the_account_as_they_would_in_marzneshin,
    deadline_stays_when_a_user_is_put_on_hold_without_one,
    user_who_came_from_on_hold_shows_no_duration,
    date_that_the_strategy_does_not_use_sorts_and_expires_nobody,
);

const DATE: &str = "2031-05-06T07:08:09";
const DEADLINE: &str = "2032-01-01T00:00:00";

async fn create(panel: &TestPanel, name: &str, expiry: Value) -> Value {
    let mut user = expiry;
    user["username"] = json!(name);
    panel.post("root", "/api/users", user).await.ok()
}

async fn change(panel: &TestPanel, name: &str, expiry: Value) -> Value {
    let mut edit = expiry;
    edit["username"] = json!(name);
    let answer = panel.put("root", &format!("/api/users/{name}"), edit).await.ok();
    assert_eq!(panel.get("root", &format!("/api/users/{name}")).await.ok(), answer, "what was answered is stored");
    answer
}

/// Strategy, date, duration and deadline.
fn expiry(user: &Value) -> [Value; 4] {
    ["expire_strategy", "expire_date", "usage_duration", "activation_deadline"].map(|field| user[field].clone())
}

async fn expired_user_comes_back_with_a_later_date_alone(db: Db) {
    let panel = TestPanel::start(db).await;
    create(&panel, "ann", json!({"expire_strategy": "never"})).await;
    let past = json!({"expire_strategy": "fixed_date", "expire_date": "2020-01-01T00:00:00"});
    let expired = change(&panel, "ann", past).await;
    assert_eq!((&expired["expired"], &expired["activated"]), (&json!(true), &json!(false)));
    let back = change(&panel, "ann", json!({"expire_date": DATE})).await;
    assert_eq!(expiry(&back), [json!("fixed_date"), json!(DATE), json!(null), json!(null)]);
    assert_eq!((&back["expired"], &back["is_active"], &back["activated"]), (&json!(false), &json!(true), &json!(true)));
    let gone = change(&panel, "ann", json!({"expire_date": 1000})).await;
    assert_eq!((&gone["is_active"], &gone["activated"]), (&json!(false), &json!(false)));
}

async fn fields_without_a_strategy_change_the_account_as_they_would_in_marzneshin(db: Db) {
    let panel = TestPanel::start(db).await;
    create(&panel, "never", json!({"expire_strategy": "never"})).await;
    create(&panel, "fixed", json!({"expire_strategy": "fixed_date", "expire_date": DATE})).await;
    let on_hold = json!({"expire_strategy": "start_on_first_use", "usage_duration": 100});
    create(&panel, "hold", on_hold).await;
    let every = json!({"expire_date": "2033-03-03T03:03:03", "usage_duration": 300, "activation_deadline": DEADLINE});
    for (name, shown) in [
        ("never", [json!("never"), json!(null), json!(null), json!(null)]),
        ("fixed", [json!("fixed_date"), json!("2033-03-03T03:03:03"), json!(null), json!(null)]),
        ("hold", [json!("start_on_first_use"), json!(null), json!(300), json!(DEADLINE)]),
    ] {
        assert_eq!(expiry(&change(&panel, name, every.clone()).await), shown, "{name}");
        let nothing = json!({"expire_date": null, "usage_duration": null, "activation_deadline": null});
        assert_eq!(expiry(&change(&panel, name, nothing).await), shown, "{name}: nulls change nothing");
        // The deadline was stored even where the strategy did not use it.
        let hold = json!({"expire_strategy": "start_on_first_use", "usage_duration": 7});
        let held = [json!("start_on_first_use"), json!(null), json!(7), json!(DEADLINE)];
        assert_eq!(expiry(&change(&panel, name, hold).await), held, "{name}");
    }
}

async fn deadline_stays_when_a_user_is_put_on_hold_without_one(db: Db) {
    let panel = TestPanel::start(db).await;
    let on_hold =
        json!({"expire_strategy": "start_on_first_use", "usage_duration": 100, "activation_deadline": DEADLINE});
    create(&panel, "ann", on_hold).await;
    let again = json!({"expire_strategy": "start_on_first_use", "usage_duration": 200});
    let kept = [json!("start_on_first_use"), json!(null), json!(200), json!(DEADLINE)];
    assert_eq!(expiry(&change(&panel, "ann", again.clone()).await), kept);
    // Another strategy clears it.
    change(&panel, "ann", json!({"expire_strategy": "fixed_date", "expire_date": DATE})).await;
    assert_eq!(change(&panel, "ann", again).await["activation_deadline"], json!(null));
}

async fn user_who_came_from_on_hold_shows_no_duration(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let on_hold = json!({"expire_strategy": "start_on_first_use", "usage_duration": 2_592_000});
    create(&panel, "ann", on_hold).await;
    // As the task review_users starts the account.
    execute(&db, "UPDATE users SET expire_strategy = 'fixed_date', expire_date = 1936000000000000").await;
    let shown = [json!("fixed_date"), json!("2031-05-08T09:46:40"), json!(null), json!(null)];
    assert_eq!(expiry(&panel.get("root", "/api/users/ann").await.ok()), shown);
    assert_eq!(expiry(&panel.get("root", "/api/users").await.ok()["items"][0]), shown);
    assert_eq!(expiry(&change(&panel, "ann", json!({"note": "n"})).await), shown);
}

async fn date_that_the_strategy_does_not_use_sorts_and_expires_nobody(db: Db) {
    let panel = TestPanel::start(db).await;
    create(&panel, "ann", json!({"expire_strategy": "never"})).await;
    let user = change(&panel, "ann", json!({"expire_date": "2020-01-01T00:00:00"})).await;
    assert_eq!((&user["expired"], &user["is_active"], &user["activated"]), (&json!(false), &json!(true), &json!(true)));
    assert_eq!(panel.get("root", "/api/users?expired=true").await.ok()["total"], 0);
    assert_eq!(panel.get("root", "/api/system/stats/users").await.ok()["expired"], 0);
    panel.delete("root", "/api/users/expired?passed_time=0").await.refused(404);
}
