//! Restores a back-up into an empty database of either engine, in one transaction, and compares what is there then.

use std::io::Read;
use std::path::PathBuf;

use futures_util::StreamExt;

use super::age_keys::Identities;
use super::audit_note::AuditNote;
use super::error::BackupError;
use super::manifest::{Head, Manifest, Summing, TableSummary};
use super::reader::{Part, Parts};
use super::spool_files::RestoredSpool;
use crate::store::backup::{self as tables, DATA, Loader, SECRETS, Table};
use crate::store::import::tables::contents;
use crate::store::{Db, Tx, analyze, migrate};

/// The database to restore into.
#[derive(Clone, Debug)]
pub struct Target {
    /// The panel's pools.
    pub db: Db,
    /// The same database without a pooler, for migrations.
    pub direct: Db,
    /// The folder with the spool.
    pub data_dir: PathBuf,
    /// How the restore is entered in the audit log; `None`: not at all.
    pub note: Option<AuditNote>,
}

/// The result of a restore.
#[derive(Debug)]
pub struct Restored {
    /// The end of the back-up, with which the database was compared.
    pub manifest: Manifest,
}

/// Restores a back-up, or leaves the database empty.
pub async fn restore(
    target: &Target,
    from: impl Read + Send + 'static,
    keys: Identities,
) -> Result<Restored, BackupError> {
    let mut parts = Parts::read(from, keys);
    let Part::Head(head) = parts.next().await? else {
        return Err(BackupError::damaged("its head", "another part comes first"));
    };
    create_schema(target, &head).await?;
    let mut tx = target.db.begin_bulk().await.map_err(BackupError::store("could not begin to restore"))?;
    let result = fill(&mut tx, target, parts).await;
    let (manifest, spool) = match result {
        Ok(filled) => filled,
        Err(error) => {
            // The first error is the one to report.
            drop(tx.rollback().await);
            return Err(error);
        }
    };
    if let Err(error) = tx.commit().await {
        if !error.outcome_is_unknown() {
            return Err(BackupError::store("could not commit what was restored")(error));
        }
        // If it was committed, these replies are in no table.
        spool.keep();
        return Err(BackupError::store(
            "the database did not confirm the commit of what was restored; see whether it has users now: if so, the restore \
             is complete, otherwise repeat it",
        )(error));
    }
    spool.keep();
    // The newest program may have added columns and tables since the back-up.
    migrate::migrate(&target.direct).await.map_err(BackupError::NotMigrated)?;
    if let Some(note) = target.note.as_ref().filter(|_| !AuditNote::fits(&manifest.head)) {
        note.enter_late(&target.db, &manifest.head).await?;
    }
    Ok(Restored { manifest })
}

/// Creates the schema that the back-up was made from: later migrations may derive columns from rows.
async fn create_schema(target: &Target, head: &Head) -> Result<(), BackupError> {
    let version = head.schema_version;
    if version > migrate::LATEST {
        let newer = format!("the back-up has schema version {version}, and this program knows {}", migrate::LATEST);
        return Err(BackupError::Newer(newer));
    }
    let present = migrate::version(&target.direct).await?;
    if present > 0 {
        refuse_contents(&target.db).await?;
    }
    if present > version {
        return Err(BackupError::Refused(format!(
            "the database to restore into has schema version {present} already, and the back-up has {version}; use a \
             database without tables"
        )));
    }
    migrate::migrate_to(&target.direct, version).await?;
    Ok(())
}

async fn refuse_contents(db: &Db) -> Result<(), BackupError> {
    let reading = || BackupError::store("could not look whether the database is empty");
    let mut tx = db.begin_bulk().await.map_err(reading())?;
    let words = contents(&mut tx).await.map_err(reading())?.words();
    drop(tx.rollback().await);
    if words.is_empty() { Ok(()) } else { Err(BackupError::NotEmpty(words.join(", "))) }
}

