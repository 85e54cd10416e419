//! Services as they are written: with the ids of all their users. Of those there may be a million, so that a long answer
//! is read from the database, a part at a time, while it is sent.

use futures_util::stream::{self, StreamExt};
use poem::{Body, Response};
use tracing::Span;

use super::ServiceResponse;
use crate::api::http::error::ApiError;
use crate::api::http::paging::Page;
use crate::domain::ids::{ServiceId, UserId};
use crate::domain::service::Service;
use crate::store::Db;
use crate::store::hosts::services::{FIRST_USERS, users_after};

/// So many users are read at once: a few milliseconds of a connection, however slowly the reader takes them.
const PART: i64 = 10_000;
/// A piece of the answer has at least so many bytes, unless it is the last.
const PIECE: usize = 32 * 1024;

/// The ids of the users come last in a service.
const END_OF_USERS: &str = "]}";

/// One service.
pub(in crate::api) async fn one(db: &Db, service: Service) -> Result<Response, ApiError> {
    Writer::new(db, vec![service], "", "").answer().await
}

/// A page of services: the items are those of `services`, all else is the page's.
pub(in crate::api) async fn page(
    db: &Db,
    services: Vec<Service>,
    page: &Page<ServiceResponse>,
) -> Result<Response, ApiError> {
    const NO_ITEMS: &str = r#""items":["#;
    let around = serde_json::to_string(page).map_err(ApiError::internal)?;
    let Some(at) = around.find(NO_ITEMS) else { return Err(ApiError::internal("a page without items")) };
    let (before, after) = around.split_at(at + NO_ITEMS.len());
    Writer::new(db, services, before, after).answer().await
}

struct Writer {
    db: Db,
    /// Those that come yet.
    services: std::vec::IntoIter<Service>,
    /// The service whose users are not all written, and the last one that is.
    open: Option<(ServiceId, UserId)>,
    /// Between the services.
    separator: &'static str,
    /// What comes after the last one, until it is written.
    end: Option<String>,
    /// Written and not sent.
    text: String,
}

impl Writer {
    fn new(db: &Db, services: Vec<Service>, before: &str, after: &str) -> Self {
        let (services, end) = (services.into_iter(), Some(after.to_owned()));
        Self { db: db.clone(), services, open: None, separator: "", end, text: before.to_owned() }
    }

    /// Most answers are one piece. What goes wrong before the first one is sent is an error like any other; later, the
    /// connection breaks off, so that nobody takes a part for the whole.
    async fn answer(mut self) -> Result<Response, ApiError> {
        let first = self.next().await?.unwrap_or_default();
        let response = Response::builder().content_type("application/json");
        if self.is_done() {
            return Ok(response.body(first));
        }
        let span = Span::current();
        let others = stream::try_unfold(self, move |mut writer| {
            let span = span.clone();
            async move {
                match writer.next().await {
                    Ok(piece) => Ok(piece.map(|piece| (piece, writer))),
                    Err(error) => {
                        span.in_scope(|| tracing::warn!(causes = error.causes(), "an answer broke off"));
                        Err(std::io::Error::other(error))
                    }
                }
            }
        });
        Ok(response.body(Body::from_bytes_stream(stream::once(async { Ok(first) }).chain(others))))
    }

    async fn next(&mut self) -> Result<Option<String>, ApiError> {
        while self.text.len() < PIECE {
            if let Some((service, after)) = self.open {
                let (users, last) = users_after(&self.db, service, after, PART).await?;
                self.open = last.map(|last| (service, last));
                if !users.is_empty() {
                    let ids = serde_json::to_string(users.as_slice()).map_err(ApiError::internal)?;
                    self.text.push(',');
                    self.text.push_str(ids.trim_matches(['[', ']']));
                }
                if self.open.is_none() {
                    self.text.push_str(END_OF_USERS);
                }
            } else if let Some(service) = self.services.next() {
                self.write(service)?;
            } else if let Some(end) = self.end.take() {
                self.text.push_str(&end);
            } else {
                break;
            }
        }
        let piece = std::mem::take(&mut self.text);
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }

    /// A service, whole if its first users are all that it has.
    fn write(&mut self, service: Service) -> Result<(), ApiError> {
        let (id, last) = (service.id, service.first_users.last().copied());
        self.open = last.filter(|_| service.first_users.len() as i64 == FIRST_USERS).map(|last| (id, last));
        self.text.push_str(std::mem::replace(&mut self.separator, ","));
        let whole = serde_json::to_string(&ServiceResponse::from(service)).map_err(ApiError::internal)?;
        let begun = whole.strip_suffix(END_OF_USERS).filter(|_| self.open.is_some());
        self.text.push_str(begun.unwrap_or(&whole));
        Ok(())
    }

    const fn is_done(&self) -> bool {
        self.end.is_none() && self.text.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::database_url::DatabaseUrl;
    use crate::domain::ids::InboundId;
    use crate::store::OpenOptions;
    use crate::store::migrate::migrate;

    async fn database() -> (tempfile::TempDir, Db) {
        let folder = tempfile::tempdir().expect("a folder");
        let options = OpenOptions {
            url: DatabaseUrl::Sqlite { path: folder.path().join("db.sqlite3") },
            connections: 1,
            statement_cache: 1,
            application_name: String::new(),
            acquire_timeout: Duration::from_secs(1),
            busy_timeout: Duration::from_secs(1),
            read_only: false,
        };
        let db = Db::open(&options).await.expect("it opens");
        migrate(&db).await.expect("migrated");
        (folder, db)
    }

    /// With so long numbers that its own row fills a piece, and so many that there may be more users.
    fn service() -> Service {
        let numbers = || (0..1_000).map(|id| 1_000_000_000_000_000_000 + id);
        Service {
            id: ServiceId(1),
            name: None,
            inbound_ids: numbers().map(InboundId).collect(),
            first_users: numbers().map(UserId).collect(),
        }
    }

    #[tokio::test]
    async fn an_answer_in_pieces_is_whole_json() {
        let (_folder, db) = database().await;
        let response = one(&db, service()).await.expect("an answer");
        let body: serde_json::Value = response.into_body().into_json().await.expect("JSON");
        assert_eq!(body["user_ids"].as_array().map(Vec::len), Some(1_000));
    }

    #[tokio::test]
    async fn an_answer_whose_database_goes_away_breaks_off() {
        let (_folder, db) = database().await;
        let response = one(&db, service()).await.expect("an answer");
        db.close().await;
        let mut pieces = Box::pin(response.into_body().into_bytes_stream());
        assert!(pieces.next().await.expect("a piece").is_ok());
        assert!(pieces.next().await.expect("an end").is_err());
        assert!(one(&db, Service { inbound_ids: Vec::new(), ..service() }).await.is_err(), "before anything is sent");
    }
}
