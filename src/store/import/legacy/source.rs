//! A connection to the old database, in one transaction with one snapshot.

use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{
    ColumnIndex, ConnectOptions, Connection, Decode, MySqlConnection, PgConnection, Row, SqliteConnection, query,
    query_scalar, raw_sql,
};

use super::row::OldRow;
use super::tables::{OldStatement, OldTable, REVISION, VERSION};
use crate::config::database_url::DatabaseUrl;
use crate::config::old_database::OldDatabaseUrl;
use crate::store::engine::StoreError;

/// Takes the snapshot: later writes of others are not visible.
const SNAPSHOT: OldStatement = OldStatement {
    name: "beginning to read the old database",
    pg: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    lite: "BEGIN",
    my: "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
};

/// The old database.
#[derive(Debug)]
pub enum Source {
    /// SQLite.
    Lite(SqliteConnection),
    /// PostgreSQL.
    Pg(PgConnection),
    /// MySQL or MariaDB.
    My(MySqlConnection),
}

/// An error of opening or reading the old database.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The database could not be opened, or a statement failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The table with the schema's revision is missing or empty.
    #[error("this is not a Marzneshin database: its table alembic_version is missing or empty")]
    Foreign,
    /// The schema has another revision.
    #[error(
        "the old database's schema is at revision {found}, and revision {REVISION} can be read: update Marzneshin to \
         its last version, start it once, stop it, and import again"
    )]
    Revision {
        /// Revision of the database.
        found: String,
    },
}

impl Source {
    /// Opens the old database and checks its revision. A missing file is not created.
    pub async fn open(url: &OldDatabaseUrl) -> Result<Self, SourceError> {
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

    async fn connect(url: &OldDatabaseUrl) -> Result<Self, StoreError> {
        let opening = |source| StoreError::new("opening the old database", source);
        match url {
            OldDatabaseUrl::Panel(DatabaseUrl::Sqlite { path }) => {
                let options = SqliteConnectOptions::new().filename(path).read_only(true);
                let mut connection = options.connect().await.map_err(opening)?;
                begin(raw_sql(SNAPSHOT.lite).execute(&mut connection).await)?;
                Ok(Self::Lite(connection))
            }
            OldDatabaseUrl::Panel(DatabaseUrl::Postgres { url }) => {
                let options: PgConnectOptions = url.expose().parse().map_err(opening)?;
                let options = options.application_name("sarban import");
                let mut connection = PgConnection::connect_with(&options).await.map_err(opening)?;
                begin(raw_sql(SNAPSHOT.pg).execute(&mut connection).await)?;
                Ok(Self::Pg(connection))
            }
            OldDatabaseUrl::MySql(url) => {
                let options: MySqlConnectOptions = url.expose().parse().map_err(opening)?;
                let mut connection = open_mysql(options, url.has_tls_mode()).await.map_err(opening)?;
                begin(raw_sql(SNAPSHOT.my).execute(&mut connection).await)?;
                Ok(Self::My(connection))
            }
        }
    }

    /// Returns the number of rows of a table.
    pub async fn count(&mut self, table: &OldTable) -> Result<i64, StoreError> {
        match self {
            Self::Lite(connection) => query_scalar(table.count.lite).fetch_one(connection).await,
            Self::Pg(connection) => query_scalar(table.count.pg).fetch_one(connection).await,
            Self::My(connection) => query_scalar(table.count.my).fetch_one(connection).await,
        }
        .map_err(|source| StoreError::new(table.count.name, source))
    }

    /// Streams the rows of a table.
    pub fn rows(&mut self, table: &'static OldTable) -> BoxStream<'_, Result<OldRow, StoreError>> {
        let failed = |source| StoreError::new(table.rows.name, source);
        match self {
            Self::Lite(connection) => {
                let rows = query(table.rows.lite).fetch(connection);
                rows.map(move |row| row.and_then(|row| read(table, &row)).map_err(failed)).boxed()
            }
            Self::Pg(connection) => {
                let rows = query(table.rows.pg).fetch(connection);
                rows.map(move |row| row.and_then(|row| read(table, &row)).map_err(failed)).boxed()
            }
            Self::My(connection) => {
                let rows = query(table.rows.my).fetch(connection);
                rows.map(move |row| row.and_then(|row| read(table, &row)).map_err(failed)).boxed()
            }
        }
    }

    /// Ends the transaction and closes the connection.
    pub async fn close(self) -> Result<(), StoreError> {
        match self {
            Self::Lite(connection) => connection.close().await,
            Self::Pg(connection) => connection.close().await,
            Self::My(connection) => connection.close().await,
        }
        .map_err(|source| StoreError::new("closing the old database", source))
    }
}

/// Connects with TLS if the server offers it. Without a word about TLS in the address, a failed handshake means no TLS, as in
/// PyMySQL: old servers have versions of TLS that nobody uses any more.
async fn open_mysql(options: MySqlConnectOptions, has_tls_mode: bool) -> sqlx::Result<MySqlConnection> {
    let plain = options.clone().ssl_mode(MySqlSslMode::Disabled);
    let opened = match MySqlConnection::connect_with(&options).await {
        Err(sqlx::Error::Tls(_) | sqlx::Error::Io(_)) if !has_tls_mode => MySqlConnection::connect_with(&plain).await,
        opened => opened,
    };
    opened.map_err(|error| match error {
        // The driver can't encrypt a password with the server's RSA key.
        sqlx::Error::Configuration(source) if source.to_string().starts_with("RSA") => sqlx::Error::Configuration(
            "the server takes this user's password only over TLS (caching_sha2_password): turn TLS on in the server, and \
             remove ssl_disabled and ssl_mode from the address"
                .into(),
        ),
        sqlx::Error::Protocol(text) if text.contains("authentication plugin") => sqlx::Error::Configuration(
            format!(
                "the server asks for this user's password in a way that is not supported ({text}): create a user with \
                 mysql_native_password or caching_sha2_password for the import"
            )
            .into(),
        ),
        other => other,
    })
}

fn begin<T>(done: sqlx::Result<T>) -> Result<(), StoreError> {
    done.map(drop).map_err(|source| StoreError::new(SNAPSHOT.name, source))
}

/// Returns each cell as the bytes of its text. SQLite returns any value as text; on the other engines the columns are
/// cast.
fn read<'r, R>(table: &OldTable, row: &'r R) -> sqlx::Result<OldRow>
where
    R: Row,
    usize: ColumnIndex<R>,
    Option<Vec<u8>>: Decode<'r, R::Database>,
{
    let cell = |at: usize| row.try_get_unchecked::<Option<Vec<u8>>, _>(at);
    let cells: Vec<Option<Vec<u8>>> = (0..table.columns.len()).map(cell).collect::<Result<_, _>>()?;
    Ok(OldRow::new(table.columns, cells.into_iter()))
}
