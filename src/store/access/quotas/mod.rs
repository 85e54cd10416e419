//! The tables `admin_quota`, `owner_moved_traffic` and `quota_disabled_user`: quotas of admins and their use.
//!
//! A row of `admin_quota` is locked after its admin and before services and users. A change that adds users to an admin with a quota, or
//! makes them active, holds that lock from before it counts until the commit, so that counts are exact.

pub mod disabled;

use sqlx::{query_as, query_scalar};

use crate::domain::ids::AdminId;
use crate::domain::moment::Moment;
use crate::domain::quota::{AdminQuota, Counted, Quota, Use, WhenUsedUp};
use crate::domain::user::ResetStrategy;
use crate::store::engine::statement::{db_affected, db_execute, db_read, db_run, row, statements};
use crate::store::engine::{Db, IdList, StoreError, Tx};

/// The columns of [`QuotaRow`], from `admin_quota q` and `admins a`.
macro_rules! select_quotas {
    ($rest:literal) => {
        concat!(
            "SELECT q.admin_id, a.username, q.users, q.active_users, q.traffic, q.traffic_reset_strategy, q.max_data_limit,
                    q.max_duration, q.when_used_up, q.counted_since, q.notified_users, q.notified_active_users, q.notified_traffic
             FROM admin_quota q JOIN admins a ON a.id = q.admin_id ",
            $rest
        )
    };
}

/// The traffic that was recorded for the admin `$1` in its period, without what users brought with them or took away.
macro_rules! recorded {
    () => {
        "((SELECT COALESCE(SUM(o.traffic), 0) FROM owner_totals o WHERE o.owner_id = $1)
          - (SELECT COALESCE(SUM(m.traffic), 0) FROM owner_moved_traffic m WHERE m.owner_id = $1))"
    };
}

/// As `quota::is_counted_active`; those whom the quota disabled are going to be enabled again. The arguments count as if all users
/// were enabled, and as if their traffic were reset.
macro_rules! active_users {
    ($enabled:literal, $reset:literal) => {
        concat!(
            "(SELECT COUNT(*) FROM users u
              WHERE u.owner_id = $1 AND u.removed = FALSE
                AND (u.expire_strategy <> 'fixed_date' OR u.expire_date IS NULL OR u.expire_date >= $2)
                AND (", $enabled, " OR u.enabled = TRUE OR EXISTS (SELECT 1 FROM quota_disabled_user d WHERE d.user_id = u.id))
                AND (", $reset, " OR NOT EXISTS (SELECT 1 FROM user_traffic t
                        WHERE t.user_id = u.id AND t.data_limit_reached = TRUE AND t.data_limit_reset_strategy = 'no_reset')))"
        )
    };
}

/// The users of the admin `$1`.
macro_rules! users {
    () => {
        "CAST((SELECT COALESCE(SUM(users), 0) FROM owner_totals WHERE owner_id = $1) AS BIGINT)"
    };
}

/// The traffic of the admin `$1` in its period.
macro_rules! traffic {
    (pg) => {
        concat!("CAST(GREATEST(LEAST(", recorded!(), ", 9000000000000000000), 0) AS BIGINT)")
    };
    (lite) => {
        concat!("CAST(MAX(MIN(", recorded!(), ", 9000000000000000000), 0) AS BIGINT)")
    };
}

