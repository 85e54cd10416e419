//! One request of an edge to one panel, and whether the answer can be used.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::time::timeout;

use super::panel_errors::{LinkError, PanelError};
use crate::config::edge::Followed;
use crate::config::secret::Secret;
use crate::domain::edge::{FORMAT, FORMAT_HEADER};
use crate::foundation::chain;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// From connecting to the last byte of the answer: a page of users over a slow line.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// To the first byte of the answer, of which a page of users costs a panel milliseconds.
const PATIENCE: Duration = Duration::from_secs(8);
/// Bytes of an answer, at most: a change of a hundred thousand users at once has less.
const MAX_ANSWER: usize = 64 << 20;
/// Characters of a panel's own explanation that are shown.
const MAX_DETAIL: usize = 200;

const FORMAT_NAME: HeaderName = HeaderName::from_static(FORMAT_HEADER);
const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

/// An operation of panels for edges.
#[derive(Clone, Copy)]
pub(super) struct Operation {
    pub(super) path: &'static str,
    /// Longest wait for the begin of the answer. A line that is cut silently costs this time.
    patience: Duration,
    /// Type of the answer; `None`: its status alone counts.
    kind: Option<&'static str>,
}

/// Asked again and again while panels are away: how soon an edge sees that one is back depends on its patience.
pub(super) const START: Operation =
    Operation { path: "/api/edge/start", patience: Duration::from_secs(4), kind: Some(JSON) };
pub(super) const SHARED: Operation = Operation { path: "/api/edge/shared", patience: PATIENCE, kind: Some(JSON) };
pub(super) const CHANGES: Operation = Operation { path: "/api/edge/changes", patience: PATIENCE, kind: Some(PROTOBUF) };
pub(super) const USERS: Operation = Operation { path: "/api/edge/users", patience: PATIENCE, kind: Some(PROTOBUF) };
pub(super) const REPORT: Operation = Operation { path: "/api/edge/report", patience: PATIENCE, kind: None };

impl Operation {
    pub(super) const fn is_report(self) -> bool {
        self.kind.is_none()
    }
}

/// Sends the requests.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) client: Client,
    token: Secret,
}

impl Requests {
    /// Prepares them; connects to nothing.
    pub(super) fn new(followed: &Followed) -> Result<Self, LinkError> {
        let mut builder = Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(Policy::none())
            .default_headers(HeaderMap::from_iter([(FORMAT_NAME, HeaderValue::from(FORMAT))]))
            .user_agent(concat!("sarban-edge/", env!("CARGO_PKG_VERSION")));
        if let Some(file) = &followed.ca_file {
            let pem = std::fs::read(file).map_err(|source| LinkError::Unreadable { file: file.clone(), source })?;
            let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
            if certificates.is_empty() {
                return Err(LinkError::NoCertificates(file.clone()));
            }
            builder = builder.tls_certs_only(certificates);
        }
        let client = builder.build().map_err(|error| match &followed.ca_file {
            Some(file) => LinkError::WrongCertificate { file: file.clone(), reason: chain(&error) },
            None => LinkError::Tls(chain(&error)),
        })?;
        Ok(Self { client, token: followed.token.clone() })
    }

    /// Sends a request to a panel. Returns the body of an answer that is one of a panel.
    pub(super) async fn send(
        &self,
        panel: &str,
        request: RequestBuilder,
        operation: Operation,
    ) -> Result<Vec<u8>, PanelError> {
        let patience = operation.patience;
        let unreachable = |reason: String| PanelError::NoAnswer { panel: panel.to_owned(), reason };
        let no_answer = |error: reqwest::Error| unreachable(chain(&error.without_url()));
        let Ok(sent) = timeout(patience, request.bearer_auth(self.token.expose()).send()).await else {
            return Err(unreachable(format!("no answer within {} s", patience.as_secs())));
        };
        let response = sent.map_err(no_answer)?;
        let status = response.status();
        if status == StatusCode::OK {
            if let Some(kind) = operation.kind {
                check(panel, response.headers(), kind)?;
            }
            return received(response, MAX_ANSWER).await.map_err(no_answer);
        }
        let body = received(response, MAX_ANSWER).await.unwrap_or_default();
        let (panel, status, detail) = (panel.to_owned(), status.as_u16(), explanation(&body));
        Err(match status {
            401 | 403 => PanelError::Token { panel, status, detail },
            404 | 405 => PanelError::NoPanel { panel },
            _ => PanelError::Refused { panel, status, detail },
        })
    }
}

/// A panel's own explanation of a refusal. The page of a proxy has none.
fn explanation(body: &[u8]) -> String {
    match &serde_json::from_slice::<Value>(body).unwrap_or_default()["detail"] {
        Value::Null => "no explanation; a proxy may have answered in its place".to_owned(),
        detail => detail.to_string().trim_matches('"').chars().take(MAX_DETAIL).collect(),
    }
}

/// An answer without a body would read as a page without users, which ends a copy: it must be one of a panel, and of no later format.
fn check(panel: &str, headers: &HeaderMap, kind: &str) -> Result<(), PanelError> {
    let panel = panel.to_owned();
    if let Some(theirs) = later_format(headers) {
        return Err(PanelError::NewerFormat { panel, theirs });
    }
    let found = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or("missing");
    if found.split(';').next().map(str::trim) != Some(kind) {
        let found: String = found.chars().take(MAX_DETAIL).collect();
        let reason = format!("its Content-Type is {found}, not {kind}: check what is between the edge and the panel");
        return Err(PanelError::Unreadable { panel, reason });
    }
    Ok(())
}

/// The format of an answer, if this version can't read it. The first panels did not say theirs.
fn later_format(headers: &HeaderMap) -> Option<String> {
    let format = headers.get(FORMAT_NAME)?.to_str().unwrap_or_default();
    let is_known = format.parse::<u32>().is_ok_and(|format| format <= FORMAT);
    (!is_known).then(|| format.to_owned())
}

/// Receives a body, cut at a size.
async fn received(mut response: Response, most: usize) -> Result<Vec<u8>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > most {
            break;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_is_explained_by_the_panel_or_not_at_all() {
        for (body, shown) in [
            (&br#"{"detail": "the panel stops"}"#[..], "the panel stops"),
            (br#"{"detail": {"body": "is empty"}}"#, r#"{"body":"is empty"}"#),
            (
                b"<html><h1>503 Service Unavailable</h1></html>",
                "no explanation; a proxy may have answered in its place",
            ),
            (b"", "no explanation; a proxy may have answered in its place"),
        ] {
            assert_eq!(explanation(body), shown);
        }
    }

    #[test]
    fn answer_that_is_none_of_a_panel_is_refused() {
        let answer = |headers: &[(HeaderName, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            check("https://panel.example", &headers.collect(), JSON)
        };
        assert_eq!(answer(&[(CONTENT_TYPE, "application/json; charset=utf-8")]), Ok(()));
        assert_eq!(answer(&[(CONTENT_TYPE, JSON), (FORMAT_NAME, "1")]), Ok(()));
        for wrong in [&[][..], &[(CONTENT_TYPE, "text/html")], &[(CONTENT_TYPE, PROTOBUF)]] {
            assert!(matches!(answer(wrong), Err(PanelError::Unreadable { .. })), "{wrong:?}");
        }
        let later = answer(&[(CONTENT_TYPE, "text/html"), (FORMAT_NAME, "99")]);
        assert!(matches!(later, Err(PanelError::NewerFormat { .. })), "{later:?}");
    }
}
