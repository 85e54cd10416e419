//! A connection to the old database, in one transaction that sees one moment of it.

use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, Row, SqliteConnection, query, query_scalar};

use super::row::OldRow;
use super::tables::{OldTable, REVISION, VERSION};
use crate::config::database_url::DatabaseUrl;
use crate::store::{Statement, StoreError};

/// From here on the connection sees the database as it is now, whoever writes to it.
const SNAPSHOT: Statement = Statement {
    name: "beginning to read the old database",
    pg: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    lite: "BEGIN",
};

/// The old database.
#[derive(Debug)]
pub enum Source {
    /// A file.
    Lite(SqliteConnection),
    /// PostgreSQL.
    Pg(PgConnection),
}

/// Why there is nothing to read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It could not be opened or asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It has no table that says its revision.
    #[error("this is no database of Marzneshin: it has no table alembic_version, or nothing in it")]
    Foreign,
    /// Its schema is another one.
    #[error(
        "the old database's schema is at revision {found}, and revision {REVISION} can be read: update Marzneshin to \
         its last version, start it once, stop it, and import again"
    )]
    Revision {
        /// What it says.
        found: String,
    },
}

impl Source {
    /// Opens the old database and checks its revision. A file that is not there is not made.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, SourceError> {
        let mut source = Self::connect(url).await?;
        let revisions: Vec<OldRow> = match source.rows(VERSION).try_collect().await {
            Err(error) if error.is_missing_table() => return Err(SourceError::Foreign),
            read => read?,
        };
        let found: Vec<&str> = revisions.iter().filter_map(|row| row.cell("version_num")).collect();
        match found.as_slice() {
            [] => Err(SourceError::Foreign),
            [REVISION] => Ok(source),
            found => Err(SourceError::Revision { found: found.join(" and ") }),
        }
    }

    async fn connect(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let opening = |source| StoreError::new("opening the old database", source);
        match url {
            DatabaseUrl::Sqlite { path } => {
                let options = SqliteConnectOptions::new().filename(path).read_only(true);
                let mut connection = options.connect().await.map_err(opening)?;
                begin(query(SNAPSHOT.lite).execute(&mut connection).await)?;
                Ok(Self::Lite(connection))
            }
            DatabaseUrl::Postgres { url } => {
                let options: PgConnectOptions = url.expose().parse().map_err(opening)?;
                let options = options.application_name("sarban import");
                let mut connection = PgConnection::connect_with(&options).await.map_err(opening)?;
                begin(query(SNAPSHOT.pg).execute(&mut connection).await)?;
                Ok(Self::Pg(connection))
            }
        }
    }

    /// How many rows a table has.
    pub async fn count(&mut self, table: &OldTable) -> Result<i64, StoreError> {
        match self {
            Self::Lite(connection) => query_scalar(table.count.lite).fetch_one(connection).await,
            Self::Pg(connection) => query_scalar(table.count.pg).fetch_one(connection).await,
        }
        .map_err(|source| StoreError::new(table.count.name, source))
    }

    /// The rows of a table, as they come.
    pub fn rows(&mut self, table: &'static OldTable) -> BoxStream<'_, Result<OldRow, StoreError>> {
        let failed = |source| StoreError::new(table.rows.name, source);
        match self {
            Self::Lite(connection) => {
                // SQLite gives any value as bytes of text, whatever its type is.
                let cell = |row: &sqlx::sqlite::SqliteRow, at| row.try_get_unchecked::<Option<Vec<u8>>, _>(at);
                let rows = query(table.rows.lite).fetch(connection);
                rows.map(move |row| row.and_then(|row| read(table, |at| cell(&row, at))).map_err(failed)).boxed()
            }
            Self::Pg(connection) => {
                let cell = |row: &sqlx::postgres::PgRow, at| row.try_get::<Option<String>, _>(at);
                let rows = query(table.rows.pg).fetch(connection);
                let bytes = |text: Option<String>| text.map(String::into_bytes);
                rows.map(move |row| row.and_then(|row| read(table, |at| cell(&row, at).map(bytes))).map_err(failed))
                    .boxed()
            }
        }
    }

    /// Ends the reading.
    pub async fn close(self) -> Result<(), StoreError> {
        match self {
            Self::Lite(connection) => connection.close().await,
            Self::Pg(connection) => connection.close().await,
        }
        .map_err(|source| StoreError::new("closing the old database", source))
    }
}

fn begin<T>(done: sqlx::Result<T>) -> Result<(), StoreError> {
    done.map(drop).map_err(|source| StoreError::new(SNAPSHOT.name, source))
}

fn read(table: &OldTable, cell: impl Fn(usize) -> sqlx::Result<Option<Vec<u8>>>) -> sqlx::Result<OldRow> {
    let cells: Vec<Option<Vec<u8>>> = (0..table.columns.len()).map(cell).collect::<Result<_, _>>()?;
    Ok(OldRow::new(table.columns, cells.into_iter()))
}
