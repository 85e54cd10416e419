//! The link of an edge to the panels: HTTPS requests to the one that answered last, and to the next one if it does not.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prost::Message;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::edge::Followed;
use crate::config::secret::Secret;
use crate::domain::copy::{Update, UserPage};
use crate::foundation::{chain, lock};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// From connecting to the last byte of the answer: a page of users over a slow line.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of an answer, at most: a change of a hundred thousand users at once has less.
const MAX_ANSWER: usize = 64 << 20;
/// Characters of a panel's own explanation that are shown.
const MAX_DETAIL: usize = 200;

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
    /// The fault of the panels that was logged last.
    logged: Mutex<Option<String>>,
    /// The same about a panel whose links have other credentials.
    refused: Mutex<Option<String>>,
}

/// Settings that decide what links look like: a panel and its edges must have the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
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

/// The certificates of `EDGE_CA_FILE` can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The file can't be read.
    #[error("EDGE_CA_FILE: could not read {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no certificate in the file.
    #[error("EDGE_CA_FILE: no PEM certificates in {}", .0.display())]
    NoCertificates(PathBuf),
    /// TLS can't be used.
    #[error("could not prepare TLS for the panels: {0}")]
    Tls(String),
}

/// Why no panel gave an answer that can be used. The texts name the panel, and contain no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PanelError {
    /// It could not be reached, or did not answer in time.
    #[error("the panel {panel} can't be reached: {reason}")]
    NoAnswer {
        /// Address.
        panel: String,
        /// Why.
        reason: String,
    },
    /// It does not accept the token.
    #[error(
        "the panel {panel} refuses EDGE_TOKEN ({status}): {detail}; make one with `sarban token create --admin NAME --name edge --scope 'edge:*'`"
    )]
    Token {
        /// Address.
        panel: String,
        /// Status of the answer.
        status: u16,
        /// The panel's explanation.
        detail: String,
    },
    /// It has no such operation.
    #[error("{panel} is no panel that edges can follow: it answered 404; check EDGE_PANELS, and update the panel")]
    NoPanel {
        /// Address.
        panel: String,
    },
    /// Its links have other credentials.
    #[error("the panel {panel} has AUTH_GENERATION_ALGORITHM={theirs}, and this edge has not: set the same here")]
    OtherCredentials {
        /// Address.
        panel: String,
        /// The panel's setting.
        theirs: String,
    },
    /// It answered something else.
    #[error("the panel {panel} answered {status}: {detail}")]
    Refused {
        /// Address.
        panel: String,
        /// Status of the answer.
        status: u16,
        /// The panel's explanation.
        detail: String,
    },
    /// Its answer can't be read.
    #[error("the panel {panel} gave an answer that can't be read: {reason}")]
    Unreadable {
        /// Address.
        panel: String,
        /// Why.
        reason: String,
    },
}

impl PanelLink {
    /// Prepares the link; connects to nothing. `own`: settings of this edge.
    pub fn new(followed: Followed, own: RenderSettings) -> Result<Self, LinkError> {
        let mut builder = Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(Policy::none())
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
        Ok(Self {
            client,
            token,
            panels,
            own,
            current: AtomicUsize::new(0),
            logged: Mutex::default(),
            refused: Mutex::default(),
        })
    }

    /// Returns the position of now, as text. An error if the panel derives other credentials from keys.
    pub async fn position(&self) -> Result<String, PanelError> {
        let Answer { panel, bytes } = self.ask("/api/edge/start", |url: String| self.client.get(url)).await?;
        let start: Start = match serde_json::from_slice(&bytes) {
            Ok(start) => start,
            Err(error) => return Err(PanelError::Unreadable { panel, reason: chain(&error) }),
        };
        let (own, theirs) = (&self.own, &start.settings);
        if own.auth_generation_algorithm != theirs.auth_generation_algorithm {
            let error = PanelError::OtherCredentials { panel, theirs: theirs.auth_generation_algorithm.clone() };
            log_once(&self.refused, &error.to_string());
            return Err(error);
        }
        lock(&self.refused).take();
        for setting in own.differences(theirs) {
            tracing::warn!(panel, "{setting} of this edge differ from the panel's, and so do its links; set the same");
        }
        Ok(start.position)
    }

    /// Returns what changed after a position; `None` if it can't be followed from there any more.
    pub async fn update(&self, position: &str) -> Result<Option<Update>, PanelError> {
        let ask = |url: String| self.client.post(url).json(&json!({"after": position}));
        match self.ask("/api/edge/changes", ask).await {
            Ok(answer) => answer.decoded().map(Some),
            // Gone, or longer than a panel accepts it.
            Err(PanelError::Refused { status: 410 | 413 | 422, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns up to `limit` users after an id.
    pub async fn page(&self, after: i64, limit: i64) -> Result<UserPage, PanelError> {
        let after = after.max(0);
        let ask = |url: String| self.client.get(format!("{url}?after={after}&limit={limit}"));
        self.ask("/api/edge/users", ask).await?.decoded()
    }

    /// Returns the part that all subscriptions share, as JSON.
    pub async fn shared_part(&self) -> Result<Vec<u8>, PanelError> {
        self.ask("/api/edge/shared", |url: String| self.client.get(url)).await.map(|answer| answer.bytes)
    }

    /// Sends a report.
    pub async fn report(&self, report: &Value) -> Result<(), PanelError> {
        self.ask("/api/edge/report", |url: String| self.client.post(url).json(report)).await.map(drop)
    }

    /// Asks the panels in turn until one answers. The error is that of the first one.
    async fn ask(&self, path: &str, ask: impl Fn(String) -> RequestBuilder) -> Result<Answer, PanelError> {
        let first = self.current.load(Ordering::Relaxed);
        let mut failed = None;
        for index in (first..first + self.panels.len()).map(|index| index % self.panels.len()) {
            let panel = &self.panels[index];
            match self.ask_one(panel, ask(format!("{panel}{path}"))).await {
                Ok(bytes) => {
                    if index != first || lock(&self.logged).take().is_some() {
                        tracing::info!(panel, "the edge follows this panel now");
                    }
                    self.current.store(index, Ordering::Relaxed);
                    return Ok(Answer { panel: panel.clone(), bytes });
                }
                // All panels would say this.
                Err(error @ PanelError::Refused { status: 410 | 413 | 422, .. }) => return Err(error),
                Err(error) => _ = failed.get_or_insert(error),
            }
        }
        // There is at least one panel.
        let failed =
            failed.unwrap_or_else(|| PanelError::NoAnswer { panel: String::new(), reason: "there is none".to_owned() });
        log_once(&self.logged, &failed.to_string());
        Err(failed)
    }

    /// True while no panel can be followed.
    pub fn is_away(&self) -> bool {
        lock(&self.logged).is_some() || lock(&self.refused).is_some()
    }

    async fn ask_one(&self, panel: &str, request: RequestBuilder) -> Result<Vec<u8>, PanelError> {
        let no_answer = |error: reqwest::Error| PanelError::NoAnswer {
            panel: panel.to_owned(),
            reason: chain(&error.without_url()),
        };
        let response = request.bearer_auth(self.token.expose()).send().await.map_err(no_answer)?;
        let status = response.status();
        if status == StatusCode::OK {
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

/// Logs a fault unless it is the same as before.
fn log_once(last: &Mutex<Option<String>>, text: &str) {
    let mut last = lock(last);
    if last.as_deref() != Some(text) {
        tracing::warn!("{text}; subscriptions are served from the copy meanwhile");
        *last = Some(text.to_owned());
    }
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
