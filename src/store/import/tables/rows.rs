//! The rows of each table with every imported and exported column, ids included.

use serde::Serialize;
use sqlx::FromRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use crate::domain::host::HostSpec;
use crate::store::engine::Statement;
use crate::store::engine::statement::row;

/// A row of one table, or of a join, that can be read.
pub trait Stored: for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin {
    /// Selects all rows.
    const SELECT: Statement;
}

/// A row of one table that can be inserted and counted.
pub trait TableRow: Stored + Serialize + Sync {
    /// Inserts a JSON list of objects with the columns' names.
    const INSERT: Statement;
    /// Counts the rows of the table.
    const COUNT: Statement;
}

/// Declares the rows of tables: for each a struct with its statements. `JwtRow: "jwt" { id: i64 = "BIGINT", secret_key:
/// String = "TEXT", }` becomes, on PostgreSQL,
///
/// ```sql
/// SELECT id, secret_key FROM jwt ORDER BY id
/// INSERT INTO jwt (id, secret_key) SELECT id, secret_key
///     FROM json_to_recordset(CAST(CAST($1 AS TEXT) AS JSON)) AS r (id BIGINT, secret_key TEXT)
/// SELECT COUNT(*) FROM jwt
/// ```
macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident: $table:literal {
        $first:ident: $first_type:ty = $first_sql:literal, $($column:ident: $type:ty = $sql:literal,)*
    })*) => {
        $(
            row! {
                $(#[$doc])*
                #[derive(Clone, Debug, PartialEq, Serialize)]
                #[expect(missing_docs, reason = "the table's own columns: see the migrations")]
                pub struct $name {
                    pub $first: $first_type,
                    $(pub $column: $type,)*
                }
            }

            impl Stored for $name {
                const SELECT: Statement = Statement {
                    name: concat!(module_path!(), "::", stringify!($name), " (select)"),
                    pg: concat!(
                        "SELECT ", stringify!($first), $(", ", stringify!($column),)* " FROM ", $table,
                        " ORDER BY ", stringify!($first)
                    ),
                    lite: concat!(
                        "SELECT ", stringify!($first), $(", ", stringify!($column),)* " FROM ", $table,
                        " ORDER BY ", stringify!($first)
                    ),
                };
            }

            impl TableRow for $name {
                const INSERT: Statement = Statement {
                    name: concat!(module_path!(), "::", stringify!($name)),
                    pg: concat!(
                        "INSERT INTO ", $table, " (", stringify!($first), $(", ", stringify!($column),)*
                        ") SELECT ", stringify!($first), $(", ", stringify!($column),)*
                        " FROM json_to_recordset(CAST(CAST($1 AS TEXT) AS JSON)) AS r (",
                        stringify!($first), " ", $first_sql, $(", ", stringify!($column), " ", $sql,)* ")"
                    ),
                    lite: concat!(
                        "INSERT INTO ", $table, " (", stringify!($first), $(", ", stringify!($column),)*
                        ") SELECT value ->> '", stringify!($first), "'", $(", value ->> '", stringify!($column), "'",)*
                        " FROM json_each($1)"
                    ),
                };
                const COUNT: Statement = Statement {
                    name: concat!(module_path!(), "::", stringify!($name), " (count)"),
                    pg: concat!("SELECT COUNT(*) FROM ", $table),
                    lite: concat!("SELECT COUNT(*) FROM ", $table),
                };
            }
        )*
        pub(super) const STATEMENTS: &[Statement] = &[$($name::INSERT, $name::COUNT, $name::SELECT),*];
    };
}

