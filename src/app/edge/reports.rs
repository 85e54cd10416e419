//! Reports of an edge to the panels: itself, and the fetches that it served, in batches that count once.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3;

use crate::actions::copy::LocalCopy;
use crate::cluster::panel_link::PanelLink;
use crate::domain::edge::MAX_NAME;
use crate::domain::ids::UserId;
use crate::domain::moment::Moment;
use crate::foundation::{is_steering, with_sources};
use crate::store::users::subscription_fetches::Fetch;

/// Time between two reports.
const EVERY: Duration = Duration::from_secs(5);
/// Fetches in a batch: with the longest User-Agents they are less than a panel accepts in a request.
const IN_BATCH: usize = 100;

/// Sends the reports. Cheap to clone.
#[derive(Clone)]
pub(super) struct Reporter {
    id: Uuid,
    host: String,
    started_at: Moment,
    copy: LocalCopy,
    link: Arc<PanelLink>,
}

impl Reporter {
    pub(super) fn new(id: Uuid, host: &str, started_at: Moment, copy: LocalCopy, link: Arc<PanelLink>) -> Self {
        let host: String = host.chars().filter(|it| !is_steering(*it)).take(MAX_NAME).collect();
        let host = if host.trim().is_empty() { "edge".to_owned() } else { host };
        Self { id, host, started_at, copy, link }
    }

    /// Reports every five seconds, and batch after batch while there are many fetches.
    pub(super) async fn report_for_ever(self) {
        loop {
            if !self.report(false).await {
                sleep(EVERY).await;
            }
        }
    }

    /// Sends what is left, and takes the edge off the panels' list.
    pub(super) async fn leave(self) {
        while self.report(true).await {}
    }

    /// Sends one report. Returns true if there are further fetches to send.
    async fn report(&self, is_leaving: bool) -> bool {
        let fetches = self.copy.waiting_fetches(IN_BATCH).await.unwrap_or_else(|error| {
            tracing::warn!(error = with_sources(&error), "could not read the fetches that wait for a panel");
            Vec::new()
        });
        let waiting = self.copy.count_waiting_fetches().await.unwrap_or_default();
        let state = self.copy.report();
        let report = json!({
            "id": self.id,
            "host": self.host,
            "version": env!("CARGO_PKG_VERSION"),
            "started_at": self.started_at.micros(),
            "users": state.map_or(0, |state| state.users),
            "is_complete": self.copy.can_serve(),
            "waiting_fetches": waiting.saturating_sub(fetches.len()),
            "is_leaving": is_leaving && waiting <= fetches.len(),
            "batch": self.batch(&fetches),
        });
        // The link logs what is wrong.
        if self.link.report(&report).await.is_err() {
            return false;
        }
        if let Err(error) = self.copy.forget_fetches(&fetches).await {
            tracing::warn!(error = with_sources(&error), "could not remove fetches that a panel has");
            return false;
        }
        waiting > fetches.len()
    }

    /// A batch, or null without fetches. Its id is made from what is in it: one that is sent again has the same id, also after a
    /// restart.
    fn batch(&self, fetches: &[(UserId, Fetch)]) -> Value {
        if fetches.is_empty() {
            return Value::Null;
        }
        let mut hash = Xxh3::new();
        hash.update(self.id.as_bytes());
        for (user, fetch) in fetches {
            hash.update(&user.0.to_le_bytes());
            hash.update(&fetch.at.micros().to_le_bytes());
            hash.update(fetch.user_agent.as_bytes());
        }
        let row = |(user, fetch): &(UserId, Fetch)| json!({"user_id": user.0, "at": fetch.at.micros(), "user_agent": fetch.user_agent});
        let rows: Vec<Value> = fetches.iter().map(row).collect();
        json!({"id": Uuid::from_u128(hash.digest128()), "fetches": rows})
    }
}