statements! {
    BY_ADMIN = select_quotas!("WHERE q.admin_id = $1");
    ALL = select_quotas!("ORDER BY q.admin_id");
    LOCK =>
        pg select_quotas!("WHERE q.admin_id = $1 FOR UPDATE OF q"),
        lite select_quotas!("WHERE q.admin_id = $1");
    LOCK_ALL_OF =>
        pg select_quotas!("WHERE q.admin_id = ANY($1) ORDER BY q.admin_id FOR UPDATE OF q"),
        lite select_quotas!("WHERE q.admin_id IN (SELECT value FROM json_each($1)) ORDER BY q.admin_id");
    // As `LOCK_OWNER` of users: a first quota, which locks the admin for itself, waits for those who found none.
    LOCK_OWNER_OF_USER =>
        pg "SELECT a.id FROM admins a WHERE a.id = (SELECT u.owner_id FROM users u WHERE u.username = $1) FOR KEY SHARE OF a",
        lite "SELECT a.id FROM admins a WHERE a.id = (SELECT u.owner_id FROM users u WHERE u.username = $1)";
    LOCK_OWNERS_OF_USERS =>
        pg "SELECT a.id FROM admins a WHERE a.id IN (SELECT u.owner_id FROM users u WHERE u.id = ANY($1)) ORDER BY a.id
            FOR KEY SHARE OF a",
        lite "SELECT a.id FROM admins a
            WHERE a.id IN (SELECT u.owner_id FROM users u WHERE u.id IN (SELECT value FROM json_each($1))) ORDER BY a.id";
    LOCK_ADMIN =>
        pg "SELECT id FROM admins WHERE id = $1 FOR KEY SHARE",
        lite "SELECT id FROM admins WHERE id = $1";
    USERS = concat!("SELECT ", users!());
    ACTIVE_USERS = concat!("SELECT ", active_users!("$3", "$4"));
    TRAFFIC =>
        pg concat!("SELECT ", traffic!(pg)),
        lite concat!("SELECT ", traffic!(lite));
    RECORDED =>
        pg concat!("SELECT ", users!(), " AS users, CAST(0 AS BIGINT) AS active_users, ", traffic!(pg), " AS traffic"),
        lite concat!("SELECT ", users!(), " AS users, 0 AS active_users, ", traffic!(lite), " AS traffic");
    ACTIVE_USERS_NOW = concat!("SELECT ", active_users!("FALSE", "FALSE"));
    STATE =>
        pg concat!("SELECT ", users!(), " AS users, ", active_users!("FALSE", "FALSE"), " AS active_users, ",
            traffic!(pg), " AS traffic"),
        lite concat!("SELECT ", users!(), " AS users, ", active_users!("FALSE", "FALSE"), " AS active_users, ",
            traffic!(lite), " AS traffic");
    SET =
        "INSERT INTO admin_quota (admin_id, users, active_users, traffic, traffic_reset_strategy, max_data_limit, max_duration,
                                  when_used_up, counted_since)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0)
         ON CONFLICT (admin_id) DO UPDATE SET users = excluded.users, active_users = excluded.active_users,
            traffic = excluded.traffic, traffic_reset_strategy = excluded.traffic_reset_strategy,
            max_data_limit = excluded.max_data_limit, max_duration = excluded.max_duration,
            when_used_up = excluded.when_used_up";
    START_COUNT =>
        pg concat!("INSERT INTO owner_moved_traffic (owner_id, traffic) SELECT CAST($1 AS BIGINT), ", recorded!()),
        lite concat!("INSERT INTO owner_moved_traffic (owner_id, traffic) SELECT CAST($1 AS BIGINT), ", recorded!(), " WHERE TRUE
            ON CONFLICT (owner_id) DO UPDATE SET traffic = traffic + excluded.traffic");
    START_PERIOD =
        "UPDATE admin_quota SET counted_since = $2, notified_users = 0, notified_active_users = 0, notified_traffic = 0
         WHERE admin_id = $1";
    // The count goes on.
    RESTART_PERIOD = "UPDATE admin_quota SET counted_since = $2 WHERE admin_id = $1";
    SET_NOTIFIED =
        "UPDATE admin_quota SET notified_users = $2, notified_active_users = $3, notified_traffic = $4 WHERE admin_id = $1";
    DELETE = "DELETE FROM admin_quota WHERE admin_id = $1";
    // As `FOLD` of `owner_totals`.
    FOLD_MOVED =>
        pg "WITH taken AS (DELETE FROM owner_moved_traffic WHERE ctid = ANY(ARRAY(
                               SELECT t.ctid FROM owner_moved_traffic t WHERE t.owner_id IN
                                   (SELECT m.owner_id FROM owner_moved_traffic m GROUP BY m.owner_id
                                    HAVING COUNT(*) > 1 OR SUM(m.traffic) = 0)
                               ORDER BY t.owner_id LIMIT $1 FOR UPDATE OF t SKIP LOCKED))
                           RETURNING owner_id, traffic),
                 merged AS (INSERT INTO owner_moved_traffic (owner_id, traffic)
                            SELECT owner_id, SUM(traffic) FROM taken GROUP BY owner_id HAVING SUM(traffic) <> 0)
            SELECT COUNT(*) FROM taken",
        lite "DELETE FROM owner_moved_traffic WHERE traffic = 0 AND $1 > 0 RETURNING 0";
}

row! {
    struct QuotaRow {
        admin_id: i64,
        username: String,
        users: Option<i64>,
        active_users: Option<i64>,
        traffic: Option<i64>,
        traffic_reset_strategy: String,
        max_data_limit: Option<i64>,
        max_duration: Option<i64>,
        when_used_up: String,
        counted_since: i64,
        notified_users: i64,
        notified_active_users: i64,
        notified_traffic: i64,
    }
}

