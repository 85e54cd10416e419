//! The entry of a restore in the audit log of the restored database.

use serde_json::json;

use super::error::BackupError;
use super::manifest::Head;
use crate::domain::audit::{Actor, Entry, Origin};
use crate::domain::moment::Moment;
use crate::store::audit::entries;
use crate::store::{Db, Tx};

/// The content of the entry, besides the back-up's own head.
#[derive(Clone, Debug)]
pub struct AuditNote {
    /// Address of the back-up.
    pub file: String,
    /// Time of the restore.
    pub now: Moment,
}

impl AuditNote {
    /// True if the schema of the back-up has the table already. Otherwise the entry is made after the migrations.
    pub(super) const fn fits(head: &Head) -> bool {
        head.schema_version >= entries::SINCE
    }

    /// Makes the entry in the transaction that fills the database.
    pub(super) async fn enter(&self, tx: &mut Tx, head: &Head) -> Result<(), BackupError> {
        let (origin, entry) = (Origin::of(Actor::Command), self.entry(head));
        let entered = entries::insert(tx, &origin, &entry, self.now).await;
        entered.map_err(BackupError::store("could not enter the restore in the audit log"))
    }

    /// Makes the entry once the database is restored.
    pub(super) async fn enter_late(&self, db: &Db, head: &Head) -> Result<(), BackupError> {
        let (origin, entry) = (Origin::of(Actor::Command), self.entry(head));
        let entered = db.transaction("enter restore", async |tx| entries::insert(tx, &origin, &entry, self.now).await);
        let during = "the back-up is restored, but that could not be entered in the audit log";
        entered.await.map_err(BackupError::store(during))
    }

    fn entry(&self, head: &Head) -> Entry {
        let Head { created_at, program, engine, schema_version, .. } = head;
        Entry::of_one("database.restore").with(json!({
            "file": self.file,
            "created_at": created_at,
            "program": program,
            "engine": engine,
            "schema_version": schema_version,
        }))
    }
}
