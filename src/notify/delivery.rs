//! The delivery: while this process leads, takes what is due out of the outbox, sends it, and enters what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::http::Failure;
use super::message;
use super::telegram::Telegram;
use super::webhook::Webhook;
use crate::clock::Clock;
use crate::domain::moment::Moment;
use crate::domain::notification::{Channel, Destination};
use crate::domain::term::OpenWork;
use crate::foundation::with_sources;
use crate::store::notify::outbox;
use crate::store::notify::outbox::OutboxEntry;
use crate::store::{Fence, FenceError, IdList};

/// Letters that are sent and then entered together: what is sent twice when a leader dies in between.
const BATCH: i64 = 50;
/// Requests to the webhook at a time.
const AT_A_TIME: usize = 8;
/// So many events for a chat are a message each; more are a digest.
const MESSAGES: usize = 5;
/// How long entries that are under way at the end of a term may take to come to theirs.
const FAREWELL: Duration = Duration::from_secs(2);
/// Events in one digest at most, and entries entered in one transaction.
const DIGEST: i64 = 20_000;
const CHUNK: usize = 2_000;

/// How often and how long. The default is what the service runs with, but for `retry_after` and `attempts`, which are
/// settings.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between two attempts to deliver a entry.
    pub retry_after: Duration,
    /// Attempts before a entry is given up.
    pub attempts: u32,
    /// Between two looks at the outbox, when the wakeup is silent.
    pub poll: Duration,
    /// How long a destination that does not answer at all is left alone.
    pub silence: Duration,
    /// How long events are gathered before a digest.
    pub gather: Duration,
}

/// Delivers. One per process, and clones are the same; it does nothing until it is told to lead.
#[derive(Clone, Debug)]
pub struct Delivery {
    clock: Clock,
    wake: watch::Receiver<()>,
    timing: Timing,
    webhook: Option<Webhook>,
    bots: watch::Receiver<Option<Bot>>,
    /// Held for a whole term.
    leading: Arc<tokio::sync::Mutex<()>>,
}

/// A bot and the chats that it writes to.
pub type Bot = (Telegram, Vec<i64>);

#[derive(Clone, Debug)]
enum Route {
    Webhook(Webhook, Destination),
    Chat(Telegram, Destination),
}

/// What a look at the outbox came to.
enum Round {
    /// Nothing was due.
    Idle,
    /// Something was sent; there may be more.
    Busy,
    /// Nobody there: leave it alone for so long.
    Pause(Duration),
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            retry_after: Duration::from_secs(180),
            attempts: 3,
            poll: Duration::from_secs(1),
            silence: Duration::from_secs(30),
            gather: Duration::from_secs(3),
        }
    }
}

/// Waits for what is on its way, so long and no longer.
async fn farewell(mut serving: JoinSet<()>) {
    let all_ended = async { while serving.join_next().await.is_some() {} };
    // What takes longer ends here.
    let _ = timeout(FAREWELL, all_ended).await;
    serving.shutdown().await;
}

impl Delivery {
    /// Delivers to these; `wake` rings when there may be something. There may be another bot at any time.
    pub fn new(
        clock: Clock,
        wake: watch::Receiver<()>,
        timing: Timing,
        webhook: Option<Webhook>,
        bots: watch::Receiver<Option<Bot>>,
    ) -> Self {
        Self { clock, wake, timing, webhook, bots, leading: Arc::default() }
    }

    /// Delivers until `stop`. What is on its way then has two seconds more to arrive and to be entered, and a hand-over
    /// waits for it; what does not manage is sent again by the next leader.
    pub async fn lead(&self, fence: Fence, stop: CancellationToken) {
        let _turn = self.leading.lock().await;
        let mut posting = JoinSet::new();
        if let Some(webhook) = self.webhook.clone() {
            let route = Route::Webhook(webhook, Destination::webhook());
            posting.spawn(self.clone().serve(route, fence.clone(), stop.clone()));
        }
        let mut bots = self.bots.clone();
        loop {
            let mut writing = JoinSet::new();
            let of_this_bot = stop.child_token();
            let bot: Option<Bot> = bots.borrow_and_update().clone();
            for (bot, chat) in bot.iter().flat_map(|(bot, chats)| chats.iter().map(move |chat| (bot, chat))) {
                let route = Route::Chat(bot.clone(), Destination::telegram(*chat));
                writing.spawn(self.clone().serve(route, fence.clone(), of_this_bot.clone()));
            }
            let another = async {
                if bots.changed().await.is_err() {
                    // Nobody will ever name another one.
                    std::future::pending::<()>().await;
                }
            };
            let goes_on = stop.run_until_cancelled(another).await.is_some();
            of_this_bot.cancel();
            if !goes_on {
                tokio::join!(farewell(writing), farewell(posting));
                return;
            }
            farewell(writing).await;
        }
    }

