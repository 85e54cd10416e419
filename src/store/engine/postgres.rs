//! PostgreSQL's pool and transaction, with or without named prepared statements.
//!
//! pgbouncer in transaction mode assigns a server connection to each transaction; before version 1.21 it does not track
//! prepared statements. A named statement could then be missing or belong to another client, while an unnamed one is
//! valid until the end of the transaction. So behind such a pgbouncer every statement is unnamed, and every read is a
//! transaction.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo, Postgres};
use sqlx::{Either, Execute, Executor, PgConnection, SqlStr};
use tokio::time::Instant;

use super::condition::{Condition, LastCondition};
use super::lent_connection::{Lent, Limit, ROLLBACK};
use super::postgres_connections::PgConnections;
use super::time_limits;

/// A pool of connections; a statement outside a transaction runs on [`Pg::for_statement`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pg {
    connections: PgConnections,
    /// Time limit of a statement that has none of its own.
    statement_timeout: Duration,
    named_statements: bool,
    read_only: bool,
    condition: LastCondition,
}

/// The pool with the time limit of one statement.
#[derive(Clone, Copy, Debug)]
pub struct PgRead<'c> {
    pool: &'c Pg,
    limit: Limit,
}

/// A transaction; a statement runs on `&mut PgTx`. Dropped without a commit, it is rolled back.
#[derive(Debug)]
pub struct PgTx {
    lent: Lent,
    limit: Limit,
    named_statements: bool,
    condition: LastCondition,
}

/// A statement that is prepared without a name.
struct Unnamed<E>(E);

type Step = Either<PgQueryResult, PgRow>;

/// Time limits and other properties of a pool.
pub(in crate::store) struct PgPoolOptions {
    pub(in crate::store) max: u32,
    pub(in crate::store) acquire_timeout: Duration,
    pub(in crate::store) statement_timeout: Duration,
    /// Number of named statements cached per connection; 0 means that none is named.
    pub(in crate::store) statement_cache: usize,
    /// The sessions refuse writes, as the caller wants.
    pub(in crate::store) read_only: bool,
}

impl Pg {
    /// Opens the pool with one connection.
    pub(in crate::store) async fn open(connect: PgConnectOptions, options: PgPoolOptions) -> sqlx::Result<Self> {
        let pool = Self::unconnected(connect, options);
        pool.connections.open().await?;
        Ok(pool)
    }

    /// A pool that connects with the first statement.
    pub(in crate::store) fn unconnected(connect: PgConnectOptions, options: PgPoolOptions) -> Self {
        let named_statements = options.statement_cache > 0;
        let mut connect = connect.statement_cache_capacity(options.statement_cache);
        if options.read_only {
            connect = connect.options([("default_transaction_read_only", "on")]);
        }
        if !named_statements {
            // pgbouncer rejects this start-up parameter, and sqlx transfers floats in binary anyway.
            connect = connect.extra_float_digits(None);
        }
        Self {
            connections: PgConnections::new(connect, options.max, options.acquire_timeout, named_statements),
            statement_timeout: options.statement_timeout,
            named_statements,
            read_only: options.read_only,
            condition: LastCondition::default(),
        }
    }

    /// True if the pool was opened with sessions that refuse writes.
    pub(in crate::store) const fn is_read_only(&self) -> bool {
        self.read_only
    }

    pub(in crate::store) const fn condition(&self) -> &LastCondition {
        &self.condition
    }

