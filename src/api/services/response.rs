//! Responses with services, which contain the ids of all their users.
//!
//! A service may have a million users, so a long response is streamed: its users are read from the database, a batch at a
//! time, while earlier ones are sent. The JSON around the users is written here, field by field.

use std::collections::HashMap;
use std::fmt::Write;

use futures_util::stream::{self, StreamExt};
use poem::{Body, Response};
use serde::Serialize;
use tracing::Span;
use utoipa::ToSchema;

use crate::api::http::error::ApiError;
use crate::api::http::paging::Page;
use crate::domain::ids::{AdminId, ServiceId, UserId};
use crate::domain::service::Service;
use crate::store::Db;
use crate::store::hosts::services::{FIRST_USERS, users_after};

/// Number of user ids per read: a few milliseconds of a connection, however slowly the client receives them.
const BATCH: i64 = 10_000;
/// Minimum size of a chunk of the response, in bytes, except for the last one.
const CHUNK: usize = 32 * 1024;

/// A service.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceResponse {
    id: i64,
    name: Option<String>,
    inbound_ids: Vec<i64>,
    /// Ids of the users, without removed ones.
    user_ids: Vec<i64>,
    /// Number of the users, in lists with `count_users`.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_count: Option<i64>,
}

impl ServiceResponse {
    /// A service with the number of its users in place of their ids.
    pub(super) fn counted(service: Service, counts: &HashMap<ServiceId, i64>) -> Self {
        Self {
            id: service.id.0,
            name: service.name,
            inbound_ids: service.inbound_ids.iter().map(|id| id.0).collect(),
            user_ids: Vec::new(),
            user_count: Some(counts.get(&service.id).copied().unwrap_or(0)),
        }
    }
}

/// Returns one service, which was read with its users of that owner (none: all users).
pub(in crate::api) async fn one(db: &Db, owner: Option<AdminId>, service: Service) -> Result<Response, ApiError> {
    Writer::new(db, owner, vec![service], String::new(), String::new()).respond().await
}