async fn fill(tx: &mut Tx, target: &Target, mut parts: Parts) -> Result<(Manifest, RestoredSpool), BackupError> {
    tables::lock(tx).await.map_err(BackupError::store("could not lock the database"))?;
    // Once more, in the transaction that fills it.
    let words = contents(tx).await.map_err(BackupError::store("could not look whether the database is empty"))?.words();
    if !words.is_empty() {
        return Err(BackupError::NotEmpty(words.join(", ")));
    }
    let expected = tables::tables(tx, &[DATA, SECRETS].concat()).await;
    let (expected, _) = expected.map_err(BackupError::store("could not read the tables' columns"))?;
    tables::empty(tx, &expected).await.map_err(BackupError::store("could not prepare the tables"))?;
    let (mut spool, mut restored) = (RestoredSpool::new(&target.data_dir), Vec::new());
    let mut part = parts.next().await?;
    let manifest = loop {
        part = match part {
            Part::SpoolFile => {
                spool.begin_file()?;
                parts.next().await?
            }
            Part::SpoolBytes(bytes) => {
                spool.add(&bytes)?;
                parts.next().await?
            }
            Part::Table(table) => {
                let table = as_here(table, &expected)?;
                let (summary, next) = fill_table(tx, &table, &mut parts).await?;
                restored.push((table, summary));
                next
            }
            Part::End(manifest) => break manifest,
            Part::Head(_) | Part::Rows(_) => {
                return Err(BackupError::damaged("its parts", "they are in another order"));
            }
        };
    };
    compare(&manifest, restored.iter().map(|(_, summary)| summary), "the file")?;
    let mut present = Vec::new();
    for (table, _) in &restored {
        present.push(summarize(tx, table).await?);
    }
    compare(&manifest, present.iter(), "the database")?;
    let last = tables::set_last_ids(tx, &manifest.last_ids).await;
    last.map_err(BackupError::store("could not set the next ids"))?;
    tables::adjust(tx).await.map_err(BackupError::store("could not adjust the lease and the nodes"))?;
    analyze(tx).await.map_err(BackupError::store("could not analyze the tables"))?;
    if let Some(note) = target.note.as_ref().filter(|_| AuditNote::fits(&manifest.head)) {
        note.enter(tx, &manifest.head).await?;
    }
    spool.publish()?;
    Ok((manifest, spool))
}

/// Returns the table of the back-up with the types of this database, which must have all its columns.
fn as_here(mut table: Table, expected: &[Table]) -> Result<Table, BackupError> {
    let found = expected.iter().find(|it| it.name == table.name);
    let found = found.ok_or_else(|| BackupError::damaged("its tables", format!("{:?} is unknown", table.name)))?;
    for column in &mut table.columns {
        let here = found.columns.iter().find(|it| it.name == column.name && it.kind == column.kind);
        column.is_numeric = here.map(|it| it.is_numeric).ok_or_else(|| {
            let reason = format!("the column {:?} is unknown", column.name);
            BackupError::damaged(&format!("the table {}", table.name), reason)
        })?;
    }
    Ok(table)
}

/// Inserts the rows of a table, and returns the part behind them.
async fn fill_table(tx: &mut Tx, table: &Table, parts: &mut Parts) -> Result<(TableSummary, Part), BackupError> {
    let failed = || BackupError::store(format!("could not restore the table {}", table.name));
    // Triggers of the tables before it may have added rows.
    tables::empty(tx, std::slice::from_ref(table)).await.map_err(failed())?;
    let mut loader = Loader::begin(tx, table).await.map_err(failed())?;
    let mut summing = Summing::new(table);
    loop {
        let run = match parts.next().await {
            Ok(Part::Rows(run)) => run,
            Ok(other) => {
                loader.finish().await.map_err(failed())?;
                return Ok((summing.finish(), other));
            }
            Err(error) => {
                loader.abort().await;
                return Err(error);
            }
        };
        let part = format!("the table {}", table.name);
        if let Err(malformed) = summing.add(&run) {
            loader.abort().await;
            return Err(BackupError::damaged(&part, malformed));
        }
        loader.add(&run).await.map_err(failed())?;
    }
}

/// Reads a table again.
async fn summarize(tx: &mut Tx, table: &Table) -> Result<TableSummary, BackupError> {
    let mut summing = Summing::new(table);
    let mut rows = tables::rows(tx, table);
    while let Some(run) = rows.next().await {
        let run = run.map_err(BackupError::store(format!("could not read the restored table {}", table.name)))?;
        summing.add(&run).map_err(|malformed| BackupError::damaged(&format!("the table {}", table.name), malformed))?;
    }
    drop(rows);
    Ok(summing.finish())
}

/// Fails unless these are the tables that the end of the back-up names.
fn compare<'a>(
    manifest: &Manifest,
    found: impl Iterator<Item = &'a TableSummary>,
    place: &str,
) -> Result<(), BackupError> {
    let found: Vec<&TableSummary> = found.collect();
    for expected in &manifest.tables {
        let table = found.iter().find(|it| it.name == expected.name);
        let rows = table.map_or(0, |it| it.rows);
        if table != Some(&expected) {
            return Err(BackupError::damaged(
                &format!("the table {}", expected.name),
                format!(
                    "the back-up was made with {} rows of digest {}, and {place} has {rows} of digest {}",
                    expected.rows,
                    expected.digest,
                    table.map_or("none", |it| it.digest.as_str()),
                ),
            ));
        }
    }
    if found.len() == manifest.tables.len() {
        Ok(())
    } else {
        Err(BackupError::damaged("its tables", "there are more than its end names"))
    }
}
