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
use sqlx::{ConnectOptions, Connection, query, query_as, query_scalar, raw_sql};
use tokio::sync::Mutex;

use super::rows::{
    AGREED_AT, AGREED_IN_BOOT, CREDENTIALS, POSITION, ROWS, SHARED_CHANGES, USERS, WHOLE, add_to, put, remove_users,
    set, set_shared,
};
use super::schema;
use crate::domain::copy::checksum::unsealed;
use crate::domain::copy::{Agreement, CopiedUser, Position, Update, UserPage};
use crate::domain::moment::Moment;
use crate::foundation::{private_file, with_sources};
use crate::store::engine::sqlite_file::SqliteFile;
use crate::store::engine::sqlite_readers::Readers;
use crate::store::engine::{Condition, StoreError};

/// Connections that read, at most; as many as are needed at once are opened. Each has its own cache of pages.
const READERS: u32 = 4;
/// Memory for the cache of pages of a connection that reads, and of the one that writes (KiB). The system caches the file itself.
const READER_CACHE: &str = "-256";
const WRITER_CACHE: &str = "-1000";
/// Users whose removal a page may show, at most: after a mass deletion the rest comes with further pages.
const MORE_USERS: usize = 10 * ROWS;
/// Wait for another process that writes: only fetches, for a moment.
const BUSY: Duration = Duration::from_secs(2);

/// An open copy. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CopyFile(pub(super) Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    path: PathBuf,
    file: SqliteFile,
    pub(super) read: Readers,
    /// `None` until something is written, and after a write that failed.
    write: Mutex<Option<SqliteConnection>>,
}

/// The state of a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyState {
    /// Up to where it follows; `None`: nothing was read yet.
    pub position: Option<Position>,
    /// True if all users were read since the position was one of now.
    pub is_whole: bool,
    /// When it last agreed with the database, by this host's clocks; `None` until all users were read once.
    pub agreed: Option<Agreement>,
    /// At an edge, the `AUTH_GENERATION_ALGORITHM` that the panels and the edge had.
    pub credentials: Option<String>,
    /// Number of users.
    pub users: i64,
    /// Number of times that the part that all subscriptions share was changed.
    pub shared_changes: i64,
}

/// The difference between a page of users and the copy before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageDifference {
    /// The user up to whom the copy is that of the page; `None`: there are no further users.
    pub last: Option<i64>,
    /// Users that were written or removed.
    pub changed: u64,
    /// Users whose difference must be in the log of changes.
    pub logged: Vec<i64>,
}

impl CopyFile {
    /// Opens the file to follow with it. A missing file is created; one that is damaged, or of another version, is replaced, with its
    /// waiting fetches.
    pub async fn open_or_create(path: &Path) -> Result<Self, StoreError> {
        match Self::open(path).await {
            Ok(Some(file)) => return Ok(file),
            Ok(None) => {}
            Err(error) if error.condition() == Some(Condition::Damaged) => {
                tracing::warn!(
                    error = with_sources(&error),
                    "the local copy of subscriptions can't be used; a new one is made"
                );
            }
            // A disk that is full or fails for a moment has not damaged the file.
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
        let mut connection = writer(path).await.map_err(|source| failed("opening a copy", source))?;
        raw_sql(schema::CREATE).execute(&mut connection).await.map_err(|source| failed("creating a copy", source))?;
        let file = Self::of(path).await?;
        *file.0.write.lock().await = Some(connection);
        Ok(file)
    }

    /// Opens a copy that another process may follow with; `None` if there is none, or not in this version's form.
    pub async fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        if !path.exists() {
            return Ok(None);
        }
        let file = Self::of(path).await?;
        let found = query_scalar::<_, i64>(schema::FORMAT).fetch_one(&file.0.read).await;
        let found = found.map_err(|source| failed("opening a copy", source))?;
        Ok((found == schema::VERSION).then_some(file))
    }

    async fn of(path: &Path) -> Result<Self, StoreError> {
        let file = SqliteFile::watch(path, true);
        let connect = options(path).read_only(true).pragma("cache_size", READER_CACHE);
        let read = Readers::open(connect, READERS, Duration::from_secs(5), Some(file.clone())).await;
        let read = read.map_err(|source| failed("opening a copy", source))?;
        Ok(Self(Arc::new(Shared { path: path.to_owned(), file, read, write: Mutex::default() })))
    }

    /// Removes the file and the two beside it.
    pub fn remove(path: &Path) -> Result<(), StoreError> {
        remove(path).map_err(|error| failed("removing a copy", sqlx::Error::Io(error)))
    }

    /// Checks the whole file: a second for each million users. Returns the first fault, if there is one.
    pub async fn first_fault(&self) -> Result<Option<String>, StoreError> {
        let answer = query_scalar::<_, String>(schema::CHECK).fetch_one(&self.0.read).await;
        let answer = answer.map_err(|source| failed("checking a copy", source))?;
        Ok((answer != "ok").then_some(answer))
    }

    /// True if the other one is a clone of this one.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Closes the file.
    pub async fn close(&self) {
        self.0.read.close().await;
        let connection = self.0.write.lock().await.take();
        if let Some(connection) = connection {
            // A connection that fails to close is closed as well.
            let _ = connection.close().await;
        }
    }

