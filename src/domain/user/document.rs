//! A user as everybody outside sees one: the HTTP API and the webhook.

use serde::Serialize;

use crate::domain::moment::Moment;

use super::User;
use super::expiry::Expiry;

/// A user with everything that is computed for showing it. Moments are UTC and do not say so, as clients expect them:
/// that is no `date-time`, which has a zone.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = UserResponse)]
pub struct UserDocument {
    /// The row.
    pub id: i64,
    /// The name.
    pub username: String,
    /// never, fixed_date or start_on_first_use.
    pub expire_strategy: &'static str,
    /// For fixed_date.
    #[schema(value_type = Option<String>, pattern = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$")]
    pub expire_date: Option<Moment>,
    /// For start_on_first_use: seconds.
    pub usage_duration: Option<i64>,
    /// For start_on_first_use: when it starts at the latest.
    #[schema(value_type = Option<String>, pattern = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$")]
    pub activation_deadline: Option<Moment>,
    /// What all credentials derive from.
    pub key: String,
    /// Bytes; null: unlimited.
    pub data_limit: Option<i64>,
    /// no_reset, day, week, month or year.
    pub data_limit_reset_strategy: &'static str,
    /// An admin's remark.
    pub note: Option<String>,
    /// When the subscription was last fetched.
    #[schema(value_type = Option<String>, pattern = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$")]
    pub sub_updated_at: Option<Moment>,
    /// By which program.
    pub sub_last_user_agent: Option<String>,
    /// The last time traffic was seen.
    #[schema(value_type = Option<String>, pattern = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$")]
    pub online_at: Option<Moment>,
    /// What the nodes were last told.
    pub activated: bool,
    /// The account works.
    pub is_active: bool,
    /// The fixed date has passed.
    pub expired: bool,
    /// All traffic is used up.
    pub data_limit_reached: bool,
    /// Switched on by an admin.
    pub enabled: bool,
    /// Bytes since the last reset.
    pub used_traffic: i64,
    /// Bytes ever.
    pub lifetime_used_traffic: i64,
    /// When the key was last revoked.
    #[schema(value_type = Option<String>, pattern = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$")]
    pub sub_revoked_at: Option<Moment>,
    /// When it was made.
    #[schema(value_type = String, pattern = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$")]
    pub created_at: Moment,
    /// The services, by id.
    pub service_ids: Vec<i64>,
    /// The link for the user's apps.
    pub subscription_url: String,
    /// Whose user this is.
    pub owner_username: Option<String>,
    /// The last reset of used traffic.
    #[schema(value_type = Option<String>, pattern = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$")]
    pub traffic_reset_at: Option<Moment>,
}

impl UserDocument {
    /// The user at `now`. `prefix` begins the link where the owner has none; `chance` makes the digits of its stars.
    pub fn of(user: User, prefix: &str, now: Moment, chance: impl FnMut() -> u64) -> Self {
        let (expire_date, usage_duration, activation_deadline) = match user.expiry {
            Expiry::Never => (None, user.usage_duration, None),
            Expiry::FixedDate(date) => (Some(date), user.usage_duration, None),
            Expiry::StartOnFirstUse { duration, deadline } => (None, Some(duration), deadline),
        };
        Self {
            id: user.id.0,
            expire_strategy: user.expiry.strategy().word(),
            expire_date,
            usage_duration,
            activation_deadline,
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
