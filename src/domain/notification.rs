//! What the world is told of a user: which event, to whom, and the JSON of the webhook.

use serde::Serialize;

use super::admin::Admin;
use super::ids::UserId;
use super::moment::{DAY, Moment, SECOND};
use super::user::User;
use super::user::document::UserDocument;

/// What happened to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// An admin made the user.
    Created,
    /// An admin edited the user.
    Updated,
    /// The account works again.
    Activated,
    /// The account does not work any more.
    Deactivated,
    /// An admin deleted the user.
    Deleted,
    /// An admin switched the user on.
    Enabled,
    /// An admin switched the user off.
    Disabled,
    /// An admin set used traffic back to zero.
    UsageReset,
    /// An admin gave the user a new key.
    SubscriptionRevoked,
    /// Used traffic passed the percentage that is worth telling.
    ReachedUsagePercent,
    /// The account ends in so many days as are worth telling.
    ReachedDaysLeft,
}

/// A way to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// A POST to an address of the operator's.
    Webhook,
    /// Messages of a Telegram bot.
    Telegram,
}

/// How far a piece of news has come on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is sent, or tried again, when its time comes.
    Waiting,
    /// It has arrived.
    Delivered,
    /// Given up after as many attempts as are allowed: a dead letter.
    Dead,
}

/// Where news goes. Each destination has letters of its own: one that fails holds up no other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    /// Which way.
    pub channel: Channel,
    /// On Telegram the chat; else empty.
    pub recipient: String,
}

/// Who is told, and what links in the news begin with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotificationTargets {
    /// Those that are set up; none: nothing is entered in the outbox.
    pub destinations: Vec<Destination>,
    /// The prefix of subscription links where the owner has none.
    pub url_prefix: String,
}

/// Who did it, as far as the news says so.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// This admin.
    Admin(&'a Admin),
    /// A task: `null`.
    Task,
    /// Nobody did anything: the field is left out.
    Nobody,
}

/// One piece of news, ready for the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// What happened.
    pub event: Event,
    /// Names the occasion: of one cause there is at most one row for each destination, for as long as that row is kept.
    pub cause: String,
    /// Whom it is about; the news of one user arrives in order.
    pub user: UserId,
    /// The JSON object that is posted.
    pub payload: String,
    /// How long the row must stay after delivery, so that the cause is not entered again.
    pub keep_until: Moment,
}

/// How long delivered and dead rows can be looked at.
pub const KEPT: i64 = 7 * DAY;

#[derive(Serialize)]
struct Payload<'a> {
    created_at: f64,
    user: UserDocument,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Option<AdminDocument<'a>>>,
}

#[derive(Serialize)]
struct AdminDocument<'a> {
    id: i64,
    username: &'a str,
    is_sudo: bool,
    enabled: bool,
    all_services_access: bool,
    modify_users_access: bool,
    service_ids: Vec<i64>,
    subscription_url_prefix: &'a str,
}

impl Notification {
    /// The news that `event` happened to `user`, who is shown as `user` says. `cause` must be another text for another
    /// occasion of the same event and user. `chance` makes the digits for the stars of the link's prefix.
    pub fn of(
        event: Event,
        user: User,
        cause: &str,
        by: By<'_>,
        prefix: &str,
        now: Moment,
        chance: impl FnMut() -> u64,
    ) -> Self {
        let id = user.id;
        let payload = Payload {
            // Microseconds of this era are exact in a double.
            created_at: now.micros() as f64 / SECOND as f64,
            user: UserDocument::of(user, prefix, now, chance),
            action: event.action(),
            by: match by {
                By::Admin(admin) => Some(Some(AdminDocument::of(admin))),
                By::Task => Some(None),
                By::Nobody => None,
            },
        };
        // Numbers, texts and lists always serialize.
        let payload = serde_json::to_string(&payload).unwrap_or_default();
        Self { event, cause: format!("{}:{id}:{cause}", event.action()), user: id, payload, keep_until: now.plus(KEPT) }
    }

