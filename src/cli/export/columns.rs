//! The columns of Marzneshin's tables that restrict values, and how a value becomes one that they take.

use serde_json::Value;

use crate::cli::row_issues::RowIssues;

/// Last and first time that the old panel reads, as an export writes them.
const LAST: &str = "9999-12-31 23:59:59.999999";
const FIRST: &str = "0001-01-01 00:00:00.000000";

/// Restrictions of a column.
struct Column {
    name: &'static str,
    kind: Kind,
}

enum Kind {
    /// A text that only people read, of at most this many characters: cut.
    Note(usize),
    /// A text that programs or links depend on: named, because the file takes it and only another engine would not.
    Text(usize),
    /// One of these texts; the last one replaces others.
    OneOf(&'static [&'static str]),
    /// A number of 32 bits: named, as a long text is.
    Small,
    /// A number that is finite; 1 replaces others.
    Real,
    Time,
}

use Kind::{Note, OneOf, Real, Small, Text, Time};

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

const ADMINS: &[Column] = &[
    column("username", Text(32)),
    column("hashed_password", Text(128)),
    column("subscription_url_prefix", Text(256)),
    column("created_at", Time),
    column("password_reset_at", Time),
];
const SERVICES: &[Column] = &[column("name", Text(64))];
const USERS: &[Column] = &[
    column("username", Text(32)),
    column("key", Text(64)),
    column("data_limit_reset_strategy", OneOf(&["day", "week", "month", "year", "no_reset"])),
    column("expire_strategy", OneOf(&["FIXED_DATE", "START_ON_FIRST_USE", "NEVER"])),
    column("sub_last_user_agent", Note(512)),
    column("note", Note(500)),
    column("sub_updated_at", Time),
    column("created_at", Time),
    column("online_at", Time),
    column("edit_at", Time),
    column("traffic_reset_at", Time),
    column("activation_deadline", Time),
    column("expire_date", Time),
    column("sub_revoked_at", Time),
];
const NODES: &[Column] = &[
    column("name", Text(256)),
    column("address", Text(256)),
    column("port", Small),
    column("connection_backend", OneOf(&["grpcio", "grpclib"])),
    column("xray_version", Note(32)),
    column("status", OneOf(&["healthy", "disabled", "unhealthy"])),
    column("message", Note(1_024)),
    column("usage_coefficient", Real),
    column("last_status_change", Time),
    column("created_at", Time),
];
const BACKENDS: &[Column] = &[column("name", Text(64)), column("backend_type", Text(32)), column("version", Note(32))];
const INBOUNDS: &[Column] = &[column("tag", Text(256)), column("config", Text(512))];
const HOSTS: &[Column] = &[
    column("remark", Text(256)),
    column("address", Text(256)),
    column("port", Small),
    column("path", Text(256)),
    column("sni", Text(1_024)),
    column("host", Text(1_024)),
    column("security", OneOf(&["none", "tls", "inbound_default"])),
    column("alpn", OneOf(&["h2", "http/1.1", "h2,http/1.1", "h3", "h3,h2", "h3,h2,http/1.1", "none"])),
    column(
        "fingerprint",
        OneOf(&["chrome", "firefox", "safari", "ios", "android", "edge", "360", "qq", "random", "randomized", "none"]),
    ),
    column("weight", Small),
    column("dns_servers", Text(128)),
    column("mtu", Small),
    column("host_protocol", Text(32)),
    column("host_network", Text(32)),
    column("uuid", Text(36)),
    column("password", Text(128)),
    column("header_type", Text(32)),
    column("reality_public_key", Text(128)),
    column("flow", Text(32)),
    column("shadowtls_version", Small),
    column("shadowsocks_method", Text(32)),
    column("early_data", Small),
];
const JWT: &[Column] = &[column("secret_key", Text(64))];
const TLS: &[Column] = &[column("key", Text(4_096)), column("certificate", Text(2_048))];
const HOURS: &[Column] = &[column("created_at", Time)];

fn columns(table: &str) -> &'static [Column] {
    match table {
        "admins" => ADMINS,
        "services" => SERVICES,
        "users" => USERS,
        "nodes" => NODES,
        "backends" => BACKENDS,
        "inbounds" => INBOUNDS,
        "hosts" => HOSTS,
        "jwt" => JWT,
        "tls" => TLS,
        "node_usages" | "node_user_usages" => HOURS,
        _ => &[],
    }
}

