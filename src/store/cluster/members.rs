//! The members of the cluster, as the database knows them: each process says every two seconds that it is there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::query_as;
use uuid::Uuid;

use crate::domain::moment::{Moment, SECOND};
use crate::store::engine::statement::{db_execute, db_read, row, statements};
use crate::store::engine::{Db, StoreError, Tx};

/// Whoever has not been heard of for so long is gone (microseconds).
pub const GONE: i64 = 10 * SECOND;

statements! {
    BEAT =
        "INSERT INTO cluster_member (instance, host, pid, worker_threads, cores, version, started_at, last_seen, tasks)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (instance) DO UPDATE SET last_seen = excluded.last_seen, tasks = excluded.tasks";
    FORGET = "DELETE FROM cluster_member WHERE last_seen < $1";
    LEAVE = "DELETE FROM cluster_member WHERE instance = $1";
    LIVE =
        "SELECT instance, host, pid, worker_threads, cores, version, started_at, last_seen, tasks
         FROM cluster_member WHERE last_seen >= $1 ORDER BY started_at, instance";
}

row! {
    /// A process of the cluster.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub struct Member {
        /// Unique per process start.
        pub instance: Uuid,
        /// The label of its host.
        pub host: String,
        /// Its number there.
        pub pid: i64,
        /// Its worker threads.
        pub worker_threads: i64,
        /// The cores that it may use.
        pub cores: f64,
        /// The program's version.
        pub version: String,
        /// Unix microseconds, by its host's clock.
        pub started_at: i64,
        /// Unix microseconds, by the clock of whoever keeps the list.
        pub last_seen: i64,
        /// The tasks that it knows, as JSON: name → period in microseconds, null where it would not run it.
        pub tasks: String,
    }
}

impl Member {
    /// The tasks that it knows, with their periods (microseconds).
    pub fn periods(&self) -> BTreeMap<String, Option<i64>> {
        // What a version to come may write there is nothing that this one knows.
        serde_json::from_str(&self.tasks).unwrap_or_default()
    }

    /// The numbers of its version, to compare; what is not a number counts as 0.
    pub fn version_numbers(&self) -> Vec<u64> {
        let numbers = self.version.split(['.', '-', '+']).take(3);
        numbers.map(|number| number.parse().unwrap_or(0)).collect()
    }
}

/// Says that `me` is there at `now`, and forgets those who are gone.
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
        &me.tasks
    )?;
    db_execute!(tx, FORGET, now.plus(-GONE).micros())
}

/// Says that `instance` is there no more.
pub async fn leave(tx: &mut Tx, instance: Uuid) -> Result<(), StoreError> {
    db_execute!(tx, LEAVE, instance)
}

/// Who is there at `now`, oldest first.
pub async fn live(db: &Db, now: Moment) -> Result<Vec<Member>, StoreError> {
    db_read!(db, LIVE, |sql, c| query_as::<_, Member>(sql).bind(now.plus(-GONE).micros()).fetch_all(c).await)
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
        };
        assert!(member("0.10.0").version_numbers() > member("0.9.9").version_numbers());
        assert!(member("1.0.0-beta").version_numbers() >= member("1.0.0").version_numbers());
        assert!(member("1").periods().is_empty());
    }
}
