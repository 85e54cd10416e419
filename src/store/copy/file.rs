//! The file of a copy: a SQLite database beside the panel's data, written by the process that follows and read by all.
//!
//! Nothing in it is the only copy of anything except fetches that wait for the database, so that a file that is damaged, or that
//! another version made, is replaced by a new one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, QueryBuilder, Sqlite, query, query_as, query_scalar, raw_sql};
use tokio::sync::{Mutex, MutexGuard};

use super::schema;
use crate::domain::copy::{CopiedUser, Position, Update, UserPage};
use crate::domain::moment::Moment;
use crate::foundation::{private_file, with_sources};
use crate::store::engine::sqlite_file::SqliteFile;
use crate::store::engine::sqlite_readers::Readers;
use crate::store::engine::{Condition, StoreError};

/// Connections that read. Each has its own cache of pages, 1 MB.
const READERS: u32 = 4;
/// Rows in one statement.
pub(super) const ROWS: usize = 200;
/// Wait for another process that writes: only fetches, for a moment.
const BUSY: Duration = Duration::from_secs(2);

/// An open copy. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CopyFile(pub(super) Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    path: PathBuf,
    pub(super) read: Readers,
    write: Mutex<SqliteConnection>,
}

/// The state of a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyState {
    /// Up to where it follows; `None`: nothing was read yet.
    pub position: Option<Position>,
    /// True if all users were read since the position was one of now.
    pub is_whole: bool,
    /// When it last agreed with the database, by this host's clock; `None` until all users were read once.
    pub agreed_at: Option<Moment>,
    /// Number of users.
    pub users: i64,
}

/// The difference between a page of users and the copy before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageDifference {
    /// The last user of the page; `None`: there are no further users.
    pub last: Option<i64>,
    /// Users that were written or removed.
    pub changed: u64,
    /// Users whose difference must be in the log of changes.
    pub logged: Vec<i64>,
}

impl CopyFile {
    /// Opens the file to follow with it. A missing file is created; one that can't be used is replaced, with its waiting fetches.
    pub async fn open_or_create(path: &Path) -> Result<Self, StoreError> {
        match Self::open(path).await {
            Ok(Some(file)) => return Ok(file),
            Ok(None) => {}
            Err(error) if is_fault_of_the_file(&error) => {
                tracing::warn!(
                    error = with_sources(&error),
                    "the local copy of subscriptions can't be used; a new one is made"
                );
            }
            Err(error) => return Err(error),
        }
        Self::create(path).await
    }

    /// Creates an empty copy in the place of another one.
    pub async fn create(path: &Path) -> Result<Self, StoreError> {
        Self::remove(path)?;
        private_file()
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(|error| failed("creating a copy", sqlx::Error::Io(error)))?;
        let mut connection = options(path).connect().await.map_err(|source| failed("opening a copy", source))?;
        raw_sql(schema::CREATE).execute(&mut connection).await.map_err(|source| failed("creating a copy", source))?;
        Self::of(path, connection).await
    }

