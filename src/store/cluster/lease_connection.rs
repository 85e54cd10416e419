//! The lease's own connection to PostgreSQL, over which every operation is one message and one answer: a slow network
//! costs an operation one round trip.
//!
//! The message is text, with its values in place of `$1`: a prepared statement would cost a round trip more whenever the
//! connection is new, and would not pass a pgbouncer that does not track prepared statements.

use std::fmt::{self, Write};
use std::io;
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, Connection, Either, FromRow, PgConnection, raw_sql};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::config::database_url::DatabaseUrl;
use crate::store::engine::{Db, Fault, OpenOptions, Statement, StoreError};

/// Statements of one message are one transaction. A wait for a lock must end well before the lease does.
const TIME_LIMITS: &str = "SET LOCAL lock_timeout = 1000; SET LOCAL statement_timeout = 2000; ";

/// The database as the lease uses it.
#[derive(Debug)]
pub enum LeaseDb {
    /// PostgreSQL, over a connection of its own.
    Pg(Box<LeaseConnection>),
    /// SQLite, where the lease goes ahead of other writers.
    Lite(Db),
}

/// A connection that is opened when it is first used, and again after an error or an answer that did not come.
#[derive(Debug)]
pub struct LeaseConnection {
    options: PgConnectOptions,
    /// Time limit of opening a connection, which takes several round trips.
    limit: Duration,
    idle: Option<PgConnection>,
    /// Time between the last message and its answer, until it is taken.
    round_trip: Option<Duration>,
    /// Goes on when its caller stops to wait.
    opening: Option<JoinHandle<Result<PgConnection, StoreError>>>,
}

/// A value in the text of a message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Literal<'a> {
    Null,
    Int(i64),
    Uuid(Uuid),
    Text(&'a str),
}

/// The answer to a message.
pub(super) struct Answer {
    statement: &'static str,
    rows: Vec<PgRow>,
    changed: u64,
}

impl LeaseDb {
    /// The lease's access to the database of `db`. Opens no connection. `limit` bounds opening one.
    pub fn new(db: &Db, options: &OpenOptions, limit: Duration) -> Result<Self, StoreError> {
        let DatabaseUrl::Postgres { url } = &options.url else { return Ok(Self::Lite(db.clone())) };
        let opening = |source| StoreError::new("reading the address of PostgreSQL", source);
        let connect = url.expose().parse::<PgConnectOptions>().map_err(opening)?;
        // pgbouncer rejects this start-up parameter, and no float is read.
        let connect = connect.application_name(&options.application_name).extra_float_digits(None);
        let connection = LeaseConnection { options: connect, limit, idle: None, round_trip: None, opening: None };
        Ok(Self::Pg(Box::new(connection)))
    }

    /// Opens the connection unless it is open. The operations do so as well, within their own time limits.
    pub async fn connect(&mut self) -> Result<(), StoreError> {
        if let Self::Pg(connection) = self {
            let open = connection.take().await?;
            connection.idle = Some(open);
        }
        Ok(())
    }

    /// Time between the last message to PostgreSQL and its answer, if there was one since the last call.
    pub const fn take_round_trip(&mut self) -> Option<Duration> {
        match self {
            Self::Pg(connection) => connection.round_trip.take(),
            Self::Lite(_) => None,
        }
    }
}

