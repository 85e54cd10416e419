//! Edges: real processes without a database, behind real panels. They serve what the panels serve, go on without them, and send
//! them each fetch once.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::edge_world::{
    KEY, OTHER_KEY, World, answer, command, fetches_in, is_in, last_agent, set_key, status, until,
};
use crate::app::panel_process::PanelProcess;
use crate::support::database::{TestDatabase, execute, number, on_both_engines};
use crate::support::proxy::{Proxy, ProxyFault};

on_both_engines! {
    edge_serves_what_panels_serve_and_goes_on_without_them,
    edge_says_why_it_follows_nobody,
    user_who_is_new_to_an_edge_that_starts_waits_for_its_panel,
    edge_with_another_setting_follows_nobody,
    full_copy_of_panels_with_another_setting_is_not_served,
}

fn edges(world: &World<'_>) -> Vec<Value> {
    let printed = command(&world.setup, &["edges", "--json"]);
    serde_json::from_str(&printed).expect("JSON")
}

async fn edge_serves_what_panels_serve_and_goes_on_without_them(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut world = World::start(&test, folder.path()).await;
    let proxy = Proxy::start(world.panel.port).await.expect("a proxy");
    // Nobody listens on port 1: the next panel is asked.
    let mut edge = world.edge("edge", &[1, proxy.port]);
    edge.ready().await;

    // The same answers, but for the admins' note.
    for path in ["/links", "/v2ray", "/xray", "/sing-box", "/clash", "/clash-meta", "/wireguard", "/unknown", ""] {
        let accept = if path.is_empty() { "text/html" } else { "*/*" };
        let path = format!("/sub/ann/{KEY}{path}");
        let (own, other) = (answer(&edge, &path, accept).await, answer(&world.panel, &path, accept).await);
        assert_eq!(own, other, "{path}");
        // There is no WireGuard host, and no such format.
        let is_empty = path.ends_with("wireguard") || path.ends_with("unknown");
        assert!(is_empty || own.0 == 200 && !own.2.is_empty(), "{path}: {own:?}");
    }
    let info = async |process: &PanelProcess| -> Value {
        serde_json::from_str(&answer(process, &format!("/sub/ann/{KEY}/info"), "*/*").await.2).expect("JSON")
    };
    let (mut own, mut other) = (info(&edge).await, info(&world.panel).await);
    assert_eq!((own["note"].take(), other["note"].take()), (Value::Null, json!("for admins")));
    for field in ["sub_updated_at", "sub_last_user_agent"] {
        // Both processes have just served the page.
        assert_ne!((own[field].take(), other[field].take()), (Value::Null, Value::Null), "{field}");
    }
    assert_eq!(own, other);
    for path in ["/api/users", "/dashboard/", "/"] {
        assert_eq!(edge.request(Method::GET, path).send().await.expect("an answer").status(), 404, "{path}");
    }
    for file in ["edge/subscriptions.copy", "edge/subscriptions.copy-wal"] {
        let stored = std::fs::read(folder.path().join(file)).expect("the copy");
        assert!(!stored.windows(10).any(|bytes| bytes == b"for admins"), "the admins' note is in {file}");
    }

    // Changes arrive while nothing but the copy connects the two.
    let new_key = "00000000000000000000000000000002";
    set_key(&test.db, new_key).await;
    until("the revoked link stops", async || status(&edge, KEY).await == 404).await;
    assert_eq!(status(&edge, new_key).await, 200);
    until("the panel lists the edge", async || edges(&world).iter().any(|edge| edge["users"] == 1)).await;
    assert_eq!(edges(&world)[0]["state"], "connected");

    // An answer to a batch that is lost: the batch is sent again, and counts once.
    let fetch = |edge: &PanelProcess, agent: &str| {
        edge.request(Method::GET, &format!("/sub/ann/{new_key}")).header("user-agent", agent.to_owned()).send()
    };
    assert_eq!(fetch(&edge, "before/1").await.expect("an answer").status(), 200);
    until("it arrives", async || last_agent(&test.db).await.as_deref() == Some("before/1")).await;
    until("nothing waits", async || fetches_in(folder.path(), "edge").await == 0).await;
    let batches = async || number(&test.db, "SELECT COUNT(*) FROM edge_batch").await;
    execute(&test.db, "DELETE FROM edge_batch").await;
    proxy.set(ProxyFault::HoldAnswers);
    proxy.cut();
    assert_eq!(fetch(&edge, "lost/1").await.expect("an answer").status(), 200);
    let mut looks = 0;
    until("a batch whose answer is lost arrives", async || {
        looks += 1;
        // A report without the fetch may be under way.
        if looks % 60 == 0 {
            proxy.cut();
        }
        batches().await == 1
    })
    .await;
    proxy.cut();
    proxy.set(ProxyFault::Clear);
    until("nothing waits", async || fetches_in(folder.path(), "edge").await == 0).await;
    // Sent under another id it would have counted again, and nobody would forget the first one.
    until("the batch is forgotten", async || batches().await == 0).await;
    assert_eq!(last_agent(&test.db).await.as_deref(), Some("lost/1"));

    // Without a panel.
    world.panel.kill();
    until("the edge finds out", async || is_in(&edge, "degraded", "no panel can be followed").await).await;
    assert_eq!((status(&edge, new_key).await, status(&edge, KEY).await), (StatusCode::OK, StatusCode::NOT_FOUND));
    assert_eq!(fetch(&edge, "alone/1").await.expect("an answer").status(), 200);
    // Neither does a restart of the edge change that.
    assert!(edge.stop().await.success());
    let mut edge = world.edge("edge", &[1, proxy.port]);
    until("it serves", async || edge.health().await.is_some_and(|health| health["status"] == "degraded")).await;
    assert_eq!((status(&edge, new_key).await, status(&edge, KEY).await), (StatusCode::OK, StatusCode::NOT_FOUND));
    // What was revoked meanwhile is revoked once a panel is back, and the fetch arrives.
    set_key(&test.db, KEY).await;
    world.restart_panel().await;
    until("the revoked link stops", async || status(&edge, new_key).await == 404).await;
    until("the fetch arrives", async || last_agent(&test.db).await.as_deref() == Some("alone/1")).await;
    assert!(edge.stop().await.success());
}

