//! The tables `services` and `inbounds_services`.

use std::collections::HashMap;

use sqlx::{query_as, query_scalar};

use crate::domain::ids::{AdminId, InboundId, ServiceId, UserId};
use crate::domain::service::Service;
use crate::store::engine::like::containing;
use crate::store::engine::statement::{db_execute, db_read, db_run, row, statements};
use crate::store::engine::{Db, IdList, StoreError, Tx};
use crate::store::users;

/// Selection of services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All services.
    All,
    /// Services that an admin may assign.
    OfAdmin(AdminId),
    /// Services of a user.
    OfUser(UserId),
}

/// Number of users that are read with a service; [`users_after`] reads the others.
pub const FIRST_USERS: i64 = 1_000;

statements! {
    // Removed users are excluded by the small index of removed users. The bind of the inner LIMIT is `FIRST_USERS`. The last
    // bind is an owner, whose users are found by the index of owners, or NULL for all users: one of the two lists is empty.
    BY_ID =>
        pg "SELECT s.id, s.name,
                   ARRAY(SELECT i.inbound_id FROM inbounds_services i WHERE i.service_id = s.id) AS inbound_ids,
                   ARRAY(SELECT m.user_id FROM users_services m
                         WHERE CAST($3 AS BIGINT) IS NULL AND m.service_id = s.id
                             AND NOT EXISTS (SELECT 1 FROM users r WHERE r.removed = TRUE AND r.id = m.user_id)
                         ORDER BY m.user_id LIMIT $2)
                   || ARRAY(SELECT u.id FROM users u
                            WHERE u.owner_id = $3 AND u.removed = FALSE
                                AND EXISTS (SELECT 1 FROM users_services m WHERE m.user_id = u.id AND m.service_id = s.id)
                            ORDER BY u.id LIMIT $2) AS first_users
            FROM services s
            WHERE s.id = $1",
        lite "SELECT s.id, s.name,
                     (SELECT json_group_array(i.inbound_id) FROM inbounds_services i WHERE i.service_id = s.id) AS inbound_ids,
                     (SELECT json_group_array(user_id) FROM (
                          SELECT * FROM (
                              SELECT m.user_id FROM users_services m
                              WHERE $3 IS NULL AND m.service_id = s.id
                                  AND NOT EXISTS (SELECT 1 FROM users r INDEXED BY users_removed WHERE r.removed = TRUE AND r.id = m.user_id)
                              ORDER BY m.user_id LIMIT $2)
                          UNION ALL
                          SELECT * FROM (
                              SELECT u.id AS user_id FROM users u INDEXED BY users_live_owner
                              WHERE u.owner_id = $3 AND u.removed = FALSE
                                  AND EXISTS (SELECT 1 FROM users_services m WHERE m.user_id = u.id AND m.service_id = s.id)
                              ORDER BY u.id LIMIT $2))) AS first_users
              FROM services s
              WHERE s.id = $1";
    // $1 is an admin or NULL, $2 a user or NULL, $3 a pattern; services without a name match only
    // the pattern of an empty text.
    PAGE =>
        pg r"SELECT s.id, s.name,
                    ARRAY(SELECT i.inbound_id FROM inbounds_services i WHERE i.service_id = s.id) AS inbound_ids,
                    ARRAY(SELECT m.user_id FROM users_services m
                          WHERE CAST($7 AS BIGINT) IS NULL AND m.service_id = s.id
                              AND NOT EXISTS (SELECT 1 FROM users r WHERE r.removed = TRUE AND r.id = m.user_id)
                          ORDER BY m.user_id LIMIT $6)
                    || ARRAY(SELECT u.id FROM users u
                             WHERE u.owner_id = $7 AND u.removed = FALSE
                                 AND EXISTS (SELECT 1 FROM users_services m WHERE m.user_id = u.id AND m.service_id = s.id)
                             ORDER BY u.id LIMIT $6) AS first_users
             FROM services s
             WHERE (CAST($1 AS BIGINT) IS NULL OR s.id IN (SELECT service_id FROM admins_services WHERE admin_id = $1))
                 AND (CAST($2 AS BIGINT) IS NULL OR s.id IN (SELECT service_id FROM users_services WHERE user_id = $2))
                 AND ($3 = '%%' OR LOWER(s.name) LIKE LOWER($3) ESCAPE '\')
             ORDER BY s.id LIMIT $4 OFFSET $5",
        lite r"SELECT s.id, s.name,
                      (SELECT json_group_array(i.inbound_id) FROM inbounds_services i WHERE i.service_id = s.id) AS inbound_ids,
                      (SELECT json_group_array(user_id) FROM (
                           SELECT * FROM (
                               SELECT m.user_id FROM users_services m
                               WHERE $7 IS NULL AND m.service_id = s.id
                                   AND NOT EXISTS (SELECT 1 FROM users r INDEXED BY users_removed WHERE r.removed = TRUE AND r.id = m.user_id)
                               ORDER BY m.user_id LIMIT $6)
                           UNION ALL
                           SELECT * FROM (
                               SELECT u.id AS user_id FROM users u INDEXED BY users_live_owner
                               WHERE u.owner_id = $7 AND u.removed = FALSE
                                   AND EXISTS (SELECT 1 FROM users_services m WHERE m.user_id = u.id AND m.service_id = s.id)
                               ORDER BY u.id LIMIT $6))) AS first_users
               FROM services s
               WHERE (CAST($1 AS BIGINT) IS NULL OR s.id IN (SELECT service_id FROM admins_services WHERE admin_id = $1))
                   AND (CAST($2 AS BIGINT) IS NULL OR s.id IN (SELECT service_id FROM users_services WHERE user_id = $2))
                   AND ($3 = '%%' OR LOWER(s.name) LIKE LOWER($3) ESCAPE '\')
               ORDER BY s.id LIMIT $4 OFFSET $5";
    COUNT =
        r"SELECT COUNT(*) FROM services s
          WHERE (CAST($1 AS BIGINT) IS NULL OR s.id IN (SELECT service_id FROM admins_services WHERE admin_id = $1))
              AND (CAST($2 AS BIGINT) IS NULL OR s.id IN (SELECT service_id FROM users_services WHERE user_id = $2))
              AND ($3 = '%%' OR LOWER(s.name) LIKE LOWER($3) ESCAPE '\')";
    OWN_USERS_AFTER =>
        pg "SELECT ARRAY(SELECT u.id FROM users u
                         WHERE u.owner_id = $4 AND u.removed = FALSE AND u.id > $2
                             AND EXISTS (SELECT 1 FROM users_services m WHERE m.user_id = u.id AND m.service_id = $1)
                         ORDER BY u.id LIMIT $3)",
        lite "SELECT json_group_array(id) FROM (
                  SELECT u.id FROM users u INDEXED BY users_live_owner
                  WHERE u.owner_id = $4 AND u.removed = FALSE AND u.id > $2
                      AND EXISTS (SELECT 1 FROM users_services m WHERE m.user_id = u.id AND m.service_id = $1)
                  ORDER BY u.id LIMIT $3)";
    // Reads the removed users too, as a list of their own: to check each user for it costs more than all the rest.
    USERS_AFTER =>
        pg "SELECT ARRAY(SELECT m.user_id FROM users_services m WHERE m.service_id = $1 AND m.user_id > $2
                         ORDER BY m.user_id LIMIT $3)",
        lite "SELECT json_group_array(user_id) FROM (
                  SELECT m.user_id FROM users_services m WHERE m.service_id = $1 AND m.user_id > $2
                  ORDER BY m.user_id LIMIT $3)";
    // A removed user may keep its services: there are few, and they are found by their own index.
    COUNT_USERS =>
        pg "SELECT s.id, (SELECT COUNT(*) FROM users_services m WHERE m.service_id = s.id)
                         - (SELECT COUNT(*) FROM users r JOIN users_services m ON m.user_id = r.id AND m.service_id = s.id
                            WHERE r.removed = TRUE)
            FROM services s WHERE s.id = ANY($1)",
        lite "SELECT s.id, (SELECT COUNT(*) FROM users_services m WHERE m.service_id = s.id)
                           - (SELECT COUNT(*) FROM users r INDEXED BY users_removed
                              JOIN users_services m ON m.user_id = r.id AND m.service_id = s.id WHERE r.removed = TRUE)
              FROM services s WHERE s.id IN (SELECT value FROM json_each($1))";
    COUNT_OWN_USERS =>
        pg "SELECT m.service_id, COUNT(*) FROM users u JOIN users_services m ON m.user_id = u.id
            WHERE u.owner_id = $2 AND u.removed = FALSE AND m.service_id = ANY($1) GROUP BY m.service_id",
        lite "SELECT m.service_id, COUNT(*) FROM users u INDEXED BY users_live_owner JOIN users_services m ON m.user_id = u.id
              WHERE u.owner_id = $2 AND u.removed = FALSE AND m.service_id IN (SELECT value FROM json_each($1))
              GROUP BY m.service_id";
    INSERT = "INSERT INTO services (name) VALUES ($1) RETURNING id";
    LOCK =>
        pg "SELECT name FROM services WHERE id = $1 FOR UPDATE",
        lite "SELECT name FROM services WHERE id = $1";
    RENAME = "UPDATE services SET name = $2 WHERE id = $1";
    INBOUNDS = "SELECT inbound_id FROM inbounds_services WHERE service_id = $1";
    CLEAR_INBOUNDS = "DELETE FROM inbounds_services WHERE service_id = $1";
    ADD_INBOUNDS =>
        pg "INSERT INTO inbounds_services (service_id, inbound_id)
            SELECT $1, id FROM (SELECT id FROM inbounds WHERE id = ANY($2) ORDER BY id FOR KEY SHARE) AS known",
        lite "INSERT INTO inbounds_services (service_id, inbound_id)
            SELECT $1, id FROM inbounds WHERE id IN (SELECT value FROM json_each($2))";
    USER_AFTER = "SELECT user_id FROM users_services WHERE service_id = $1 ORDER BY user_id LIMIT 1 OFFSET $2";
    TAKE_FROM_USERS = "DELETE FROM users_services WHERE service_id = $1 AND user_id <= $2";
    DELETE = "DELETE FROM services WHERE id = $1";
}

