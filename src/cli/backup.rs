//! `sarban backup`: one file with the whole panel, while it runs.

use clap::Args;
use serde::Serialize;

use super::interruption::interruption;
use super::usage_error::UsageError;
use super::{database, output};
use crate::backup::{CreateOptions, Manifest, Place, create};
use crate::clock::Clock;
use crate::config::Settings;
use crate::config::backup::parse_recipient;
use crate::config::database_url::DatabaseUrl;
use crate::store::migrate;

/// Arguments of `sarban backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// File to write; or an existing folder or s3://bucket/prefix, which get a file that is named by the time; BACKUP_TO if
    /// it is not given
    #[arg(long, value_name = "FILE|FOLDER|S3")]
    to: Option<String>,
    /// Also back up the secret that signs tokens and the key of the panel's certificate, as BACKUP_WITH_SECRETS does
    #[arg(long)]
    with_secrets: bool,
    /// Encrypt to this recipient of age (age1…); may be repeated; BACKUP_AGE_RECIPIENT if it is not given
    #[arg(long, value_name = "RECIPIENT")]
    age_recipient: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    file: String,
    bytes: u64,
    encrypted: bool,
    #[serde(flatten)]
    manifest: Manifest,
}

pub(super) async fn run(args: BackupArgs, settings: &Settings) -> anyhow::Result<()> {
    let recipients = args.age_recipient.iter().map(|text| parse_recipient(text));
    let recipients = recipients.collect::<Result<Vec<_>, _>>();
    let mut recipients = recipients.map_err(|problem| UsageError(format!("--age-recipient {problem}")))?;
    if recipients.is_empty() {
        recipients.clone_from(&settings.backup.recipients);
    }
    let place = match (&args.to, &settings.backup.to) {
        (Some(to), _) => Place::parse(to, &settings.s3)?,
        (None, Some(to)) => Place::folder(to, &settings.s3)?,
        (None, None) => return Err(UsageError::new("the place is missing; give it with --to or in BACKUP_TO").into()),
    };
    let encrypted = !recipients.is_empty();
    if let DatabaseUrl::Sqlite { path } = &settings.database.url
        && !path.exists()
    {
        let source = settings.sources.of("SQLALCHEMY_DATABASE_URL");
        return Err(UsageError(format!("there is no database at {}; check {source}", path.display())).into());
    }
    let db = database::open(settings.database.url.clone(), settings).await?;
    let work = async {
        if migrate::version(&db).await? == 0 {
            return Err(UsageError::new("the database is empty: there is nothing to back up").into());
        }
        let now = Clock::real().now();
        let file = place.begin(now, encrypted).await?;
        let options = CreateOptions {
            with_secrets: args.with_secrets || settings.backup.with_secrets,
            recipients,
            data_dir: Some(settings.instance.data_dir.clone()),
        };
        let (manifest, file) = create(&db, options, file, now).await?;
        let (file, bytes) = file.finish().await?;
        Ok::<_, anyhow::Error>(Report { file, bytes, encrypted, manifest })
    };
    let result = tokio::select! {
        result = work => result,
        () = interruption_of(&place) => Err(anyhow::anyhow!("interrupted")),
    };
    db.close().await;
    let report = result?;
    if args.json { output::json(&report) } else { Ok(print(&report)?) }
}

/// Ends a back-up in a file, of which nothing is left then. A part on its way to S3 could take minutes, and the bucket's rules
/// remove what is left.
async fn interruption_of(place: &Place) {
    match place {
        Place::File(_) | Place::Folder(_) => interruption().await,
        Place::S3(_) => std::future::pending().await,
    }
}

fn print(report: &Report) -> std::io::Result<()> {
    let Manifest { head, tables, spool_files, .. } = &report.manifest;
    let rows: u64 = tables.iter().map(|table| table.rows).sum();
    output::line(format_args!("{}: {} bytes", report.file, report.bytes))?;
    output::line(format_args!(
        "{} tables, {rows} rows, {} users, {spool_files} spool files; schema version {} of {}",
        tables.len(),
        report.manifest.rows("users"),
        head.schema_version,
        head.engine,
    ))?;
    if !head.with_secrets {
        output::note(
            "without the panel's secrets: after a restore admins sign in again, and nodes get a new certificate \
             (--with-secrets)",
        )?;
    }
    if !report.encrypted {
        output::note("not encrypted: it has users' keys and password hashes (--age-recipient)")?;
    }
    Ok(())
}
