//! `sarban admin quota`: shown, set field by field, refused below the use, and reset.

use serde_json::{Value, json};

use super::WorkDir;

#[test]
fn quota_is_set_shown_and_reset() {
    let dir = WorkDir::new();
    let password = [("SARBAN_ADMIN_PASSWORD", "correct horse")];
    dir.run(&["admin", "create", "-u", "sara", "--no-sudo"], &password).expect_success();
    let quota = |arguments: &[&str]| dir.run(&[&["admin", "quota"], arguments].concat(), &[]);
    let read = |arguments: &[&str]| -> Value {
        serde_json::from_str(&quota(&[arguments, &["-u", "sara", "--json"]].concat()).expect_success()).expect("JSON")
    };
    assert_eq!(read(&["show"])["limits"]["users"], Value::Null);
    read(&["set", "--users", "5", "--traffic", "1000", "--traffic-reset-strategy", "month"]);
    let set = read(&["set", "--users", "none", "--max-duration", "86400", "--when-used-up", "disable"]);
    let limits = json!({"users": null, "active_users": null, "traffic": 1000, "traffic_reset_strategy": "month",
        "max_data_limit": null, "max_duration": 86_400, "when_used_up": "disable"});
    assert_eq!((&set["limits"], &set["used"]["traffic"]), (&limits, &json!(0)));
    assert!(quota(&["show", "-u", "sara"]).expect_success().contains("1000 B"));
    assert_eq!(read(&["reset"])["limits"], limits);
    let zero = quota(&["set", "-u", "sara", "--users", "0"]);
    assert!(zero.code == Some(2) && zero.stderr.contains("--users"), "{zero:?}");
    assert!(quota(&["show", "-u", "nobody"]).expect_failure(1).contains("no such admin"));
    read(&["set", "--traffic", "none"]);
    assert!(quota(&["reset", "-u", "sara"]).expect_failure(1).contains("no limit of traffic"));
}