row! {
    struct ServiceRow {
        id: i64,
        name: Option<String>,
        inbound_ids: IdList,
        first_users: IdList,
    }
}

impl From<ServiceRow> for Service {
    fn from(row: ServiceRow) -> Self {
        Self {
            id: ServiceId(row.id),
            name: row.name,
            inbound_ids: row.inbound_ids.as_slice().iter().copied().map(InboundId).collect(),
            first_users: row.first_users.as_slice().iter().copied().map(UserId).collect(),
        }
    }
}

impl Scope {
    /// Returns the admin and the user as binds.
    const fn binds(self) -> (Option<i64>, Option<i64>) {
        match self {
            Self::All => (None, None),
            Self::OfAdmin(id) => (Some(id.0), None),
            Self::OfUser(id) => (None, Some(id.0)),
        }
    }
}

/// Returns a service, with its first users of that owner (none: of all users).
pub async fn by_id(db: &Db, id: ServiceId, owner: Option<AdminId>) -> Result<Option<Service>, StoreError> {
    let row = db_read!(db, BY_ID, |sql, c| query_as::<_, ServiceRow>(sql)
        .bind(id.0)
        .bind(FIRST_USERS)
        .bind(owner.map(|owner| owner.0))
        .fetch_optional(c)
        .await)?;
    Ok(row.map(Service::from))
}

