//! `sarban audit …`: verifies and exports the audit log.

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{database, output};
use crate::actions::audit::{self, Verification};
use crate::config::Settings;
use crate::domain::moment::Moment;
use crate::store::Db;
use crate::store::audit::entries::{self, AuditRow};

/// Commands for the audit log.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check that no sealed entry was changed, removed or inserted
    Verify(VerifyArgs),
    /// Print the log as NDJSON, oldest first
    Export(ExportArgs),
}

/// Arguments of `sarban audit verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A seal that an earlier verification printed, as NUMBER:DIGEST; may be repeated. Proves that the log up to there is the same
    #[arg(long = "expect", value_name = "NUMBER:DIGEST", value_parser = expected_seal)]
    expected: Vec<(i64, String)>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `sarban audit export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Only entries with greater ids, to continue an earlier export
    #[arg(long, value_name = "ID", default_value_t = 0)]
    after: i64,
}

const ROWS_AT_ONCE: i64 = 1_000;

pub(super) async fn run(command: AuditCommand, settings: &Settings) -> anyhow::Result<()> {
    let db = database::open_migrated(settings).await?;
    let done = match command {
        AuditCommand::Verify(args) => match audit::verify(&db, &args.expected).await {
            Ok(found) => report(&found, args.json),
            Err(error) => Err(error.into()),
        },
        AuditCommand::Export(args) => export(&db, args.after).await,
    };
    db.close().await;
    done
}

/// Prints what a verification found, and fails if somebody changed the log.
fn report(found: &Verification, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        output::json(&json!({
            "intact": found.fault_count == 0,
            "faults": found.faults,
            "fault_count": found.fault_count,
            "seals": found.seals,
            "entries": found.entries,
            "unsealed": found.unsealed,
            "last_seal": found.last_seal,
            "digest": found.digest,
        }))?;
    } else {
        for fault in &found.faults {
            output::line(fault)?;
        }
        let Verification { seals, entries, unsealed, last_seal, digest, .. } = found;
        let (entries, seals) =
            (output::counted(*entries, "entry", "entries"), output::counted(*seals, "seal", "seals"));
        output::line(format_args!("{entries} under {seals}, {unsealed} not sealed yet"))?;
        if *last_seal > 0 {
            output::line(format_args!("newest seal {last_seal}:{digest}"))?;
        }
    }
    match found.fault_count {
        0 => Ok(()),
        faults => bail!("the audit log is not as it was written: {}", output::counted(faults, "fault", "faults")),
    }
}

async fn export(db: &Db, after: i64) -> anyhow::Result<()> {
    let mut last = after;
    loop {
        let rows = entries::after(db, last, ROWS_AT_ONCE).await?;
        let Some(newest) = rows.last() else { return Ok(()) };
        last = newest.id;
        for row in &rows {
            output::line(document(row))?;
        }
    }
}

/// An entry as a line of NDJSON, with what its digest covers.
fn document(row: &AuditRow) -> Value {
    let parsed = |text: &Option<String>| text.as_ref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    json!({
        "id": row.id,
        "at": Moment::from_micros(row.at).utc_iso(),
        "actor": row.actor,
        "actor_id": row.actor_id,
        "actor_name": row.actor_name,
        "epoch": row.epoch,
        "address": row.address,
        "request_id": row.request_id,
        "action": row.action,
        "object_id": row.object_id,
        "object_name": row.object_name,
        "before": parsed(&row.before_change),
        "after": parsed(&row.after_change),
        "objects": row.objects,
        "digest": row.digest,
        "seal": row.seal,
    })
}

fn expected_seal(text: &str) -> Result<(i64, String), String> {
    let wrong = || "must be NUMBER:DIGEST, as `sarban audit verify` prints it".to_owned();
    let (number, digest) = text.split_once(':').ok_or_else(wrong)?;
    let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = number.parse().ok().filter(|_| is_digest).ok_or_else(wrong)?;
    Ok((number, digest.to_ascii_lowercase()))
}
