//! The fields of answers that clients of the old panel read, such as its own web UI.

use reqwest::Method;
use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::{TestPanel, send};
use crate::support::database::{execute, on_both_engines};

on_both_engines!(answers_have_every_field_that_clients_of_the_old_panel_read);

const ADMIN: &str =
    "all_services_access enabled id is_sudo modify_users_access service_ids subscription_url_prefix username";
const NODE: &str =
    "address backends connection_backend id inbound_ids message name port status usage_coefficient xray_version";
const SERVICE: &str = "id inbound_ids name user_ids";
const INBOUND: &str = "config id node protocol service_ids tag";
const HOST: &str = "address allowed_ips allowinsecure alpn chain_ids dns_servers early_data fingerprint flow fragment header_type \
    host http_headers id inbound_id is_disabled mtu mux_settings network noise password path port protocol reality_public_key \
    reality_short_ids remark security service_ids shadowsocks_method shadowtls_version sni splithttp_settings universal uuid weight";
const USER: &str = "activated activation_deadline created_at data_limit data_limit_reached data_limit_reset_strategy enabled \
    expire_date expire_strategy expired id is_active key lifetime_used_traffic note online_at owner_username service_ids \
    sub_last_user_agent sub_revoked_at sub_updated_at subscription_url traffic_reset_at usage_duration used_traffic username";
const SETTINGS: &str = "placeholder_if_disabled placeholder_remark profile_title rules shuffle_configs support_link \
    template_on_acceptance update_interval";
const SERIES: &str = "step total usages";
const KEY: &str = "00000000000000000000000000000001";

fn assert_fields(value: &Value, fields: &str, of: &str) {
    for field in fields.split_whitespace() {
        assert!(value.get(field).is_some(), "{of}: no {field} in {value}");
    }
}

async fn answers_have_every_field_that_clients_of_the_old_panel_read(db: Db) {
    execute(
        &db,
        "INSERT INTO services (id, name) VALUES (1, 'all');
         INSERT INTO inbounds (id, node_id, tag, protocol, config) VALUES (1, 1, 't', 'vless', '{}');
         INSERT INTO inbounds_services (inbound_id, service_id) VALUES (1, 1)",
    )
    .await;
    let panel = TestPanel::start(db).await;
    let ann = json!({"username": "ann", "expire_strategy": "never", "key": KEY, "service_ids": [1]});
    assert_fields(&panel.post("root", "/api/users", ann).await.ok(), USER, "POST /api/users");
    let host = json!({"remark": "r", "address": "a.example.com"});
    assert_fields(&panel.post("root", "/api/inbounds/1/hosts", host).await.ok(), HOST, "POST of a host");
    for (path, fields) in [
        ("/api/admins", ADMIN),
        ("/api/admins/root/services", SERVICE),
        ("/api/admins/root/users", USER),
        ("/api/nodes", NODE),
        ("/api/services", SERVICE),
        ("/api/services/1/users", USER),
        ("/api/services/1/inbounds", INBOUND),
        ("/api/inbounds", INBOUND),
        ("/api/inbounds/hosts", HOST),
        ("/api/inbounds/1/hosts", HOST),
        ("/api/users", USER),
        ("/api/users/ann/services", SERVICE),
    ] {
        let page = panel.get("root", path).await.ok();
        assert_fields(&page, "items page pages size total", path);
        if !path.starts_with("/api/admins") {
            assert_fields(&page["links"], "first last next prev self", path);
        }
        assert_fields(&page["items"][0], fields, path);
    }
    for (path, fields) in [
        ("/api/admins/current", ADMIN),
        ("/api/admins/root", ADMIN),
        ("/api/nodes/1", NODE),
        ("/api/nodes/settings", "certificate min_node_version"),
        ("/api/nodes/1/usage", SERIES),
        ("/api/services/1", SERVICE),
        ("/api/inbounds/1", INBOUND),
        ("/api/inbounds/hosts/1", HOST),
        ("/api/users/ann", USER),
        ("/api/users/ann/usage", "node_usages total username"),
        ("/api/system/settings/subscription", SETTINGS),
        ("/api/system/stats/admins", "total"),
        ("/api/system/stats/nodes", "healthy total unhealthy"),
        ("/api/system/stats/traffic", SERIES),
        ("/api/system/stats/users", "active expired limited on_hold online total"),
    ] {
        assert_fields(&panel.get("root", path).await.ok(), fields, path);
    }
    for (path, fields) in [("info", USER), ("usage", SERIES)] {
        let answer = send(panel.request(Method::GET, &format!("/sub/ann/{KEY}/{path}"))).await.ok();
        assert_fields(&answer, fields, path);
    }
    for action in ["disable", "enable", "reset", "revoke_sub"] {
        let answer = panel.post("root", &format!("/api/users/ann/{action}"), json!(null)).await.ok();
        assert_fields(&answer, USER, action);
    }
    assert_fields(&panel.get("root", "/api/admins").await.ok()["items"][0], "users_data_usage", "/api/admins");
    let form = [("username", "root"), ("password", "rootpass"), ("grant_type", "password")];
    let token = send(panel.request(Method::POST, "/api/admins/token").form(&form)).await.ok();
    assert_fields(&token, "access_token is_sudo token_type", "the token");
}