    /// Opens a copy that another process follows with; `None` if there is none, or not in this version's form.
    pub async fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        if !path.exists() {
            return Ok(None);
        }
        let opening = |source| failed("opening a copy", source);
        let mut connection = options(path).connect().await.map_err(opening)?;
        let found = query_scalar::<_, i64>(schema::FORMAT).fetch_one(&mut connection).await.map_err(opening)?;
        if found != schema::VERSION {
            return Ok(None);
        }
        Self::of(path, connection).await.map(Some)
    }

    async fn of(path: &Path, write: SqliteConnection) -> Result<Self, StoreError> {
        let file = SqliteFile::watch(path, true);
        let connect = options(path).read_only(true).pragma("cache_size", "-1000");
        let read = Readers::open(connect, READERS, Duration::from_secs(5), Some(file)).await;
        let read = read.map_err(|source| failed("opening a copy", source))?;
        Ok(Self(Arc::new(Shared { path: path.to_owned(), read, write: Mutex::new(write) })))
    }

    /// Removes the file and the two beside it.
    pub fn remove(path: &Path) -> Result<(), StoreError> {
        remove(path).map_err(|error| failed("removing a copy", sqlx::Error::Io(error)))
    }

    /// Checks the whole file: a second for each million users. Returns the first fault, if there is one.
    pub async fn first_fault(&self) -> Result<Option<String>, StoreError> {
        let mut connection = self.writer().await;
        let answer = query_scalar::<_, String>(schema::CHECK).fetch_one(&mut *connection).await;
        let answer = answer.map_err(|source| failed("checking a copy", source))?;
        Ok((answer != "ok").then_some(answer))
    }

    /// Closes the file.
    pub async fn close(&self) {
        self.0.read.close().await;
    }

    /// Returns the state of the copy.
    pub async fn state(&self) -> Result<CopyState, StoreError> {
        let values = query_as::<_, (String, String)>(schema::VALUES).fetch_all(&self.0.read).await;
        let values = values.map_err(|source| failed("reading a copy", source))?;
        let value = |name: &str| values.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
        Ok(CopyState {
            position: value(POSITION).and_then(Position::from_text),
            is_whole: value(WHOLE).is_some_and(|text| text == "1"),
            agreed_at: value(AGREED_AT).and_then(|text| text.parse().ok()).map(Moment::from_micros),
            users: value(USERS).and_then(|text| text.parse().ok()).unwrap_or(0),
        })
    }

    /// Returns the users of this name: one, unless a name passed to another user a moment ago. Damaged records are an error.
    pub async fn users(&self, username: &str) -> Result<Vec<CopiedUser>, StoreError> {
        let found = query_as::<_, (Vec<u8>, Option<i64>, Option<String>)>(schema::USER).bind(username);
        let rows = found.fetch_all(&self.0.read).await.map_err(|source| failed("reading a copy", source))?;
        rows.into_iter()
            .map(|(record, fetched_at, agent)| {
                let mut user = CopiedUser::from_bytes(&record).ok_or_else(damaged)?;
                if let Some(at) = fetched_at {
                    user.fetched(Moment::from_micros(at), agent.unwrap_or_default());
                }
                Ok(user)
            })
            .collect()
    }

    /// Returns the part that all subscriptions share, as JSON.
    pub async fn shared_part(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let read = query_scalar::<_, Vec<u8>>(schema::SHARED).fetch_optional(&self.0.read).await;
        read.map_err(|source| failed("reading a copy", source))
    }

    /// Applies an update together with the position behind it. `agreed_at`: when it was read, if the copy is complete with it.
    pub async fn apply(&self, update: &Update, agreed_at: Option<Moment>) -> Result<(), StoreError> {
        let writing = |source| failed("writing a copy", source);
        let mut connection = self.writer().await;
        let mut tx = connection.begin_with("BEGIN IMMEDIATE").await.map_err(writing)?;
        let mut added = put(&mut tx, &update.users).await.map_err(writing)?;
        added -= remove_users(&mut tx, &update.gone).await.map_err(writing)?;
        if let Some(shared) = &update.shared {
            set(&mut tx, SHARED_PART, shared).await.map_err(writing)?;
        }
        set(&mut tx, POSITION, update.position.as_bytes()).await.map_err(writing)?;
        if let Some(at) = agreed_at {
            set(&mut tx, AGREED_AT, at.micros().to_string().as_bytes()).await.map_err(writing)?;
        }
        add_to_count(&mut tx, added).await.map_err(writing)?;
        tx.commit().await.map_err(writing)
    }

    /// Makes the users after `after` those of a page: up to its last one, or all if it is empty.
    pub async fn put_page(&self, after: i64, page: &UserPage) -> Result<PageDifference, StoreError> {
        let writing = |source| failed("writing a copy", source);
        let last = page.users.last().map(|user| user.id);
        let mut connection = self.writer().await;
        let before = query_as::<_, (i64, Vec<u8>)>(schema::RANGE).bind(after).bind(last.unwrap_or(i64::MAX));
        let before = before.fetch_all(&mut *connection).await.map_err(writing)?;
        let mut before = before.into_iter().peekable();
        let (mut different, mut gone, mut logged) = (Vec::new(), Vec::new(), Vec::new());
        for user in &page.users {
            while let Some((id, _)) = before.next_if(|(id, _)| *id < user.id) {
                gone.push(id);
            }
            match before.next_if(|(id, _)| *id == user.id).map(|(_, record)| CopiedUser::from_bytes(&record)) {
                Some(Some(same)) if same == *user => {}
                Some(Some(other)) if !other.differs_in_logged_fields(user) => different.push(user.clone()),
                _ => {
                    logged.push(user.id);
                    different.push(user.clone());
                }
            }
        }
        gone.extend(before.map(|(id, _)| id));
        logged.extend_from_slice(&gone);
        let changed = (different.len() + gone.len()) as u64;
        if changed > 0 {
            let mut tx = connection.begin_with("BEGIN IMMEDIATE").await.map_err(writing)?;
            let mut added = put(&mut tx, &different).await.map_err(writing)?;
            added -= remove_users(&mut tx, &gone).await.map_err(writing)?;
            add_to_count(&mut tx, added).await.map_err(writing)?;
            tx.commit().await.map_err(writing)?;
        }
        Ok(PageDifference { last, changed, logged })
    }

    /// Begins with users from a new position. Those that are in the copy stay.
    pub async fn begin_again(&self) -> Result<(), StoreError> {
        let done = set(&mut *self.writer().await, WHOLE, b"0").await;
        done.map_err(|source| failed("writing a copy", source))
    }

    /// Records that all users were read, and makes names findable: now, because that is faster than from the beginning.
    pub async fn complete(&self) -> Result<(), StoreError> {
        let writing = |source| failed("writing a copy", source);
        let mut connection = self.writer().await;
        query(schema::INDEX).execute(&mut *connection).await.map_err(writing)?;
        set(&mut connection, WHOLE, b"1").await.map_err(writing)
    }

    /// Removes everything, the waiting fetches too: it is the copy of another database.
    pub async fn clear(&self) -> Result<(), StoreError> {
        let mut connection = self.writer().await;
        let done = raw_sql(schema::CLEAR).execute(&mut *connection).await;
        done.map(drop).map_err(|source| failed("writing a copy", source))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    pub(super) async fn writer(&self) -> MutexGuard<'_, SqliteConnection> {
        self.0.write.lock().await
    }
}

