//! Admins, services and users, from old rows to new ones.

use uuid::Uuid;

use super::reading::Reading;
use crate::domain::moment::Moment;
use crate::domain::user::{ExpireStrategy, ResetStrategy};
use crate::store::import::tables::{AdminRow, FetchRow, ServiceRow, TrafficRow, UserRow};

/// The most that a total can be: recording more must not overflow.
const MOST_BYTES: i64 = 9_000_000_000_000_000_000;

/// An admin. Its users have no owner when it can't be copied.
pub(super) fn admin(row: &mut Reading<'_>, now: Moment) -> Option<AdminRow> {
    let id = row.integer("id")?;
    let Some(username) = row.text("username") else { return row.left_out("an admin without a name can't sign in") };
    let hashed_password = row.text("hashed_password").unwrap_or_else(|| {
        row.changed("there was no password: give one with `sarban admin update`");
        String::new()
    });
    Some(AdminRow {
        id,
        username,
        hashed_password,
        is_sudo: row.truth("is_sudo", false),
        enabled: row.truth("enabled", true),
        all_services_access: row.truth("all_services_access", false),
        modify_users_access: row.truth("modify_users_access", true),
        subscription_url_prefix: row.text("subscription_url_prefix").unwrap_or_default(),
        password_reset_at: row.moment("password_reset_at"),
        created_at: row.moment("created_at").unwrap_or_else(|| now.micros()),
    })
}

/// A service.
pub(super) fn service(row: &mut Reading<'_>) -> Option<ServiceRow> {
    Some(ServiceRow { id: row.integer("id")?, name: row.text("name") })
}

/// A user, as three tables have it.
pub(super) struct NewUser {
    pub account: UserRow,
    pub traffic: TrafficRow,
    pub fetch: Option<FetchRow>,
}

/// A user whose owner is among the admins that came, if `has_admin` says so.
pub(super) fn user(row: &mut Reading<'_>, has_admin: impl Fn(i64) -> bool, now: Moment) -> Option<NewUser> {
    let id = row.integer("id")?;
    let created_at = row.moment("created_at").unwrap_or_else(|| now.micros());
    let key = row.text("key").filter(|key| !key.is_empty()).unwrap_or_else(|| {
        row.changed("there was no key: it is a new one");
        Uuid::new_v4().simple().to_string()
    });
    let name = row.text("username");
    let mut removed = row.truth("removed", false);
    if name.is_none() && !removed {
        row.changed("there was no name: it is removed");
        removed = true;
    }
    let owner_id = row.integer("admin_id").filter(|owner| {
        let known = has_admin(*owner);
        if !known {
            row.changed("its owner is not there: it has none");
        }
        known
    });
    let expiry = Expiry::read(row);
    let account = UserRow {
        id,
        // A removed user's name is free.
        username: name.filter(|_| !removed),
        key,
        owner_id,
        enabled: row.truth("enabled", true),
        activated: row.truth("activated", true) && !removed,
        removed,
        expire_strategy: expiry.strategy.word().to_owned(),
        expire_date: expiry.date,
        usage_duration: expiry.duration,
        activation_deadline: expiry.deadline,
        note: row.text("note"),
        created_at,
        edit_at: row.moment("edit_at"),
        sub_revoked_at: row.moment("sub_revoked_at"),
    };
    let reset = |word: &str| ResetStrategy::from_word(&word.to_lowercase());
    let traffic = TrafficRow {
        user_id: id,
        // 0 has always meant unlimited.
        data_limit: row.integer("data_limit").filter(|limit| *limit > 0),
        used_traffic: row.bytes("used_traffic", MOST_BYTES),
        lifetime_used_traffic: row.bytes("lifetime_used_traffic", MOST_BYTES),
        online_at: row.moment("online_at"),
        data_limit_reset_strategy: row
            .word("data_limit_reset_strategy", reset, ResetStrategy::NoReset, "no_reset")
            .word()
            .to_owned(),
        traffic_reset_at: row.moment("traffic_reset_at"),
        created_at,
    };
    let fetch = row.moment("sub_updated_at").map(|fetched_at| FetchRow {
        user_id: id,
        fetched_at,
        user_agent: row.text("sub_last_user_agent").unwrap_or_default(),
    });
    Some(NewUser { account, traffic, fetch })
}

/// When an account ends, in columns.
struct Expiry {
    strategy: ExpireStrategy,
    date: Option<i64>,
    duration: Option<i64>,
    deadline: Option<i64>,
}

impl Expiry {
    /// The old panel wrote the strategies in capitals. A column that its strategy does not use is emptied, but for the
    /// duration, which is shown after it has started.
    fn read(row: &mut Reading<'_>) -> Self {
        let known = |word: &str| ExpireStrategy::from_word(&word.to_lowercase());
        let mut strategy = row.word("expire_strategy", known, ExpireStrategy::Never, ExpireStrategy::Never.word());
        let duration = row.integer("usage_duration");
        let date = row.moment("expire_date").filter(|_| strategy == ExpireStrategy::FixedDate);
        let deadline = row.moment("activation_deadline").filter(|_| strategy == ExpireStrategy::StartOnFirstUse);
        let is_incomplete = match strategy {
            ExpireStrategy::Never => false,
            ExpireStrategy::FixedDate => date.is_none(),
            ExpireStrategy::StartOnFirstUse => duration.is_none(),
        };
        if is_incomplete {
            row.changed(format!("expire_strategy was {} without its date or duration: it is never", strategy.word()));
            strategy = ExpireStrategy::Never;
        }
        Self { strategy, date, duration, deadline }
    }
}