/// A quota, and the thresholds of which was notified in its period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredQuota {
    /// The quota.
    pub of: AdminQuota,
    /// The highest percentage per number; 0: none.
    pub notified: Use,
}

impl From<QuotaRow> for StoredQuota {
    fn from(row: QuotaRow) -> Self {
        let strategy = ResetStrategy::from_word(&row.traffic_reset_strategy).unwrap_or(ResetStrategy::NoReset);
        let quota = Quota {
            users: row.users,
            active_users: row.active_users,
            traffic: row.traffic,
            traffic_reset_strategy: strategy,
            max_data_limit: row.max_data_limit,
            max_duration: row.max_duration,
            when_used_up: WhenUsedUp::from_word(&row.when_used_up).unwrap_or(WhenUsedUp::Refuse),
        };
        let notified =
            Use { users: row.notified_users, active_users: row.notified_active_users, traffic: row.notified_traffic };
        let counted_since = Moment::from_micros(row.counted_since);
        Self { of: AdminQuota { admin: AdminId(row.admin_id), username: row.username, quota, counted_since }, notified }
    }
}

/// Returns the quota of an admin.
pub async fn of_admin(db: &Db, admin: AdminId) -> Result<Option<StoredQuota>, StoreError> {
    db_read!(db, BY_ADMIN, |sql, c| query_as::<_, QuotaRow>(sql).bind(admin.0).fetch_optional(c).await)
        .map(|row| row.map(StoredQuota::from))
}

/// Returns all quotas, by admin.
pub async fn all(db: &Db) -> Result<Vec<StoredQuota>, StoreError> {
    db_read!(db, ALL, |sql, c| query_as::<_, QuotaRow>(sql).fetch_all(c).await)
        .map(|rows| rows.into_iter().map(StoredQuota::from).collect())
}

/// Locks the quota of an admin whose row is locked already.
pub async fn lock(tx: &mut Tx, admin: AdminId) -> Result<Option<StoredQuota>, StoreError> {
    db_run!(tx, LOCK, |sql, c| query_as::<_, QuotaRow>(sql).bind(admin.0).fetch_optional(c).await)
        .map(|row| row.map(StoredQuota::from))
}

/// Locks an admin against deletion and against a first quota. Returns false if there is none.
pub async fn lock_admin(tx: &mut Tx, admin: AdminId) -> Result<bool, StoreError> {
    db_run!(tx, LOCK_ADMIN, |sql, c| query_scalar::<_, i64>(sql).bind(admin.0).fetch_optional(c).await)
        .map(|found| found.is_some())
}

/// Locks the owner of the user of this name likewise, before the user. Returns the owner.
pub async fn lock_owner_of(tx: &mut Tx, username: &str) -> Result<Option<AdminId>, StoreError> {
    db_run!(tx, LOCK_OWNER_OF_USER, |sql, c| query_scalar::<_, i64>(sql).bind(username).fetch_optional(c).await)
        .map(|owner| owner.map(AdminId))
}

/// Locks the owners of these users likewise, and their quotas. Returns the owners, with or without a quota.
pub async fn lock_owners_of(tx: &mut Tx, users: &IdList) -> Result<(Vec<AdminId>, Vec<StoredQuota>), StoreError> {
    let owners =
        db_run!(tx, LOCK_OWNERS_OF_USERS, |sql, c| query_scalar::<_, i64>(sql).bind(users).fetch_all(c).await)?;
    let ids = IdList::new(owners.iter().copied());
    let rows = db_run!(tx, LOCK_ALL_OF, |sql, c| query_as::<_, QuotaRow>(sql).bind(ids).fetch_all(c).await)?;
    Ok((owners.into_iter().map(AdminId).collect(), rows.into_iter().map(StoredQuota::from).collect()))
}

/// A change that users are counted as if it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AsIf {
    /// All users are enabled.
    pub enabled: bool,
    /// The traffic of all users is reset.
    pub reset: bool,
}

/// Counts the active users of an admin.
pub async fn active_users(tx: &mut Tx, admin: AdminId, as_if: AsIf, now: Moment) -> Result<i64, StoreError> {
    db_run!(tx, ACTIVE_USERS, |sql, c| {
        let query = query_scalar::<_, i64>(sql).bind(admin.0).bind(now.micros());
        query.bind(as_if.enabled).bind(as_if.reset).fetch_one(c).await
    })
}

