//! `sarban restore`: a back-up into an empty database of either engine.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::interruption::interruption;
use super::usage_error::UsageError;
use super::{database, output};
use crate::backup::{AuditNote, BackupError, Identities, Manifest, Place, Scratch, Target, restore};
use crate::clock::Clock;
use crate::config::Settings;

/// Arguments of `sarban restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// File or object to read; or a folder or s3://bucket/prefix/, whose newest back-up is read
    #[arg(long, value_name = "FILE|FOLDER|S3")]
    from: String,
    /// File with the keys that open an encrypted back-up, as `age-keygen` writes it
    #[arg(long, value_name = "FILE")]
    age_identity: Option<PathBuf>,
    /// Restore into a temporary SQLite database and compare it, and leave the panel's database alone
    #[arg(long)]
    verify: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    file: String,
    verified_only: bool,
    #[serde(flatten)]
    manifest: Manifest,
}

pub(super) async fn run(args: RestoreArgs, settings: &Settings) -> anyhow::Result<()> {
    let keys = args.age_identity.as_deref().map(Identities::read).transpose()?.unwrap_or_default();
    let (file, from) = Place::parse(&args.from, &settings.s3)?.open().await?;
    let restored = if args.verify {
        let interrupted = interruption();
        let scratch = Scratch::create().await?;
        let restored = tokio::select! {
            restored = restore(scratch.target(), from, keys) => Some(restored),
            () = interrupted => None,
        };
        scratch.remove().await;
        restored.ok_or_else(|| anyhow::anyhow!("interrupted"))?
    } else {
        let db = database::open(settings.database.url.clone(), settings).await?;
        let direct = database::open(settings.database.direct_url().clone(), settings).await?;
        let note = Some(AuditNote { file: file.clone(), now: Clock::real().now() });
        let target = Target { db, direct, data_dir: settings.instance.data_dir.clone(), note };
        let restored = restore(&target, from, keys).await;
        target.direct.close().await;
        target.db.close().await;
        restored
    };
    let manifest = restored.map_err(|error| of_use(error, &file))?.manifest;
    let report = Report { file, verified_only: args.verify, manifest };
    if args.json { output::json(&report) } else { Ok(print(&report)?) }
}

/// A file or a key that is another one than the command was meant for is an error of its use.
fn of_use(error: BackupError, file: &str) -> anyhow::Error {
    match error {
        BackupError::Unknown | BackupError::Key(_) | BackupError::Newer(_) => {
            UsageError(format!("{file}: {error}")).into()
        }
        error => anyhow::Error::new(error),
    }
}

fn print(report: &Report) -> std::io::Result<()> {
    let Manifest { head, tables, .. } = &report.manifest;
    let rows: u64 = tables.iter().map(|table| table.rows).sum();
    let done = if report.verified_only { "verified" } else { "restored" };
    output::line(format_args!(
        "{done} {}: made at {} by {} from {}, {} tables, {rows} rows, {} users; counts, sums and digests match",
        report.file,
        head.created_at,
        head.program,
        head.engine,
        tables.len(),
        report.manifest.rows("users"),
    ))?;
    if !report.verified_only && !head.with_secrets {
        output::note(
            "the back-up has no secrets: admins sign in again, and nodes need the panel's new certificate, unless they \
             trust it on first use",
        )?;
    }
    Ok(())
}
