//! The link of an edge to the panels: HTTPS requests to the one that answered last, and to the next one if it does not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prost::Message;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::panel_errors::{Faults, LinkError, LinkFault, PanelError};
use crate::config::edge::Followed;
use crate::config::secret::Secret;
use crate::domain::copy::{Position, Update, UserPage};
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

/// An operation of panels for edges.
#[derive(Clone, Copy)]
struct Operation {
    path: &'static str,
    /// Longest wait for the begin of the answer. A line that is cut silently costs this time.
    patience: Duration,
}

impl Operation {
    fn is_report(self) -> bool {
        self.path == REPORT.path
    }
}

/// Asked again and again while panels are away: how soon an edge sees that one is back depends on its patience.
const START: Operation = Operation { path: "/api/edge/start", patience: Duration::from_secs(4) };
const SHARED: Operation = Operation { path: "/api/edge/shared", patience: PATIENCE };
const CHANGES: Operation = Operation { path: "/api/edge/changes", patience: PATIENCE };
const USERS: Operation = Operation { path: "/api/edge/users", patience: PATIENCE };
const REPORT: Operation = Operation { path: "/api/edge/report", patience: PATIENCE };

/// The panels of an edge.
#[derive(Debug)]
pub struct PanelLink {
    client: Client,
    token: Secret,
    panels: Vec<String>,
    /// Settings of this edge.
    own: RenderSettings,
    /// The panel that answered last.
    current: AtomicUsize,
    faults: Faults,
}

/// Settings that decide what links look like: a panel and its edges must have the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RenderSettings {
    /// Version of the program.
    pub version: String,
    /// `AUTH_GENERATION_ALGORITHM`.
    pub auth_generation_algorithm: String,
    /// `SUBSCRIPTION_URL_PREFIX`, without a final slash.
    pub subscription_url_prefix: String,
    /// Hash of the templates.
    pub templates: String,
}

/// Where to begin.
#[derive(Deserialize)]
struct Start {
    position: String,
    #[serde(flatten)]
    settings: RenderSettings,
}

/// The answer of a panel.
struct Answer {
    panel: String,
    bytes: Vec<u8>,
}

impl Answer {
    fn decoded<T: Message + Default>(self) -> Result<T, PanelError> {
        let Self { panel, bytes } = self;
        T::decode(bytes.as_slice()).map_err(|error| PanelError::Unreadable { panel, reason: chain(&error) })
    }
}

impl PanelLink {
    /// Prepares the link; connects to nothing. `own`: settings of this edge.
    pub fn new(followed: Followed, own: RenderSettings) -> Result<Self, LinkError> {
        let mut builder = Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(Policy::none())
            .default_headers(HeaderMap::from_iter([(FORMAT_NAME, HeaderValue::from(FORMAT))]))
            .user_agent(concat!("sarban-edge/", env!("CARGO_PKG_VERSION")));
        if let Some(file) = followed.ca_file {
            let pem = std::fs::read(&file).map_err(|source| LinkError::Unreadable { file: file.clone(), source })?;
            let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
            if certificates.is_empty() {
                return Err(LinkError::NoCertificates(file));
            }
            builder = builder.tls_certs_only(certificates);
        }
        let client = builder.build().map_err(|error| LinkError::Tls(chain(&error)))?;
        let Followed { token, panels, .. } = followed;
        Ok(Self { client, token, panels, own, current: AtomicUsize::new(0), faults: Faults::default() })
    }

    /// Returns the position of now. An error if the panel derives other credentials from keys.
    pub async fn position(&self) -> Result<Position, PanelError> {
        let answer = self.ask(START, |url| self.client.get(url)).await?;
        let read = self.read_start(&answer);
        self.noted(START, read)
    }

    fn read_start(&self, answer: &Answer) -> Result<Position, PanelError> {
        let panel = answer.panel.clone();
        let start: Start = match serde_json::from_slice(&answer.bytes) {
            Ok(start) => start,
            Err(error) => return Err(PanelError::Unreadable { panel, reason: chain(&error) }),
        };
        let (own, theirs) = (&self.own, start.settings);
        if own.auth_generation_algorithm != theirs.auth_generation_algorithm {
            return Err(PanelError::OtherCredentials { panel, theirs: theirs.auth_generation_algorithm });
        }
        for setting in own.differences(&theirs) {
            tracing::warn!(panel, "{setting} of this edge differ from the panel's, and so do its links; set the same");
        }
        position(&panel, &start.position)
    }

