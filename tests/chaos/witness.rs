//! The witness: database triggers that record every fenced commit, and a poll of the lease every 10 ms. The panels do
//! not know of either.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};
use tokio::time::{Instant, sleep, timeout};

/// A part of the protocol that a change of the database disables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// The check of the epoch before each commit, and the time-outs that end a stalled transaction.
    Fence,
    /// The unique row of each slot.
    Ledger,
    /// The lease in the database; the lock in Redis remains.
    LeaseRow,
    /// The panels' local copies.
    Copies,
    /// The log of changed users that copies follow.
    CopyChanges,
    /// Half of the fetches that panels save.
    FetchLog,
}

/// Triggers that fire at COMMIT, after the fence, and see the epoch under which the transaction commits.
const TRIGGERS: &str = "
CREATE TABLE effect (
    seq BIGSERIAL PRIMARY KEY,
    kind TEXT NOT NULL,
    task TEXT NOT NULL,
    slot BIGINT NOT NULL,
    trigger TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    instance UUID NOT NULL,
    current_epoch BIGINT NOT NULL,
    at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);
CREATE FUNCTION witness_run() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO effect (kind, task, slot, trigger, epoch, instance, current_epoch)
    SELECT NEW.state, NEW.task, NEW.slot, NEW.trigger, NEW.epoch, NEW.instance, epoch FROM scheduler_epoch WHERE id = 1;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER witness_run AFTER INSERT OR UPDATE ON task_run
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION witness_run();
CREATE FUNCTION witness_usage() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    writer TEXT := current_setting('application_name');
BEGIN
    IF writer LIKE 'sarban-task-%' THEN
        INSERT INTO effect (kind, task, slot, trigger, epoch, instance, current_epoch)
        SELECT 'usage', NEW.state, NEW.fetched_at, 'schedule', CASE WHEN l.holder = substr(writer, 13)::UUID THEN e.epoch ELSE -1 END,
               substr(writer, 13)::UUID, e.epoch
        FROM scheduler_lease AS l, scheduler_epoch AS e WHERE l.id = 1 AND e.id = 1;
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER witness_usage AFTER UPDATE ON usage_batch
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION witness_usage();
";

/// Records when a user got a key, and when the key was revoked or the user removed.
const KEYS: &str = "
CREATE TABLE witness_key_change (seq BIGSERIAL PRIMARY KEY, user_id BIGINT NOT NULL, key TEXT NOT NULL, gone BOOLEAN NOT NULL);
CREATE FUNCTION witness_key() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO witness_key_change (user_id, key, gone) VALUES (NEW.id, NEW.key, NEW.removed);
    RETURN NULL;
END $$;
CREATE TRIGGER witness_new_key AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION witness_key();
CREATE TRIGGER witness_key AFTER UPDATE ON users FOR EACH ROW
    WHEN (OLD.key IS DISTINCT FROM NEW.key OR OLD.removed <> NEW.removed) EXECUTE FUNCTION witness_key();
";

/// Delays three transactions in ten by up to 200 ms, so that faults hit open transactions.
const SLOW_DOWN: &str = "
CREATE FUNCTION slow_down() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF random() < 0.3 THEN PERFORM pg_sleep(random() * 0.2); END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER slow_down BEFORE INSERT OR UPDATE ON task_run FOR EACH STATEMENT EXECUTE FUNCTION slow_down();
";

/// Keeps past epochs in the table, so that the check of a deposed leader's epoch finds it, and ignores the time-outs
/// that the fence sets.
const WITHOUT_FENCE: &str = "
ALTER TABLE scheduler_epoch DROP CONSTRAINT scheduler_epoch_id_check;
CREATE FUNCTION keep_epoch() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO scheduler_epoch (id, epoch) VALUES (-OLD.epoch, OLD.epoch) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER keep_epoch AFTER UPDATE ON scheduler_epoch FOR EACH ROW EXECUTE FUNCTION keep_epoch();
CREATE FUNCTION public.set_config(name TEXT, value TEXT, is_local BOOLEAN) RETURNS TEXT LANGUAGE sql AS $$
    SELECT CASE WHEN name LIKE '%timeout' THEN value ELSE pg_catalog.set_config(name, value, is_local) END
$$;
ALTER ROLE postgres SET search_path = public, pg_catalog;
";

/// Deletes the row of a slot when a process starts the slot.
const WITHOUT_LEDGER: &str = "
CREATE FUNCTION forget_run() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state = 'running' THEN DELETE FROM task_run WHERE task = NEW.task AND slot = NEW.slot; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER forget_run BEFORE INSERT ON task_run FOR EACH ROW EXECUTE FUNCTION forget_run();
";

/// Stores each lease with a time to live of 0, which candidates take for a lease that has expired.
const WITHOUT_LEASE_ROW: &str = "
CREATE FUNCTION no_lease() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN NEW.ttl := 0; RETURN NEW; END $$;
CREATE TRIGGER no_lease BEFORE UPDATE ON scheduler_lease FOR EACH ROW EXECUTE FUNCTION no_lease();
";

