//! The public document of a user, which the HTTP API and webhooks contain.

use serde::Serialize;

use crate::domain::moment::Moment;

use super::User;

/// A user. Times are in UTC and have no offset, so they are not of the format `date-time`.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = UserResponse)]
pub struct UserDocument {
    /// Id of the user.
    pub id: i64,
    /// Username, lower case.
    pub username: String,
    /// `never`, `fixed_date` or `start_on_first_use`.
    pub expire_strategy: &'static str,
    /// Expiry date, for `fixed_date`.
    #[schema(value_type = Option<String>, pattern = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$")]
    pub expire_date: Option<Moment>,
    /// Duration of the account in seconds, for `start_on_first_use`.
    pub usage_duration: Option<i64>,
    /// Latest start of the account, for `start_on_first_use`.
    #[schema(value_type = Option<String>, pattern = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$")]
    pub activation_deadline: Option<Moment>,
    /// Secret that all credentials of the user derive from.
    pub key: String,
    /// Data limit in bytes; null if unlimited.
    pub data_limit: Option<i64>,
    /// `no_reset`, `day`, `week`, `month` or `year`.
    pub data_limit_reset_strategy: &'static str,
    /// Note by an admin.
    pub note: Option<String>,
    /// Time of the last fetch of the subscription.
    #[schema(value_type = Option<String>, pattern = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$")]
    pub sub_updated_at: Option<Moment>,
    /// User-Agent of the last fetch of the subscription.
    pub sub_last_user_agent: Option<String>,
    /// Time of the last traffic.
    #[schema(value_type = Option<String>, pattern = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$")]
    pub online_at: Option<Moment>,
    /// True if nodes accept the user.
    pub activated: bool,
    /// True if the user is enabled, not expired and below the data limit.
    pub is_active: bool,
    /// True if the fixed expiry date has passed.
    pub expired: bool,
    /// True if the data limit is reached.
    pub data_limit_reached: bool,
    /// False if an admin disabled the user.
    pub enabled: bool,
    /// Traffic since the last reset, in bytes.
    pub used_traffic: i64,
    /// Lifetime total, in bytes.
    pub lifetime_used_traffic: i64,
    /// Time of the last revocation of the key.
    #[schema(value_type = Option<String>, pattern = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$")]
    pub sub_revoked_at: Option<Moment>,
    /// Time of creation.
    #[schema(value_type = String, pattern = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$")]
    pub created_at: Moment,
    /// Ids of the services, in ascending order.
    pub service_ids: Vec<i64>,
    /// Subscription link for the user's client apps.
    pub subscription_url: String,
    /// Username of the owner; null if there is none.
    pub owner_username: Option<String>,
    /// Time of the last reset of used traffic.
    #[schema(value_type = Option<String>, pattern = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$")]
    pub traffic_reset_at: Option<Moment>,
}

impl UserDocument {
    /// The user at `now`. `prefix` begins the link where the owner has none; `chance` makes the digits of its stars.
    pub fn of(user: User, prefix: &str, now: Moment, chance: impl FnMut() -> u64) -> Self {
        let expiry = user.expiry.fields();
        Self {
            id: user.id.0,
            expire_strategy: user.expiry.strategy().word(),
            expire_date: expiry.date,
            usage_duration: expiry.duration,
            activation_deadline: expiry.deadline,
            data_limit: user.data_limit,
            data_limit_reset_strategy: user.reset_strategy.word(),
            sub_updated_at: user.sub_updated_at,
            online_at: user.online_at,
            activated: user.activated,
            is_active: user.is_active(now),
            expired: user.is_expired(now),
            data_limit_reached: user.is_data_limit_reached(),
            enabled: user.enabled,
            used_traffic: user.used_traffic,
            lifetime_used_traffic: user.lifetime_used_traffic,
            sub_revoked_at: user.sub_revoked_at,
            created_at: user.created_at,
            service_ids: user.service_ids.iter().map(|id| id.0).collect(),
            subscription_url: user.subscription_url(prefix, chance).unwrap_or_default(),
            owner_username: user.owner.map(|owner| owner.username),
            traffic_reset_at: user.traffic_reset_at,
            username: user.username.unwrap_or_default(),
            key: user.key,
            note: user.note,
            sub_last_user_agent: user.sub_last_user_agent,
        }
    }
}
