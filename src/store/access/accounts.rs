//! The look-up of a request's admin: one statement reads the admin and the sessions that were ended.

use sqlx::{FromRow, query, query_scalar};
use uuid::Uuid;

use super::admin_row::{AdminRow, admin_columns, join_role};
use super::second_factor;
use crate::domain::account::{Account, EndedSessions};
use crate::domain::admin::Admin;
use crate::store::engine::statement::{db_read, row, statements};
use crate::store::engine::{Db, StoreError};

statements! {
    // 257: one more than `domain::account::LOADED`. Sessions of an earlier password are refused without being listed.
    BY_USERNAME =>
        pg concat!("SELECT ", admin_columns!(pg), ",
                   (SELECT STRING_AGG(CAST(e.id AS TEXT), ' ')
                    FROM (SELECT id FROM admin_session
                          WHERE admin_id = a.id AND ended_at IS NOT NULL
                              AND password_version = COALESCE(a.password_reset_at, 0) LIMIT 257) AS e) AS ended
            FROM admins a", join_role!(), "WHERE a.username = $1"),
        lite concat!("SELECT ", admin_columns!(lite), ",
                     (SELECT group_concat(hex(e.id), ' ')
                      FROM (SELECT id FROM admin_session
                            WHERE admin_id = a.id AND ended_at IS NOT NULL
                                AND password_version = COALESCE(a.password_reset_at, 0) LIMIT 257) AS e) AS ended
              FROM admins a", join_role!(), "WHERE a.username = $1");
    HAS_ENDED = "SELECT EXISTS (SELECT 1 FROM admin_session WHERE id = $1 AND ended_at IS NOT NULL)";
}

row! {
    struct EndedRow {
        ended: Option<String>,
    }
}

/// Returns the admin of this exact name with its ended sessions.
pub async fn by_username(db: &Db, username: &str) -> Result<Option<Account>, StoreError> {
    let rows = db_read!(db, BY_USERNAME, |sql, c| {
        let row = query(sql).bind(username).fetch_optional(c).await;
        row.and_then(|row| row.map(|row| Ok((AdminRow::from_row(&row)?, EndedRow::from_row(&row)?))).transpose())
    })?;
    let Some((admin, EndedRow { ended })) = rows else { return Ok(None) };
    let admin = Admin::from(admin);
    let ids = ended.iter().flat_map(|ids| ids.split(' ')).filter_map(|id| Uuid::try_parse(id).ok());
    let lacks_second_factor = admin.requires_second_factor && !second_factor::factors(db, admin.id).await?.any();
    Ok(Some(Account { admin, ended: EndedSessions::new(ids.collect()), lacks_second_factor }))
}

/// Returns true if a session was ended by itself.
pub async fn has_ended(db: &Db, session: Uuid) -> Result<bool, StoreError> {
    db_read!(db, HAS_ENDED, |sql, c| query_scalar::<_, bool>(sql).bind(session).fetch_one(c).await)
}