/// Returns a page of services, by id, each with so many of its first users of that owner (none: of all users). `contains` is part of the
/// name in any case, with `%` and `_` as wildcards; empty: all services.
pub async fn page(
    db: &Db,
    scope: Scope,
    owner: Option<AdminId>,
    contains: &str,
    first_users: i64,
    limit: i64,
    offset: i64,
) -> Result<Vec<Service>, StoreError> {
    let (admin, user) = scope.binds();
    let rows = db_read!(db, PAGE, |sql, c| {
        let page = query_as::<_, ServiceRow>(sql).bind(admin).bind(user).bind(containing(contains));
        page.bind(limit).bind(offset).bind(first_users).bind(owner.map(|owner| owner.0)).fetch_all(c).await
    })?;
    Ok(rows.into_iter().map(Service::from).collect())
}

/// Returns the users of a service after `after` that are not removed, by id: those of that owner, or all. Reads at most
/// `limit` rows, and returns the last id read if more may follow.
pub async fn users_after(
    db: &Db,
    id: ServiceId,
    owner: Option<AdminId>,
    after: UserId,
    limit: i64,
) -> Result<(IdList, Option<UserId>), StoreError> {
    let found = match owner {
        None => db_read!(db, USERS_AFTER, |sql, c| {
            query_scalar::<_, IdList>(sql).bind(id.0).bind(after.0).bind(limit).fetch_one(c).await
        })?,
        Some(owner) => db_read!(db, OWN_USERS_AFTER, |sql, c| {
            query_scalar::<_, IdList>(sql).bind(id.0).bind(after.0).bind(limit).bind(owner.0).fetch_one(c).await
        })?,
    };
    let Some(last) = found.as_slice().last().copied() else { return Ok((found, None)) };
    let more = i64::try_from(found.as_slice().len()).is_ok_and(|found| found >= limit);
    let next = more.then_some(UserId(last));
    if owner.is_some() {
        return Ok((found, next));
    }
    let removed = users::removed(db, after, UserId(last)).await?;
    Ok((found.without(&removed), next))
}