impl LeaseConnection {
    /// Sends a statement with these values, and reads the answer. If the future is dropped before, the connection is
    /// closed, and the statement may have been committed.
    pub(super) async fn send(
        &mut self,
        statement: &'static Statement,
        values: &[Literal<'_>],
    ) -> Result<Answer, StoreError> {
        let mut connection = self.take().await?;
        let mut answer = Answer { statement: statement.name, rows: Vec::new(), changed: 0 };
        // A registered text, with values that can't end their literals.
        let message = AssertSqlSafe(message(statement.pg, values));
        let read = async {
            let mut steps = raw_sql(message).fetch_many(&mut connection);
            while let Some(step) = steps.try_next().await? {
                match step {
                    Either::Left(done) => answer.changed += done.rows_affected(),
                    Either::Right(row) => answer.rows.push(row),
                }
            }
            Ok(())
        };
        let sent = Instant::now();
        let result: sqlx::Result<()> = read.await;
        self.round_trip = result.is_ok().then(|| sent.elapsed());
        let result = result.map_err(|source| StoreError::new(statement.name, source));
        // After any other error the server is going away, has become a standby, or can't be reached.
        if result.as_ref().map_or_else(|error| matches!(error.fault(), Fault::Retry | Fault::Data), |()| true) {
            self.idle = Some(connection);
        }
        result?;
        Ok(answer)
    }

    /// Closes the connection: the next operation opens one with the present settings of the database.
    pub(super) fn close(&mut self) {
        self.idle = None;
    }

    async fn take(&mut self) -> Result<PgConnection, StoreError> {
        if let Some(connection) = self.idle.take() {
            return Ok(connection);
        }
        let (options, limit) = (&self.options, self.limit);
        let opening = self.opening.get_or_insert_with(|| tokio::spawn(open(options.clone(), limit)));
        let opened = opening.await;
        self.opening = None;
        opened.unwrap_or_else(|_| Err(StoreError::new(CONNECTING, sqlx::Error::WorkerCrashed)))
    }
}

impl Drop for LeaseConnection {
    fn drop(&mut self) {
        if let Some(opening) = &self.opening {
            opening.abort();
        }
    }
}

const CONNECTING: &str = "connecting to PostgreSQL";

async fn open(options: PgConnectOptions, limit: Duration) -> Result<PgConnection, StoreError> {
    let server = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    let opened = timeout(limit, PgConnection::connect_with(&options)).await;
    let unreachable = |kind, reason: String| {
        let message = format!("can't reach the database host at {server}: {reason}");
        Err(sqlx::Error::Io(io::Error::new(kind, message)))
    };
    let opened = match opened {
        Err(_) => unreachable(io::ErrorKind::HostUnreachable, format!("no answer within {limit:?}")),
        Ok(Err(sqlx::Error::Io(error))) => unreachable(error.kind(), error.to_string()),
        Ok(opened) => opened,
    };
    opened.map_err(|source| StoreError::new(CONNECTING, source))
}

impl Answer {
    /// True if the statement returned a row.
    pub(super) fn has_rows(&self) -> bool {
        !self.rows.is_empty()
    }

    /// Number of rows that the statement changed.
    pub(super) const fn changed(&self) -> u64 {
        self.changed
    }

    /// The only row.
    pub(super) fn one<T: for<'r> FromRow<'r, PgRow>>(&self) -> Result<T, StoreError> {
        let row = self.rows.first().ok_or(sqlx::Error::RowNotFound).and_then(|row| T::from_row(row));
        row.map_err(|source| StoreError::new(self.statement, source))
    }
}

/// The text of a message: the time limits, and the statement with its values in place of `$1`, `$2`, ….
fn message(sql: &str, values: &[Literal<'_>]) -> String {
    let mut text = String::with_capacity(2 * sql.len());
    text.push_str(TIME_LIMITS);
    let mut parts = sql.split('$');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = part.split_at(digits);
        match number.parse::<usize>().ok().and_then(|number| values.get(number.checked_sub(1)?)) {
            // Writing to a string can't fail.
            Some(value) => drop(write!(text, "{value}")),
            // The server refuses it.
            None => drop(write!(text, "${number}")),
        }
        text.push_str(rest);
    }
    text
}

impl fmt::Display for Literal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Int(value) => write!(f, "({value})"),
            Self::Uuid(value) => write!(f, "'{value}'"),
            // As hexadecimal digits, so that no text can end the literal.
            Self::Text(value) => write!(f, "convert_from(decode('{}', 'hex'), 'UTF8')", hex::encode(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_replace_their_numbers() {
        let values = [Literal::Int(-5), Literal::Text("it's"), Literal::Null];
        let text = message("SELECT $2, $1 + $1, $3, $4", &values);
        let statement = text.strip_prefix(TIME_LIMITS).expect("the time limits come first");
        assert_eq!(statement, "SELECT convert_from(decode('69742773', 'hex'), 'UTF8'), (-5) + (-5), NULL, $4");
    }

    #[test]
    fn tenth_value_is_not_the_first() {
        let values: Vec<Literal<'_>> = (1..=10).map(|number| Literal::Int(number * 100)).collect();
        assert!(message("SELECT $10, $1", &values).ends_with("SELECT (1000), (100)"));
    }
}
