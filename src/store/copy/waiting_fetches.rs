//! Fetches of subscriptions that wait in a copy's file until the database is back.

use sqlx::{Connection, QueryBuilder, Sqlite, query, query_as, query_scalar};

use super::file::{CopyFile, failed};
use super::rows::ROWS;
use super::schema;
use crate::domain::ids::UserId;
use crate::domain::moment::Moment;
use crate::store::engine::StoreError;
use crate::store::users::subscription_fetches::Fetch;

impl CopyFile {
    /// Stores fetches until the database is back; an older one replaces no newer one.
    pub async fn store_fetches(&self, fetches: &[(UserId, Fetch)]) -> Result<(), StoreError> {
        self.write(async |connection| {
            for part in fetches.chunks(ROWS) {
                let mut statement = QueryBuilder::<Sqlite>::new(schema::PUT_FETCHES);
                statement.push_values(part, |mut row, (user, fetch)| {
                    row.push_bind(user.0).push_bind(fetch.at.micros()).push_bind(&fetch.user_agent);
                });
                statement.push(schema::NEWER_FETCH);
                statement.build().persistent(part.len() == ROWS).execute(&mut *connection).await?;
            }
            Ok(())
        })
        .await
    }

    /// Returns up to `limit` stored fetches, by user.
    pub async fn stored_fetches(&self, limit: usize) -> Result<Vec<(UserId, Fetch)>, StoreError> {
        let rows = query_as::<_, (i64, i64, String)>(schema::FETCHES)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.0.read)
            .await;
        let rows = rows.map_err(|source| failed("reading a copy", source))?;
        let fetch = |(user, at, user_agent)| (UserId(user), Fetch { at: Moment::from_micros(at), user_agent });
        Ok(rows.into_iter().map(fetch).collect())
    }

    /// Returns the number of stored fetches.
    pub async fn count_fetches(&self) -> Result<usize, StoreError> {
        let count = query_scalar::<_, i64>(schema::COUNT_FETCHES).fetch_one(&self.0.read).await;
        count.map(|count| usize::try_from(count).unwrap_or(0)).map_err(|source| failed("reading a copy", source))
    }

    /// Removes stored fetches that the database has, unless there was a newer one meanwhile.
    pub async fn forget_fetches(&self, fetches: &[(UserId, Fetch)]) -> Result<(), StoreError> {
        self.write(async |connection| {
            let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
            for (user, fetch) in fetches {
                query(schema::FORGET_FETCH).bind(user.0).bind(fetch.at.micros()).execute(&mut *tx).await?;
            }
            tx.commit().await
        })
        .await
    }
}
