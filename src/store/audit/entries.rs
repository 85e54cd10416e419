//! The table `audit_entry`. Entries are only ever inserted, by the transaction that makes the change, and never changed by it
//! again: writers don't wait for each other.

use sqlx::query_as;

use crate::domain::audit::chain;
use crate::domain::audit::{Entry, Origin};
use crate::domain::moment::Moment;
use crate::store::engine::statement::{db_execute, db_read, row, statements};
use crate::store::engine::{Db, StoreError, Tx};

/// Entries of a filter.
macro_rules! page {
    ($narrowed:literal) => {
        concat!(
            "SELECT id, at, actor, actor_id, actor_name, epoch, address, request_id, action, object_id, object_name, before_change,
                 after_change, objects, digest, seal
             FROM audit_entry
             WHERE ",
            $narrowed,
            "id < $1 AND ($2 = '' OR actor = $2 OR SUBSTR(actor, 1, LENGTH($2) + 1) = $2 || ':') AND ($3 = '' OR actor_name = $3)
               AND ($4 = '' OR action = $4 OR SUBSTR($4, LENGTH($4)) = '.' AND SUBSTR(action, 1, LENGTH($4)) = $4)
               AND ($5 = '' OR object_name = $5) AND at >= $6 AND at < $7
             ORDER BY id DESC LIMIT $8"
        )
    };
}

statements! {
    INSERT =
        "INSERT INTO audit_entry (at, actor, actor_id, actor_name, epoch, address, request_id, action, object_id, object_name,
             before_change, after_change, objects, digest)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    // Empty texts and the ids 0 mean "any". An action ends with a dot if all of its object are meant.
    PAGE = page!("");
    // The index of an object's entries is used by a plain comparison only.
    PAGE_OF_OBJECT = page!("object_id = $9 AND ");
    AFTER =
        "SELECT id, at, actor, actor_id, actor_name, epoch, address, request_id, action, object_id, object_name, before_change,
             after_change, objects, digest, seal
         FROM audit_entry WHERE id > $1 ORDER BY id LIMIT $2";
    OF_SEAL =
        "SELECT id, at, actor, actor_id, actor_name, epoch, address, request_id, action, object_id, object_name, before_change,
             after_change, objects, digest, seal
         FROM audit_entry WHERE seal = $1 ORDER BY id LIMIT $2";
}

row! {
    /// A row of the audit log. Times are unix microseconds.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AuditRow {
        /// Id, ascending in about the order of time.
        pub id: i64,
        /// Time of the change.
        pub at: i64,
        /// Kind of the author: admin, command, task, panel, or `token:ID` for an API token.
        pub actor: String,
        /// Id of the admin.
        pub actor_id: Option<i64>,
        /// Name of the admin or the task.
        pub actor_name: Option<String>,
        /// Epoch of the leader that ran the task.
        pub epoch: Option<i64>,
        /// Address of the client.
        pub address: Option<String>,
        /// Id of the request.
        pub request_id: Option<String>,
        /// `OBJECT.VERB`.
        pub action: String,
        /// Id of the object.
        pub object_id: Option<i64>,
        /// Name of the object, or the filter of a change of many.
        pub object_name: Option<String>,
        /// JSON of the fields before.
        pub before_change: Option<String>,
        /// JSON of the fields after.
        pub after_change: Option<String>,
        /// Number of objects that changed.
        pub objects: i64,
        /// Digest that was stored with the row.
        pub digest: String,
        /// Seal that covers the row, if one does yet.
        pub seal: Option<i64>,
    }
}

/// Filter of a page of entries.
#[derive(Clone, Debug)]
pub struct AuditFilter {
    /// Only entries with smaller ids.
    pub older_than: i64,
    /// Only authors of this kind, or the API token of `token:ID`; empty: all.
    pub actor: String,
    /// Only the author of this name; empty: all.
    pub actor_name: String,
    /// Only this action, or all of an object (`user.`); empty: all.
    pub action: String,
    /// Only the object with this id; 0: all.
    pub object_id: i64,
    /// Only the object of this name; empty: all.
    pub object_name: String,
    /// Only changes since then.
    pub since: Moment,
    /// Only changes before then.
    pub until: Moment,
}

impl Default for AuditFilter {
    fn default() -> Self {
        Self {
            older_than: i64::MAX,
            actor: String::new(),
            actor_name: String::new(),
            action: String::new(),
            object_id: 0,
            object_name: String::new(),
            since: Moment::MIN,
            until: Moment::MAX,
        }
    }
}

