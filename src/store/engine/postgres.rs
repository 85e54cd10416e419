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
use sqlx::{Either, Execute, Executor, PgConnection, SqlStr, Transaction};
use tokio::sync::OwnedSemaphorePermit;

use super::condition::LastCondition;
use super::postgres_connections::PgConnections;

/// A pool of connections; a statement outside a transaction runs on `&Pg`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pg {
    connections: PgConnections,
    named_statements: bool,
    read_only: bool,
    condition: LastCondition,
}

/// A transaction; a statement runs on `&mut PgTx`. Only tests use the connection inside it directly.
#[derive(Debug)]
pub struct PgTx {
    // Fields are dropped in this order.
    tx: Transaction<'static, Postgres>,
    permit: OwnedSemaphorePermit,
    named_statements: bool,
    condition: LastCondition,
}

/// A statement that is prepared without a name.
struct Unnamed<E>(E);

type Step = Either<PgQueryResult, PgRow>;

impl Pg {
    /// Opens the pool. `statement_cache` is the number of named statements cached per connection; 0 means that none is
    /// named. `read_only`: the sessions refuse writes, as the caller wants.
    pub(in crate::store) async fn open(
        connect: PgConnectOptions,
        max: u32,
        acquire_timeout: Duration,
        statement_cache: usize,
        read_only: bool,
    ) -> sqlx::Result<Self> {
        let named_statements = statement_cache > 0;
        let mut connect = connect.statement_cache_capacity(statement_cache);
        if read_only {
            connect = connect.options([("default_transaction_read_only", "on")]);
        }
        if !named_statements {
            // pgbouncer rejects this start-up parameter, and sqlx transfers floats in binary anyway.
            connect = connect.extra_float_digits(None);
        }
        Ok(Self {
            connections: PgConnections::open(connect, max, acquire_timeout, named_statements).await?,
            named_statements,
            read_only,
            condition: LastCondition::default(),
        })
    }

    /// True if the pool was opened with sessions that refuse writes.
    pub(in crate::store) const fn is_read_only(&self) -> bool {
        self.read_only
    }

    pub(in crate::store) const fn condition(&self) -> &LastCondition {
        &self.condition
    }

    pub(in crate::store) async fn begin(&self) -> sqlx::Result<PgTx> {
        self.begin_with("BEGIN").await
    }

    /// Begins a transaction with these statements, sent as one message.
    ///
    /// Runs in a task of its own, which completes even if the caller is cancelled: sqlx learns of a transaction from
    /// the server's answer, and would otherwise hand the connection out with the transaction open.
    pub(in crate::store) async fn begin_with(&self, statements: &'static str) -> sqlx::Result<PgTx> {
        let checkout = self.connections.acquire().await?;
        let begun = tokio::spawn(checkout.begin(statements));
        let (tx, permit) = begun.await.unwrap_or_else(|_| Err(sqlx::Error::WorkerCrashed))?;
        Ok(PgTx { tx, permit, named_statements: self.named_statements, condition: self.condition.clone() })
    }

    pub(in crate::store) async fn close(&self) {
        self.connections.close().await;
    }
}

impl PgTx {
    pub(in crate::store) const fn condition(&self) -> &LastCondition {
        &self.condition
    }

    pub(in crate::store) async fn commit(self) -> sqlx::Result<()> {
        let Self { tx, permit, .. } = self;
        let done = tx.commit().await;
        drop(permit);
        done
    }

    pub(in crate::store) async fn rollback(self) -> sqlx::Result<()> {
        let Self { tx, permit, .. } = self;
        let done = tx.rollback().await;
        drop(permit);
        done
    }
}

impl std::ops::Deref for PgTx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.tx
    }
}

impl std::ops::DerefMut for PgTx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.tx
    }
}

impl<'c> Executor<'c> for &'c mut PgTx {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Step>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.named_statements { (*self.tx).fetch_many(query) } else { (*self.tx).fetch_many(Unnamed(query)) }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.named_statements { (*self.tx).fetch_optional(query) } else { (*self.tx).fetch_optional(Unnamed(query)) }
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'c: 'e,
    {
        (*self.tx).prepare_with(sql, parameters)
    }
}

impl<'c> Executor<'c> for &'c Pg {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Step>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let read = async move {
            if self.named_statements {
                let mut checkout = self.connections.acquire().await?;
                let steps: Vec<Step> = checkout.connection().fetch_many(query).try_collect().await?;
                checkout.release();
                return Ok(stream::iter(steps.into_iter().map(Ok)));
            }
            let mut tx = self.begin().await?;
            let steps: Vec<Step> = tx.fetch_many(query).try_collect().await?;
            tx.commit().await?;
            Ok::<_, sqlx::Error>(stream::iter(steps.into_iter().map(Ok)))
        };
        stream::once(read).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move {
            if self.named_statements {
                let mut checkout = self.connections.acquire().await?;
                let row = checkout.connection().fetch_optional(query).await?;
                checkout.release();
                return Ok(row);
            }
            let mut tx = self.begin().await?;
            let row = tx.fetch_optional(query).await?;
            tx.commit().await?;
            Ok(row)
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let mut checkout = self.connections.acquire().await?;
            let statement = checkout.connection().prepare_with(sql, parameters).await?;
            checkout.release();
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