const POSITION: &str = "position";
const AGREED_AT: &str = "agreed_at";
const WHOLE: &str = "whole";
const SHARED_PART: &str = "shared";
const USERS: &str = "users";

/// True if an error means that the file must be replaced.
pub fn is_fault_of_the_file(error: &StoreError) -> bool {
    matches!(
        error.condition(),
        Some(Condition::Damaged | Condition::Missing | Condition::Replaced | Condition::IoError | Condition::ReadOnly)
    )
}

/// Inserts or replaces users. Returns the number of new ones.
async fn put(connection: &mut SqliteConnection, users: &[CopiedUser]) -> sqlx::Result<i64> {
    let before = count(connection, users).await?;
    for part in users.chunks(ROWS) {
        let mut statement = QueryBuilder::<Sqlite>::new(schema::PUT_USERS);
        statement.push_values(part, |mut row, user| {
            row.push_bind(user.id).push_bind(&user.username).push_bind(user.to_bytes());
        });
        statement.push(schema::REPLACE_USER);
        statement.build().execute(&mut *connection).await?;
    }
    Ok(users.len() as i64 - before)
}

/// Number of these users that the copy has.
async fn count(connection: &mut SqliteConnection, users: &[CopiedUser]) -> sqlx::Result<i64> {
    let ids: Vec<i64> = users.iter().map(|user| user.id).collect();
    query_scalar(schema::COUNT).bind(sqlx::types::Json(ids)).fetch_one(connection).await
}

/// Removes users. Returns the number of those that were there.
async fn remove_users(connection: &mut SqliteConnection, users: &[i64]) -> sqlx::Result<i64> {
    if users.is_empty() {
        return Ok(0);
    }
    let done = query(schema::REMOVE_USERS).bind(sqlx::types::Json(users)).execute(connection).await?;
    Ok(i64::try_from(done.rows_affected()).unwrap_or(0))
}

async fn set(connection: &mut SqliteConnection, name: &str, value: &[u8]) -> sqlx::Result<()> {
    query(schema::SET).bind(name).bind(value).execute(connection).await.map(drop)
}

async fn add_to_count(connection: &mut SqliteConnection, users: i64) -> sqlx::Result<()> {
    if users == 0 {
        return Ok(());
    }
    query(schema::ADD_TO_COUNT).bind(users).execute(connection).await.map(drop)
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY)
        .pragma("cache_size", "-2000")
        // The log of a first fill does not stay on the disk.
        .pragma("journal_size_limit", "8388608")
}

pub(super) fn failed(operation: &'static str, source: sqlx::Error) -> StoreError {
    StoreError::new(operation, source)
}

fn damaged() -> StoreError {
    failed("reading a copy", sqlx::Error::Decode("a record with a wrong checksum".into()))
}

fn remove(path: &Path) -> io::Result<()> {
    for end in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        match fs::remove_file(PathBuf::from(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
