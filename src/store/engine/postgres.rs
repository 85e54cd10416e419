//! PostgreSQL's pool and transaction, which keep or do without prepared statements.
//!
//! pgbouncer in transaction mode lends a server connection for one transaction (before its version 1.21 with no idea
//! of prepared statements). A named statement would then be missing, or be somebody else's; an unnamed one is good
//! until the transaction's end. So behind it every statement is unnamed, and every read is a transaction.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo, Postgres};
use sqlx::{Either, Execute, Executor, PgConnection, SqlStr, Transaction};
use tokio::sync::OwnedSemaphorePermit;

use super::postgres_connections::PgConnections;

/// A pool. Cheap to clone. A statement outside a transaction runs on `&Pg`.
#[derive(Clone, Debug)]
pub struct Pg {
    connections: PgConnections,
    names: bool,
}

/// A transaction. A statement runs on `&mut PgTx`; only tests go past it, to the connection itself.
#[derive(Debug)]
pub struct PgTx {
    // Fields drop in this order.
    tx: Transaction<'static, Postgres>,
    place: OwnedSemaphorePermit,
    names: bool,
}

/// A statement that is prepared without a name, whatever it says itself.
struct Unnamed<E>(E);

type Step = Either<PgQueryResult, PgRow>;

impl Pg {
    /// `statement_cache`: prepared statements kept per connection; 0: none is ever named.
    pub(in crate::store) async fn open(
        connect: PgConnectOptions,
        most: u32,
        patience: Duration,
        statement_cache: usize,
    ) -> sqlx::Result<Self> {
        let names = statement_cache > 0;
        let mut connect = connect.statement_cache_capacity(statement_cache);
        if !names {
            // pgbouncer refuses start-up parameters that it does not know, and our floats travel in binary.
            connect = connect.extra_float_digits(None);
        }
        Ok(Self { connections: PgConnections::open(connect, most, patience, names).await?, names })
    }

    pub(in crate::store) async fn begin(&self) -> sqlx::Result<PgTx> {
        self.begin_with("BEGIN").await
    }

    /// Begins with these statements, as one message.
    ///
    /// In a task of its own, which comes to its end also when nobody waits for it any more: sqlx knows of a transaction
    /// from the server's answer on, and would lend the connection to others with the transaction open.
    pub(in crate::store) async fn begin_with(&self, statements: &'static str) -> sqlx::Result<PgTx> {
        let lent = self.connections.lend().await?;
        let begun = tokio::spawn(lent.begin(statements));
        let (tx, place) = begun.await.unwrap_or_else(|_| Err(sqlx::Error::WorkerCrashed))?;
        Ok(PgTx { tx, place, names: self.names })
    }

    pub(in crate::store) async fn close(&self) {
        self.connections.close().await;
    }
}

impl PgTx {
    pub(in crate::store) async fn commit(self) -> sqlx::Result<()> {
        let Self { tx, place, .. } = self;
        let done = tx.commit().await;
        drop(place);
        done
    }

    pub(in crate::store) async fn rollback(self) -> sqlx::Result<()> {
        let Self { tx, place, .. } = self;
        let done = tx.rollback().await;
        drop(place);
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
        if self.names { (*self.tx).fetch_many(query) } else { (*self.tx).fetch_many(Unnamed(query)) }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.names { (*self.tx).fetch_optional(query) } else { (*self.tx).fetch_optional(Unnamed(query)) }
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
            if self.names {
                let mut lent = self.connections.lend().await?;
                let steps: Vec<Step> = lent.connection().fetch_many(query).try_collect().await?;
                lent.give_back();
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
            if self.names {
                let mut lent = self.connections.lend().await?;
                let row = lent.connection().fetch_optional(query).await?;
                lent.give_back();
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
            let mut lent = self.connections.lend().await?;
            let statement = lent.connection().prepare_with(sql, parameters).await?;
            lent.give_back();
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
