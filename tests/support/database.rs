//! A new, migrated database for each test, on either engine, removed at the end of the test, even of a failed one.
//!
//! ```ignore
//! on_both_engines!(user_is_found_by_name, taken_name_is_refused);
//!
//! async fn user_is_found_by_name(db: Db) { … }
//! ```
//!
//! defines the tests `user_is_found_by_name::sqlite` and `user_is_found_by_name::postgres`, and so on. The argument is
//! a [`Db`], an [`OpenOptions`] to open more pools, or a [`TestDatabase`] with both. `empty name` in the list gives a
//! database without tables. A test that is not in the list is dead code, which the compiler reports.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt;
use sarban::config::database_url::DatabaseUrl;
use sarban::store::migrate::migrate;
use sarban::store::{Db, Engine, OpenOptions, Tx};
use sqlx::{AssertSqlSafe, Connection, PgConnection, query_scalar, raw_sql};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

/// The database of one test.
#[derive(Clone, Debug)]
pub struct TestDatabase {
    /// An open pool.
    pub db: Db,
    /// The options of `db`, to open more pools.
    pub options: OpenOptions,
}

impl From<TestDatabase> for Db {
    fn from(test: TestDatabase) -> Self {
        test.db
    }
}

impl From<TestDatabase> for OpenOptions {
    fn from(test: TestDatabase) -> Self {
        test.options
    }
}

/// The initial content of a test's database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// No tables.
    Empty,
    /// All tables, and the rows that migrations insert.
    Schema,
}

macro_rules! on_both_engines {
    () => {};
    (empty $name:ident $(, $($more:tt)*)?) => {
        $crate::support::database::on_both_engines!(@ $name, Empty);
        $($crate::support::database::on_both_engines!($($more)*);)?
    };
    ($name:ident $(, $($more:tt)*)?) => {
        $crate::support::database::on_both_engines!(@ $name, Schema);
        $($crate::support::database::on_both_engines!($($more)*);)?
    };
    (@ $name:ident, $content:ident) => {
        mod $name {
            use $crate::support::database::{Content, with_database};

            #[test]
            fn sqlite() {
                let engine = sarban::store::Engine::Sqlite;
                with_database(engine, Content::$content, async |test| super::$name(test.into()).await);
            }

            #[test]
            fn postgres() {
                let engine = sarban::store::Engine::Postgres;
                with_database(engine, Content::$content, async |test| super::$name(test.into()).await);
            }
        }
    };
}
pub(crate) use on_both_engines;

/// Runs `test` on its own database, in its own runtime.
pub fn with_database(engine: Engine, content: Content, test: impl AsyncFnOnce(TestDatabase)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let location = Location::create(engine, content).await;
        let options = location.options();
        let db = Db::open(&options).await.expect("the test's database opens");
        if content == Content::Schema {
            migrate(&db).await.expect("the schema is migrated");
        }
        let result = AssertUnwindSafe(test(TestDatabase { db: db.clone(), options })).catch_unwind().await;
        db.close().await;
        location.remove().await;
        result.unwrap_or_else(|panic| resume_unwind(panic));
    });
}

