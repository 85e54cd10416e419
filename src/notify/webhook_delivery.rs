//! Delivery to the webhook: one request per entry, several at a time, a user's entries in order.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::http::Failure;
use super::outcome::{Outcomes, Recorder, Round};
use super::webhook::Webhook;
use crate::store::FenceError;
use crate::store::notify::outbox::{self, OutboxEntry};

/// Entries sent before their outcomes are recorded. A leader that dies in between leaves them to be sent twice.
const BATCH: i64 = 50;
/// Concurrent requests.
const CONCURRENCY: usize = 8;

#[derive(Debug)]
pub(super) struct WebhookDelivery {
    pub(super) webhook: Webhook,
    pub(super) recorder: Recorder,
}

impl WebhookDelivery {
    /// Sends a batch of due entries. `probe`: sends one entry only, because the webhook did not answer the last time.
    pub(super) async fn round(&self, probe: bool, stop: &CancellationToken) -> Result<Round, FenceError> {
        let Recorder { destination, fence, clock, timing, .. } = &self.recorder;
        let work = fence.open_work()?;
        let limit = if probe { 1 } else { BATCH };
        let entries = outbox::due(fence.db(), destination, clock.now(), limit).await?;
        if entries.is_empty() || !fence.is_alive() {
            return Ok(Round::Idle);
        }
        let (outcomes, answers) = self.send_all(entries, stop).await;
        self.recorder.record(&work, outcomes).await?;
        Ok(if answers { Round::Busy } else { Round::Pause(timing.pause()) })
    }

    /// Sends entries until the webhook stops answering or `stop`. Returns the outcomes, and whether the webhook
    /// answers.
    async fn send_all(&self, entries: Vec<OutboxEntry>, stop: &CancellationToken) -> (Outcomes, bool) {
        let mut outcomes = Outcomes::default();
        let mut answers = true;
        let mut entries = entries.into_iter();
        let mut sending = FuturesUnordered::new();
        loop {
            // Further requests to a webhook that does not answer would only use up attempts.
            while answers && !stop.is_cancelled() && sending.len() < CONCURRENCY {
                let Some(entry) = entries.next() else { break };
                sending.push(async move { (entry.id, self.webhook.send(&entry).await) });
            }
            let Some((id, sent)) = sending.next().await else { break };
            if matches!(sent, Err(Failure::NoAnswer(_))) {
                answers &= outcomes.any_delivered();
            }
            outcomes.add(id, &sent);
        }
        drop(sending);
        (outcomes, answers)
    }
}