/// Returns how much of a number is used, as this transaction sees it.
pub async fn used(tx: &mut Tx, admin: AdminId, counted: Counted, now: Moment) -> Result<i64, StoreError> {
    let statement = match counted {
        Counted::Users => USERS,
        Counted::Traffic => TRAFFIC,
        Counted::ActiveUsers => return active_users(tx, admin, AsIf::default(), now).await,
    };
    let used = db_run!(tx, statement, |sql, c| query_scalar::<_, i64>(sql).bind(admin.0).fetch_optional(c).await)?;
    Ok(used.unwrap_or(0))
}

row! {
    struct UseRow {
        users: i64,
        active_users: i64,
        traffic: i64,
    }
}

impl From<UseRow> for Use {
    fn from(UseRow { users, active_users, traffic }: UseRow) -> Self {
        Self { users, active_users, traffic }
    }
}

/// Returns what an admin uses.
pub async fn use_of(db: &Db, admin: AdminId, now: Moment) -> Result<Use, StoreError> {
    db_read!(db, STATE, |sql, c| query_as::<_, UseRow>(sql).bind(admin.0).bind(now.micros()).fetch_one(c).await)
        .map(Use::from)
}

/// Returns what an admin uses, with no active users: they cost a look-up per user, the other numbers are stored.
pub async fn recorded_use(db: &Db, admin: AdminId) -> Result<Use, StoreError> {
    db_read!(db, RECORDED, |sql, c| query_as::<_, UseRow>(sql).bind(admin.0).fetch_one(c).await).map(Use::from)
}

/// Counts the active users of an admin, outside a transaction.
pub async fn active_users_now(db: &Db, admin: AdminId, now: Moment) -> Result<i64, StoreError> {
    db_read!(db, ACTIVE_USERS_NOW, |sql, c| {
        query_scalar::<_, i64>(sql).bind(admin.0).bind(now.micros()).fetch_one(c).await
    })
}

/// Returns what an admin uses, as this transaction sees it.
pub async fn use_in(tx: &mut Tx, admin: AdminId, now: Moment) -> Result<Use, StoreError> {
    db_run!(tx, STATE, |sql, c| query_as::<_, UseRow>(sql).bind(admin.0).bind(now.micros()).fetch_one(c).await)
        .map(Use::from)
}

/// Sets the limits of an admin. A first quota needs [`start_period`] after it.
pub async fn set(tx: &mut Tx, admin: AdminId, quota: &Quota) -> Result<(), StoreError> {
    db_execute!(
        tx,
        SET,
        admin.0,
        quota.users,
        quota.active_users,
        quota.traffic,
        quota.traffic_reset_strategy.word(),
        quota.max_data_limit,
        quota.max_duration,
        quota.when_used_up.word()
    )
}

/// Begins a period: traffic counts from here on, and thresholds are notified of again.
pub async fn start_period(tx: &mut Tx, admin: AdminId, now: Moment) -> Result<(), StoreError> {
    db_execute!(tx, START_COUNT, admin.0)?;
    db_execute!(tx, START_PERIOD, admin.0, now.micros())
}

/// Lets the period end its whole length from now on, with the traffic that it has counted.
pub async fn restart_period(tx: &mut Tx, admin: AdminId, now: Moment) -> Result<(), StoreError> {
    db_execute!(tx, RESTART_PERIOD, admin.0, now.micros())
}

/// Stores the thresholds of which was notified.
pub async fn set_notified(tx: &mut Tx, admin: AdminId, percents: &Use) -> Result<(), StoreError> {
    db_execute!(tx, SET_NOTIFIED, admin.0, percents.users, percents.active_users, percents.traffic)
}

/// Deletes the quota of an admin. Returns false if there is none.
pub async fn delete(tx: &mut Tx, admin: AdminId) -> Result<bool, StoreError> {
    Ok(db_affected!(tx, DELETE, admin.0)? > 0)
}

/// Merges up to `limit` rows of `owner_moved_traffic` per owner. No sum changes, and nobody is blocked. Returns the number of
/// rows that were merged: below `limit` none are left.
pub async fn fold_moved(tx: &mut Tx, limit: i64) -> Result<i64, StoreError> {
    db_run!(tx, FOLD_MOVED, |sql, c| query_scalar::<_, i64>(sql).bind(limit).fetch_all(c).await)
        .map(|taken| taken.first().copied().unwrap_or(0))
}