async fn edge_says_why_it_follows_nobody(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::start(&test, folder.path()).await;
    let reader = command(&world.setup, &["token", "create", "-a", "root", "-n", "reader", "-s", "users:read"]);
    let port = world.panel.port;
    let revoked = format!("{}{}", &world.token[..world.token.len() - 4], "0000");
    for (name, panels, token, said) in [
        ("scope", format!("http://127.0.0.1:{port}"), &reader, "lacks the scope edge:read"),
        ("secret", format!("http://127.0.0.1:{port}"), &revoked, "refuses EDGE_TOKEN (401)"),
        ("nobody", "http://127.0.0.1:1".to_owned(), &world.token, "the panel http://127.0.0.1:1 can't be reached"),
        ("path", format!("http://127.0.0.1:{port}/elsewhere"), &world.token, "no panel that edges can follow"),
    ] {
        let edge = world.setup.start_edge(name, &panels, token);
        until(said, async || edge.log().contains(said)).await;
        until(name, async || is_in(&edge, "unavailable", "no panel can be followed").await).await;
        assert_eq!(status(&edge, KEY).await, 503, "{name}: an empty copy serves nobody");
    }
    let mut command = world.setup.command();
    let ran = command.arg("edge").env("EDGE_TOKEN", "x").output().expect("it runs");
    let error = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(2), "{error}");
    assert!(error.contains("EDGE_TOKEN must be an API token"), "{error}");
}

