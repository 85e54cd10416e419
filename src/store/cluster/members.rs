//! The members of the cluster in the database: each process writes a heartbeat every two seconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::query_as;
use uuid::Uuid;

use crate::domain::copy::CopyReport;
use crate::domain::moment::{Moment, SECOND};
use crate::domain::node_reach::NodeReach;
use crate::domain::spool_use::SpoolUse;
use crate::store::engine::statement::{db_execute, db_read, row, statements};
use crate::store::engine::{Db, StoreError, Tx};

/// Age of a heartbeat after which a member counts as gone, in microseconds.
pub const GONE: i64 = 10 * SECOND;

statements! {
    BEAT =
        "INSERT INTO cluster_member
             (instance, host, pid, worker_threads, cores, version, started_at, last_seen, tasks, report)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (instance) DO UPDATE
         SET last_seen = excluded.last_seen, tasks = excluded.tasks, report = excluded.report";
    // Members that come back after all were gone delete each other's rows while they hold their own. A row that another
    // one holds is passed over: otherwise two would wait for each other.
    FORGET =>
        pg "DELETE FROM cluster_member WHERE instance IN
                (SELECT instance FROM cluster_member WHERE last_seen < $1 FOR UPDATE SKIP LOCKED)",
        lite "DELETE FROM cluster_member WHERE last_seen < $1";
    LEAVE = "DELETE FROM cluster_member WHERE instance = $1";
    ALL =
        "SELECT instance, host, pid, worker_threads, cores, version, started_at, last_seen, tasks, report
         FROM cluster_member ORDER BY started_at, instance";
}

row! {
    /// A process of the cluster.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub struct Member {
        /// Unique id of the process start.
        pub instance: Uuid,
        /// Label of the host.
        pub host: String,
        /// Process id on the host.
        pub pid: i64,
        /// Number of worker threads.
        pub worker_threads: i64,
        /// Number of cores that the process may use.
        pub cores: f64,
        /// Version of the program.
        pub version: String,
        /// Start time in unix microseconds, by the host's clock.
        pub started_at: i64,
        /// Time of the last heartbeat in unix microseconds, by the clock of the list's owner (the database or Redis).
        pub last_seen: i64,
        /// Known tasks as JSON: name to period in microseconds, or null where the process would not run the task.
        pub tasks: String,
        /// [`Report`] as JSON; `{}` or missing from a version without reports.
        #[serde(default)]
        pub report: String,
    }
}

/// A process about itself. Each value may be missing: from another version, or because it is not known yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Round trip to the database, in microseconds; none on SQLite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip: Option<i64>,
    /// True if the process can do the tasks' work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_work: Option<bool>,
    /// How many nodes the process reaches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodeReach>,
    /// When a leader last handed over because it reached few nodes, in unix microseconds by the database's clock. Members
    /// pass on the latest that they know, so that it outlives the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub few_nodes_at: Option<i64>,
    /// Use of the spool of its host, at most a minute ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spool: Option<SpoolUse>,
    /// State of the copy of subscriptions on its host; none without a copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy: Option<CopyReport>,
}

impl Member {
    /// Returns the known tasks with their periods, in microseconds.
    pub fn periods(&self) -> BTreeMap<String, Option<i64>> {
        // A newer version may write something that this one can't parse.
        serde_json::from_str(&self.tasks).unwrap_or_default()
    }

    /// Returns the report.
    pub fn report(&self) -> Report {
        // A newer version may write something that this one can't parse.
        serde_json::from_str(&self.report).unwrap_or_default()
    }

    /// Returns the parts of the version for comparison; a part that is no number counts as 0.
    pub fn version_numbers(&self) -> Vec<u64> {
        let numbers = self.version.split(['.', '-', '+']).take(3);
        numbers.map(|number| number.parse().unwrap_or(0)).collect()
    }
}

/// Writes the heartbeat of `me`.
pub async fn beat(tx: &mut Tx, me: &Member, now: Moment) -> Result<(), StoreError> {
    db_execute!(
        tx,
        BEAT,
        me.instance,
        &me.host,
        me.pid,
        me.worker_threads,
        me.cores,
        &me.version,
        me.started_at,
        now.micros(),
        &me.tasks,
        &me.report
    )
}

/// Deletes the members that are gone.
pub async fn forget(tx: &mut Tx, now: Moment) -> Result<(), StoreError> {
    db_execute!(tx, FORGET, now.plus(-GONE).micros())
}

/// Deletes the member `instance`.
pub async fn leave(tx: &mut Tx, instance: Uuid) -> Result<(), StoreError> {
    db_execute!(tx, LEAVE, instance)
}

/// Returns the members alive at `now`, oldest first.
pub async fn live(db: &Db, now: Moment) -> Result<Vec<Member>, StoreError> {
    Ok(live_and_gone(db, now).await?.0)
}

/// Returns the members alive at `now`, oldest first, and whether there are others, who are gone.
pub async fn live_and_gone(db: &Db, now: Moment) -> Result<(Vec<Member>, bool), StoreError> {
    let mut members = db_read!(db, ALL, |sql, c| query_as::<_, Member>(sql).fetch_all(c).await)?;
    let all = members.len();
    members.retain(|member| member.last_seen >= now.plus(-GONE).micros());
    let has_gone = members.len() < all;
    Ok((members, has_gone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        let member = |version: &str| Member {
            instance: Uuid::nil(),
            host: String::new(),
            pid: 1,
            worker_threads: 1,
            cores: 1.0,
            version: version.to_owned(),
            started_at: 0,
            last_seen: 0,
            tasks: "not JSON".to_owned(),
            report: "not JSON".to_owned(),
        };
        assert!(member("0.10.0").version_numbers() > member("0.9.9").version_numbers());
        assert!(member("1.0.0-beta").version_numbers() >= member("1.0.0").version_numbers());
        assert!(member("1").periods().is_empty());
        assert_eq!(member("1").report(), Report::default());
    }
}