/// Returns the number of users of each of these services that are not removed: those of that owner, or all. A service without
/// users may be missing.
pub async fn count_users(
    db: &Db,
    services: &[Service],
    owner: Option<AdminId>,
) -> Result<HashMap<ServiceId, i64>, StoreError> {
    let ids = IdList::new(services.iter().map(|service| service.id.0));
    let counts = match owner {
        None => db_read!(db, COUNT_USERS, |sql, c| query_as::<_, (i64, i64)>(sql).bind(ids).fetch_all(c).await)?,
        Some(owner) => db_read!(db, COUNT_OWN_USERS, |sql, c| query_as::<_, (i64, i64)>(sql)
            .bind(ids)
            .bind(owner.0)
            .fetch_all(c)
            .await)?,
    };
    Ok(counts.into_iter().map(|(id, count)| (ServiceId(id), count)).collect())
}

/// Returns the number of services on all pages.
pub async fn count(db: &Db, scope: Scope, contains: &str) -> Result<i64, StoreError> {
    let (admin, user) = scope.binds();
    db_read!(db, COUNT, |sql, c| {
        query_scalar::<_, i64>(sql).bind(admin).bind(user).bind(containing(contains)).fetch_one(c).await
    })
}

/// Inserts a service without inbounds.
pub async fn insert(tx: &mut Tx, name: Option<&str>) -> Result<ServiceId, StoreError> {
    db_run!(tx, INSERT, |sql, c| query_scalar::<_, i64>(sql).bind(name).fetch_one(c).await).map(ServiceId)
}

/// Locks a service until the end of the transaction, and returns it without its users. `None`: it does not exist.
pub async fn lock(tx: &mut Tx, id: ServiceId) -> Result<Option<Service>, StoreError> {
    let found = db_run!(tx, LOCK, |sql, c| query_scalar::<_, Option<String>>(sql).bind(id.0).fetch_optional(c).await)?;
    let Some(name) = found else { return Ok(None) };
    let inbound_ids = inbounds(tx, id).await?.as_slice().iter().copied().map(InboundId).collect();
    Ok(Some(Service { id, name, inbound_ids, first_users: Vec::new() }))
}

/// Renames a service.
pub async fn rename(tx: &mut Tx, id: ServiceId, name: &str) -> Result<(), StoreError> {
    db_execute!(tx, RENAME, id.0, name)
}

/// Returns the inbounds of a service.
pub async fn inbounds(tx: &mut Tx, id: ServiceId) -> Result<IdList, StoreError> {
    db_run!(tx, INBOUNDS, |sql, c| query_scalar::<_, i64>(sql).bind(id.0).fetch_all(c).await).map(IdList::new)
}

/// Sets the inbounds of a service; unknown ones are left out.
pub async fn set_inbounds(tx: &mut Tx, id: ServiceId, inbounds: IdList) -> Result<(), StoreError> {
    db_execute!(tx, CLEAR_INBOUNDS, id.0)?;
    db_execute!(tx, ADD_INBOUNDS, id.0, inbounds)
}

/// Returns the user of the service after the first `others` ones, if the service has that many.
pub async fn user_after(tx: &mut Tx, id: ServiceId, others: i64) -> Result<Option<UserId>, StoreError> {
    let user =
        db_run!(tx, USER_AFTER, |sql, c| query_scalar::<_, i64>(sql).bind(id.0).bind(others).fetch_optional(c).await)?;
    Ok(user.map(UserId))
}

/// Removes a service from its users up to a user id.
pub async fn take_from_users(tx: &mut Tx, id: ServiceId, up_to: UserId) -> Result<(), StoreError> {
    db_execute!(tx, TAKE_FROM_USERS, id.0, up_to.0)
}

/// Deletes a service, also from admins, users and hosts.
pub async fn delete(tx: &mut Tx, id: ServiceId) -> Result<(), StoreError> {
    db_execute!(tx, DELETE, id.0)
}