/// Makes the values of a row those that the old table takes, and reports each that is not what it was, or that only SQLite
/// takes.
pub(super) fn fit(table: &'static str, row: &mut Value, issues: &mut RowIssues) {
    let key = row["id"].to_string();
    for (name, value) in row.as_object_mut().into_iter().flatten() {
        // SQLite's own programs end a text there.
        if let Some(text) = value.as_str().filter(|text| text.contains('\0')) {
            *value = Value::from(text.replace('\0', ""));
            issues.add_changed(table, key.clone(), format!("{name} has NUL characters: removed"));
        }
    }
    for Column { name, kind } in columns(table) {
        let Some(value) = row.get_mut(*name).filter(|value| !value.is_null() || matches!(kind, Real)) else { continue };
        match kind {
            Note(most) => {
                if let Some(cut) = cut(value, *most) {
                    issues.add_changed(table, key.clone(), format!("{name} has more than {most} characters: cut"));
                    *value = cut;
                }
            }
            Text(most) => {
                if cut(value, *most).is_some() {
                    let text = format!("{name} has more than {most} characters: only SQLite takes it");
                    issues.add_meaning(table, key.clone(), text);
                }
            }
            OneOf(known) => {
                let is_known = value.as_str().is_some_and(|text| known.contains(&text));
                if !is_known && let Some(last) = known.last() {
                    issues.add_changed(
                        table,
                        key.clone(),
                        format!("{name} is unknown to the old panel: set to {last}"),
                    );
                    *value = Value::from(*last);
                }
            }
            Small => {
                if value.as_i64().is_some_and(|number| i32::try_from(number).is_err()) {
                    let text = format!("{name} does not fit in 32 bits: only SQLite takes it");
                    issues.add_meaning(table, key.clone(), text);
                }
            }
            Real => {
                // JSON has no other numbers.
                if !value.is_number() {
                    issues.add_changed(table, key.clone(), format!("{name} is not a finite number: set to 1"));
                    *value = Value::from(1.0);
                }
            }
            Time => {
                // The nearest times, which are written in place of others.
                if value == FIRST || value == LAST {
                    let text = format!("{name} is outside of the years 1 to 9999: set to the nearest time");
                    issues.add_changed(table, key.clone(), text);
                }
            }
        }
    }
}

/// Returns the text without what is too much, if there is too much of it.
fn cut(value: &Value, most: usize) -> Option<Value> {
    let text = value.as_str()?;
    let end = text.char_indices().nth(most)?.0;
    Some(Value::from(&text[..end]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fitted(table: &'static str, mut row: Value) -> (Value, Value) {
        let mut issues = RowIssues::default();
        fit(table, &mut row, &mut issues);
        (row, serde_json::to_value(issues.listed()).expect("JSON"))
    }

    #[test]
    fn value_that_fits_is_not_touched() {
        let row = json!({"id": 1, "username": "ä".repeat(32), "note": "x".repeat(500), "expire_strategy": "NEVER",
            "data_limit_reset_strategy": "day", "expire_date": "2031-01-01 00:00:00.000000", "edit_at": null});
        let (after, issues) = fitted("users", row.clone());
        assert_eq!((after, issues), (row, json!({"left_out": [], "changed": [], "meaning": []})));
    }

    #[test]
    fn value_that_does_not_fit_is_changed_or_named() {
        for (table, column, value, expected, list) in [
            ("users", "note", json!("x".repeat(501)), json!("x".repeat(500)), "changed"),
            ("users", "note", json!("a\0b"), json!("ab"), "changed"),
            ("users", "username", json!("x".repeat(33)), json!("x".repeat(33)), "meaning"),
            ("users", "expire_strategy", json!("SOMEDAY"), json!("NEVER"), "changed"),
            ("users", "expire_date", json!(LAST), json!(LAST), "changed"),
            ("users", "created_at", json!(FIRST), json!(FIRST), "changed"),
            ("nodes", "usage_coefficient", Value::Null, json!(1.0), "changed"),
            ("nodes", "port", json!(1_i64 << 40), json!(1_i64 << 40), "meaning"),
            ("nodes", "status", json!("resting"), json!("unhealthy"), "changed"),
            ("hosts", "alpn", json!("h9"), json!("none"), "changed"),
        ] {
            let (after, issues) = fitted(table, json!({"id": 7, column: value}));
            assert_eq!(after[column], expected, "{table} {column}");
            assert_eq!(issues[list][0]["rows"], json!(["7"]), "{issues}");
            assert!(issues[list][0]["reason"].as_str().is_some_and(|reason| reason.starts_with(column)), "{issues}");
        }
    }
}
