//! The tables of the old panel that are imported.

/// Revision of the old schema that can be read: its last one.
pub const REVISION: &str = "57eba0a293f2";

/// A table with the columns that are read.
#[derive(Debug)]
pub struct OldTable {
    /// Name of the table.
    pub name: &'static str,
    pub(super) columns: &'static [&'static str],
    pub(super) rows: OldStatement,
    pub(super) count: OldStatement,
    /// Inserts a JSON list of objects into a file.
    pub(super) insert: &'static str,
}

/// A SELECT for each engine of the old panel.
#[derive(Debug)]
pub(super) struct OldStatement {
    pub name: &'static str,
    pub pg: &'static str,
    pub lite: &'static str,
    pub my: &'static str,
}

/// The SELECT for one engine: SQLite's driver returns any value as text, the others need casts.
macro_rules! select {
    ($before:literal, $after:literal, $quote:literal, $table:literal, $order:literal, $first:literal $(, $column:literal)*) => {
        concat!(
            "SELECT ", $before, $quote, $first, $quote, $after,
            $(", ", $before, $quote, $column, $quote, $after,)*
            " FROM ", $quote, $table, $quote, " AS old ORDER BY old.", $quote, $order, $quote
        )
    };
}

macro_rules! insert {
    ($table:literal, $first:literal $(, $column:literal)*) => {
        concat!(
            "INSERT INTO \"", $table, "\" (\"", $first, "\"", $(", \"", $column, "\"",)* ") SELECT value ->> '",
            $first, "'", $(", value ->> '", $column, "'",)* " FROM json_each($1)"
        )
    };
}

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident = $table:literal by $order:literal: $($column:literal)*;)*) => {$(
        $(#[$doc])*
        pub const $name: &OldTable = &OldTable {
            name: $table,
            columns: &[$($column),*],
            rows: OldStatement {
                name: concat!("reading the old table ", $table),
                pg: select!("CAST(", " AS TEXT)", "\"", $table, $order, $($column),*),
                lite: select!("", "", "\"", $table, $order, $($column),*),
                my: select!("CAST(", " AS CHAR)", "`", $table, $order, $($column),*),
            },
            count: OldStatement {
                name: concat!("counting the old table ", $table),
                pg: concat!("SELECT COUNT(*) FROM \"", $table, "\""),
                lite: concat!("SELECT COUNT(*) FROM \"", $table, "\""),
                my: concat!("SELECT COUNT(*) FROM `", $table, "`"),
            },
            insert: insert!($table, $($column),*),
        };
    )*};
}

tables! {
    /// The revision of the schema.
    VERSION = "alembic_version" by "version_num": "version_num";
    /// Admins.
    ADMINS = "admins" by "id":
        "id" "username" "hashed_password" "created_at" "is_sudo" "password_reset_at" "all_services_access"
        "modify_users_access" "enabled" "subscription_url_prefix";
    /// Services.
    SERVICES = "services" by "id": "id" "name";
    /// Services that admins may assign.
    ADMINS_SERVICES = "admins_services" by "admin_id": "admin_id" "service_id";
    /// Users, removed ones included.
    USERS = "users" by "id":
        "id" "username" "key" "used_traffic" "data_limit" "data_limit_reset_strategy" "admin_id" "sub_updated_at"
        "sub_last_user_agent" "created_at" "note" "online_at" "edit_at" "enabled" "lifetime_used_traffic"
        "traffic_reset_at" "activated" "expire_strategy" "activation_deadline" "expire_date" "usage_duration" "removed"
        "sub_revoked_at";
    /// Services of users.
    USERS_SERVICES = "users_services" by "user_id": "user_id" "service_id";
    /// Nodes.
    NODES = "nodes" by "id":
        "id" "name" "address" "port" "connection_backend" "xray_version" "status" "last_status_change" "message"
        "created_at" "usage_coefficient";
    /// Engines of nodes.
    BACKENDS = "backends" by "id": "id" "name" "node_id" "backend_type" "version" "running";
    /// Inbounds of nodes.
    INBOUNDS = "inbounds" by "id": "id" "protocol" "tag" "config" "node_id";
    /// Inbounds of services.
    INBOUNDS_SERVICES = "inbounds_services" by "inbound_id": "inbound_id" "service_id";
    /// Hosts.
    HOSTS = "hosts" by "id":
        "id" "remark" "address" "port" "path" "sni" "host" "security" "alpn" "fingerprint" "allowinsecure"
        "is_disabled" "fragment" "weight" "udp_noises" "http_headers" "dns_servers" "mtu" "allowed_ips"
        "host_protocol" "host_network" "uuid" "password" "header_type" "reality_public_key" "reality_short_ids"
        "flow" "shadowtls_version" "shadowsocks_method" "splithttp_settings" "mux_settings" "early_data" "universal"
        "inbound_id";
    /// Hosts of services.
    HOSTS_SERVICES = "hosts_services" by "host_id": "host_id" "service_id";
    /// Chains of hosts.
    HOST_CHAINS = "host_chains" by "host_id": "host_id" "chained_host_id" "seq";
    /// Settings, in one row.
    SETTINGS = "settings" by "id": "id" "subscription" "telegram";
    /// The secret that signs tokens, in one row.
    JWT = "jwt" by "id": "id" "secret_key";
    /// The panel's certificate, in one row.
    TLS = "tls" by "id": "id" "key" "certificate";
    /// Traffic of nodes by hour.
    NODE_USAGES = "node_usages" by "id": "id" "created_at" "node_id" "uplink" "downlink";
    /// Traffic of users by node and hour.
    NODE_USER_USAGES = "node_user_usages" by "id": "id" "created_at" "user_id" "node_id" "used_traffic";
}
