//! Delivery to a Telegram chat: a message per event, or a digest of many.

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::http::Failure;
use super::message;
use super::outcome::{Outcomes, Recorder, Round, count};
use super::telegram::Telegram;
use crate::store::notify::outbox::{self, Envelope};
use crate::store::{FenceError, IdList};

/// More events than these become a digest.
const MESSAGES: usize = 5;
/// Events in a digest.
const DIGEST: i64 = 20_000;

#[derive(Debug)]
pub(super) struct TelegramDelivery {
    pub(super) bot: Telegram,
    pub(super) recorder: Recorder,
}

impl TelegramDelivery {
    /// Sends the entries that are due: a message per event, in order, or one digest.
    pub(super) async fn round(&self, stop: &CancellationToken) -> Result<Round, FenceError> {
        let mut due = self.due().await?;
        if due.is_empty() || !self.recorder.fence.is_alive() {
            return Ok(Round::Idle);
        }
        if due.len() > MESSAGES {
            // More events are probably on their way.
            if stop.run_until_cancelled(sleep(self.recorder.timing.gather)).await.is_none() {
                return Ok(Round::Idle);
            }
            due = self.due().await?;
        }
        if due.len() > MESSAGES { self.send_digest(&due).await } else { self.send_each(&due, stop).await }
    }

    async fn due(&self) -> Result<Vec<Envelope>, FenceError> {
        let Recorder { destination, fence, clock, .. } = &self.recorder;
        Ok(outbox::all_due(fence.db(), destination, clock.now(), DIGEST).await?)
    }

    async fn send_digest(&self, due: &[Envelope]) -> Result<Round, FenceError> {
        let kinds = kinds(due.iter().map(|envelope| envelope.action.as_str()));
        let mut named = Vec::new();
        for (action, _) in &kinds {
            let of_kind = due.iter().filter(|envelope| envelope.action == *action).map(|envelope| envelope.id);
            named.extend(of_kind.take(message::names_of_each(kinds.len())));
        }
        let entries = outbox::by_ids(self.recorder.fence.db(), IdList::new(named)).await?;
        self.send(ids(due), &message::digest(&kinds, &entries)).await
    }

    async fn send_each(&self, due: &[Envelope], stop: &CancellationToken) -> Result<Round, FenceError> {
        for entry in outbox::by_ids(self.recorder.fence.db(), IdList::new(ids(due))).await? {
            if stop.is_cancelled() {
                return Ok(Round::Idle);
            }
            match self.send(vec![entry.id], &message::one(&entry)).await? {
                Round::Busy => {}
                // Later entries wait, so that the chat shows events in order.
                other => return Ok(other),
            }
        }
        Ok(Round::Busy)
    }

    /// Sends one message, and records its outcome for the entries that it is about.
    async fn send(&self, ids: Vec<i64>, html: &str) -> Result<Round, FenceError> {
        let Recorder { destination, fence, timing, .. } = &self.recorder;
        let work = fence.open_work()?;
        let failure = match self.bot.send(&destination.recipient, html).await {
            Ok(()) => {
                self.recorder.record(&work, Outcomes::delivered(ids)).await?;
                return Ok(Round::Busy);
            }
            // Telegram asked for a pause, so this does not count as an attempt.
            Err(Failure::RateLimited(pause)) => {
                count(destination.channel, "postponed", 1);
                return Ok(Round::Pause(pause));
            }
            Err(failure) => failure,
        };
        self.recorder.record(&work, Outcomes::failed(&failure, ids)).await?;
        Ok(match failure {
            Failure::NoAnswer(_) => Round::Pause(timing.pause()),
            _ => Round::Busy,
        })
    }
}

fn ids(due: &[Envelope]) -> Vec<i64> {
    due.iter().map(|envelope| envelope.id).collect()
}

/// Counts actions, in the order of their first occurrence.
fn kinds<'a>(actions: impl Iterator<Item = &'a str>) -> Vec<(String, usize)> {
    let mut kinds: Vec<(String, usize)> = Vec::new();
    for action in actions {
        match kinds.iter_mut().find(|(known, _)| known == action) {
            Some((_, count)) => *count += 1,
            None => kinds.push((action.to_owned(), 1)),
        }
    }
    kinds
}