    /// The pool with the time limit of the statement of this name.
    pub fn for_statement(&self, name: &str) -> PgRead<'_> {
        PgRead { pool: self, limit: self.limit(time_limits::of_statement(name)) }
    }

    /// Uses none of the open connections again.
    pub(in crate::store) fn discard_connections(&self) {
        self.connections.discard();
    }

    /// Abandons every long statement if nothing was answered on any connection since `asked`, a new one included.
    pub(in crate::store) async fn abandon_if_silent(&self, asked: Instant) {
        self.connections.abandon_if_silent(asked).await;
    }

    /// Returns why the server refused a connection since then, if it did.
    pub(in crate::store) fn refusal_since(&self, asked: Instant) -> Option<Condition> {
        self.connections.refusal_since(asked)
    }

    pub(in crate::store) async fn begin(&self) -> sqlx::Result<PgTx> {
        self.begin_with(if self.named_statements { "BEGIN" } else { BEGIN_BEHIND_POOLER }).await
    }

    /// Begins a transaction whose statements have this time limit.
    pub(in crate::store) async fn begin_long(&self, limit: Duration) -> sqlx::Result<PgTx> {
        let mut tx = self.begin_with(BEGIN_LONG).await?;
        tx.set_limit(limit);
        Ok(tx)
    }

    /// Begins a transaction with these statements, sent as one message.
    pub(in crate::store) async fn begin_with(&self, statements: &'static str) -> sqlx::Result<PgTx> {
        let mut lent = self.connections.acquire().await?;
        let limit = self.limit(None);
        lent.begin(limit, statements).await?;
        Ok(PgTx { lent, limit, named_statements: self.named_statements, condition: self.condition.clone() })
    }

    pub(in crate::store) async fn close(&self) {
        self.connections.close().await;
    }

    fn limit(&self, own: Option<Duration>) -> Limit {
        match own {
            Some(time) if time > self.statement_timeout => Limit { time, is_long: true },
            _ => Limit { time: self.statement_timeout, is_long: false },
        }
    }

    async fn lend(&self, limit: Limit) -> sqlx::Result<Lent> {
        if limit.is_long { self.connections.acquire_proven().await } else { self.connections.acquire().await }
    }

    async fn read<'q, E: Execute<'q, Postgres> + 'q>(&self, limit: Limit, query: E) -> sqlx::Result<Vec<Step>> {
        if self.named_statements {
            let mut lent = self.lend(limit).await?;
            let steps = lent.run(limit, |connection| connection.fetch_many(query).try_collect()).await?;
            lent.release();
            return Ok(steps);
        }
        let mut tx = self.begin().await?;
        tx.limit = limit;
        let steps = tx.run(query).await?;
        tx.commit().await?;
        Ok(steps)
    }

    async fn read_optional<'q, E: Execute<'q, Postgres> + 'q>(
        &self,
        limit: Limit,
        query: E,
    ) -> sqlx::Result<Option<PgRow>> {
        if self.named_statements {
            let mut lent = self.lend(limit).await?;
            let row = lent.run(limit, |connection| connection.fetch_optional(query)).await?;
            lent.release();
            return Ok(row);
        }
        let mut tx = self.begin().await?;
        tx.limit = limit;
        let row = tx.fetch_optional(query).await?;
        tx.commit().await?;
        Ok(row)
    }
}

/// Behind a pooler a session has no settings of its own, so each transaction brings its own.
const BEGIN_BEHIND_POOLER: &str =
    "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 10000; SET LOCAL lock_timeout = 6000";
/// Its statements wait for a lock for as long as for an answer, whatever limit the server has.
const BEGIN_LONG: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 10000; SET LOCAL lock_timeout = 0; \
                          SET LOCAL statement_timeout = 0";

impl PgTx {
    pub(in crate::store) const fn condition(&self) -> &LastCondition {
        &self.condition
    }

    /// Sets the time limit of each further statement.
    pub(in crate::store) fn set_limit(&mut self, time: Duration) {
        self.limit = Limit { time, is_long: true };
    }

    /// The connection itself, without time limits.
    pub fn connection(&mut self) -> sqlx::Result<&mut PgConnection> {
        self.lent.connection()
    }

    pub(in crate::store) async fn commit(self) -> sqlx::Result<()> {
        self.lent.end(self.limit, "COMMIT").await
    }

    pub(in crate::store) async fn rollback(self) -> sqlx::Result<()> {
        self.lent.end(self.limit, ROLLBACK).await
    }

    async fn run<'q, E: Execute<'q, Postgres> + 'q>(&mut self, query: E) -> sqlx::Result<Vec<Step>> {
        let (limit, named) = (self.limit, self.named_statements);
        self.lent
            .run(limit, |connection| match named {
                true => connection.fetch_many(query).try_collect::<Vec<Step>>(),
                false => connection.fetch_many(Unnamed(query)).try_collect(),
            })
            .await
    }
}

impl<'c> Executor<'c> for &'c mut PgTx {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Step>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let steps = async move { Ok::<_, sqlx::Error>(stream::iter(self.run(query).await?.into_iter().map(Ok))) };
        stream::once(steps).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let named = self.named_statements;
        Box::pin(async move {
            let ask = |connection: &'e mut PgConnection| match named {
                true => connection.fetch_optional(query),
                false => connection.fetch_optional(Unnamed(query)),
            };
            self.lent.run(self.limit, ask).await
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'c: 'e,
    {
        Box::pin(async move { self.lent.connection()?.prepare_with(sql, parameters).await })
    }
}

impl<'c> Executor<'c> for PgRead<'c> {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Step>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let steps = async move {
            Ok::<_, sqlx::Error>(stream::iter(self.pool.read(self.limit, query).await?.into_iter().map(Ok)))
        };
        stream::once(steps).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(self.pool.read_optional(self.limit, query))
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let mut lent = self.pool.connections.acquire().await?;
            let statement = lent.connection()?.prepare_with(sql, parameters).await?;
            lent.release();
            Ok(statement)
        })
    }
}

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Unnamed<E> {
    fn sql(self) -> SqlStr {
        self.0.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.0.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.0.take_arguments()
    }

    fn persistent(&self) -> bool {
        false
    }
}
