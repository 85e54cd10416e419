//! The statements of a copy's file. They run on that file only, so that neither engine of the panel's database knows them.

/// Version of the form; a file of another one is replaced.
pub(super) const VERSION: i64 = 2;

pub(super) const CREATE: &str = "
CREATE TABLE value (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
-- The index of names is created after the first fill.
CREATE TABLE user (id INTEGER PRIMARY KEY, username TEXT NOT NULL, record BLOB NOT NULL);
-- Fetches that the database does not have yet.
CREATE TABLE fetch (user_id INTEGER PRIMARY KEY, fetched_at INTEGER NOT NULL, user_agent TEXT NOT NULL);
PRAGMA user_version = 2;";
pub(super) const FORMAT: &str = "SELECT user_version FROM pragma_user_version";
pub(super) const CHECK: &str = "PRAGMA quick_check(1)";
pub(super) const INDEX: &str = "CREATE INDEX IF NOT EXISTS user_name ON user (username)";
/// The number of changes of the shared part is kept: others compare it with the last one that they saw.
pub(super) const CLEAR: &str = "BEGIN IMMEDIATE; DELETE FROM value WHERE name <> 'shared_changes'; DELETE FROM user; DELETE FROM fetch; DROP INDEX IF EXISTS user_name; COMMIT;";

pub(super) const VALUES: &str = "SELECT name, CAST(value AS TEXT) FROM value WHERE name <> 'shared'";
pub(super) const SHARED: &str = "SELECT value FROM value WHERE name = 'shared'";
pub(super) const SET: &str =
    "INSERT INTO value (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
pub(super) const SET_SHARED: &str = "INSERT INTO value (name, value) VALUES ('shared', $1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE value.value <> excluded.value";
pub(super) const ADD: &str = "INSERT INTO value (name, value) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + excluded.value";

/// A name may belong to two users for a moment: that of a removed user, whose removal comes later, to a new one.
pub(super) const USER: &str =
    "SELECT u.record, f.fetched_at, f.user_agent FROM user u LEFT JOIN fetch f ON f.user_id = u.id
    WHERE u.username = $1 ORDER BY u.id DESC";
pub(super) const RANGE: &str = "SELECT id, record FROM user WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3";
pub(super) const COUNT: &str = "SELECT COUNT(*) FROM json_each($1) wanted JOIN user u ON u.id = wanted.value";
pub(super) const PUT_USERS: &str = "INSERT INTO user (id, username, record) ";
pub(super) const REPLACE_USER: &str =
    " ON CONFLICT (id) DO UPDATE SET username = excluded.username, record = excluded.record";
pub(super) const REMOVE_USERS: &str = "DELETE FROM user WHERE id IN (SELECT value FROM json_each($1))";

pub(super) const PUT_FETCHES: &str = "INSERT INTO fetch (user_id, fetched_at, user_agent) ";
pub(super) const NEWER_FETCH: &str = " ON CONFLICT (user_id) DO UPDATE
    SET fetched_at = excluded.fetched_at, user_agent = excluded.user_agent WHERE fetch.fetched_at <= excluded.fetched_at";
pub(super) const FETCHES: &str = "SELECT user_id, fetched_at, user_agent FROM fetch ORDER BY user_id LIMIT $1";
pub(super) const COUNT_FETCHES: &str = "SELECT COUNT(*) FROM fetch";
pub(super) const FORGET_FETCH: &str = "DELETE FROM fetch WHERE user_id = $1 AND fetched_at <= $2";
