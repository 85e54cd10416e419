//! The engines and inbounds that a node reports, written at each full sync, and absent inbounds.
//!
//! A report destroys nothing that an admin made: an inbound that is missing from it becomes absent. It keeps its hosts
//! and its services, and comes back with its tag; only an admin deletes it.

use std::collections::HashSet;

use serde::Serialize;
use sqlx::query_scalar;

use crate::domain::ids::NodeId;
use crate::domain::moment::Moment;
use crate::store::engine::statement::{db_affected, db_execute, db_run, statements};
use crate::store::engine::{IdList, StoreError, Tx};

/// Inbounds of a node in the database, absent ones included. A report that would exceed them is refused.
pub const MOST_STORED: usize = 5_000;

/// Reads the reported inbounds, a JSON array, as the rows `o`.
macro_rules! offered {
    (pg $bind:literal) => {
        concat!("json_to_recordset(CAST(", $bind, " AS JSON)) AS o (tag TEXT, protocol TEXT, config TEXT)")
    };
    (lite $bind:literal) => {
        concat!(
            "(SELECT key, value ->> 'tag' AS tag, value ->> 'protocol' AS protocol, value ->> 'config' AS config
              FROM json_each(",
            $bind,
            ")) AS o"
        )
    };
}

statements! {
    DROP_BACKENDS =>
        pg "DELETE FROM backends WHERE node_id = $1
            AND name NOT IN (SELECT o.name FROM json_to_recordset(CAST($2 AS JSON)) AS o (name TEXT))",
        lite "DELETE FROM backends WHERE node_id = $1 AND name NOT IN (SELECT value ->> 'name' FROM json_each($2))";
    // Engines run until the probe finds that they do not.
    ADD_BACKENDS =>
        pg "INSERT INTO backends (node_id, name, backend_type, version, running)
            SELECT $1, o.name, o.backend_type, o.version, TRUE
            FROM json_to_recordset(CAST($2 AS JSON)) AS o (name TEXT, backend_type TEXT, version TEXT)
            ON CONFLICT (node_id, name) DO UPDATE SET backend_type = excluded.backend_type, version = excluded.version
            WHERE backends.backend_type <> excluded.backend_type OR backends.version IS DISTINCT FROM excluded.version",
        lite "INSERT INTO backends (node_id, name, backend_type, version, running)
            SELECT $1, value ->> 'name', value ->> 'backend_type', value ->> 'version', TRUE FROM json_each($2) WHERE TRUE
            ON CONFLICT (node_id, name) DO UPDATE SET backend_type = excluded.backend_type, version = excluded.version
            WHERE backends.backend_type <> excluded.backend_type OR backends.version IS NOT excluded.version";
    // Stops counting at $3.
    UNREPORTED =>
        pg concat!("SELECT COUNT(*) FROM (SELECT 1 FROM inbounds WHERE node_id = $1
            AND tag NOT IN (SELECT o.tag FROM ", offered!(pg "$2"), ") LIMIT $3) AS unreported"),
        lite concat!("SELECT COUNT(*) FROM (SELECT 1 FROM inbounds WHERE node_id = $1
            AND tag NOT IN (SELECT o.tag FROM ", offered!(lite "$2"), ") LIMIT $3) AS unreported");
    SET_ABSENT =>
        pg concat!("UPDATE inbounds SET absent_since = $3 WHERE node_id = $1 AND absent_since IS NULL
            AND tag NOT IN (SELECT o.tag FROM ", offered!(pg "$2"), ")"),
        lite concat!("UPDATE inbounds SET absent_since = $3 WHERE node_id = $1 AND absent_since IS NULL
            AND tag NOT IN (SELECT o.tag FROM ", offered!(lite "$2"), ")");
    SET_KNOWN =>
        pg concat!("UPDATE inbounds AS i SET protocol = o.protocol, config = o.config, absent_since = NULL
            FROM ", offered!(pg "$2"), " WHERE i.node_id = $1 AND i.tag = o.tag
            AND (i.protocol <> o.protocol OR i.config <> o.config OR i.absent_since IS NOT NULL)"),
        lite concat!("UPDATE inbounds AS i SET protocol = o.protocol, config = o.config, absent_since = NULL
            FROM ", offered!(lite "$2"), " WHERE i.node_id = $1 AND i.tag = o.tag
            AND (i.protocol <> o.protocol OR i.config <> o.config OR i.absent_since IS NOT NULL)");
    // In the order of the report.
    ADD_NEW =>
        pg "INSERT INTO inbounds (node_id, tag, protocol, config)
            SELECT $1, o.tag, o.protocol, o.config
            FROM ROWS FROM (json_to_recordset(CAST($2 AS JSON)) AS (tag TEXT, protocol TEXT, config TEXT))
                WITH ORDINALITY AS o (tag, protocol, config, place)
            WHERE NOT EXISTS (SELECT 1 FROM inbounds i WHERE i.node_id = $1 AND i.tag = o.tag)
            ORDER BY o.place RETURNING id",
        lite concat!("INSERT INTO inbounds (node_id, tag, protocol, config)
            SELECT $1, o.tag, o.protocol, o.config FROM ", offered!(lite "$2"), "
            WHERE NOT EXISTS (SELECT 1 FROM inbounds i WHERE i.node_id = $1 AND i.tag = o.tag)
            ORDER BY o.key RETURNING id");
    ADD_HOSTS =>
        pg "INSERT INTO hosts (inbound_id, spec)
            SELECT id, CAST($2 AS JSONB) FROM UNNEST(CAST($1 AS BIGINT[])) AS new (id) ORDER BY id",
        lite "INSERT INTO hosts (inbound_id, spec) SELECT value, $2 FROM json_each($1) ORDER BY value";
}

/// The host that is created with a new inbound. Fields not listed here have their defaults.
const DEFAULT_HOST: &str = r#"{"remark":"{USERNAME} ({PROTOCOL}, {TRANSPORT})","address":"{SERVER_IP}"}"#;

/// An engine that a node reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OfferedBackend {
    /// Unique on the node.
    pub name: String,
    /// Type: xray, sing-box, hysteria2, …
    pub backend_type: String,
    /// Version of the engine.
    pub version: Option<String>,
}

/// An inbound that a node reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OfferedInbound {
    /// Unique on the node.
    pub tag: String,
    /// Protocol, taken from the config.
    pub protocol: String,
    /// Config, as the node's JSON text.
    pub config: String,
}

/// The result of writing a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// Number of inbounds that are absent from now on.
    pub(super) absent: u64,
    /// True if anything differs from what the database had.
    pub(super) differs: bool,
}

/// The engines and inbounds of a report. Of equal names and tags the first counts.
#[derive(Debug)]
pub(super) struct Report<'a> {
    backends: Vec<&'a OfferedBackend>,
    inbounds: Vec<&'a OfferedInbound>,
    /// The inbounds as the bind of most statements.
    json: String,
}

impl<'a> Report<'a> {
    pub(super) fn new(backends: &'a [OfferedBackend], inbounds: &'a [OfferedInbound]) -> Self {
        let (mut names, mut tags) = (HashSet::new(), HashSet::new());
        let backends = backends.iter().filter(|backend| names.insert(backend.name.as_str())).collect();
        let inbounds: Vec<_> = inbounds.iter().filter(|inbound| tags.insert(inbound.tag.as_str())).collect();
        Self { backends, json: array(&inbounds), inbounds }
    }

    /// Returns the number of inbounds of the node that the report does not name, if they leave no room for those that
    /// it names.
    pub(super) async fn excess(&self, tx: &mut Tx, node: NodeId) -> Result<Option<usize>, StoreError> {
        let room = MOST_STORED.saturating_sub(self.inbounds.len());
        let limit = i64::try_from(room).unwrap_or(i64::MAX).saturating_add(1);
        let unreported = db_run!(tx, UNREPORTED, |sql, c| {
            query_scalar::<_, i64>(sql).bind(node.0).bind(&self.json).bind(limit).fetch_one(c).await
        })?;
        let unreported = usize::try_from(unreported).unwrap_or(usize::MAX);
        Ok((unreported > room).then_some(unreported))
    }

    /// Replaces the node's engines, inserts new inbounds with a default host each, updates known ones, and marks those
    /// that are missing as absent.
    pub(super) async fn write(&self, tx: &mut Tx, node: NodeId, now: Moment) -> Result<Written, StoreError> {
        let backends = array(&self.backends);
        let mut changed = db_affected!(tx, DROP_BACKENDS, node.0, &backends)?;
        changed += db_affected!(tx, ADD_BACKENDS, node.0, backends)?;
        let absent = db_affected!(tx, SET_ABSENT, node.0, &self.json, now.micros())?;
        changed += absent;
        changed += db_affected!(tx, SET_KNOWN, node.0, &self.json)?;
        let new = db_run!(tx, ADD_NEW, |sql, c| {
            query_scalar::<_, i64>(sql).bind(node.0).bind(&self.json).fetch_all(c).await
        })?;
        let differs = changed > 0 || !new.is_empty();
        if !new.is_empty() {
            db_execute!(tx, ADD_HOSTS, IdList::new(new), DEFAULT_HOST)?;
        }
        Ok(Written { absent, differs })
    }
}

/// Encodes rows as a JSON array; texts always encode.
fn array(rows: &[impl Serialize]) -> String {
    serde_json::to_string(rows).unwrap_or_else(|_| "[]".to_owned())
}
