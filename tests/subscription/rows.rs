//! Conversion of recorded database rows of the old panel to Sarban's types.

use std::collections::HashMap;

use sarban::domain::host::{Host, HostSpec};
use sarban::domain::ids::{HostId, InboundId, NodeId, ServiceId, UserId};
use sarban::domain::inbound::Inbound;
use sarban::domain::moment::Moment;
use sarban::domain::user::{Expiry, User};
use sarban::subscription::catalogue::HostRow;
use serde_json::{Map, Value, json};

/// Returns all hosts with their inbounds and services.
pub fn hosts(recorded: &Value) -> Vec<HostRow> {
    let pairs = |table: &str, key: &str, value: &str| {
        let mut found: HashMap<i64, Vec<i64>> = HashMap::new();
        for row in recorded[table].as_array().expect("rows") {
            found.entry(integer(&row[key])).or_default().push(integer(&row[value]));
        }
        found
    };
    let chains = pairs("host_chains", "host_id", "chained_host_id");
    let inbound_services = pairs("inbounds_services", "inbound_id", "service_id");
    let host_services = pairs("hosts_services", "host_id", "service_id");
    let services = |of: &HashMap<i64, Vec<i64>>, id: i64| -> Vec<ServiceId> {
        of.get(&id).into_iter().flatten().copied().map(ServiceId).collect()
    };
    let inbounds: HashMap<i64, Inbound> =
        recorded["inbounds"].as_array().expect("rows").iter().map(|row| (integer(&row["id"]), inbound(row))).collect();
    let host = |row: &Value| {
        let id = integer(&row["id"]);
        let inbound = row["inbound_id"].as_i64().map(|id| inbounds[&id].clone());
        let own = services(&host_services, id);
        let service_ids = inbound.as_ref().map_or_else(|| own.clone(), |at| services(&inbound_services, at.id.0));
        let host = Host {
            id: HostId(id),
            inbound_id: inbound.as_ref().map(|inbound| inbound.id),
            is_disabled: row["is_disabled"] == 1,
            universal: row["universal"] == 1,
            weight: integer(&row["weight"]),
            spec: spec(row),
            service_ids: own,
            chain_ids: chains.get(&id).into_iter().flatten().copied().map(HostId).collect(),
        };
        HostRow { host, inbound, service_ids }
    };
    recorded["hosts"].as_array().expect("rows").iter().map(host).collect()
}

fn inbound(row: &Value) -> Inbound {
    Inbound {
        id: InboundId(integer(&row["id"])),
        node_id: NodeId(integer(&row["node_id"])),
        tag: text(&row["tag"]),
        protocol: text(&row["protocol"]).to_lowercase(),
        config: text(&row["config"]),
    }
}

fn spec(row: &Value) -> HostSpec {
    let mut document = Map::new();
    for (column, value) in row.as_object().expect("a row") {
        let field = match column.as_str() {
            "host_protocol" => "protocol",
            "host_network" => "network",
            "udp_noises" => "noise",
            other => other,
        };
        let value = match (field, value) {
            ("allowinsecure", value) => json!(*value == 1),
            ("fingerprint", Value::String(none)) if none == "none" => json!(""),
            (
                "fragment" | "noise" | "http_headers" | "reality_short_ids" | "splithttp_settings" | "mux_settings",
                v,
            ) => v.as_str().map_or(Value::Null, |text| serde_json::from_str(text).expect("JSON")),
            (_, value) => value.clone(),
        };
        document.insert(field.to_owned(), value);
    }
    serde_json::from_value(document.into()).expect("a host")
}

/// Returns a user and the time of the recording.
pub fn user(recorded: &Value) -> (User, Moment) {
    let row = &recorded["user"];
    let moment = |value: &Value| value.as_str().map(|text| Moment::parse(text).expect("a time"));
    let user = User {
        enabled: row["enabled"] == 1,
        activated: row["activated"] == 1,
        removed: row["removed"] == 1,
        expiry: match row["expire_strategy"].as_str() {
            Some("FIXED_DATE") => Expiry::FixedDate(moment(&row["expire_date"]).expect("a date")),
            Some("START_ON_FIRST_USE") => Expiry::StartOnFirstUse {
                duration: integer(&row["usage_duration"]),
                deadline: moment(&row["activation_deadline"]),
            },
            _ => Expiry::Never,
        },
        data_limit: row["data_limit"].as_i64(),
        used_traffic: integer(&row["used_traffic"]),
        lifetime_used_traffic: integer(&row["lifetime_used_traffic"]),
        service_ids: recorded["service_ids"].as_array().expect("ids").iter().map(|id| ServiceId(integer(id))).collect(),
        ..User::bare(
            UserId(integer(&row["id"])),
            &text(&row["username"]),
            &text(&row["key"]),
            moment(&row["created_at"]).expect("a time"),
        )
    };
    let now = Moment::from_unix_number(recorded["rendered_at"].as_f64().expect("a time")).expect("a time");
    (user, now)
}

fn integer(value: &Value) -> i64 {
    value.as_i64().expect("a number")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