/// Copies learn nothing of changed users until the next comparison of all.
const WITHOUT_COPY_CHANGES: &str = "ALTER TABLE users DISABLE TRIGGER copy_change_changed_users;";

/// Ignores half of the fetches that are saved.
const WITHOUT_FETCH_LOG: &str = "
CREATE FUNCTION drop_fetch() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE WHEN random() < 0.5 THEN NEW END;
END $$;
CREATE TRIGGER drop_fetch BEFORE INSERT ON subscription_fetches FOR EACH ROW EXECUTE FUNCTION drop_fetch();
";

/// The harness's own connections to the database, which no proxy disturbs.
#[derive(Clone)]
pub struct Witness {
    pub pool: PgPool,
    state: Arc<Mutex<State>>,
    pub started: Instant,
}

/// A change of leader.
#[derive(Clone, Debug)]
pub struct Change {
    pub at: Instant,
    pub from: Option<String>,
    pub to: String,
    /// No fault explains that the previous leader lost the lease.
    pub unexplained: bool,
}

#[derive(Default)]
struct State {
    leader: Option<String>,
    epoch: i64,
    changes: Vec<Change>,
    /// Panels whose faults explain a change of leader, and until when; the empty name is a fault of the database.
    excuses: BTreeMap<String, Instant>,
}

const FOR_EVER: Duration = Duration::from_secs(1_000_000);

impl Witness {
    pub async fn new(port: u16, database: &str) -> anyhow::Result<Self> {
        let connect = PgConnectOptions::new().host("127.0.0.1").port(port).username("postgres").database(database);
        let pool = PgPoolOptions::new().max_connections(4).min_connections(3).connect_with(connect).await?;
        Ok(Self { pool, state: Arc::default(), started: Instant::now() })
    }

    /// Creates the triggers, and disables the part `without`.
    pub async fn prepare(&self, without: Option<Part>, calm: bool) -> anyhow::Result<()> {
        let disabling = match without {
            // The panels are started without copies.
            None | Some(Part::Copies) => "",
            Some(Part::CopyChanges) => WITHOUT_COPY_CHANGES,
            Some(Part::FetchLog) => WITHOUT_FETCH_LOG,
            Some(Part::Fence) => WITHOUT_FENCE,
            Some(Part::Ledger) => WITHOUT_LEDGER,
            Some(Part::LeaseRow) => WITHOUT_LEASE_ROW,
        };
        let slow = if calm { "" } else { SLOW_DOWN };
        sqlx::raw_sql(AssertSqlSafe(format!("{TRIGGERS}{KEYS}{slow}{disabling}"))).execute(&self.pool).await?;
        Ok(())
    }

    /// Watches the lease until dropped.
    pub async fn watch(self) {
        const LEASE: &str = "SELECT l.epoch, l.host,
            NOT l.released AND l.lease_until > EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS live
            FROM scheduler_lease AS l WHERE l.id = 1";
        loop {
            let asked = sqlx::query_as::<_, (i64, Option<String>, bool)>(LEASE).fetch_one(&self.pool);
            if let Ok(Ok((epoch, host, live))) = timeout(Duration::from_secs(2), asked).await {
                self.observe(epoch, host.filter(|_| live));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn observe(&self, epoch: i64, leader: Option<String>) {
        let now = Instant::now();
        let mut state = self.state();
        if epoch > state.epoch
            && let Some(to) = &leader
        {
            let from = state.changes.last().map(|change| change.to.clone());
            let excused = |name: &str| state.excuses.get(name).is_some_and(|until| *until > now);
            let unexplained = from.as_deref().is_some_and(|from| !excused(from) && !excused(""));
            if unexplained {
                println!("{:7.1} s  UNEXPLAINED: {from:?} was followed by {to}", self.seconds());
            }
            state.changes.push(Change { at: now, from, to: to.clone(), unexplained });
            state.epoch = epoch;
        }
        state.leader = leader;
    }

    pub fn leader(&self) -> Option<String> {
        self.state().leader.clone()
    }

    pub fn changes(&self) -> Vec<Change> {
        self.state().changes.clone()
    }

    /// Starts to excuse the loss of the lease by the panel `name`, or by any panel if the name is empty.
    pub fn excuse(&self, name: &str) {
        self.state().excuses.insert(name.to_owned(), Instant::now() + FOR_EVER);
    }

    /// Ends the excuse of the panel `name` after `time`.
    pub fn excuse_for(&self, name: &str, time: Duration) {
        self.state().excuses.insert(name.to_owned(), Instant::now() + time);
    }

    /// Returns the seconds from the start of the run to a time in unix microseconds.
    pub fn seconds_at(&self, at: i64) -> f64 {
        self.seconds() - (super::cover::now() - at) as f64 / 1e6
    }

    /// Returns the seconds since the start of the run.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Returns the number that a query selects.
    pub async fn number(&self, sql: &'static str) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar(sql).fetch_one(&self.pool).await?)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
