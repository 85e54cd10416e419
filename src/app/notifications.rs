//! Who is told of what happens to users, and by what means: from the settings.

use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::Settings;
use crate::domain::notice::{Audience, Destination};
use crate::notify::{ClientError, Courier, Telegram, Timing, Webhook};

/// Who is told of what happens to users.
pub(super) fn audience(settings: &Settings) -> Audience {
    let webhook = settings.notify.webhook_url.iter().map(|_| Destination::webhook());
    let chats = settings.notify.telegram_chats().into_iter().map(Destination::telegram);
    Audience { destinations: webhook.chain(chats).collect(), url_prefix: settings.subscription.url_prefix.clone() }
}

/// What delivers to them.
pub(super) fn courier(settings: &Settings, clock: Clock, wake: watch::Receiver<()>) -> Result<Courier, ClientError> {
    let notify = &settings.notify;
    let timing = Timing { retry_after: notify.retry_after, attempts: notify.attempts, ..Timing::default() };
    let webhook = match &notify.webhook_url {
        Some(url) => Some(Webhook::new(url.clone(), notify.webhook_secret.clone())?),
        None => None,
    };
    let telegram = match &notify.telegram_api_token {
        Some(token) => {
            let bot = Telegram::new(&notify.telegram_api_url, token, notify.telegram_proxy_url.as_ref())?;
            Some((bot, notify.telegram_chats()))
        }
        None => None,
    };
    Ok(Courier::new(clock, wake, timing, webhook, telegram))
}