    /// Returns the state of the copy.
    pub async fn state(&self) -> Result<CopyState, StoreError> {
        let values = query_as::<_, (String, String)>(schema::VALUES).fetch_all(&self.0.read).await;
        let values = values.map_err(|source| failed("reading a copy", source))?;
        let value = |name: &str| values.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
        Ok(CopyState {
            position: value(POSITION).and_then(Position::from_text),
            is_whole: value(WHOLE).is_some_and(|text| text == "1"),
            agreed: value(AGREED_AT).and_then(|at| Agreement::from_texts(at, value(AGREED_IN_BOOT))),
            credentials: value(CREDENTIALS).map(str::to_owned),
            users: value(USERS).and_then(|text| text.parse().ok()).unwrap_or(0),
            shared_changes: value(SHARED_CHANGES).and_then(|text| text.parse().ok()).unwrap_or(0),
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

    /// Returns the part that all subscriptions share, as JSON; `None` if there is none, or only a damaged one.
    pub async fn shared_part(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let read = query_scalar::<_, Vec<u8>>(schema::SHARED).fetch_optional(&self.0.read).await;
        let read = read.map_err(|source| failed("reading a copy", source))?;
        Ok(read.as_deref().and_then(unsealed).map(<[u8]>::to_vec))
    }

    /// Applies an update together with the position behind it. `agreed`: when it was read, if the copy is complete with it. Returns
    /// true if the part that all subscriptions share is another one now.
    pub async fn apply(&self, update: &Update, agreed: Option<&Agreement>) -> Result<bool, StoreError> {
        self.write(async |connection| {
            let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
            let mut added = put(&mut tx, &update.users).await?;
            added -= remove_users(&mut tx, &update.gone).await?;
            let has_changed = match &update.shared {
                Some(shared) => set_shared(&mut tx, shared).await?,
                None => false,
            };
            set(&mut tx, POSITION, update.position.as_bytes()).await?;
            if let Some([at, in_boot]) = agreed.map(Agreement::texts) {
                set(&mut tx, AGREED_AT, at.as_bytes()).await?;
                set(&mut tx, AGREED_IN_BOOT, in_boot.as_bytes()).await?;
            }
            add_to(&mut tx, USERS, added).await?;
            tx.commit().await?;
            Ok(has_changed)
        })
        .await
    }

    /// Makes the users after `after` those of a page: up to its last one, or all if it is empty. Where the copy has many more, only the
    /// first of them are looked at, and the difference ends there.
    pub async fn put_page(&self, after: i64, page: &UserPage) -> Result<PageDifference, StoreError> {
        let most = page.users.len() + MORE_USERS;
        let end = page.users.last().map(|user| user.id);
        let before = query_as::<_, (i64, Vec<u8>)>(schema::RANGE)
            .bind(after)
            .bind(end.unwrap_or(i64::MAX))
            .bind(i64::try_from(most).unwrap_or(i64::MAX));
        let before = before.fetch_all(&self.0.read).await.map_err(|source| failed("reading a copy", source))?;
        let cut = before.last().map(|(id, _)| *id).filter(|_| before.len() == most);
        let last = cut.or(end);
        let mut before = before.into_iter().peekable();
        let (mut different, mut gone, mut logged) = (Vec::new(), Vec::new(), Vec::new());
        for user in page.users.iter().take_while(|user| cut.is_none_or(|cut| user.id <= cut)) {
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
            self.write(async |connection| {
                let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
                let mut added = put(&mut tx, &different).await?;
                added -= remove_users(&mut tx, &gone).await?;
                add_to(&mut tx, USERS, added).await?;
                tx.commit().await
            })
            .await?;
        }
        Ok(PageDifference { last, changed, logged })
    }

    /// Begins with users from a new position. Those that are in the copy stay.
    pub async fn begin_again(&self) -> Result<(), StoreError> {
        self.write(async |connection| set(connection, WHOLE, b"0").await).await
    }

    /// Stores the `AUTH_GENERATION_ALGORITHM` of the panels.
    pub async fn set_credentials(&self, credentials: &str) -> Result<(), StoreError> {
        self.write(async |connection| set(connection, CREDENTIALS, credentials.as_bytes()).await).await
    }

    /// Records that all users were read, and makes names findable: now, because that is faster than from the beginning.
    pub async fn complete(&self) -> Result<(), StoreError> {
        self.write(async |connection| {
            query(schema::INDEX).execute(&mut *connection).await?;
            set(connection, WHOLE, b"1").await
        })
        .await
    }

    /// Removes everything, the waiting fetches too: it is the copy of another database.
    pub async fn clear(&self) -> Result<(), StoreError> {
        self.write(async |connection| raw_sql(schema::CLEAR).execute(connection).await.map(drop)).await
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Writes with the one connection that does. After a failure it is made again: SQLite rolls back by itself after a full disk or an
    /// I/O error, and sqlx takes the transaction for an open one from then on. The same holds for a caller that is cancelled.
    pub(super) async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> sqlx::Result<T>,
    ) -> Result<T, StoreError> {
        let writing = |source| failed("writing a copy", source);
        let mut idle = self.0.write.lock().await;
        self.0.file.check().map_err(writing)?;
        let mut connection = match idle.take() {
            Some(connection) => connection,
            None => writer(self.path()).await.map_err(writing)?,
        };
        let done = work(&mut connection).await.map_err(writing)?;
        *idle = Some(connection);
        Ok(done)
    }
}

async fn writer(path: &Path) -> sqlx::Result<SqliteConnection> {
    options(path).pragma("cache_size", WRITER_CACHE).connect().await
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY)
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