async fn user_who_is_new_to_an_edge_that_starts_waits_for_its_panel(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::start(&test, folder.path()).await;
    let proxy = Proxy::start(world.panel.port).await.expect("a proxy");
    let mut edge = world.edge("edge", &[proxy.port]);
    edge.ready().await;
    assert!(edge.stop().await.success());
    set_key(&test.db, OTHER_KEY).await;

    proxy.set(ProxyFault::Hold);
    let mut edge = world.edge("edge", &[proxy.port]);
    let is_up = async || edge.health().await.is_some();
    until("it serves the copy from before", async || is_up().await && status(&edge, KEY).await == 200).await;
    let new = edge.request(Method::GET, &format!("/sub/ann/{OTHER_KEY}")).send();
    let release = async {
        assert_eq!(status(&edge, KEY).await, 200, "who is in the copy does not wait");
        proxy.set(ProxyFault::Clear);
    };
    let (new, ()) = tokio::join!(new, release);
    assert_eq!(new.expect("an answer").status(), 200, "the copy from before does not have the key");
    assert_eq!(status(&edge, KEY).await, 404);
    assert!(edge.stop().await.success());
}

/// Links of another algorithm would be refused by every node.
async fn edge_with_another_setting_follows_nobody(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::start(&test, folder.path()).await;
    let panels = format!("http://127.0.0.1:{}", world.panel.port);
    let other = [("AUTH_GENERATION_ALGORITHM", "plain")];
    let mut edge = world.setup.start_edge_with("edge", &panels, &world.token, &other);
    until("it says why", async || edge.log().contains("has AUTH_GENERATION_ALGORITHM=xxh128, and this edge has not"))
        .await;
    until("it is not ready", async || is_in(&edge, "unavailable", "no panel can be followed").await).await;
    assert_eq!(status(&edge, KEY).await, 503);
    assert_eq!(edge.counter("subscription_copy_users").await, 0.0, "it copied users");
    assert!(edge.stop().await.success());
    // With the panel's setting, the same folder is filled.
    let mut edge = world.edge("edge", &[world.panel.port]);
    edge.ready().await;
    assert_eq!(status(&edge, KEY).await, 200);
    // A difference of the prefix is logged only.
    let prefix = [("SUBSCRIPTION_URL_PREFIX", "https://elsewhere.example")];
    let mut edge = world.setup.start_edge_with("other", &panels, &world.token, &prefix);
    edge.ready().await;
    let said = "SUBSCRIPTION_URL_PREFIX of this edge differ from the panel's";
    assert!(edge.log().contains(said), "{}", edge.log());
}

async fn full_copy_of_panels_with_another_setting_is_not_served(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::start(&test, folder.path()).await;
    let plain = [("AUTH_GENERATION_ALGORITHM", "plain")];
    let mut other = world.setup.start_with("other", &plain);
    other.ready().await;
    // A panel that has another setting is left for the next one.
    let ports = [other.port, world.panel.port];
    let mut edge = world.edge("edge", &ports);
    edge.ready().await;
    assert_eq!(status(&edge, KEY).await, 200);
    assert!(edge.stop().await.success());
    // The same folder with that setting, and no panel that has it.
    let panels = format!("http://127.0.0.1:{}", world.panel.port);
    let mut edge = world.setup.start_edge_with("edge", &panels, &world.token, &plain);
    until("an edge whose copy has other credentials serves nobody, and says why", async || {
        is_in(&edge, "unavailable", "another AUTH_GENERATION_ALGORITHM").await
    })
    .await;
    assert_eq!(status(&edge, KEY).await, 503);
    assert!(edge.stop().await.success());
    // And with a panel that has it.
    let panels = format!("http://127.0.0.1:{}", other.port);
    let mut edge = world.setup.start_edge_with("edge", &panels, &world.token, &plain);
    edge.ready().await;
    assert_eq!(status(&edge, KEY).await, 200);
    assert!(edge.log().contains("the copy is that of panels with AUTH_GENERATION_ALGORITHM=xxh128"), "{}", edge.log());
}
