//! `GET /api/events`: who hears of which change, and how a client goes on after its connection was lost.

use std::time::Duration;

use reqwest::{Method, Response};
use sarban::domain::rights::Rights;
use sarban::store::Db;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::api::panel::{TestPanel, send};
use crate::api::role_rights::insert_admin_with;
use crate::support::database::{execute, on_both_engines};

on_both_engines! {
    change_is_announced_with_its_row,
    admin_without_sudo_hears_of_own_users_only,
    client_that_comes_back_hears_what_it_missed,
    stream_ends_with_the_rights_of_its_admin,
    stream_ends_when_its_role_may_not_follow_any_more,
    api_token_hears_only_of_what_its_scopes_may_read,
    streams_of_an_admin_are_bounded,
}

/// A client's stream.
struct Events {
    response: Response,
    text: String,
    /// Id of the last event.
    last: String,
}

impl Events {
    async fn open(panel: &TestPanel, admin: &str, last: &str) -> Self {
        Self::open_with(panel, &panel.token_of(admin), last).await
    }

    async fn open_with(panel: &TestPanel, token: &str, last: &str) -> Self {
        let request = panel.request(Method::GET, "/api/events").bearer_auth(token);
        let response = request.header("last-event-id", last).send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new(), last: String::new() }
    }

    /// The next event's name and data; `None` when the stream has ended.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                let found = field("event").zip(field("data")).zip(field("id"));
                let event = found.map(|((name, data), id)| (name.to_owned(), data.to_owned(), id.to_owned()));
                self.text = rest.to_owned();
                if let Some((name, data, id)) = event {
                    self.last = id;
                    return Some((name, serde_json::from_str(&data).expect("JSON")));
                }
            }
            let read = timeout(Duration::from_secs(20), self.response.chunk()).await.expect("in time");
            self.text += std::str::from_utf8(&read.expect("a chunk")?).expect("text");
        }
    }

    async fn ready(&mut self) -> bool {
        let (name, data) = self.next().await.expect("an event");
        // Without Redis, only changes of this process are announced.
        assert_eq!((name.as_str(), &data["all_hosts"]), ("ready", &json!(false)), "{data}");
        data["resumed"].as_bool().expect("resumed")
    }

    async fn changed(&mut self) -> Value {
        let (name, data) = self.next().await.expect("an event");
        assert_eq!(name, "changed");
        data
    }
}

fn user(name: &str) -> Value {
    json!({"username": name, "expire_strategy": "never", "service_ids": []})
}

async fn create(panel: &TestPanel, by: &str, name: &str) -> i64 {
    panel.post(by, "/api/users", user(name)).await.ok()["id"].as_i64().expect("an id")
}

async fn change_is_announced_with_its_row(db: Db) {
    let panel = TestPanel::start(db).await;
    send(panel.request(Method::GET, "/api/events")).await.refused(401);
    let mut events = Events::open(&panel, "root", "").await;
    assert!(!events.ready().await);
    let ann = create(&panel, "root", "ann").await;
    assert_eq!(events.changed().await, json!([{"kind": "users", "id": ann}]));
    let service = panel.post("root", "/api/services", json!({"name": "s", "inbound_ids": []})).await.ok()["id"].clone();
    assert_eq!(events.changed().await, json!([{"kind": "services", "id": service}]));
    panel.post("root", "/api/users/reset", Value::Null).await.ok();
    assert_eq!(events.changed().await, json!([{"kind": "users", "id": null}]), "of many users, none is named");
}

async fn admin_without_sudo_hears_of_own_users_only(db: Db) {
    let panel = TestPanel::start(db).await;
    for name in ["mina", "reza"] {
        panel.insert_admin(name, false).await;
    }
    execute(&panel.panel.db, "UPDATE admins SET modify_users_access = TRUE").await;
    let mut events = Events::open(&panel, "mina", "").await;
    events.ready().await;
    create(&panel, "reza", "of_reza").await;
    panel.post("root", "/api/inbounds/hosts", json!({"remark": "r", "address": "h.example.com", "universal": true, "port": 443, "protocol": "trojan", "password": "p"})).await.ok();
    let own = create(&panel, "mina", "of_mina").await;
    assert_eq!(events.changed().await, json!([{"kind": "users", "id": own}]));
    // A user that gets another owner concerns both; its id is not for the former one.
    panel.put("root", "/api/users/of_mina/set-owner?admin_username=reza", Value::Null).await.ok();
    assert_eq!(events.changed().await, json!([{"kind": "users", "id": null}]));
}

async fn client_that_comes_back_hears_what_it_missed(db: Db) {
    let panel = TestPanel::start(db).await;
    let mut events = Events::open(&panel, "root", "").await;
    events.ready().await;
    create(&panel, "root", "ann").await;
    events.changed().await;
    let last = std::mem::take(&mut events.last);
    drop(events);
    let ben = create(&panel, "root", "ben").await;
    let mut again = Events::open(&panel, "root", &last).await;
    assert!(again.ready().await);
    assert_eq!(again.changed().await, json!([{"kind": "users", "id": ben}]));
    for strange in ["0123456789abcdef-0", "x", "-", &format!("{}-99999", last.split('-').next().expect("an instance"))]
    {
        assert!(!Events::open(&panel, "root", strange).await.ready().await, "{strange}");
    }
}

async fn stream_ends_with_the_rights_of_its_admin(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("mina", false).await;
    let mut events = Events::open(&panel, "mina", "").await;
    events.ready().await;
    panel.delete("root", "/api/admins/mina").await.ok();
    assert_eq!(events.next().await, None);
}

async fn stream_ends_when_its_role_may_not_follow_any_more(db: Db) {
    let panel = TestPanel::start(db).await;
    insert_admin_with(&panel, "mina", Rights::stored("events:read=all users:read=all")).await;
    let mut events = Events::open(&panel, "mina", "").await;
    events.ready().await;
    create(&panel, "root", "ann").await;
    events.changed().await;
    panel.put("root", "/api/roles/mina", json!({"rights": {"events": {"read": "none"}}})).await.ok();
    // A stream that goes on has a comment now and then.
    let end = timeout(Duration::from_secs(30), events.next()).await.expect("the stream ends");
    assert_eq!(end, None);
}

async fn api_token_hears_only_of_what_its_scopes_may_read(db: Db) {
    let panel = TestPanel::start(db).await;
    let new = json!({"name": "t", "scopes": ["events:read", "services:read"]});
    let made = panel.post("root", "/api/tokens", new).await.ok();
    let mut events = Events::open_with(&panel, made["secret"].as_str().expect("a secret"), "").await;
    events.ready().await;
    create(&panel, "root", "ann").await;
    let service = panel.post("root", "/api/services", json!({"name": "s", "inbound_ids": []})).await.ok();
    assert_eq!(events.changed().await, json!([{"kind": "services", "id": service["id"]}]));
}

async fn streams_of_an_admin_are_bounded(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("mina", false).await;
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(Events::open(&panel, "mina", "").await);
    }
    panel.get("mina", "/api/events").await.refused(429);
    let mut other = Events::open(&panel, "root", "").await;
    other.ready().await;
    open.clear();
    // A stream whose client is gone ends at its next byte.
    create(&panel, "root", "ann").await;
    other.changed().await;
    let again = async {
        loop {
            let request = panel.request(Method::GET, "/api/events").bearer_auth(panel.token_of("mina"));
            if request.send().await.expect("an answer").status() == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(20), again).await.expect("there is room again");
}
