//! The tables of a back-up, and their columns as the database has them.

use serde::{Deserialize, Serialize};
use sqlx::{query_as, query_scalar};

use crate::store::engine::statement::{db_run, row, statements};
use crate::store::engine::{StoreError, Tx};

/// The tables in every back-up, each behind those that its rows refer to.
pub const DATA: &[&str] = &[
    "admin_role",
    "admins",
    "admin_quota",
    "admin_view",
    "bulk_request",
    "services",
    "admins_services",
    "users",
    "quota_disabled_user",
    "user_traffic",
    // Triggers count the restored traffic as brought along: these rows replace theirs.
    "owner_moved_traffic",
    "subscription_fetches",
    "users_services",
    "nodes",
    "backends",
    "inbounds",
    "inbounds_services",
    "hosts",
    "hosts_services",
    "host_chains",
    "settings",
    "key_change",
    "node_usage_hours",
    "node_usage_days",
    "user_usage_hours",
    "user_usage_days",
    "usage_batch",
    "user_change",
    "outbox",
    "engine_config",
    "engine_change",
    "scheduler_epoch",
    "task",
    "task_run",
    "admin_session",
    "api_token",
    "totp",
    "recovery_code",
    "passkey",
    "audit_entry",
    "audit_seal",
    "audit_start",
];

/// The tables with the panel's own secrets, which are in a back-up only if it is asked for them.
pub const SECRETS: &[&str] = &["jwt", "tls"];

/// The tables that no back-up has, each with the reason.
pub const LEFT_OUT: &[(&str, &str)] = &[
    ("_sqlx_migrations", "the schema is created by migrations"),
    ("schema_floor", "set by migrations"),
    ("owner_totals", "maintained by triggers"),
    ("user_names", "maintained by triggers"),
    ("users_fts", "maintained by triggers"),
    ("cluster_member", "describes running processes"),
    ("scheduler_lease", "belongs to a running process"),
    ("node_edit", "belongs to a running process"),
    ("task_request", "addressed to a running process"),
    ("setup_code", "good for minutes, and only without an admin"),
    ("used_challenge", "good for minutes"),
    ("panel_address", "found again at the next start"),
    ("copy_source", "the id of one database"),
    ("copy_change", "copies of another database begin with its users"),
    ("edge", "describes running processes"),
    ("edge_batch", "batches on their way are sent again, which changes nothing"),
];

/// The columns with JSON: PostgreSQL stores them parsed, SQLite as texts.
pub const JSON_COLUMNS: &[(&str, &str)] = &[("hosts", "spec"), ("settings", "subscription"), ("settings", "telegram")];

statements! {
    COLUMNS =>
        pg "SELECT CAST(c.relname AS TEXT) AS table_name, CAST(a.attname AS TEXT) AS name,
                   format_type(a.atttypid, NULL) AS type_name
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
            WHERE c.relkind = 'r' AND pg_table_is_visible(c.oid) AND c.relnamespace <> 'pg_catalog'::regnamespace
              AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
            ORDER BY c.relname, a.attnum",
        // A column that is generated is hidden, too.
        lite "SELECT m.name AS table_name, x.name, UPPER(x.type) AS type_name
              FROM sqlite_master m JOIN pragma_table_xinfo(m.name) x
              WHERE m.type = 'table' AND x.hidden = 0 ORDER BY m.name, x.cid";
    VERSION = "SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) FROM _sqlx_migrations";
}

row! {
    struct ColumnRow {
        table_name: String,
        name: String,
        type_name: String,
    }
}

/// A table of a back-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Name.
    pub name: String,
    /// The columns in the order of its rows' values. Generated ones are left out.
    pub columns: Vec<Column>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Kind of its values.
    pub kind: Kind,
    /// True if this database stores it as NUMERIC: as PostgreSQL stores sums that SQLite stores as integers.
    #[serde(skip)]
    pub is_numeric: bool,
}

/// Kinds of values, and their bytes in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// 8 bytes, big-endian.
    Integer,
    /// 1 byte.
    Boolean,
    /// 8 bytes, big-endian.
    Float,
    /// UTF-8.
    Text,
    /// As stored; an id is its 16 bytes.
    Bytes,
    /// JSON with sorted names, without white space.
    Json,
}

/// Returns the newest migration that the database has; 0 if its tables exist without one.
pub async fn schema_version(tx: &mut Tx) -> Result<i64, StoreError> {
    db_run!(tx, VERSION, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await)
}

/// Returns those of these tables that the database has, in the order of the names. The second list has the columns of a
/// type that a back-up can't represent.
pub async fn tables(tx: &mut Tx, names: &[&str]) -> Result<(Vec<Table>, Vec<String>), StoreError> {
    let rows = db_run!(tx, COLUMNS, |sql, c| query_as::<_, ColumnRow>(sql).fetch_all(c).await)?;
    let mut unsupported = Vec::new();
    let mut tables = Vec::new();
    for name in names {
        let mut columns = Vec::new();
        for row in rows.iter().filter(|row| row.table_name == *name) {
            match kind(name, row) {
                Some(kind) => {
                    let is_numeric = row.type_name == "numeric";
                    columns.push(Column { name: row.name.clone(), kind, is_numeric });
                }
                None => unsupported.push(format!("{name}.{} has the type {}", row.name, row.type_name)),
            }
        }
        if !columns.is_empty() {
            tables.push(Table { name: (*name).to_owned(), columns });
        }
    }
    Ok((tables, unsupported))
}

fn kind(table: &str, row: &ColumnRow) -> Option<Kind> {
    Some(match row.type_name.as_str() {
        "bigint" | "numeric" | "BIGINT" | "INTEGER" => Kind::Integer,
        "boolean" | "BOOLEAN" => Kind::Boolean,
        "double precision" | "REAL" => Kind::Float,
        "TEXT" if JSON_COLUMNS.contains(&(table, row.name.as_str())) => Kind::Json,
        "text" | "TEXT" => Kind::Text,
        "bytea" | "uuid" | "BLOB" => Kind::Bytes,
        "jsonb" => Kind::Json,
        _ => return None,
    })
}

impl Table {
    /// Returns the names of the columns as SQL.
    pub(super) fn column_list(&self) -> String {
        let quoted: Vec<String> = self.columns.iter().map(|column| quoted(&column.name)).collect();
        quoted.join(", ")
    }

    pub(super) fn quoted_name(&self) -> String {
        quoted(&self.name)
    }

    /// True if PostgreSQL sends and takes its rows as they are in a back-up.
    pub(super) fn is_plain(&self) -> bool {
        self.columns.iter().all(|column| column.kind != Kind::Json && !column.is_numeric)
    }

    /// Selects all rows of PostgreSQL: sums as integers, and added up where only SQLite has one row each.
    pub(super) fn postgres_select(&self) -> String {
        let folded = self.name == "owner_moved_traffic";
        let column = |column: &Column| match (column.is_numeric, quoted(&column.name)) {
            (true, name) if folded => format!("CAST(SUM({name}) AS BIGINT)"),
            (true, name) => format!("CAST({name} AS BIGINT)"),
            (false, name) => name,
        };
        let columns: Vec<String> = self.columns.iter().map(column).collect();
        let end = if folded { " GROUP BY owner_id" } else { "" };
        format!("SELECT {} FROM {}{end}", columns.join(", "), self.quoted_name())
    }
}

/// A name as SQL, whatever is in it: that of a restored table was read from a file.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
