//! The members of the cluster and its addresses, as the API shows them.

use std::net::IpAddr;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::moment::Moment;
use crate::domain::panel_address::StoredAddress;
use crate::store::cluster::members::Member;

/// A public address of the panel.
#[derive(Debug, Serialize, ToSchema)]
pub struct AddressResponse {
    #[schema(value_type = String)]
    address: IpAddr,
    /// `setting`: SERVER_IP or SERVER_IPV6; `public` or `private`: an address of a machine. Clients elsewhere can't reach
    /// a private one.
    source: &'static str,
    /// The host that set or has it.
    host: String,
}

/// A live process of the cluster.
#[derive(Debug, Serialize, ToSchema)]
pub struct MemberResponse {
    instance: String,
    host: String,
    pid: i64,
    worker_threads: i64,
    cores: f64,
    version: String,
    started_at: String,
    last_seen: String,
    /// Round trip to the database in milliseconds; null on SQLite, and until it is known.
    round_trip_ms: Option<f64>,
    /// False if the connections for tasks and requests do not reach a database that can be written to; null if it is not
    /// known.
    can_work: Option<bool>,
    /// Number of enabled nodes to which the process could open a connection; null until it is known.
    nodes_reached: Option<u32>,
    /// Number of enabled nodes at that time.
    nodes_enabled: Option<u32>,
    /// Number of spool files on the host that are not empty, at most a minute ago: their usage may not be in the database
    /// yet. Members with the same DATA_DIR report the same files. Null if it is not known.
    spool_files: Option<u64>,
    /// Size of these files in bytes.
    spool_bytes: Option<u64>,
    /// When the one that has not been written to for longest was last written to. A process that can reach its database
    /// empties its file within seconds.
    spool_since: Option<String>,
    /// Number of users in the host's copy of subscriptions, which serves them while PostgreSQL is away; null without a copy.
    copy_users: Option<i64>,
    /// Seconds since this copy agreed with the database, as the member last reported; null while it is filled for the first time.
    copy_age: Option<i64>,
    /// True for the leader.
    leader: bool,
}

impl MemberResponse {
    pub(super) fn new(member: &Member, leader: bool) -> Self {
        let report = member.report();
        Self {
            instance: member.instance.to_string(),
            host: member.host.clone(),
            pid: member.pid,
            worker_threads: member.worker_threads,
            cores: member.cores,
            version: member.version.clone(),
            started_at: iso(member.started_at),
            last_seen: iso(member.last_seen),
            round_trip_ms: report.round_trip.map(milliseconds),
            can_work: report.can_work,
            nodes_reached: report.nodes.map(|nodes| nodes.reached),
            nodes_enabled: report.nodes.map(|nodes| nodes.enabled),
            spool_files: report.spool.map(|spool| spool.files),
            spool_bytes: report.spool.map(|spool| spool.bytes),
            spool_since: report.spool.and_then(|spool| spool.since).map(iso),
            copy_users: report.copy.map(|copy| copy.users),
            copy_age: report.copy.and_then(|copy| copy.age),
            leader,
        }
    }
}

impl From<StoredAddress> for AddressResponse {
    fn from(stored: StoredAddress) -> Self {
        Self { address: stored.ip, source: stored.source.word(), host: stored.host }
    }
}

/// Microseconds as milliseconds.
pub(super) fn milliseconds(micros: i64) -> f64 {
    micros as f64 / 1_000.0
}

/// Unix microseconds as text.
pub(super) fn iso(micros: i64) -> String {
    Moment::from_micros(micros).utc_iso()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use uuid::Uuid;

    fn shown<const N: usize>(report: &str, fields: [&str; N]) -> [Value; N] {
        let member = Member {
            instance: Uuid::nil(),
            host: "box".to_owned(),
            pid: 1,
            worker_threads: 1,
            cores: 1.0,
            version: "1".to_owned(),
            started_at: 0,
            last_seen: 0,
            tasks: "{}".to_owned(),
            report: report.to_owned(),
        };
        let member = serde_json::to_value(MemberResponse::new(&member, false)).expect("JSON");
        fields.map(|field| member[field].clone())
    }

    fn spool(report: &str) -> [Value; 3] {
        shown(report, ["spool_files", "spool_bytes", "spool_since"])
    }

    #[test]
    fn copy_of_a_member_is_unknown_unless_it_reports_one() {
        let copy = |report| shown(report, ["copy_users", "copy_age"]);
        assert_eq!(copy("{}"), [Value::Null, Value::Null]);
        assert_eq!(copy(r#"{"copy": {"users": 3, "age": null}}"#), [json!(3), Value::Null], "while it is filled");
        assert_eq!(copy(r#"{"copy": {"users": 3, "age": 7}}"#), [json!(3), json!(7)]);
    }

    #[test]
    fn spool_of_a_member_is_unknown_unless_it_reports_one() {
        assert_eq!(spool(r#"{"round_trip": 5}"#), [Value::Null, Value::Null, Value::Null], "an earlier version");
        assert_eq!(spool(r#"{"spool": {"files": 0, "bytes": 0, "since": null}}"#), [json!(0), json!(0), Value::Null]);
        let full = r#"{"spool": {"files": 2, "bytes": 70, "since": 60000000}}"#;
        assert_eq!(spool(full), [json!(2), json!(70), json!("1970-01-01T00:01:00Z")]);
    }
}
