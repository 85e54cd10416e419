//! The link of an edge to the panels: HTTPS requests to the one that answered last, and to the next one if it does not.
//!
//! A panel is asked where it is, and which settings it has, before anything else: users of two databases must not be mixed.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use prost::Message;
use reqwest::RequestBuilder;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::panel_errors::{Faults, LinkError, LinkFault, PanelError};
use super::panel_requests::{CHANGES, Operation, REPORT, Requests, SHARED, START, USERS};
use crate::config::edge::Followed;
use crate::domain::copy::{Position, Update, UserPage};
use crate::foundation::{chain, lock};

/// Time without a panel of the copy's database after which one of another database is followed, although some panel does not answer: the
/// database was replaced, and that panel is gone.
const REPLACED_AFTER: Duration = Duration::from_secs(600);

/// The panels of an edge.
#[derive(Debug)]
pub struct PanelLink {
    requests: Requests,
    panels: Vec<String>,
    /// Settings of this edge.
    own: RenderSettings,
    choice: Mutex<Choice>,
    faults: Faults,
}

/// The panel that is followed.
#[derive(Debug)]
struct Choice {
    /// The panel that answered last.
    current: usize,
    /// True if that panel is one of the database below, and has the settings of this edge.
    is_checked: bool,
    /// Id of the database that the copy is of; `None` until the first panel has answered.
    database: Option<String>,
    /// Id of the database that is followed instead, until the copy is of that one.
    replaced_by: Option<String>,
    /// When a panel of that database last answered.
    answered: Instant,
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

/// The answer to a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ReportTaken {
    /// True if a later edge reports with the same id.
    pub is_id_shared: bool,
}

impl PanelLink {
    /// Prepares the link; connects to nothing. `own`: settings of this edge.
    pub fn new(followed: Followed, own: RenderSettings) -> Result<Self, LinkError> {
        let requests = Requests::new(&followed)?;
        let choice =
            Choice { current: 0, is_checked: false, database: None, replaced_by: None, answered: Instant::now() };
        Ok(Self { requests, panels: followed.panels, own, choice: Mutex::new(choice), faults: Faults::default() })
    }

    /// Returns the position of now: that of a panel of the copy's database. One of another database counts if the copy is of none yet, if
    /// all panels are of that one, or if none of the copy's has answered for ten minutes.
    pub async fn position(&self, known: Option<&Position>) -> Result<Position, PanelError> {
        let database = known.map(|known| known.database.clone());
        let replaced_by = {
            let mut choice = self.choice();
            choice.database.clone_from(&database);
            choice.replaced_by.clone()
        };
        let is_right = |position: &Position| {
            database.as_ref().is_none_or(|known| *known == position.database)
                || replaced_by.as_ref() == Some(&position.database)
        };
        let (mut failure, mut others) = (None, Vec::new());
        for index in self.in_turn() {
            match self.start(&self.panels[index]).await {
                Ok(position) if is_right(&position) => {
                    self.chosen(index, &position.database);
                    return self.noted(START, Ok(position));
                }
                Ok(position) => {
                    let mut choice = self.choice();
                    // Its database was replaced: it gets no report.
                    choice.is_checked &= choice.current != index;
                    drop(choice);
                    PanelError::prefer(&mut failure, self.of_another_database(index));
                    others.push((index, position));
                }
                Err(error) => PanelError::prefer(&mut failure, error),
            }
        }
        let is_replaced = others.len() == self.panels.len() && others.windows(2).all(is_of_one_database)
            || self.choice().answered.elapsed() >= REPLACED_AFTER;
        if let Some((index, position)) = others.into_iter().next()
            && is_replaced
        {
            let panel = &self.panels[index];
            tracing::warn!(
                panel,
                "no panel has the database of the copy any more; the edge follows the database of this one"
            );
            self.choice().replaced_by = Some(position.database.clone());
            self.chosen(index, &position.database);
            return self.noted(START, Ok(position));
        }
        self.noted(START, Err(failure.unwrap_or_else(PanelError::none)))
    }

    /// Returns what changed after a position; `None` if it can't be followed from there any more.
    pub async fn update(&self, after: &Position) -> Result<Option<Update>, PanelError> {
        let ask = |url: String| self.requests.client.post(url).json(&json!({"after": after.text()}));
        let read = |panel: &str, bytes: Vec<u8>| {
            let update: Update = decoded(panel, &bytes)?;
            position(panel, &update.position).map(|_| Some(update))
        };
        match self.ask(CHANGES, ask, read).await {
            // Gone, or longer than a panel accepts it.
            Err(PanelError::Refused { status: 410 | 413 | 422, .. }) => Ok(None),
            done => done,
        }
    }

    /// Returns up to `limit` users after an id.
    pub async fn page(&self, after: i64, limit: i64) -> Result<UserPage, PanelError> {
        let after = after.max(0);
        let ask = |url: String| self.requests.client.get(format!("{url}?after={after}&limit={limit}"));
        self.ask(USERS, ask, |panel, bytes| decoded(panel, &bytes)).await
    }

    /// Returns the part that all subscriptions share, as JSON.
    pub async fn shared_part(&self) -> Result<Vec<u8>, PanelError> {
        self.ask(SHARED, |url| self.requests.client.get(url), |_, bytes| Ok(bytes)).await
    }