    /// The same, remembered until `moment` at least.
    #[must_use]
    pub fn kept_until(mut self, moment: Moment) -> Self {
        self.keep_until = self.keep_until.max(moment);
        self
    }
}

impl<'a> AdminDocument<'a> {
    fn of(admin: &'a Admin) -> Self {
        Self {
            id: admin.id.0,
            username: &admin.username,
            is_sudo: admin.is_sudo,
            enabled: admin.enabled,
            all_services_access: admin.all_services_access,
            modify_users_access: admin.modify_users_access,
            service_ids: admin.service_ids.iter().map(|id| id.0).collect(),
            subscription_url_prefix: &admin.subscription_url_prefix,
        }
    }
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Created,
        Self::Updated,
        Self::Activated,
        Self::Deactivated,
        Self::Deleted,
        Self::Enabled,
        Self::Disabled,
        Self::UsageReset,
        Self::SubscriptionRevoked,
        Self::ReachedUsagePercent,
        Self::ReachedDaysLeft,
    ];

    /// The word of the webhook.
    pub const fn action(self) -> &'static str {
        match self {
            Self::Created => "user_created",
            Self::Updated => "user_updated",
            Self::Activated => "user_activated",
            Self::Deactivated => "user_deactivated",
            Self::Deleted => "user_deleted",
            Self::Enabled => "user_enabled",
            Self::Disabled => "user_disabled",
            Self::UsageReset => "data_usage_reset",
            Self::SubscriptionRevoked => "subscription_revoked",
            Self::ReachedUsagePercent => "reached_usage_percent",
            Self::ReachedDaysLeft => "reached_days_left",
        }
    }

    /// From the word.
    pub fn from_action(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.action() == word)
    }
}

impl DeliveryState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Delivered, Self::Dead];

    /// The word of the database and the API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

impl Destination {
    /// The webhook.
    pub const fn webhook() -> Self {
        Self { channel: Channel::Webhook, recipient: String::new() }
    }

    /// A chat on Telegram.
    pub fn telegram(chat: i64) -> Self {
        Self { channel: Channel::Telegram, recipient: chat.to_string() }
    }
}

impl Channel {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Webhook, Self::Telegram];

    /// The word of the database and the API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Telegram => "telegram",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::ids::AdminId;
    use super::super::user::sample;
    use super::*;

    const NOW: Moment = Moment::from_micros(1_795_466_148_095_426);

    fn payload(by: By<'_>) -> Value {
        let notification = Notification::of(Event::Deactivated, sample(NOW), "x", by, "https://*.example", NOW, || 7);
        assert_eq!(notification.cause, "user_deactivated:1:x");
        serde_json::from_str(&notification.payload).expect("JSON")
    }

    #[test]
    fn the_payload_says_what_who_when_and_by_whom() {
        let admin = Admin {
            id: AdminId(2),
            username: "root".to_owned(),
            is_sudo: true,
            enabled: true,
            all_services_access: false,
            modify_users_access: true,
            service_ids: Vec::new(),
            subscription_url_prefix: String::new(),
            password_reset_at: None,
        };
        let told = payload(By::Admin(&admin));
        assert_eq!(told["created_at"], json!(1_795_466_148.095_426));
        assert_eq!(told["action"], json!("user_deactivated"));
        let link = "https://0000000000000007.example/sub/sample/00000000000000000000000000000001";
        assert_eq!(told["user"]["subscription_url"], json!(link));
        let by = json!({"id": 2, "username": "root", "is_sudo": true, "enabled": true, "all_services_access": false,
            "modify_users_access": true, "service_ids": [], "subscription_url_prefix": ""});
        assert_eq!(told["by"], by);
    }

    #[test]
    fn a_task_is_null_and_nobody_is_not_mentioned() {
        assert_eq!(payload(By::Task).get("by"), Some(&Value::Null));
        assert_eq!(payload(By::Nobody).get("by"), None);
    }

    #[test]
    fn words_are_their_own_inverse() {
        for event in Event::ALL {
            assert_eq!(Event::from_action(event.action()), Some(event));
        }
    }
}
