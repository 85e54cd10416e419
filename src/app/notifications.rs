//! Notification targets and their delivery: from the environment, and from the settings that admins have stored.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::actions::notification_targets::{CurrentTargets, Environment, LiveTargets};
use crate::clock::Clock;
use crate::cluster::wakeup::PollReceiver;
use crate::config::Settings;
use crate::config::notify::TelegramProxy;
use crate::config::secret::Secret;
use crate::domain::notification::Destination;
use crate::foundation::with_sources;
use crate::notify::{Bot, ClientError, Delivery, TelegramApi, Timing, Webhook};
use crate::store::{Db, Engine, StoreError, settings as stored};

/// Longest time until settings that another process stored are read here, without a wake-up.
const POLL: Duration = Duration::from_secs(1);
/// The same on SQLite, where a commit of another process is noticed.
const POLL_WATCHED: Duration = Duration::from_secs(5);
/// Shortest time between two reads, with many wake-ups.
const PAUSE: Duration = Duration::from_millis(200);

/// Reads the notification targets.
pub(super) async fn targets(settings: &Settings, db: &Db) -> Result<LiveTargets, StoreError> {
    let targets = LiveTargets::new(Environment {
        webhook: settings.notify.webhook_url.as_ref().map(|_| Destination::webhook()),
        telegram: settings.notify.telegram(),
        without_telegram: settings.notify.telegram_proxy == TelegramProxy::Unusable,
        url_prefix: settings.subscription.url_prefix.clone(),
    });
    targets.set_stored(stored::telegram(db).await?);
    Ok(targets)
}

/// Follows the stored settings, for ever: other processes change them too.
pub(super) async fn follow_stored(targets: LiveTargets, db: Db, mut wakeups: PollReceiver) {
    let usual = match db.engine() {
        Engine::Postgres => POLL,
        Engine::Sqlite => POLL_WATCHED,
    };
    let mut poll = usual;
    loop {
        tokio::select! {
            () = sleep(poll) => {}
            () = wakeups.wait() => sleep(PAUSE).await,
        }
        match stored::telegram(&db).await {
            Ok(stored) => {
                targets.set_stored(stored);
                poll = usual;
            }
            Err(error) => {
                // The wake-up is used up.
                poll = POLL;
                tracing::debug!(error = with_sources(&error), "could not read the Telegram settings");
            }
        }
    }
}

/// Where Telegram's bots are reached.
pub(super) fn telegram_api(settings: &Settings) -> TelegramApi {
    TelegramApi::new(settings.notify.telegram_api_url.clone(), settings.notify.telegram_proxy.clone())
}

/// Builds the delivery to these targets.
pub(super) fn delivery(
    settings: &Settings,
    targets: &LiveTargets,
    clock: Clock,
    wake: watch::Receiver<()>,
) -> Result<Delivery, ClientError> {
    let notify = &settings.notify;
    let timing = Timing { retry_after: notify.retry_after, attempts: notify.attempts, ..Timing::default() };
    let webhook = match &notify.webhook_url {
        Some(url) => Some(Webhook::new(url.clone(), notify.webhook_secret.clone())?),
        None => None,
    };
    let api = telegram_api(settings);
    let bot = move |targets: &CurrentTargets| -> Result<Option<Bot>, ClientError> {
        let Some(telegram) = &targets.telegram else { return Ok(None) };
        let bot = api.bot(&Secret::new(telegram.token.clone()))?;
        Ok(Some((bot, telegram.chats())))
    };
    let mut changes = targets.changes();
    let now: Arc<CurrentTargets> = changes.borrow_and_update().clone();
    let first = bot(&now).unwrap_or_else(|error| {
        tracing::error!(
            error = with_sources(&error),
            "could not use the Telegram settings; nothing is sent to Telegram"
        );
        None
    });
    let (sender, bots) = watch::channel(first);
    tokio::spawn(async move {
        while changes.changed().await.is_ok() {
            let now: Arc<CurrentTargets> = changes.borrow_and_update().clone();
            match bot(&now) {
                Ok(bot) => drop(sender.send_replace(bot)),
                Err(error) => {
                    tracing::error!(
                        error = with_sources(&error),
                        "could not use the stored Telegram settings; the previous ones stay in force"
                    );
                }
            }
        }
    });
    Ok(Delivery::new(clock, wake, timing, webhook, bots))
}
