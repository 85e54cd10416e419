//! Makes a back-up: one snapshot of the database, read while another thread compresses, encrypts and writes.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use age::x25519::Recipient;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::blocks::{BlockKind, BlockWriter};
use super::envelope::Sealing;
use super::error::BackupError;
use super::manifest::{FORMAT, Head, Manifest, Summing, TableSummary};
use super::spool_files::HeldSpool;
use crate::domain::moment::Moment;
use crate::store::backup::{self as tables, DATA, SECRETS, Table};
use crate::store::migrate::{is_waiting, until_one_waits};
use crate::store::{Db, Engine, Tx, migrate};

/// The content of a back-up, and the way of making it.
#[derive(Debug, Default)]
pub struct CreateOptions {
    /// Also the panel's own secrets.
    pub with_secrets: bool,
    /// The keys that can open it; everybody can if there are none.
    pub recipients: Vec<Recipient>,
    /// The folder with the spool, none for a back-up without.
    pub data_dir: Option<PathBuf>,
}

/// A back-up rests this many times as long as a run of rows took to come, so that requests find the processors free. Database and writing thread
/// rest meanwhile, too.
const REST: u32 = 3;
/// The longest rest: a run that takes longer than a third of it waited for a slow network or disk, which is a rest, too.
const LONGEST_REST: Duration = Duration::from_millis(25);

/// A block on its way to the writing thread.
enum Outgoing {
    Head(Head),
    Table(Table),
    Rows(Vec<u8>),
    SpoolFile,
    SpoolBytes(Vec<u8>),
    End(std::collections::BTreeMap<String, i64>),
}

/// Writes a back-up of the database to `out`, and returns what is in it.
pub async fn create<W: Write + Send + 'static>(
    db: &Db,
    options: CreateOptions,
    out: W,
    now: Moment,
) -> Result<(Manifest, W), BackupError> {
    // An error shows when the database is read.
    if is_waiting(db).await.unwrap_or(false) {
        return Err(BackupError::GaveWay);
    }
    let (sender, receiver) = mpsc::channel(4);
    let CreateOptions { with_secrets, recipients, data_dir } = options;
    let writer = tokio::task::spawn_blocking(move || write(out, &recipients, receiver));
    let read = tokio::select! {
        biased;
        () = until_one_waits(db) => Err(Stopped::By(BackupError::GaveWay)),
        read = read_all(db, with_secrets, data_dir, now, &sender) => read,
    };
    drop(sender);
    let written = writer.await;
    match read {
        // The writer has ended with an error.
        Ok(()) | Err(Stopped::ByWriter) => {}
        Err(Stopped::By(error)) => return Err(error),
    }
    written.map_err(|error| BackupError::Refused(format!("the thread that writes the back-up died: {error}")))?
}

/// Why reading stopped.
enum Stopped {
    By(BackupError),
    ByWriter,
}

impl From<BackupError> for Stopped {
    fn from(error: BackupError) -> Self {
        Self::By(error)
    }
}

async fn read_all(
    db: &Db,
    with_secrets: bool,
    data_dir: Option<PathBuf>,
    now: Moment,
    out: &mpsc::Sender<Outgoing>,
) -> Result<(), Stopped> {
    // From before the snapshot: a reply leaves the spool once it is in the database. A reply in both is stored once.
    let held = blocking(move || data_dir.map(HeldSpool::of).transpose()).await?;
    let mut tx = db.begin_snapshot().await.map_err(BackupError::store("could not begin to read the database"))?;
    // The first statement: the snapshot is from here on.
    let version = tables::schema_version(&mut tx).await;
    let version = version.map_err(BackupError::store("could not read the version of the schema"))?;
    send(out, Outgoing::Head(head(db.engine(), version, with_secrets, now))).await?;
    if let Some(held) = held {
        let out = out.clone();
        blocking(move || send_spool(&held, &out)).await?;
    }
    for table in all_tables(&mut tx, version, with_secrets).await? {
        send(out, Outgoing::Table(table.clone())).await?;
        let mut rows = tables::rows(&mut tx, &table);
        loop {
            let began = Instant::now();
            let Some(run) = rows.next().await else { break };
            let worked = began.elapsed();
            let run = run.map_err(BackupError::store(format!("could not read the table {}", table.name)))?;
            // Waiting for a slow place is no work.
            send(out, Outgoing::Rows(run)).await?;
            sleep((worked * REST).min(LONGEST_REST)).await;
        }
    }
    let last_ids = tables::last_ids(&mut tx).await.map_err(BackupError::store("could not read the last ids"))?;
    // Nothing was changed; an error of the rollback changes nothing either.
    drop(tx.rollback().await);
    send(out, Outgoing::End(last_ids)).await
}

