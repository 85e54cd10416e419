//! The probe of a database: a statement that shows whether requests and tasks can use it.

use std::time::Duration;

use sqlx::query_scalar;
use tokio::time::{Instant, timeout};

use super::condition::Condition;
use super::db::Db;
use super::error::{Fault, StoreError};
use super::statement::{db_read, statements};

statements! {
    /// 1 if the session can't write.
    IS_READ_ONLY =>
        pg "SELECT CASE current_setting('transaction_read_only') WHEN 'on' THEN 1 ELSE 0 END",
        lite "SELECT 0";
}

impl Db {
    /// Asks the database, waits at most `limit`, and records what was found: [`Db::condition`] returns it from then on.
    pub async fn probe(&self, limit: Duration) -> Result<(), StoreError> {
        let asked = Instant::now();
        let answer = timeout(limit, self.is_read_only()).await;
        let answer = answer.unwrap_or_else(|_| Err(StoreError::timed_out("the health probe")));
        let last = self.last_condition();
        let read_only = match &answer {
            Ok(read_only) => *read_only,
            Err(error) => {
                // At once: trying another connection takes its time, and requests turn to the local copy of subscriptions.
                last.set_away(asked);
                let mut refusal = None;
                if let Self::Pg(pool) = self {
                    pool.abandon_if_silent(asked).await;
                    refusal = pool.refusal_since(asked);
                }
                last.set_probed(Some(match error.fault() {
                    // The time passed with further attempts to connect.
                    Fault::Unavailable(Condition::TimedOut) => refusal.unwrap_or(Condition::TimedOut),
                    Fault::Unavailable(condition) => condition,
                    // It answers, but not what was asked.
                    _ => Condition::Unreachable,
                }));
                return answer.map(drop);
            }
        };
        last.set_probed(read_only.then_some(Condition::ReadOnly));
        match self {
            // A session keeps what the database's settings were when it was opened.
            Self::Pg(pool) if read_only => pool.discard_connections(),
            Self::Pg(_) => last.forget(Condition::ReadOnly),
            // The probe of SQLite only reads: a write that succeeds shows more.
            Self::Lite(_) => {}
        }
        Ok(())
    }

    /// True if the database refuses writes although this pool was opened to write.
    async fn is_read_only(&self) -> Result<bool, StoreError> {
        // On SQLite the statement reads nothing: it only waits for a connection.
        if let Self::Lite(lite) = self
            && lite.read.is_free().map_err(|source| self.failed(IS_READ_ONLY.name, source))?
        {
            return Ok(false);
        }
        let read_only = db_read!(self, IS_READ_ONLY, |sql, c| query_scalar::<_, i32>(sql).fetch_one(c).await)? == 1;
        Ok(match self {
            Self::Pg(pool) => read_only && !pool.is_read_only(),
            Self::Lite(_) => read_only,
        })
    }
}
