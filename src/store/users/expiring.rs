//! Users whose account expires soon and who have not been notified: decided from the data, so that an outage neither
//! loses nor doubles notifications.

use sqlx::query_scalar;

use crate::domain::moment::{DAY, Moment, SECOND};
use crate::store::engine::statement::{db_read, statements};
use crate::store::engine::{Db, IdList, StoreError};

/// Maximum number of users in one transaction.
pub const CHUNK: i64 = 500;
/// Maximum delay of a notification, in microseconds; later ones are dropped.
const AT_LATEST: i64 = DAY;
/// Time to look ahead, in microseconds: the interval between two searches.
const AHEAD: i64 = 30 * SECOND;
/// Margin for accounts that are created with exactly as many days as the notification announces, in microseconds:
/// clocks differ and requests take time.
const JUST: i64 = 60 * SECOND;

statements! {
    // Users who were created or edited with less time left know it.
    EXPIRING =
        "SELECT u.id FROM users AS u JOIN user_traffic AS t ON t.user_id = u.id
         WHERE u.activated = TRUE AND u.expire_strategy = 'fixed_date' AND u.expire_date > $1 AND u.expire_date <= $2
           AND u.enabled = TRUE AND t.data_limit_reached = FALSE
           AND COALESCE(u.edit_at, u.created_at) < u.expire_date - $3
           AND NOT EXISTS (SELECT 1 FROM outbox AS o WHERE o.cause = 'reached_days_left:' || u.id || ':' || u.expire_date)
         ORDER BY u.expire_date LIMIT $4";
}

/// Returns up to [`CHUNK`] users who reached `days` left within the last day, and whose cause (`reached_days_left`, the
/// user, the date) is not in the outbox.
pub async fn expiring(db: &Db, days: u32, now: Moment) -> Result<IdList, StoreError> {
    let ahead = i64::from(days) * DAY;
    let (from, until) = (now.plus(ahead - AT_LATEST).max(now), now.plus(ahead + AHEAD));
    db_read!(db, EXPIRING, |sql, c| {
        let query = query_scalar::<_, i64>(sql).bind(from.micros()).bind(until.micros());
        query.bind(ahead.saturating_sub(JUST)).bind(CHUNK).fetch_all(c).await
    })
    .map(IdList::new)
}
