//! Reports of an edge to the panels: itself, and the fetches that it served, in batches that count once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3;

use super::own_id::OwnId;
use crate::actions::copy::LocalCopy;
use crate::cluster::panel_link::PanelLink;
use crate::domain::edge::MAX_NAME;
use crate::domain::ids::UserId;
use crate::domain::moment::Moment;
use crate::foundation::{is_steering, lock, with_sources};
use crate::store::users::subscription_fetches::Fetch;

/// Time between two reports.
const EVERY: Duration = Duration::from_secs(5);
/// Fetches in a batch: with the longest User-Agents they are less than a panel accepts in a request.
const IN_BATCH: usize = 100;

/// Sends the reports. Cheap to clone.
#[derive(Clone)]
pub(super) struct Reporter {
    id: Arc<Mutex<OwnId>>,
    /// The last batch that a panel has taken and whose fetches are not in the file any more: the panels may forget it.
    settled: Arc<Mutex<Option<Uuid>>>,
    host: String,
    started_at: Moment,
    copy: LocalCopy,
    link: Arc<PanelLink>,
}

impl Reporter {
    pub(super) fn new(id: OwnId, host: &str, started_at: Moment, copy: LocalCopy, link: Arc<PanelLink>) -> Self {
        let host: String = host.chars().filter(|it| !is_steering(*it)).take(MAX_NAME).collect();
        let host = if host.trim().is_empty() { "edge".to_owned() } else { host };
        Self { id: Arc::new(Mutex::new(id)), settled: Arc::default(), host, started_at, copy, link }
    }

    /// Reports every five seconds, and batch after batch while there are many fetches.
    pub(super) async fn report_for_ever(self) {
        loop {
            if self.report(false).await != Some(true) {
                sleep(EVERY).await;
            }
        }
    }

    /// Sends what is left, and takes the edge off the panels' list.
    pub(super) async fn leave(self) {
        while let Some(has_more) = self.report(true).await {
            if !has_more && lock(&self.settled).is_none() {
                return;
            }
        }
    }

    /// Sends one report. Returns true if there are further fetches to send; `None` if it failed.
    async fn report(&self, is_leaving: bool) -> Option<bool> {
        let read = self.copy.waiting_fetches(IN_BATCH).await;
        if let Err(error) = &read {
            tracing::warn!(error = with_sources(error), "could not read the fetches that wait for a panel");
        }
        let (are_read, fetches) = (read.is_ok(), read.unwrap_or_default());
        let waiting = self.copy.count_waiting_fetches().await.unwrap_or_default();
        // Without fetches in this report, the file counts rows that it can't read.
        let has_more = !fetches.is_empty() && waiting > fetches.len();
        let state = self.copy.report();
        let (id, settled) = (lock(&self.id).get(), *lock(&self.settled));
        let batch = (!fetches.is_empty()).then(|| (batch_id(id, &fetches), &fetches));
        let report = json!({
            "id": id,
            "host": self.host,
            "version": env!("CARGO_PKG_VERSION"),
            "started_at": self.started_at.micros(),
            "users": state.map_or(0, |state| state.users),
            "is_complete": self.copy.can_serve(),
            "waiting_fetches": waiting.saturating_sub(fetches.len()),
            "is_leaving": is_leaving && are_read && !has_more,
            "batch": batch.map(|(id, fetches)| json!({"id": id, "fetches": rows(fetches)})),
            "settled_batch": settled,
        });
        // The link logs what is wrong.
        let taken = self.link.report(&report).await.ok()?;
        *lock(&self.settled) = None;
        if let Err(error) = self.copy.forget_fetches(&fetches).await {
            tracing::warn!(error = with_sources(&error), "could not remove fetches that a panel has");
            return None;
        }
        *lock(&self.settled) = batch.map(|(id, _)| id);
        // With another id, fetches that are still there would be sent as another batch.
        lock(&self.id).reported(taken.is_id_shared);
        Some(has_more)
    }
}

/// The id of a batch is made from what is in it: one that is sent again has the same id, also after a restart.
fn batch_id(edge: Uuid, fetches: &[(UserId, Fetch)]) -> Uuid {
    let mut hash = Xxh3::new();
    hash.update(edge.as_bytes());
    for (user, fetch) in fetches {
        hash.update(&user.0.to_le_bytes());
        hash.update(&fetch.at.micros().to_le_bytes());
        hash.update(fetch.user_agent.as_bytes());
    }
    Uuid::from_u128(hash.digest128())
}

fn rows(fetches: &[(UserId, Fetch)]) -> Vec<Value> {
    let row = |(user, fetch): &(UserId, Fetch)| json!({"user_id": user.0, "at": fetch.at.micros(), "user_agent": fetch.user_agent});
    fetches.iter().map(row).collect()
}
