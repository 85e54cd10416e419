//! `GET /api/users/{username}/diagnosis`: which nodes a change that is on its way concerns.

use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::TestPanel;
use crate::support::database::{execute, on_both_engines};

on_both_engines!(change_on_its_way_names_the_nodes_of_the_user_alone);

/// Three healthy nodes under the present term, of which two have an inbound of the service.
const NODES: &str = "
    INSERT INTO services (id, name) VALUES (1, 'one');
    DELETE FROM nodes;
    INSERT INTO nodes (id, name, address, port, connection_backend, status, created_at, synced_at, synced_epoch)
        SELECT id, name, '203.0.113.9', id, 'grpcio', 'healthy', 0, 1, (SELECT epoch FROM scheduler_epoch)
        FROM (SELECT 1 AS id, 'a' AS name UNION ALL SELECT 2, 'b' UNION ALL SELECT 3, 'c') AS n;
    INSERT INTO inbounds (id, node_id, tag, protocol, config)
        SELECT id, id, 't', 'trojan', '{\"tls\": \"tls\", \"port\": 443, \"network\": \"tcp\"}' FROM nodes;
    INSERT INTO inbounds_services (inbound_id, service_id) VALUES (1, 1), (3, 1)";

async fn change_on_its_way_names_the_nodes_of_the_user_alone(db: Db) {
    execute(&db, NODES).await;
    let panel = TestPanel::start(db.clone()).await;
    let ann = json!({"username": "ann", "expire_strategy": "never", "service_ids": [1]});
    panel.post("root", "/api/users", ann).await.ok();
    let pending = async || -> Vec<Value> {
        let diagnosis = panel.get("root", "/api/users/ann/diagnosis").await.ok();
        let findings = diagnosis["findings"].as_array().expect("findings").clone();
        let pending = findings.into_iter().filter(|finding| finding["code"] == "change_pending");
        pending.map(|finding| finding["object"]["name"].clone()).collect()
    };
    assert_eq!(pending().await, ["a", "c"]);
    execute(&db, "DELETE FROM user_change").await;
    assert_eq!(pending().await, [""; 0]);
}
