//! `/api/views`: the saved views of an admin follow the admin, and are bounded.

use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::TestPanel;
use crate::support::database::{number, on_both_engines};

on_both_engines! {
    views_follow_their_admin_to_every_panel,
    wrong_views_are_refused_and_named,
}

async fn views_follow_their_admin_to_every_panel(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("eve", false).await;
    let beside = TestPanel::beside(&panel, &[]).await;
    assert_eq!(panel.get("eve", "/api/views").await.ok(), json!({"views": []}));
    let views = json!({"views": [{"name": "حراج", "search": r#"{"state":"expired"}"#}, {"name": "b", "search": ""}]});
    assert_eq!(panel.put("eve", "/api/views", views.clone()).await.ok(), views);
    assert_eq!(beside.get("eve", "/api/views").await.ok(), views);
    assert_eq!(panel.get("root", "/api/views").await.ok(), json!({"views": []}), "each admin has views of its own");
    let fewer = json!({"views": [{"name": "b", "search": ""}]});
    assert_eq!(beside.put("eve", "/api/views", fewer.clone()).await.ok(), fewer);
    assert_eq!(panel.get("eve", "/api/views").await.ok(), fewer);
    panel.delete("root", "/api/admins/eve").await.ok();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM admin_view").await, 0);
}

async fn wrong_views_are_refused_and_named(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let named = |names: &[&str]| names.iter().map(|name| json!({"name": name, "search": ""})).collect::<Vec<_>>();
    let many: Vec<String> = (0..31).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (views, text) in [
        (json!(named(&["a", "a"])), "view 2: name must differ"),
        (json!(named(&[" "])), "view 1: name must have"),
        (json!(named(&many)), "view 31: must be at most 30"),
        (json!([{"name": "a", "search": "x".repeat(2_001)}]), "at most 2000 bytes"),
    ] {
        let refused = panel.put("root", "/api/views", json!({"views": views})).await;
        assert_eq!(refused.status, 422);
        assert!(refused.body["detail"]["views"].as_str().is_some_and(|said| said.contains(text)), "{}", refused.body);
    }
    let with_nul = json!({"views": [{"name": "a", "search": "\0"}]});
    panel.put("root", "/api/views", with_nul).await.wrong_fields(&["search"]);
    panel.put("root", "/api/views", json!({"views": [{"name": "a"}]})).await.wrong_fields(&["search"]);
    assert_eq!(panel.put("root", "/api/views", Value::Null).await.status, 422);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM admin_view").await, 0);
}
