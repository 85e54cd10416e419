//! Notifications about users and quotas: the event, the destinations, and the JSON of the webhook.

use serde::Serialize;
use serde_json::json;

use super::admin::Admin;
use super::ids::UserId;
use super::moment::{DAY, Moment, SECOND};
use super::user::User;
use super::user::document::UserDocument;

/// An event of a user, or of an admin's quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// An admin created the user.
    Created,
    /// An admin edited the user.
    Updated,
    /// The account was activated.
    Activated,
    /// The account was deactivated.
    Deactivated,
    /// An admin deleted the user.
    Deleted,
    /// An admin enabled the user.
    Enabled,
    /// An admin disabled the user.
    Disabled,
    /// An admin reset the used traffic.
    UsageReset,
    /// An admin revoked the subscription key.
    SubscriptionRevoked,
    /// Used traffic passed the configured percentage of the limit.
    ReachedUsagePercent,
    /// The account expires within the configured number of days.
    ReachedDaysLeft,
    /// No back-up could be made: not about a user.
    BackUpFailed,
    /// The use of an admin's quota reached 80 or 100 percent.
    QuotaReached,
}

/// The channel of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// A POST request to the operator's URL.
    Webhook,
    /// A message of a Telegram bot.
    Telegram,
}

/// The delivery state of an outbox entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// To be sent, or retried, at its time.
    Waiting,
    /// Delivered.
    Delivered,
    /// Given up after the maximum number of attempts: a dead letter.
    Dead,
}

/// The destination of notifications. Each destination has outbox entries of its own, so that one that fails does not
/// delay the others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    /// The channel.
    pub channel: Channel,
    /// The Telegram chat; empty for the webhook.
    pub recipient: String,
}

/// The destinations of notifications, and the prefix of the links in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotificationTargets {
    /// The configured destinations; without any, nothing is entered in the outbox.
    pub destinations: Vec<Destination>,
    /// The prefix of subscription links of owners without their own.
    pub url_prefix: String,
}

/// The author of a change, as shown in the payload.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// An admin.
    Admin(&'a Admin),
    /// A task, shown as `null`.
    Task,
    /// No author: the field is left out.
    Nobody,
}

/// A notification for the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The event.
    pub event: Event,
    /// Identifies the occasion: the outbox holds at most one entry per cause and destination.
    pub cause: String,
    /// The user, or the negative id of an admin; notifications about one are delivered in order.
    pub user: UserId,
    /// The JSON object that the webhook receives.
    pub payload: String,
    /// The entry stays until this moment, so that the same cause is not entered again.
    pub keep_until: Moment,
}

/// The retention time of delivered and dead entries, in microseconds.
pub const RETENTION: i64 = 7 * DAY;

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
    /// The notification of an event of `user`. `cause` must differ between occasions of the same event and user.
    /// `chance` supplies the random digits of the link's prefix.
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
            // A double represents today's microseconds exactly.
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
        Self {
            event,
            cause: format!("{}:{id}:{cause}", event.action()),
            user: id,
            payload,
            keep_until: now.plus(RETENTION),
        }
    }

    /// The notification of a back-up that failed; one a day, because the same thing fails again.
    pub fn of_failed_back_up(place: &str, error: &str, now: Moment) -> Self {
        let event = Event::BackUpFailed;
        let created_at = now.micros() as f64 / SECOND as f64;
        let payload = json!({"created_at": created_at, "action": event.action(), "place": place, "error": error});
        Self {
            event,
            cause: format!("{}:0:{}", event.action(), now.day().micros()),
            user: UserId(0),
            payload: payload.to_string(),
            keep_until: now.plus(RETENTION),
        }
    }

    /// The notification with an entry that stays until `moment` at least.
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
    /// All values.
    pub const ALL: [Self; 13] = [
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
        Self::BackUpFailed,
        Self::QuotaReached,
    ];

    /// The text form in the webhook.
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
            Self::BackUpFailed => "back_up_failed",
            Self::QuotaReached => "admin_quota_reached",
        }
    }

    /// Reads the text form.
    pub fn from_action(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.action() == word)
    }
}

impl DeliveryState {
    /// All values.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Delivered, Self::Dead];

    /// The text form in the database and the API.
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
    /// All values.
    pub const ALL: [Self; 2] = [Self::Webhook, Self::Telegram];

    /// The text form in the database and the API.
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
    fn payload_has_event_user_time_and_author() {
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
            created_at: Moment::from_micros(0),
            role: None,
            requires_second_factor: false,
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
    fn author_is_null_for_tasks_and_missing_without_one() {
        assert_eq!(payload(By::Task).get("by"), Some(&Value::Null));
        assert_eq!(payload(By::Nobody).get("by"), None);
    }

    #[test]
    fn actions_read_back() {
        for event in Event::ALL {
            assert_eq!(Event::from_action(event.action()), Some(event));
        }
    }
}
