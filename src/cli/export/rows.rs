//! Converts rows to Marzneshin's form: times as text, its spellings of enums, NULL for deleted nodes and users.

use serde::Serialize;
use serde_json::{Value, json};

use crate::domain::host::Fingerprint;
use crate::domain::moment::{Moment, SECOND};
use crate::store::import::tables::{
    AdminRow, AdminServiceRow, BackendRow, FullUserRow, HostChainRow, HostRow, HostServiceRow, InboundRow,
    InboundServiceRow, JwtRow, NodeHour, NodeRow, ServiceRow, SettingsRow, TlsRow, UserHour, UserServiceRow,
};

/// Marzneshin's spellings of protocols.
const PROTOCOLS: [&str; 9] =
    ["VMess", "VLESS", "Trojan", "Shadowsocks", "Shadowsocks2022", "Hysteria2", "WireGuard", "TUIC", "ShadowTLS"];

/// Returns a generator of ids (1, 2, 3, …) for tables whose rows have no id in this panel.
pub(super) fn ids() -> impl FnMut() -> i64 {
    let mut last = 0;
    move || {
        last += 1;
        last
    }
}

/// Converts an admin. The time 0 stands for an unknown one.
pub(super) fn admin(row: &AdminRow) -> Value {
    json!({
        "id": row.id,
        "username": row.username,
        "hashed_password": row.hashed_password,
        "created_at": (row.created_at != 0).then(|| time(row.created_at)),
        "is_sudo": row.is_sudo,
        "password_reset_at": row.password_reset_at.map(time),
        "all_services_access": row.all_services_access,
        "modify_users_access": row.modify_users_access,
        "enabled": row.enabled,
        "subscription_url_prefix": row.subscription_url_prefix,
    })
}

pub(super) fn service(row: &ServiceRow) -> Value {
    json!({"id": row.id, "name": row.name})
}

pub(super) fn admin_service(row: &AdminServiceRow) -> Value {
    json!({"admin_id": row.admin_id, "service_id": row.service_id})
}

pub(super) fn user(row: &FullUserRow) -> Value {
    json!({
        "id": row.id,
        "username": row.username,
        "key": row.key,
        "used_traffic": row.used_traffic,
        "data_limit": row.data_limit,
        "data_limit_reset_strategy": row.data_limit_reset_strategy,
        "admin_id": row.owner_id,
        "sub_updated_at": row.fetched_at.map(time),
        "sub_last_user_agent": row.user_agent,
        "created_at": time(row.created_at),
        "note": row.note,
        "online_at": row.online_at.map(time),
        "edit_at": row.edit_at.map(time),
        "enabled": row.enabled,
        "lifetime_used_traffic": row.lifetime_used_traffic,
        "traffic_reset_at": row.traffic_reset_at.map(time),
        "activated": row.activated,
        "expire_strategy": row.expire_strategy.to_uppercase(),
        "activation_deadline": row.activation_deadline.map(time),
        "expire_date": row.expire_date.map(time),
        "usage_duration": row.usage_duration,
        "removed": row.removed,
        "sub_revoked_at": row.sub_revoked_at.map(time),
    })
}

pub(super) fn user_service(row: &UserServiceRow) -> Value {
    json!({"user_id": row.user_id, "service_id": row.service_id})
}

pub(super) fn node(row: &NodeRow) -> Value {
    json!({
        "id": row.id,
        "name": row.name,
        "address": row.address,
        "port": row.port,
        "connection_backend": row.connection_backend,
        "xray_version": row.xray_version,
        "status": row.status,
        "last_status_change": row.last_status_change.map(time),
        "message": row.message,
        "created_at": time(row.created_at),
        "usage_coefficient": row.usage_coefficient,
    })
}

pub(super) fn backend(row: &BackendRow, id: i64) -> Value {
    json!({
        "id": id,
        "name": row.name,
        "node_id": row.node_id,
        "backend_type": row.backend_type,
        "version": row.version,
        "running": row.running,
    })
}

/// Returns none for a protocol that Marzneshin does not know.
pub(super) fn inbound(row: &InboundRow) -> Option<Value> {
    let protocol = PROTOCOLS.into_iter().find(|known| known.eq_ignore_ascii_case(&row.protocol))?;
    Some(json!({
        "id": row.id,
        "protocol": protocol,
        "tag": row.tag,
        "config": row.config,
        "node_id": row.node_id,
    }))
}