impl AuditRow {
    /// The digest of what the row says now.
    pub fn computed_digest(&self) -> String {
        let text = |number: Option<i64>| number.map(|number| number.to_string());
        let (at, objects) = (self.at.to_string(), self.objects.to_string());
        let (actor_id, epoch, object_id) = (text(self.actor_id), text(self.epoch), text(self.object_id));
        chain::digest([
            Some(at.as_str()),
            Some(&self.actor),
            actor_id.as_deref(),
            self.actor_name.as_deref(),
            epoch.as_deref(),
            self.address.as_deref(),
            self.request_id.as_deref(),
            Some(&self.action),
            object_id.as_deref(),
            self.object_name.as_deref(),
            self.before_change.as_deref(),
            self.after_change.as_deref(),
            Some(&objects),
        ])
    }
}

/// The migration since which [`insert`] works: that of the newest column in it.
pub const SINCE: i64 = 22;

/// Inserts an entry for a change of this transaction.
pub async fn insert(tx: &mut Tx, origin: &Origin, entry: &Entry, now: Moment) -> Result<(), StoreError> {
    let json = |value: &Option<serde_json::Value>| value.as_ref().map(ToString::to_string);
    let mut row = AuditRow {
        id: 0,
        at: now.micros(),
        actor: origin.actor.kind().into_owned(),
        actor_id: origin.actor.id(),
        actor_name: origin.actor.name().map(plain),
        epoch: origin.actor.epoch(),
        address: origin.address.clone(),
        request_id: origin.request_id.clone(),
        action: entry.action.to_owned(),
        object_id: entry.object_id,
        object_name: entry.object_name.as_deref().map(plain),
        before_change: json(&entry.before),
        after_change: json(&entry.after),
        objects: entry.count,
        digest: String::new(),
        seal: None,
    };
    row.digest = row.computed_digest();
    db_execute!(
        tx,
        INSERT,
        row.at,
        row.actor,
        row.actor_id,
        row.actor_name,
        row.epoch,
        row.address,
        row.request_id,
        row.action,
        row.object_id,
        row.object_name,
        row.before_change,
        row.after_change,
        row.objects,
        row.digest,
    )
}

/// A text that both engines take.
fn plain(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Returns entries, newest first.
pub async fn page(db: &Db, filter: &AuditFilter, limit: i64) -> Result<Vec<AuditRow>, StoreError> {
    let object = Some(filter.object_id).filter(|id| *id != 0);
    db_read!(db, if object.is_some() { &PAGE_OF_OBJECT } else { &PAGE }, |sql, c| {
        let page = query_as::<_, AuditRow>(sql)
            .bind(filter.older_than)
            .bind(&filter.actor)
            .bind(&filter.actor_name)
            .bind(&filter.action)
            .bind(&filter.object_name)
            .bind(filter.since.micros())
            .bind(filter.until.micros())
            .bind(limit);
        match object {
            Some(id) => page.bind(id).fetch_all(c).await,
            None => page.fetch_all(c).await,
        }
    })
}

/// Returns entries after an id, oldest first.
pub async fn after(db: &Db, id: i64, limit: i64) -> Result<Vec<AuditRow>, StoreError> {
    db_read!(db, AFTER, |sql, c| query_as::<_, AuditRow>(sql).bind(id).bind(limit).fetch_all(c).await)
}

/// Returns the entries of a seal, by id.
pub async fn of_seal(db: &Db, seal: i64, limit: i64) -> Result<Vec<AuditRow>, StoreError> {
    db_read!(db, OF_SEAL, |sql, c| query_as::<_, AuditRow>(sql).bind(seal).bind(limit).fetch_all(c).await)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::engine::plans;

    #[tokio::test]
    async fn sqlite_finds_the_entries_of_an_object_along_their_index() {
        let (_folder, db) = plans::database().await;
        let steps = plans::steps_of(&db, PAGE_OF_OBJECT.lite.to_owned()).await;
        assert_eq!(steps, ["SEARCH audit_entry USING INDEX audit_entry_object (object_id=? AND id<?)"]);
        let steps = plans::steps_of(&db, PAGE.lite.to_owned()).await;
        assert_eq!(steps, ["SEARCH audit_entry USING INTEGER PRIMARY KEY (rowid<?)"]);
    }
}