/// Runs SQL in a transaction, to create a state that the panel would take long to reach.
pub async fn execute(db: &Db, sql: &str) {
    attempt(db, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Runs SQL like [`execute`], which the database may refuse.
pub async fn attempt(db: &Db, sql: &str) -> sqlx::Result<()> {
    let mut tx = db.begin().await.expect("a transaction begins");
    match &mut tx {
        Tx::Pg(tx) => {
            raw_sql(AssertSqlSafe(sql.to_owned())).execute(tx.connection().expect("a connection")).await.map(drop)
        }
        Tx::Lite { tx, .. } => raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut **tx).await.map(drop),
    }?;
    tx.commit().await.expect("a transaction commits");
    Ok(())
}

/// Returns the integer that a query selects.
pub async fn number(db: &Db, sql: &str) -> i64 {
    let mut tx = db.begin().await.expect("a transaction begins");
    let answer = match &mut tx {
        Tx::Pg(tx) => {
            query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(tx.connection().expect("a connection")).await
        }
        Tx::Lite { tx, .. } => query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut **tx).await,
    };
    tx.rollback().await.expect("a transaction ends");
    answer.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Returns the texts of a query's only column.
pub async fn texts(db: &Db, sql: &'static str) -> Vec<String> {
    let mut tx = db.begin().await.expect("a transaction begins");
    let answer = match &mut tx {
        Tx::Pg(tx) => query_scalar(sql).fetch_all(tx.connection().expect("a connection")).await,
        Tx::Lite { tx, .. } => query_scalar(sql).fetch_all(&mut **tx).await,
    };
    tx.rollback().await.expect("a transaction ends");
    answer.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// The location of a test's database.
enum Location {
    Folder(TempDir),
    OnServer { name: String, server: PgConnection },
}

impl Location {
    async fn create(engine: Engine, content: Content) -> Self {
        if engine == Engine::Sqlite {
            return Self::Folder(tempfile::tempdir().expect("a temporary folder"));
        }
        let mut server = connect().await;
        let name = format!("sarban_test_{}", Uuid::new_v4().simple());
        let template = match content {
            Content::Empty => "template0",
            Content::Schema => template(&mut server).await,
        };
        administer(&mut server, format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        Self::OnServer { name, server }
    }

    fn options(&self) -> OpenOptions {
        match self {
            Self::Folder(folder) => options(DatabaseUrl::Sqlite { path: folder.path().join("test.sqlite3") }),
            Self::OnServer { name, .. } => options(url_of(name)),
        }
    }

    async fn remove(self) {
        match self {
            Self::Folder(folder) => folder.close().expect("the temporary folder is removed"),
            Self::OnServer { name, mut server } => {
                administer(&mut server, format!("DROP DATABASE {name} WITH (FORCE)")).await;
            }
        }
    }
}

/// Options of a database of a test.
pub fn options(url: DatabaseUrl) -> OpenOptions {
    OpenOptions {
        url,
        connections: 5,
        statement_cache: 100,
        application_name: "sarban-test".to_owned(),
        acquire_timeout: Duration::from_secs(30),
        statement_timeout: Duration::from_secs(30),
        busy_timeout: Duration::from_secs(5),
        read_only: false,
    }
}

/// Returns the address of the database `name` on the tests' server.
fn url_of(name: &str) -> DatabaseUrl {
    let url = super::postgres_url();
    let (server, _) = url.rsplit_once('/').expect("an address that ends in a database's name");
    DatabaseUrl::parse(&format!("{server}/{name}")).expect("a valid address")
}

async fn connect() -> PgConnection {
    let url = super::postgres_url();
    PgConnection::connect(&url).await.unwrap_or_else(|error| panic!("no PostgreSQL at {url}: {error}"))
}

async fn administer(server: &mut PgConnection, sql: String) {
    raw_sql(AssertSqlSafe(sql.clone())).execute(server).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Returns the name of a migrated database to copy, determined once per process.
async fn template(server: &mut PgConnection) -> &'static str {
    static NAME: OnceCell<String> = OnceCell::const_new();
    NAME.get_or_init(|| create_template(server)).await
}

/// Creates the template unless another process has. Its name has a hash of the migrations, so that a server that keeps
/// running never supplies an older schema.
async fn create_template(server: &mut PgConnection) -> String {
    const LOCK: &str = "SELECT 1 FROM (SELECT pg_advisory_lock(5120897013)) AS held";
    const UNLOCK: &str = "SELECT 1 FROM (SELECT pg_advisory_unlock(5120897013)) AS freed";
    let name = format!("sarban_test_template_{:016x}", migrations_hash());
    raw_sql(LOCK).execute(&mut *server).await.expect("the template's lock");
    let exists = query_scalar::<_, i64>("SELECT count(*) FROM pg_database WHERE datname = $1")
        .bind(&name)
        .fetch_one(&mut *server)
        .await
        .expect("the list of databases");
    if exists == 0 {
        // The template has another name until it is complete, so that a killed test leaves no partial one.
        let draft = format!("{name}_draft");
        administer(server, format!("DROP DATABASE IF EXISTS {draft}")).await;
        administer(server, format!("CREATE DATABASE {draft} TEMPLATE template0")).await;
        let db = Db::open(&options(url_of(&draft))).await.expect("the template opens");
        migrate(&db).await.expect("the template is migrated");
        db.close().await;
        administer(server, format!("ALTER DATABASE {draft} RENAME TO {name}")).await;
    }
    raw_sql(UNLOCK).execute(server).await.expect("the template's lock is released");
    name
}

fn migrations_hash() -> u64 {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/postgres");
    let entries = std::fs::read_dir(folder).expect("the migrations");
    let mut texts: Vec<Vec<u8>> =
        entries.map(|entry| std::fs::read(entry.expect("a file").path()).expect("a migration")).collect();
    texts.sort();
    xxh3_64(&texts.concat())
}