pub(super) fn inbound_service(row: &InboundServiceRow) -> Value {
    json!({"inbound_id": row.inbound_id, "service_id": row.service_id})
}

pub(super) fn host(row: &HostRow) -> Value {
    let spec = &row.spec;
    let fingerprint = match spec.fingerprint {
        Fingerprint::None => "none",
        other => other.word(),
    };
    json!({
        "id": row.id,
        "remark": spec.remark,
        "address": spec.address,
        "port": spec.port,
        "path": spec.path,
        "sni": spec.sni,
        "host": spec.host,
        "security": spec.security.word(),
        "alpn": spec.alpn.word(),
        "fingerprint": fingerprint,
        "allowinsecure": spec.allowinsecure,
        "is_disabled": row.is_disabled,
        "fragment": document(&spec.fragment),
        "weight": row.weight,
        "udp_noises": document(&spec.noise),
        "http_headers": document(&spec.http_headers),
        "dns_servers": spec.dns_servers,
        "mtu": spec.mtu,
        "allowed_ips": spec.allowed_ips,
        "host_protocol": spec.protocol,
        "host_network": spec.network,
        "uuid": spec.uuid,
        "password": spec.password,
        "header_type": spec.header_type,
        "reality_public_key": spec.reality_public_key,
        "reality_short_ids": document(&spec.reality_short_ids),
        "flow": spec.flow,
        "shadowtls_version": spec.shadowtls_version,
        "shadowsocks_method": spec.shadowsocks_method,
        "splithttp_settings": document(&spec.splithttp_settings),
        "mux_settings": document(&spec.mux_settings),
        "early_data": spec.early_data,
        "universal": row.universal,
        "inbound_id": row.inbound_id,
    })
}

pub(super) fn host_service(row: &HostServiceRow) -> Value {
    json!({"host_id": row.host_id, "service_id": row.service_id})
}

pub(super) fn host_chain(row: &HostChainRow) -> Value {
    json!({"host_id": row.host_id, "chained_host_id": row.chained_host_id, "seq": row.seq})
}

pub(super) fn settings(row: &SettingsRow) -> Value {
    json!({"id": row.id, "subscription": row.subscription.to_string(), "telegram": document(&row.telegram)})
}

pub(super) fn jwt(row: &JwtRow) -> Value {
    json!({"id": row.id, "secret_key": row.secret_key})
}

pub(super) fn tls(row: &TlsRow) -> Value {
    json!({"id": row.id, "key": row.key, "certificate": row.certificate})
}

pub(super) fn node_hour(row: &NodeHour, id: i64) -> Value {
    json!({
        "id": id,
        "created_at": time(row.hour),
        "node_id": existing(row.node_id),
        "uplink": row.uplink,
        "downlink": row.downlink,
    })
}

pub(super) fn user_hour(row: &UserHour, id: i64) -> Value {
    json!({
        "id": id,
        "created_at": time(row.hour),
        "user_id": existing(row.user_id),
        "node_id": existing(row.node_id),
        "used_traffic": row.counted,
    })
}

/// Traffic of deleted nodes and users has the id 0 in this panel, and NULL in Marzneshin.
const fn existing(id: i64) -> Option<i64> {
    if id == 0 { None } else { Some(id) }
}

/// Serializes a JSON document to text; none becomes `null`, as in Marzneshin.
fn document(value: &impl Serialize) -> String {
    // Values of these types always serialize.
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

/// Formats a time as naive UTC with six decimals.
fn time(micros: i64) -> String {
    let moment = Moment::from_micros(micros);
    let fraction = moment.micros().rem_euclid(SECOND);
    let seconds = moment.plus(-fraction).naive_iso().replacen('T', " ", 1);
    format!("{seconds}.{fraction:06}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_always_have_six_decimals() {
        assert_eq!(time(1_795_466_185 * SECOND), "2026-11-23 20:36:25.000000");
        assert_eq!(time(1_795_466_185 * SECOND + 9), "2026-11-23 20:36:25.000009");
        assert_eq!(time(-1), "1969-12-31 23:59:59.999999");
        assert_eq!(time(i64::MAX), "9999-12-31 23:59:59.999999");
    }
}
