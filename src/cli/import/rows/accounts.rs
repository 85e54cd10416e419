//! Converts admins, services and users.

use uuid::Uuid;

use super::reader::RowReader;
use crate::domain::moment::Moment;
use crate::domain::user::{ExpireStrategy, ResetStrategy};
use crate::store::import::tables::{AdminRow, FetchRow, ServiceRow, TrafficRow, UserRow};

/// Maximum of a traffic total, in bytes: below 2⁶³, so that further usage does not overflow.
const MAX_BYTES: i64 = 9_000_000_000_000_000_000;

/// Converts an admin. If an admin is left out, its users have no owner.
pub(in crate::cli::import) fn admin(row: &mut RowReader<'_>) -> Option<AdminRow> {
    let id = row.integer("id")?;
    let Some(username) = row.text("username") else { return row.leave_out("no username: such an admin can't sign in") };
    let hashed_password = row.text("hashed_password").unwrap_or_else(|| {
        row.changed("no password: set one with `sarban admin update`");
        String::new()
    });
    Some(AdminRow {
        id,
        username,
        hashed_password,
        is_sudo: row.boolean("is_sudo", false),
        enabled: row.boolean("enabled", true),
        all_services_access: row.boolean("all_services_access", false),
        modify_users_access: row.boolean("modify_users_access", true),
        subscription_url_prefix: row.text("subscription_url_prefix").unwrap_or_default(),
        password_reset_at: row.micros("password_reset_at"),
        // Tokens older than their admin are refused. Without a date none is.
        created_at: row.micros("created_at").unwrap_or(0),
    })
}

/// Converts a service.
pub(in crate::cli::import) fn service(row: &mut RowReader<'_>) -> Option<ServiceRow> {
    Some(ServiceRow { id: row.integer("id")?, name: row.text("name") })
}

/// A user, as the rows of three tables.
pub(in crate::cli::import) struct ConvertedUser {
    pub account: UserRow,
    pub traffic: TrafficRow,
    pub fetch: Option<FetchRow>,
}

/// Converts a user. An owner that was not copied is cleared.
pub(in crate::cli::import) fn user(
    row: &mut RowReader<'_>,
    has_admin: impl Fn(i64) -> bool,
    now: Moment,
) -> Option<ConvertedUser> {
    let id = row.integer("id")?;
    let created_at = row.micros("created_at").unwrap_or_else(|| now.micros());
    let account = account(row, id, created_at, has_admin);
    let traffic = traffic(row, id, created_at);
    Some(ConvertedUser { account, traffic, fetch: fetch(row, id) })
}

fn account(row: &mut RowReader<'_>, id: i64, created_at: i64, has_admin: impl Fn(i64) -> bool) -> UserRow {
    let key = row.text("key").filter(|key| !key.is_empty()).unwrap_or_else(|| {
        row.changed("no key: generated a new one");
        Uuid::new_v4().simple().to_string()
    });
    let username = row.text("username");
    let mut removed = row.boolean("removed", false);
    if username.is_none() && !removed {
        row.changed("no username: imported as removed");
        removed = true;
    }
    let expiry = ExpiryColumns::read(row);
    UserRow {
        id,
        // The name of a removed user is free for others.
        username: username.filter(|_| !removed),
        key,
        owner_id: owner(row, has_admin),
        enabled: row.boolean("enabled", true),
        activated: row.boolean("activated", true) && !removed,
        removed,
        expire_strategy: expiry.strategy.word().to_owned(),
        expire_date: expiry.date,
        usage_duration: expiry.duration,
        activation_deadline: expiry.deadline,
        note: row.text("note"),
        created_at,
        edit_at: row.micros("edit_at"),
        sub_revoked_at: row.micros("sub_revoked_at"),
    }
}

fn owner(row: &mut RowReader<'_>, has_admin: impl Fn(i64) -> bool) -> Option<i64> {
    let owner = row.integer("admin_id")?;
    if !has_admin(owner) {
        row.changed("owner not found: cleared");
        return None;
    }
    Some(owner)
}

fn traffic(row: &mut RowReader<'_>, user_id: i64, created_at: i64) -> TrafficRow {
    let parse = |text: &str| ResetStrategy::from_word(&text.to_lowercase());
    let default = ResetStrategy::NoReset;
    TrafficRow {
        user_id,
        // Marzneshin reads 0 as unlimited.
        data_limit: row.integer("data_limit").filter(|limit| *limit > 0),
        used_traffic: row.bytes("used_traffic", MAX_BYTES),
        lifetime_used_traffic: row.bytes("lifetime_used_traffic", MAX_BYTES),
        online_at: row.micros("online_at"),
        data_limit_reset_strategy: row
            .variant("data_limit_reset_strategy", parse, default, default.word())
            .word()
            .to_owned(),
        traffic_reset_at: row.micros("traffic_reset_at"),
        created_at,
    }
}

/// Returns the last fetch of the subscription; none if there was no fetch.
fn fetch(row: &mut RowReader<'_>, user_id: i64) -> Option<FetchRow> {
    let fetched_at = row.micros("sub_updated_at")?;
    Some(FetchRow { user_id, fetched_at, user_agent: row.text("sub_last_user_agent").unwrap_or_default() })
}

/// The columns of a user's expiry.
struct ExpiryColumns {
    strategy: ExpireStrategy,
    date: Option<i64>,
    duration: Option<i64>,
    deadline: Option<i64>,
}

impl ExpiryColumns {
    /// Reads the columns. Marzneshin writes strategies in capitals. A date is cleared if the strategy does not use
    /// it; the duration and the deadline stay, because an edit may use them again.
    fn read(row: &mut RowReader<'_>) -> Self {
        let parse = |text: &str| ExpireStrategy::from_word(&text.to_lowercase());
        let default = ExpireStrategy::Never;
        let mut strategy = row.variant("expire_strategy", parse, default, default.word());
        let duration = row.integer("usage_duration");
        let mut date = row.micros("expire_date");
        if strategy != ExpireStrategy::FixedDate && date.take().is_some() {
            row.changed(format!("expire_date is there, and expire_strategy is {}: cleared", strategy.word()));
        }
        let deadline = row.micros("activation_deadline");
        let missing = match strategy {
            ExpireStrategy::FixedDate if date.is_none() => Some("expire_date"),
            ExpireStrategy::StartOnFirstUse if duration.is_none() => Some("usage_duration"),
            _ => None,
        };
        if let Some(missing) = missing {
            row.changed(format!("expire_strategy is {} without {missing}: set to never", strategy.word()));
            strategy = ExpireStrategy::Never;
        }
        Self { strategy, date, duration, deadline }
    }
}