fn head(engine: Engine, schema_version: i64, with_secrets: bool, now: Moment) -> Head {
    let engine = match engine {
        Engine::Postgres => "postgresql",
        Engine::Sqlite => "sqlite",
    };
    Head {
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        engine: engine.to_owned(),
        schema_version,
        created_at: now.utc_iso(),
        with_secrets,
    }
}

async fn all_tables(tx: &mut Tx, version: i64, with_secrets: bool) -> Result<Vec<Table>, BackupError> {
    if version > migrate::LATEST {
        let newer = format!("the database has schema version {version}, and this program knows {}", migrate::LATEST);
        return Err(BackupError::Newer(newer));
    }
    let names = [DATA, if with_secrets { SECRETS } else { &[] }].concat();
    let found = tables::tables(tx, &names).await;
    let (found, unsupported) = found.map_err(BackupError::store("could not read the tables' columns"))?;
    if !unsupported.is_empty() {
        return Err(BackupError::Refused(format!("can't back up: {}", unsupported.join(", "))));
    }
    // A database that is still to be migrated lacks the newest tables.
    let missing = names.iter().find(|name| found.iter().all(|table| table.name != **name));
    match missing {
        Some(name) if version == migrate::LATEST => {
            Err(BackupError::Refused(format!("can't back up: the database has no table {name}")))
        }
        _ => Ok(found),
    }
}

/// Reads the spool on a thread that may block.
fn send_spool(spool: &HeldSpool, out: &mpsc::Sender<Outgoing>) -> Result<(), Stopped> {
    let send = |block| out.blocking_send(block).map_err(|_| Stopped::ByWriter);
    for mut file in spool.files()? {
        send(Outgoing::SpoolFile)?;
        loop {
            let mut bytes = Vec::new();
            let read = file.by_ref().take(1 << 20).read_to_end(&mut bytes);
            if read.map_err(BackupError::io("could not read the spool"))? == 0 {
                break;
            }
            send(Outgoing::SpoolBytes(bytes))?;
        }
    }
    Ok(())
}

async fn blocking<T: Send + 'static, E: From<BackupError> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let died = |error| BackupError::Refused(format!("the thread that reads the spool died: {error}"));
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(died(error).into()))
}

async fn send(out: &mpsc::Sender<Outgoing>, block: Outgoing) -> Result<(), Stopped> {
    out.send(block).await.map_err(|_| Stopped::ByWriter)
}

/// Compresses, encrypts and writes what it receives.
fn write<W: Write>(
    out: W,
    recipients: &[Recipient],
    mut blocks: mpsc::Receiver<Outgoing>,
) -> Result<(Manifest, W), BackupError> {
    let io = || BackupError::io("could not write the back-up");
    let mut writer = BlockWriter::new(Sealing::new(out, recipients).map_err(io())?).map_err(io())?;
    let (mut head, mut tables, mut spool_files, mut spool_bytes) = (None, Vec::<TableSummary>::new(), 0, 0);
    let mut next = blocks.blocking_recv();
    while let Some(block) = next {
        match block {
            Outgoing::Head(it) => {
                writer.write(BlockKind::Head, &json(&it)?).map_err(io())?;
                head = Some(it);
            }
            Outgoing::SpoolFile => {
                spool_files += 1;
                writer.write(BlockKind::SpoolFile, &[]).map_err(io())?;
            }
            Outgoing::SpoolBytes(bytes) => {
                spool_bytes += bytes.len() as u64;
                writer.write(BlockKind::SpoolBytes, &bytes).map_err(io())?;
            }
            Outgoing::Table(table) => {
                writer.write(BlockKind::Table, &json(&table)?).map_err(io())?;
                let mut summing = Summing::new(&table);
                next = loop {
                    match blocks.blocking_recv() {
                        Some(Outgoing::Rows(run)) => {
                            summing.add(&run).map_err(|it| BackupError::Refused(format!("{}: {it}", table.name)))?;
                            writer.write(BlockKind::Rows, &run).map_err(io())?;
                        }
                        other => break other,
                    }
                };
                tables.push(summing.finish());
                continue;
            }
            Outgoing::Rows(_) => return Err(BackupError::Refused("rows without a table".to_owned())),
            Outgoing::End(last_ids) => {
                let head = head.take().ok_or_else(|| BackupError::Refused("a back-up without a head".to_owned()))?;
                let manifest = Manifest { head, tables, last_ids, spool_files, spool_bytes };
                writer.write(BlockKind::End, &json(&manifest)?).map_err(io())?;
                let out = writer.into_inner().finish().map_err(io())?;
                return Ok((manifest, out));
            }
        }
        next = blocks.blocking_recv();
    }
    Err(BackupError::Refused("the back-up was abandoned".to_owned()))
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, BackupError> {
    serde_json::to_vec(value).map_err(|error| BackupError::Refused(format!("a part can't be written: {error}")))
}
