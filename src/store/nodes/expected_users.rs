//! The state of users that nodes should have: who is served, with which key, through which inbounds.

use std::collections::{BTreeSet, HashMap};

use sqlx::{query_as, query_scalar};

use crate::domain::ids::{NodeId, ServiceId, UserId};
use crate::store::engine::statement::{db_read, row, statements};
use crate::store::engine::{Db, IdList, StoreError};

/// Users that nodes should serve: enabled, activated, not removed. The text is part of both statements.
macro_rules! live {
    () => {
        "activated = TRUE AND enabled = TRUE AND removed = FALSE"
    };
}

statements! {
    LIVE_PAGE = concat!(
        "SELECT u.id, u.username, u.key, u.key_change_seq, TRUE AS live, m.service_id
         FROM (SELECT id, username, key, key_change_seq FROM users WHERE id > $1 AND ", live!(), " ORDER BY id LIMIT $2) AS u
         LEFT JOIN users_services AS m ON m.user_id = u.id ORDER BY u.id, m.service_id");
    CHOSEN => pg concat!(
        "SELECT u.id, u.username, u.key, u.key_change_seq, (", live!(), ") AS live, m.service_id
         FROM users AS u LEFT JOIN users_services AS m ON m.user_id = u.id
         WHERE u.id IN (SELECT UNNEST(CAST($1 AS BIGINT[]))) ORDER BY u.id, m.service_id"),
        lite concat!(
        "SELECT u.id, u.username, u.key, u.key_change_seq, (", live!(), ") AS live, m.service_id
         FROM users AS u LEFT JOIN users_services AS m ON m.user_id = u.id
         WHERE u.id IN (SELECT value FROM json_each($1)) ORDER BY u.id, m.service_id");
    NEWEST = "SELECT CAST(COALESCE(MAX(id), 0) AS BIGINT) FROM users";
    TAGS = "SELECT s.service_id, i.node_id, i.tag FROM inbounds_services AS s JOIN inbounds AS i ON i.id = s.inbound_id
        WHERE i.absent_since IS NULL ORDER BY s.service_id, i.id";
}

row! {
    struct Line {
        id: i64,
        username: Option<String>,
        key: String,
        key_change_seq: i64,
        live: bool,
        service_id: Option<i64>,
    }
}

row! {
    struct TagLine {
        service_id: i64,
        node_id: i64,
        tag: String,
    }
}

/// A user as nodes should know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeUser {
    /// Id of the user.
    pub id: UserId,
    /// Name; empty for a removed user.
    pub username: String,
    /// Key that the credentials derive from.
    pub key: String,
    /// Reading of the clock `key_change` at the last change of the key.
    pub key_change_seq: i64,
    /// True if nodes should serve this user.
    pub live: bool,
    /// Services, by id.
    pub services: Vec<ServiceId>,
}

/// The inbounds of each service, by node.
#[derive(Clone, Debug, Default)]
pub struct ServiceTags(HashMap<(ServiceId, NodeId), Vec<String>>);

impl ServiceTags {
    /// An inbound of a service.
    #[cfg(test)]
    pub(crate) fn one(service: ServiceId, node: NodeId, tag: &str) -> Self {
        Self(HashMap::from([((service, node), vec![tag.to_owned()])]))
    }

    /// Returns the tags of all services' inbounds on `node`, sorted.
    pub fn on(&self, node: NodeId) -> BTreeSet<&str> {
        let of_node = self.0.iter().filter(|((_, of), _)| *of == node);
        of_node.flat_map(|(_, tags)| tags).map(String::as_str).collect()
    }

    /// Returns the tags of `user`'s inbounds on `node`, sorted and without duplicates. Empty: the node should not know
    /// this user.
    pub fn of(&self, user: &NodeUser, node: NodeId) -> Vec<&str> {
        if !user.live {
            return Vec::new();
        }
        let inbounds = user.services.iter().filter_map(|service| self.0.get(&(*service, node)));
        let mut tags: Vec<&str> = inbounds.flatten().map(String::as_str).collect();
        tags.sort_unstable();
        tags.dedup();
        tags
    }
}

impl NodeUser {
    /// Returns the state of a user whose row is gone, which nodes should remove.
    pub const fn gone(id: UserId) -> Self {
        Self { id, username: String::new(), key: String::new(), key_change_seq: 0, live: false, services: Vec::new() }
    }
}

/// Returns the inbounds of all services.
pub async fn service_tags(db: &Db) -> Result<ServiceTags, StoreError> {
    let lines = db_read!(db, TAGS, |sql, c| query_as::<_, TagLine>(sql).fetch_all(c).await)?;
    let mut tags = ServiceTags::default();
    for line in lines {
        tags.0.entry((ServiceId(line.service_id), NodeId(line.node_id))).or_default().push(line.tag);
    }
    Ok(tags)
}

/// Returns the largest user id, of a served user or not; 0: there are no users.
pub async fn newest(db: &Db) -> Result<UserId, StoreError> {
    db_read!(db, NEWEST, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await).map(UserId)
}

/// Returns the next users after `after` that nodes should serve, at most `limit`. Fewer mean that these are the last
/// ones.
pub async fn live_page(db: &Db, after: UserId, limit: usize) -> Result<Vec<NodeUser>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    db_read!(db, LIVE_PAGE, |sql, c| query_as::<_, Line>(sql).bind(after.0).bind(limit).fetch_all(c).await).map(fold)
}

/// Returns these users, served or not; users whose row is gone are missing.
pub async fn chosen(db: &Db, users: &IdList) -> Result<Vec<NodeUser>, StoreError> {
    db_read!(db, CHOSEN, |sql, c| query_as::<_, Line>(sql).bind(users.clone()).fetch_all(c).await).map(fold)
}

/// Merges the rows of one user, one per service.
fn fold(lines: Vec<Line>) -> Vec<NodeUser> {
    let mut users: Vec<NodeUser> = Vec::new();
    for line in lines {
        let service = line.service_id.map(ServiceId);
        match users.last_mut() {
            Some(user) if user.id.0 == line.id => user.services.extend(service),
            _ => users.push(NodeUser {
                id: UserId(line.id),
                username: line.username.unwrap_or_default(),
                key: line.key,
                key_change_seq: line.key_change_seq,
                live: line.live,
                services: service.into_iter().collect(),
            }),
        }
    }
    users
}