    /// Sends a report, once it is known which database the panels must have.
    pub async fn report(&self, report: &Value) -> Result<ReportTaken, PanelError> {
        if self.choice().database.is_none() {
            return Err(PanelError::none());
        }
        // An earlier version says nothing.
        let read = |_: &str, bytes: Vec<u8>| Ok(serde_json::from_slice(&bytes).unwrap_or_default());
        self.ask(REPORT, |url| self.requests.client.post(url).json(report), read).await
    }

    /// Returns what can't be done at the moment.
    pub fn fault(&self) -> Option<LinkFault> {
        self.faults.lasting(REPORT.path)
    }

    /// Asks the panels in turn until one gives an answer that can be used.
    async fn ask<T>(
        &self,
        operation: Operation,
        ask: impl Fn(String) -> RequestBuilder,
        read: impl Fn(&str, Vec<u8>) -> Result<T, PanelError>,
    ) -> Result<T, PanelError> {
        let (first, is_checked) = {
            let choice = self.choice();
            (choice.current, choice.is_checked)
        };
        let mut failure = None;
        for index in self.in_turn() {
            let panel = &self.panels[index];
            let checked = if index == first && is_checked { Ok(()) } else { self.check(index).await };
            let answer = match checked {
                Ok(()) => {
                    let request = ask(format!("{panel}{}", operation.path));
                    self.requests.send(panel, request, operation).await.and_then(|bytes| read(panel, bytes))
                }
                Err(error) => Err(error),
            };
            match answer {
                Ok(read) => return self.noted(operation, Ok(read)),
                // All panels would say this about a position.
                Err(error @ PanelError::Refused { status: 410 | 413 | 422, .. }) if operation.path == CHANGES.path => {
                    self.faults.succeeded(operation.path);
                    return Err(error);
                }
                Err(error) => PanelError::prefer(&mut failure, error),
            }
        }
        self.noted(operation, Err(failure.unwrap_or_else(PanelError::none)))
    }

    /// Makes a panel the current one if it is one of the copy's database.
    async fn check(&self, index: usize) -> Result<(), PanelError> {
        let position = self.start(&self.panels[index]).await?;
        if self.choice().database.as_ref().is_none_or(|known| *known != position.database) {
            return Err(self.of_another_database(index));
        }
        self.chosen(index, &position.database);
        Ok(())
    }

    /// Asks a panel for the position of now. An error if it derives other credentials from keys.
    async fn start(&self, panel: &str) -> Result<Position, PanelError> {
        let request = self.requests.client.get(format!("{panel}{}", START.path));
        let bytes = self.requests.send(panel, request, START).await?;
        let start: Start = serde_json::from_slice(&bytes)
            .map_err(|error| PanelError::Unreadable { panel: panel.to_owned(), reason: chain(&error) })?;
        let (own, theirs) = (&self.own, start.settings);
        if own.auth_generation_algorithm != theirs.auth_generation_algorithm {
            let theirs = theirs.auth_generation_algorithm;
            return Err(PanelError::OtherCredentials { panel: panel.to_owned(), theirs });
        }
        for setting in own.differences(&theirs) {
            tracing::warn!(panel, "{setting} of this edge differ from the panel's, and so do its links; set the same");
        }
        position(panel, &start.position)
    }

    fn chosen(&self, index: usize, database: &str) {
        let before = {
            let mut choice = self.choice();
            (choice.is_checked, choice.database, choice.answered) = (true, Some(database.to_owned()), Instant::now());
            std::mem::replace(&mut choice.current, index)
        };
        if index != before {
            let panel = &self.panels[index];
            tracing::info!(panel, "the edge follows this panel now");
        }
    }

    fn of_another_database(&self, index: usize) -> PanelError {
        PanelError::OtherDatabase { panel: self.panels[index].clone() }
    }

    /// Remembers whether an operation succeeded.
    fn noted<T>(&self, operation: Operation, done: Result<T, PanelError>) -> Result<T, PanelError> {
        match &done {
            Ok(_) => {
                self.choice().answered = Instant::now();
                if self.faults.succeeded(operation.path) && self.fault().is_none() {
                    let panel = &self.panels[self.choice().current];
                    tracing::info!(panel, "the edge follows this panel again");
                }
            }
            Err(error) => self.faults.failed(operation.path, operation.is_report(), error),
        }
        done
    }

    /// The panels' numbers, from the current one on.
    fn in_turn(&self) -> impl Iterator<Item = usize> + use<> {
        let (first, count) = (self.choice().current, self.panels.len());
        (first..first + count).map(move |index| index % count)
    }

    fn choice(&self) -> MutexGuard<'_, Choice> {
        lock(&self.choice)
    }
}

fn is_of_one_database(pair: &[(usize, Position)]) -> bool {
    pair[0].1.database == pair[1].1.database
}

fn decoded<T: Message + Default>(panel: &str, bytes: &[u8]) -> Result<T, PanelError> {
    T::decode(bytes).map_err(|error| PanelError::Unreadable { panel: panel.to_owned(), reason: chain(&error) })
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
