//! Receivers of notifications: from the environment and, with precedence, from the settings that admins have stored.

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::notification::{Destination, NotificationTargets};
use crate::domain::telegram_settings::TelegramSettings;

/// The current notification targets. Clones share them.
#[derive(Clone, Debug)]
pub struct LiveTargets(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    environment: Environment,
    now: watch::Sender<Arc<CurrentTargets>>,
}

/// Targets from the environment, which stay the same while the process runs.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The webhook, if any.
    pub webhook: Option<Destination>,
    /// The Telegram bot, unless admins have stored another.
    pub telegram: Option<TelegramSettings>,
    /// Nothing is sent to Telegram, by stored bots neither: the proxy can't be used.
    pub without_telegram: bool,
    /// The prefix of subscription links for users whose owner has none.
    pub url_prefix: String,
}

/// Notification targets at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CurrentTargets {
    /// All targets.
    pub targets: NotificationTargets,
    /// The bot that writes to the Telegram chats among them.
    pub telegram: Option<TelegramSettings>,
}

impl LiveTargets {
    /// The targets of the environment, until [`LiveTargets::set_stored`].
    pub fn new(environment: Environment) -> Self {
        let now = watch::Sender::new(Arc::new(environment.with(None)));
        Self(Arc::new(Shared { environment, now }))
    }

    /// Sets the settings that admins have stored. Without a token in them, the environment is in force.
    pub fn set_stored(&self, stored: Option<TelegramSettings>) {
        let targets = self.0.environment.with(stored.filter(|stored| !stored.token.is_empty()));
        self.0.now.send_if_modified(|now| {
            let changes = **now != targets;
            if changes {
                *now = Arc::new(targets);
            }
            changes
        });
    }

    /// Returns the current targets.
    pub fn now(&self) -> Arc<CurrentTargets> {
        self.0.now.borrow().clone()
    }

    /// Returns a receiver of changes.
    pub fn changes(&self) -> watch::Receiver<Arc<CurrentTargets>> {
        self.0.now.subscribe()
    }
}

impl Default for LiveTargets {
    /// No targets.
    fn default() -> Self {
        Self::new(Environment::default())
    }
}

impl Environment {
    fn with(&self, stored: Option<TelegramSettings>) -> CurrentTargets {
        let telegram = stored.or_else(|| self.telegram.clone()).filter(|_| !self.without_telegram);
        let chats = telegram.iter().flat_map(TelegramSettings::chats).map(Destination::telegram);
        let destinations = self.webhook.iter().cloned().chain(chats).collect();
        CurrentTargets { targets: NotificationTargets { destinations, url_prefix: self.url_prefix.clone() }, telegram }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bot(token: &str, admin: i64) -> TelegramSettings {
        TelegramSettings { token: token.to_owned(), admin_id: vec![admin, admin], channel_id: Some(-9) }
    }

    #[test]
    fn stored_settings_take_precedence_unless_their_token_is_empty() {
        let environment = Environment {
            webhook: Some(Destination::webhook()),
            telegram: Some(bot("e", 1)),
            without_telegram: false,
            url_prefix: String::new(),
        };
        let targets = LiveTargets::new(environment);
        let mut changes = targets.changes();
        let expect = |token: &str, admin: i64| {
            let now = targets.now();
            let expected = [Destination::webhook(), Destination::telegram(-9), Destination::telegram(admin)];
            assert_eq!(now.targets.destinations, expected);
            assert_eq!(now.telegram.as_ref().map(|bot| bot.token.as_str()), Some(token));
        };
        expect("e", 1);
        targets.set_stored(Some(bot("s", 2)));
        expect("s", 2);
        assert!(changes.has_changed().expect("it is there"));
        changes.mark_unchanged();
        targets.set_stored(Some(bot("s", 2)));
        assert!(!changes.has_changed().expect("it is there"), "the same again is no change");
        targets.set_stored(Some(bot("", 3)));
        expect("e", 1);
        targets.set_stored(None);
        expect("e", 1);
        let without = LiveTargets::new(Environment { without_telegram: true, ..Environment::default() });
        without.set_stored(Some(bot("s", 2)));
        assert_eq!(*without.now(), CurrentTargets::default(), "a bot that can't be reached gets nothing to send");
    }
}