    /// Returns what changed after a position; `None` if it can't be followed from there any more.
    pub async fn update(&self, after: &Position) -> Result<Option<Update>, PanelError> {
        let ask = |url: String| self.client.post(url).json(&json!({"after": after.text()}));
        let answer = match self.ask(CHANGES, ask).await {
            Ok(answer) => answer,
            // Gone, or longer than a panel accepts it.
            Err(PanelError::Refused { status: 410 | 413 | 422, .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let panel = answer.panel.clone();
        let read = answer.decoded::<Update>().and_then(|it| position(&panel, &it.position).map(|_| it));
        self.noted(CHANGES, read).map(Some)
    }

    /// Returns up to `limit` users after an id.
    pub async fn page(&self, after: i64, limit: i64) -> Result<UserPage, PanelError> {
        let after = after.max(0);
        let answer = self.ask(USERS, |url| self.client.get(format!("{url}?after={after}&limit={limit}"))).await?;
        self.noted(USERS, answer.decoded())
    }

    /// Returns the part that all subscriptions share, as JSON.
    pub async fn shared_part(&self) -> Result<Vec<u8>, PanelError> {
        let answer = self.ask(SHARED, |url| self.client.get(url)).await?;
        self.noted(SHARED, Ok(answer.bytes))
    }

    /// Sends a report.
    pub async fn report(&self, report: &Value) -> Result<(), PanelError> {
        self.ask(REPORT, |url| self.client.post(url).json(report)).await?;
        self.noted(REPORT, Ok(()))
    }

    /// Returns what can't be done at the moment.
    pub fn fault(&self) -> Option<LinkFault> {
        self.faults.lasting(REPORT.path)
    }

    /// Asks the panels in turn until one answers. The error is that of the first one.
    async fn ask(&self, operation: Operation, ask: impl Fn(String) -> RequestBuilder) -> Result<Answer, PanelError> {
        let first = self.current.load(Ordering::Relaxed);
        let mut failed = None;
        for index in (first..first + self.panels.len()).map(|index| index % self.panels.len()) {
            let panel = &self.panels[index];
            match self.ask_one(panel, ask(format!("{panel}{}", operation.path)), operation).await {
                Ok(bytes) => {
                    if index != first {
                        tracing::info!(panel, "the edge follows this panel now");
                    }
                    self.current.store(index, Ordering::Relaxed);
                    return Ok(Answer { panel: panel.clone(), bytes });
                }
                // All panels would say this about a position.
                Err(error @ PanelError::Refused { status: 410 | 413 | 422, .. }) if operation.path == CHANGES.path => {
                    self.faults.succeeded(operation.path);
                    return Err(error);
                }
                Err(error) => _ = failed.get_or_insert(error),
            }
        }
        // There is at least one panel.
        let failed =
            failed.unwrap_or_else(|| PanelError::NoAnswer { panel: String::new(), reason: "there is none".to_owned() });
        self.noted(operation, Err(failed))
    }

    /// Remembers whether an operation succeeded.
    fn noted<T>(&self, operation: Operation, done: Result<T, PanelError>) -> Result<T, PanelError> {
        match &done {
            Ok(_) if self.faults.succeeded(operation.path) && self.fault().is_none() => {
                let panel = &self.panels[self.current.load(Ordering::Relaxed)];
                tracing::info!(panel, "the edge follows this panel again");
            }
            Ok(_) => {}
            Err(error) => self.faults.failed(operation.path, operation.is_report(), error),
        }
        done
    }

    async fn ask_one(&self, panel: &str, request: RequestBuilder, operation: Operation) -> Result<Vec<u8>, PanelError> {
        let patience = operation.patience;
        let unreachable = |reason: String| PanelError::NoAnswer { panel: panel.to_owned(), reason };
        let no_answer = |error: reqwest::Error| unreachable(chain(&error.without_url()));
        let Ok(sent) = timeout(patience, request.bearer_auth(self.token.expose()).send()).await else {
            return Err(unreachable(format!("no answer within {} s", patience.as_secs())));
        };
        let response = sent.map_err(no_answer)?;
        let status = response.status();
        if status == StatusCode::OK {
            // Of the answer to a report, the status is read alone.
            if !operation.is_report()
                && let Some(theirs) = later_format(response.headers())
            {
                return Err(PanelError::NewerFormat { panel: panel.to_owned(), theirs });
            }
            return received(response, MAX_ANSWER).await.map_err(no_answer);
        }
        let body = received(response, MAX_ANSWER).await.unwrap_or_default();
        let detail = serde_json::from_slice::<Value>(&body).unwrap_or_default()["detail"].to_string();
        let (panel, status) = (panel.to_owned(), status.as_u16());
        let detail: String = detail.trim_matches('"').chars().take(MAX_DETAIL).collect();
        Err(match status {
            401 | 403 => PanelError::Token { panel, status, detail },
            404 | 405 => PanelError::NoPanel { panel },
            _ => PanelError::Refused { panel, status, detail },
        })
    }
}

/// The format of an answer, if this version can't read it. The first panels did not say theirs.
fn later_format(headers: &HeaderMap) -> Option<String> {
    let format = headers.get(FORMAT_NAME)?.to_str().unwrap_or_default();
    let is_known = format.parse::<u32>().is_ok_and(|format| format <= FORMAT);
    (!is_known).then(|| format.to_owned())
}

/// Reads a panel's position.
fn position(panel: &str, text: &str) -> Result<Position, PanelError> {
    let reason = || "its position is that of another version; update the edge".to_owned();
    Position::from_text(text).ok_or_else(|| PanelError::Unreadable { panel: panel.to_owned(), reason: reason() })
}

impl RenderSettings {
    /// Names the settings in which links may differ.
    fn differences(&self, panel: &Self) -> Vec<&'static str> {
        let mut found = Vec::new();
        if self.subscription_url_prefix != panel.subscription_url_prefix {
            found.push("SUBSCRIPTION_URL_PREFIX");
        }
        // Another version may describe the same templates otherwise.
        if self.version == panel.version && self.templates != panel.templates {
            found.push("the templates (CUSTOM_TEMPLATES_DIRECTORY)");
        }
        found
    }
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
