//! Who is told of what happens to users, and by what means: from the environment and from what admins have stored.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::actions::notification_targets::{CurrentTargets, Environment, LiveTargets};
use crate::clock::Clock;
use crate::cluster::wakeup::WakeupReceiver;
use crate::config::Settings;
use crate::config::secret::Secret;
use crate::domain::notification::Destination;
use crate::notify::{Bot, ClientError, Delivery, Telegram, Timing, Webhook};
use crate::store::{Db, StoreError, settings as stored};

/// What another host has stored is known here after so long when the wakeup is silent, and not asked for more often than
/// this when it rings all the time.
const POLL: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(200);

/// Who is told of what happens to users.
pub(super) async fn targets(settings: &Settings, db: &Db) -> Result<LiveTargets, StoreError> {
    let targets = LiveTargets::new(Environment {
        webhook: settings.notify.webhook_url.as_ref().map(|_| Destination::webhook()),
        telegram: settings.notify.telegram(),
        url_prefix: settings.subscription.url_prefix.clone(),
    });
    targets.follow(stored::telegram(db).await?);
    Ok(targets)
}

/// Keeps to what is stored, whichever host stored it.
pub(super) async fn keep_up(targets: LiveTargets, db: Db, mut wakeups: WakeupReceiver) {
    loop {
        tokio::select! {
            () = sleep(POLL) => {}
            () = wakeups.wait() => sleep(PAUSE).await,
        }
        match stored::telegram(&db).await {
            Ok(stored) => targets.follow(stored),
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "the settings of Telegram can't be read");
            }
        }
    }
}

/// What delivers to them.
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
    let (base, proxy) = (notify.telegram_api_url.clone(), notify.telegram_proxy_url.clone());
    let bot = move |told: &CurrentTargets| -> Result<Option<Bot>, ClientError> {
        let Some(telegram) = &told.telegram else { return Ok(None) };
        let bot = Telegram::new(&base, &Secret::new(telegram.token.clone()), proxy.as_ref())?;
        Ok(Some((bot, telegram.chats())))
    };
    let mut changes = targets.changes();
    let now: Arc<CurrentTargets> = changes.borrow_and_update().clone();
    let (sender, bots) = watch::channel(bot(&now)?);
    tokio::spawn(async move {
        while changes.changed().await.is_ok() {
            let now: Arc<CurrentTargets> = changes.borrow_and_update().clone();
            match bot(&now) {
                Ok(bot) => drop(sender.send_replace(bot)),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "Telegram can't be written to");
                }
            }
        }
    });
    Ok(Delivery::new(clock, wake, timing, webhook, bots))
}