    /// One destination, until `stop`: a slow one holds up no other.
    async fn serve(self, route: Route, fence: Fence, stop: CancellationToken) {
        let mut wake = self.wake.clone();
        let mut silent = false;
        while !stop.is_cancelled() {
            let round = match &route {
                Route::Webhook(webhook, to) => self.post(webhook, to, &fence, silent, &stop).await,
                Route::Chat(bot, to) => self.write(bot, to, &fence, &stop).await,
            };
            silent = matches!(round, Ok(Round::Pause(_)));
            let pause = match round {
                Ok(Round::Busy) => continue,
                Ok(Round::Idle) => self.timing.poll,
                Ok(Round::Pause(pause)) => {
                    stop.run_until_cancelled(sleep(pause)).await;
                    continue;
                }
                // The term is over, or will find out that it is.
                Err(FenceError::Deposed) => self.timing.poll,
                // It may be that entries were sent and could not be entered: at once they would be sent again and again.
                Err(FenceError::Store(error)) => {
                    tracing::warn!(error = with_sources(&error), "the outbox does not answer; trying again");
                    stop.run_until_cancelled(sleep(self.timing.silence)).await;
                    continue;
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                Ok(()) = wake.changed() => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// A batch for the webhook, a user's entries in order. One that did not answer gets one entry to show that it does.
    async fn post(
        &self,
        webhook: &Webhook,
        to: &Destination,
        fence: &Fence,
        silent: bool,
        stop: &CancellationToken,
    ) -> Result<Round, FenceError> {
        let work = fence.open_work()?;
        let entries = outbox::due(fence.db(), to, self.clock.now(), if silent { 1 } else { BATCH }).await?;
        if entries.is_empty() || !fence.is_alive() {
            return Ok(Round::Idle);
        }
        let mut arrived = Vec::new();
        let mut failed: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        let mut answers = true;
        let mut entries = entries.into_iter();
        let mut sending = FuturesUnordered::new();
        loop {
            // When nobody is there, more entries would only use up their attempts.
            while answers && !stop.is_cancelled() && sending.len() < AT_A_TIME {
                let Some(entry) = entries.next() else { break };
                sending.push(post_one(webhook.clone(), entry));
            }
            let Some((id, sent)) = sending.next().await else { break };
            match sent {
                Ok(()) => arrived.push(id),
                Err(failure) => {
                    answers &= !matches!(failure, Failure::Silent(_)) || !arrived.is_empty();
                    failed.entry(failure.reason()).or_default().push(id);
                }
            }
        }
        self.enter(fence, &work, to, arrived, failed).await?;
        Ok(if answers { Round::Busy } else { Round::Pause(self.timing.silence.min(self.timing.retry_after)) })
    }

    /// What is due for a chat: a message each, or a digest. All of it shares its fate.
    async fn write(
        &self,
        bot: &Telegram,
        to: &Destination,
        fence: &Fence,
        stop: &CancellationToken,
    ) -> Result<Round, FenceError> {
        let mut due = outbox::all_due(fence.db(), to, self.clock.now(), DIGEST).await?;
        if due.is_empty() || !fence.is_alive() {
            return Ok(Round::Idle);
        }
        if due.len() > MESSAGES {
            // A flood has only begun.
            if stop.run_until_cancelled(sleep(self.timing.gather)).await.is_none() {
                return Ok(Round::Idle);
            }
            due = outbox::all_due(fence.db(), to, self.clock.now(), DIGEST).await?;
        }
        let ids: Vec<i64> = due.iter().map(|envelope| envelope.id).collect();
        if due.len() > MESSAGES {
            let kinds = kinds(due.iter().map(|envelope| envelope.action.as_str()));
            let mut named = Vec::new();
            for (action, _) in &kinds {
                let of_kind = due.iter().filter(|envelope| envelope.action == *action).map(|envelope| envelope.id);
                named.extend(of_kind.take(message::names_of_each(kinds.len())));
            }
            let entries = outbox::by_ids(fence.db(), IdList::new(named)).await?;
            return self.say(bot, to, fence, ids, &message::digest(&kinds, &entries)).await;
        }
        for entry in outbox::by_ids(fence.db(), IdList::new(ids)).await? {
            if stop.is_cancelled() {
                return Ok(Round::Idle);
            }
            match self.say(bot, to, fence, vec![entry.id], &message::one(&entry)).await? {
                Round::Busy => {}
                // What comes after waits too: a chat is read in order.
                other => return Ok(other),
            }
        }
        Ok(Round::Busy)
    }

    /// One message, which is about these entries.
    async fn say(
        &self,
        bot: &Telegram,
        to: &Destination,
        fence: &Fence,
        ids: Vec<i64>,
        html: &str,
    ) -> Result<Round, FenceError> {
        let work = fence.open_work()?;
        let failure = match bot.send(&to.recipient, html).await {
            Ok(()) => {
                self.enter(fence, &work, to, ids, BTreeMap::new()).await?;
                return Ok(Round::Busy);
            }
            // Not an attempt: it was asked for.
            Err(Failure::TooMany(pause)) => {
                metrics::counter!("notifications_total", "channel" => to.channel.word(), "result" => "postponed")
                    .increment(1);
                return Ok(Round::Pause(pause));
            }
            Err(failure) => failure,
        };
        self.enter(fence, &work, to, Vec::new(), BTreeMap::from([(failure.reason(), ids)])).await?;
        Ok(match failure {
            Failure::Silent(_) => Round::Pause(self.timing.silence.min(self.timing.retry_after)),
            _ => Round::Busy,
        })
    }

    /// Enters what came of it, under the fence. Failures are by reason.
    async fn enter(
        &self,
        fence: &Fence,
        work: &OpenWork,
        to: &Destination,
        arrived: Vec<i64>,
        failed: BTreeMap<String, Vec<i64>>,
    ) -> Result<(), FenceError> {
        let (channel, now) = (to.channel, self.clock.now());
        for chunk in arrived.chunks(CHUNK) {
            let ids = IdList::new(chunk.iter().copied());
            fence
                .transaction_of(Some(work), "confirm notifications", async |tx| -> Result<_, FenceError> {
                    Ok(outbox::delivered(tx, ids.clone(), now).await?)
                })
                .await?;
        }
        count(channel, "delivered", arrived.len());
        let next = after(now, self.timing.retry_after);
        for (reason, ids) in failed {
            tracing::warn!(channel = channel.word(), entries = ids.len(), reason, "notifications were not delivered");
            for chunk in ids.chunks(CHUNK) {
                let ids = IdList::new(chunk.iter().copied());
                fence
                    .transaction_of(Some(work), "record failed notifications", async |tx| -> Result<_, FenceError> {
                        Ok(outbox::failed(tx, ids.clone(), &reason, now, next, self.timing.attempts).await?)
                    })
                    .await?;
            }
            count(channel, "failed", ids.len());
        }
        Ok(())
    }
}

async fn post_one(webhook: Webhook, entry: OutboxEntry) -> (i64, Result<(), Failure>) {
    let sent = webhook.send(&entry).await;
    (entry.id, sent)
}

/// How many there are of each, in the order in which each first came.
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

fn count(channel: Channel, result: &'static str, entries: usize) {
    metrics::counter!("notifications_total", "channel" => channel.word(), "result" => result).increment(entries as u64);
}

fn after(now: Moment, pause: Duration) -> Moment {
    now.plus(i64::try_from(pause.as_micros()).unwrap_or(i64::MAX))
}