tables! {
    /// An admin.
    AdminRow: "admins" {
        id: i64 = "BIGINT",
        username: String = "TEXT",
        hashed_password: String = "TEXT",
        is_sudo: bool = "BOOLEAN",
        enabled: bool = "BOOLEAN",
        all_services_access: bool = "BOOLEAN",
        modify_users_access: bool = "BOOLEAN",
        subscription_url_prefix: String = "TEXT",
        password_reset_at: Option<i64> = "BIGINT",
        created_at: i64 = "BIGINT",
    }
    /// A service.
    ServiceRow: "services" { id: i64 = "BIGINT", name: Option<String> = "TEXT", }
    /// A service that an admin may assign.
    AdminServiceRow: "admins_services" { admin_id: i64 = "BIGINT", service_id: i64 = "BIGINT", }
    /// A user.
    UserRow: "users" {
        id: i64 = "BIGINT",
        username: Option<String> = "TEXT",
        key: String = "TEXT",
        owner_id: Option<i64> = "BIGINT",
        enabled: bool = "BOOLEAN",
        activated: bool = "BOOLEAN",
        removed: bool = "BOOLEAN",
        expire_strategy: String = "TEXT",
        expire_date: Option<i64> = "BIGINT",
        usage_duration: Option<i64> = "BIGINT",
        activation_deadline: Option<i64> = "BIGINT",
        note: Option<String> = "TEXT",
        created_at: i64 = "BIGINT",
        edit_at: Option<i64> = "BIGINT",
        sub_revoked_at: Option<i64> = "BIGINT",
    }
    /// The data limit and the traffic of a user.
    TrafficRow: "user_traffic" {
        user_id: i64 = "BIGINT",
        data_limit: Option<i64> = "BIGINT",
        used_traffic: i64 = "BIGINT",
        lifetime_used_traffic: i64 = "BIGINT",
        online_at: Option<i64> = "BIGINT",
        data_limit_reset_strategy: String = "TEXT",
        traffic_reset_at: Option<i64> = "BIGINT",
        created_at: i64 = "BIGINT",
    }
    /// The last fetch of a user's subscription.
    FetchRow: "subscription_fetches" { user_id: i64 = "BIGINT", fetched_at: i64 = "BIGINT", user_agent: String = "TEXT", }
    /// A service of a user.
    UserServiceRow: "users_services" { user_id: i64 = "BIGINT", service_id: i64 = "BIGINT", }
    /// A node.
    NodeRow: "nodes" {
        id: i64 = "BIGINT",
        name: String = "TEXT",
        address: String = "TEXT",
        port: i64 = "BIGINT",
        connection_backend: String = "TEXT",
        usage_coefficient: f64 = "DOUBLE PRECISION",
        status: String = "TEXT",
        message: Option<String> = "TEXT",
        xray_version: Option<String> = "TEXT",
        last_status_change: Option<i64> = "BIGINT",
        created_at: i64 = "BIGINT",
    }
    /// An engine of a node.
    BackendRow: "backends" {
        node_id: i64 = "BIGINT",
        name: String = "TEXT",
        backend_type: String = "TEXT",
        version: Option<String> = "TEXT",
        running: bool = "BOOLEAN",
    }
    /// An inbound.
    InboundRow: "inbounds" {
        id: i64 = "BIGINT",
        node_id: i64 = "BIGINT",
        tag: String = "TEXT",
        protocol: String = "TEXT",
        config: String = "TEXT",
    }
    /// An inbound of a service.
    InboundServiceRow: "inbounds_services" { inbound_id: i64 = "BIGINT", service_id: i64 = "BIGINT", }
    /// A host.
    HostRow: "hosts" {
        id: i64 = "BIGINT",
        inbound_id: Option<i64> = "BIGINT",
        is_disabled: bool = "BOOLEAN",
        universal: bool = "BOOLEAN",
        weight: i64 = "BIGINT",
        spec: HostSpec = "JSONB",
    }
    /// A host of a service.
    HostServiceRow: "hosts_services" { host_id: i64 = "BIGINT", service_id: i64 = "BIGINT", }
    /// A host in the chain of another host.
    HostChainRow: "host_chains" { host_id: i64 = "BIGINT", seq: i64 = "BIGINT", chained_host_id: i64 = "BIGINT", }
    /// The settings.
    SettingsRow: "settings" {
        id: i64 = "BIGINT",
        subscription: serde_json::Value = "JSONB",
        telegram: Option<serde_json::Value> = "JSONB",
    }
    /// The secret that signs tokens.
    JwtRow: "jwt" { id: i64 = "BIGINT", secret_key: String = "TEXT", }
    /// The panel's certificate.
    TlsRow: "tls" { id: i64 = "BIGINT", key: String = "TEXT", certificate: String = "TEXT", }
    /// Traffic of a node in an hour.
    NodeHourRow: "node_usage_hours" {
        node_id: i64 = "BIGINT",
        hour: i64 = "BIGINT",
        uplink: i64 = "BIGINT",
        downlink: i64 = "BIGINT",
        counted: i64 = "BIGINT",
    }
}
