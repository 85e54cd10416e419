//! Users whose account ends soon and who were not told yet: decided from the data, so that an outage neither loses nor
//! doubles the news.

use sqlx::query_scalar;

use crate::domain::moment::{DAY, Moment, SECOND};
use crate::store::engine::statement::{db_read, statements};
use crate::store::engine::{Db, IdList, StoreError};

/// Users in one transaction at most.
pub const CHUNK: i64 = 500;
/// News that is later than this is none any more.
const AT_LATEST: i64 = DAY;
/// Looks so far ahead, as far as a look is from the next one.
const AHEAD: i64 = 30 * SECOND;
/// Whoever is given just as many days as are worth telling is told: clocks and requests take their time.
const JUST: i64 = 60 * SECOND;

statements! {
    // Who was made or edited with less time than that knows.
    EXPIRING =
        "SELECT u.id FROM users AS u JOIN user_traffic AS t ON t.user_id = u.id
         WHERE u.activated = TRUE AND u.expire_strategy = 'fixed_date' AND u.expire_date > $1 AND u.expire_date <= $2
           AND u.enabled = TRUE AND t.data_limit_reached = FALSE
           AND COALESCE(u.edit_at, u.created_at) < u.expire_date - $3
           AND NOT EXISTS (SELECT 1 FROM outbox AS o WHERE o.cause = 'reached_days_left:' || u.id || ':' || u.expire_date)
         ORDER BY u.expire_date LIMIT $4";
}

/// Up to [`CHUNK`] users who have `days` left, since a day at most, and whose cause (`reached_days_left`, the user, the
/// date) is not in the outbox.
pub async fn expiring(db: &Db, days: u32, now: Moment) -> Result<IdList, StoreError> {
    let ahead = i64::from(days) * DAY;
    let (from, until) = (now.plus(ahead - AT_LATEST).max(now), now.plus(ahead + AHEAD));
    db_read!(db, EXPIRING, |sql, c| {
        let query = query_scalar::<_, i64>(sql).bind(from.micros()).bind(until.micros());
        query.bind(ahead.saturating_sub(JUST)).bind(CHUNK).fetch_all(c).await
    })
    .map(IdList::new)
}
