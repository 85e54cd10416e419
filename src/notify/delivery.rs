//! The delivery loop: while this process leads, it sends the entries that are due, and records their outcomes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::outcome::{Recorder, Round};
use super::telegram::Telegram;
use super::telegram_delivery::TelegramDelivery;
use super::timing::Timing;
use super::webhook::Webhook;
use super::webhook_delivery::WebhookDelivery;
use crate::clock::Clock;
use crate::domain::notification::Destination;
use crate::foundation::{FailureStreak, with_sources};
use crate::store::{Fence, FenceError};

/// Time that requests under way have to finish when a term or a bot's service ends.
const GRACE: Duration = Duration::from_secs(2);

/// Delivers the outbox while [`Delivery::lead`] runs. One per process; clones share it.
#[derive(Clone, Debug)]
pub struct Delivery {
    clock: Clock,
    wake: watch::Receiver<()>,
    timing: Timing,
    webhook: Option<Webhook>,
    bots: watch::Receiver<Option<Bot>>,
    /// Notified after outcomes were recorded in the outbox.
    recorded: watch::Sender<()>,
    /// Held for a whole term.
    leading: Arc<tokio::sync::Mutex<()>>,
}

/// A bot and the chats that it writes to.
pub type Bot = (Telegram, Vec<i64>);

#[derive(Debug)]
enum Route {
    Webhook(WebhookDelivery),
    Telegram(TelegramDelivery),
}

impl Delivery {
    /// `wake` is notified when entries may be due. The bot may be replaced at any time.
    pub fn new(
        clock: Clock,
        wake: watch::Receiver<()>,
        timing: Timing,
        webhook: Option<Webhook>,
        bots: watch::Receiver<Option<Bot>>,
    ) -> Self {
        Self { clock, wake, timing, webhook, bots, recorded: watch::Sender::default(), leading: Arc::default() }
    }

    /// Notified whenever this process recorded outcomes in the outbox.
    pub fn recorded(&self) -> watch::Receiver<()> {
        self.recorded.subscribe()
    }

    /// Delivers until `stop`. Requests under way then have two seconds to finish and be recorded, and a hand-over waits
    /// for them; the next leader sends the others again.
    pub async fn lead(&self, fence: Fence, stop: CancellationToken) {
        let _leading = self.leading.lock().await;
        let mut to_webhook = JoinSet::new();
        if let Some(webhook) = self.webhook.clone() {
            let route =
                Route::Webhook(WebhookDelivery { webhook, recorder: self.recorder(Destination::webhook(), &fence) });
            to_webhook.spawn(self.clone().serve(route, stop.clone()));
        }
        let mut bots = self.bots.clone();
        loop {
            let mut to_chats = JoinSet::new();
            let stop_bot = stop.child_token();
            let bot: Option<Bot> = bots.borrow_and_update().clone();
            for (bot, chat) in bot.iter().flat_map(|(bot, chats)| chats.iter().map(move |chat| (bot, chat))) {
                let recorder = self.recorder(Destination::telegram(*chat), &fence);
                let route = Route::Telegram(TelegramDelivery { bot: bot.clone(), recorder });
                to_chats.spawn(self.clone().serve(route, stop_bot.clone()));
            }
            let stopped = stop.run_until_cancelled(changed(&mut bots)).await.is_none();
            stop_bot.cancel();
            if stopped {
                tokio::join!(finish(to_chats), finish(to_webhook));
                return;
            }
            finish(to_chats).await;
        }
    }

    fn recorder(&self, destination: Destination, fence: &Fence) -> Recorder {
        let (clock, recorded) = (self.clock.clone(), self.recorded.clone());
        Recorder { destination, fence: fence.clone(), clock, timing: self.timing, recorded }
    }

    /// Serves one destination until `stop`: a slow destination delays no other.
    async fn serve(self, route: Route, stop: CancellationToken) {
        let mut wake = self.wake.clone();
        let (mut silent, mut failures) = (false, FailureStreak::default());
        while !stop.is_cancelled() {
            let round = match &route {
                Route::Webhook(delivery) => delivery.round(silent, &stop).await,
                Route::Telegram(delivery) => delivery.round(&stop).await,
            };
            silent = matches!(round, Ok(Round::Pause(_)));
            if round.is_ok()
                && let Some(failures) = failures.ended()
            {
                tracing::info!(failures, "the outbox can be read and updated again");
            }
            match round {
                Ok(Round::Busy) => {}
                Ok(Round::Pause(pause)) => pause_for(pause, &stop).await,
                // A deposed leader's `stop` is about to be cancelled.
                Ok(Round::Idle) | Err(FenceError::Deposed) => {
                    tokio::select! {
                        () = sleep(self.timing.poll) => {}
                        Ok(()) = wake.changed() => {}
                        () = stop.cancelled() => {}
                    }
                }
                Err(FenceError::Store(error)) => {
                    let reason = error.reason();
                    if failures.failed(reason) {
                        let (error, pause) = (with_sources(&error), self.timing.silence.as_secs());
                        tracing::warn!(error, "could not read or update the outbox: {reason}; trying each {pause} s");
                    }
                    // Entries may have been sent without a record: polling at once would send them again and again.
                    pause_for(self.timing.silence, &stop).await;
                }
            }
        }
    }
}

async fn pause_for(pause: Duration, stop: &CancellationToken) {
    stop.run_until_cancelled(sleep(pause)).await;
}

/// Waits for another bot.
async fn changed(bots: &mut watch::Receiver<Option<Bot>>) {
    if bots.changed().await.is_err() {
        // All senders are gone: the bot stays.
        std::future::pending::<()>().await;
    }
}

/// Waits for tasks to end, for [`GRACE`] at most, then aborts the others.
async fn finish(mut tasks: JoinSet<()>) {
    let all_ended = async { while tasks.join_next().await.is_some() {} };
    let _ = timeout(GRACE, all_ended).await;
    tasks.shutdown().await;
}