/// Returns a page of services, which were read with their users of that owner (none: all users). `page` has no items.
pub(in crate::api) async fn page(
    db: &Db,
    owner: Option<AdminId>,
    services: Vec<Service>,
    page: &Page<ServiceResponse>,
) -> Result<Response, ApiError> {
    let Page { items: _, total, page, size, pages, links } = page;
    let mut end = format!(r#"],"total":{total},"page":{page},"size":{size},"pages":{pages}"#);
    if let Some(links) = links {
        end.push_str(r#","links":"#);
        end.push_str(&json(links)?);
    }
    end.push('}');
    Writer::new(db, owner, services, r#"{"items":["#.to_owned(), end).respond().await
}

fn json(value: &impl Serialize) -> Result<String, ApiError> {
    serde_json::to_string(value).map_err(ApiError::internal)
}

/// Writes the response in chunks.
struct Writer {
    db: Db,
    /// Only users of this admin are written; none: all users.
    owner: Option<AdminId>,
    /// Services that are not written yet.
    services: std::vec::IntoIter<Service>,
    /// The service whose users are being written, and the last user that has been.
    open: Option<(ServiceId, UserId)>,
    /// Text between services.
    separator: &'static str,
    /// Text after the last service, until it is written.
    end: Option<String>,
    /// Text that is written but not sent.
    text: String,
}

impl Writer {
    fn new(db: &Db, owner: Option<AdminId>, services: Vec<Service>, start: String, end: String) -> Self {
        let services = services.into_iter();
        Self { db: db.clone(), owner, services, open: None, separator: "", end: Some(end), text: start }
    }

    /// Most responses are one chunk. An error before the first chunk is sent gets an error response; a later one closes
    /// the connection, so that no client takes a part for the complete response.
    async fn respond(mut self) -> Result<Response, ApiError> {
        let first = self.next().await?.unwrap_or_default();
        let response = Response::builder().content_type("application/json");
        if self.is_done() {
            return Ok(response.body(first));
        }
        let span = Span::current();
        let rest = stream::try_unfold(self, move |mut writer| {
            let span = span.clone();
            async move {
                match writer.next().await {
                    Ok(chunk) => Ok(chunk.map(|chunk| (chunk, writer))),
                    Err(error) => {
                        span.in_scope(|| tracing::warn!(causes = error.causes(), "response aborted"));
                        Err(std::io::Error::other(error))
                    }
                }
            }
        });
        Ok(response.body(Body::from_bytes_stream(stream::once(async { Ok(first) }).chain(rest))))
    }

    async fn next(&mut self) -> Result<Option<String>, ApiError> {
        while self.text.len() < CHUNK {
            if let Some((service, after)) = self.open {
                let (users, last) = users_after(&self.db, service, self.owner, after, BATCH).await?;
                self.open = last.map(|last| (service, last));
                if !users.is_empty() {
                    self.text.push(',');
                    self.text.push_str(json(&users.as_slice())?.trim_matches(['[', ']']));
                }
                if self.open.is_none() {
                    self.close_service();
                }
            } else if let Some(service) = self.services.next() {
                self.open_service(&service)?;
            } else if let Some(end) = self.end.take() {
                self.text.push_str(&end);
            } else {
                break;
            }
        }
        let chunk = std::mem::take(&mut self.text);
        Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
    }

    /// Writes a service with its first users, and closes it if it has no others.
    fn open_service(&mut self, service: &Service) -> Result<(), ApiError> {
        let users = &service.first_users;
        self.open = users.last().filter(|_| users.len() as i64 == FIRST_USERS).map(|last| (service.id, *last));
        self.text.push_str(std::mem::replace(&mut self.separator, ","));
        let (id, name) = (service.id.0, json(&service.name)?);
        let (inbounds, users) = (json(&service.inbound_ids)?, json(users)?);
        let users = users.strip_suffix(']').unwrap_or(&users);
        // Writing to a String can't fail.
        let _ = write!(self.text, r#"{{"id":{id},"name":{name},"inbound_ids":{inbounds},"user_ids":{users}"#);
        if self.open.is_none() {
            self.close_service();
        }
        Ok(())
    }

    fn close_service(&mut self) {
        self.text.push_str("]}");
    }

    const fn is_done(&self) -> bool {
        self.end.is_none() && self.text.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::api::http::paging::Links;
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
            statement_timeout: Duration::from_secs(1),
            busy_timeout: Duration::from_secs(1),
            read_only: false,
        };
        let db = Db::open(&options).await.expect("it opens");
        migrate(&db).await.expect("migrated");
        (folder, db)
    }

    /// A service whose own row fills a chunk, with enough first users that there may be more.
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
    async fn page_has_the_fields_of_its_schema() {
        let (_folder, db) = database().await;
        let service =
            || Service { name: Some("a \"b\"".to_owned()), first_users: vec![UserId(7), UserId(8)], ..service() };
        let links = || {
            let link = || "/api/services?page=1".to_owned();
            Some(Links { first: link(), last: link(), this: link(), next: Some(link()), prev: None })
        };
        for links in [links, || None] {
            let frame = |items| Page { items, total: 5, page: 1, size: 2, pages: 3, links: links() };
            let response = page(&db, None, vec![service(), service()], &frame(Vec::new())).await.expect("a response");
            let body: serde_json::Value = response.into_body().into_json().await.expect("JSON");
            let item = || ServiceResponse {
                id: 1,
                name: service().name,
                inbound_ids: service().inbound_ids.iter().map(|id| id.0).collect(),
                user_ids: vec![7, 8],
                user_count: None,
            };
            assert_eq!(body, serde_json::to_value(frame(vec![item(), item()])).expect("JSON"));
        }
    }

    #[tokio::test]
    async fn streamed_response_is_complete_json() {
        let (_folder, db) = database().await;
        let response = one(&db, None, service()).await.expect("a response");
        let body: serde_json::Value = response.into_body().into_json().await.expect("JSON");
        assert_eq!(body["user_ids"].as_array().map(Vec::len), Some(1_000));
    }

    #[tokio::test]
    async fn streamed_response_ends_with_an_error_if_the_database_fails() {
        let (_folder, db) = database().await;
        let response = one(&db, None, service()).await.expect("a response");
        db.close().await;
        let mut chunks = Box::pin(response.into_body().into_bytes_stream());
        assert!(chunks.next().await.expect("a chunk").is_ok());
        assert!(chunks.next().await.expect("an end").is_err());
        assert!(
            one(&db, None, Service { inbound_ids: Vec::new(), ..service() }).await.is_err(),
            "before anything is sent"
        );
    }
}
