//! `sarban edges`: lists the edges that have reported within a day.

use clap::Args;
use serde_json::{Value, json};

use super::{output, panel};
use crate::config::Settings;
use crate::domain::edge::{AWAY, Edge};
use crate::domain::moment::Moment;
use crate::store::edges;

/// Arguments of `sarban edges`.
#[derive(Debug, Args)]
pub struct EdgesArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: EdgesArgs, settings: &Settings) -> anyhow::Result<()> {
    let panel = panel::open(settings).await?;
    let edges = edges::all(&panel.db).await;
    let now = panel.clock.now();
    panel::close(panel, settings).await;
    let edges = edges?;
    if args.json {
        return output::json(&edges.iter().map(|(edge, seen)| document(edge, *seen, now)).collect::<Vec<_>>());
    }
    if edges.is_empty() {
        return Ok(output::note("no edge has reported within a day")?);
    }
    let mut table = output::table();
    table.set_header(["HOST", "STATE", "USERS", "WAITING", "VERSION", "LAST SEEN"]);
    for (edge, seen) in &edges {
        table.add_row([
            output::plain(&edge.host),
            state(edge, *seen, now).to_owned(),
            edge.report.users.to_string(),
            edge.report.waiting_fetches.to_string(),
            output::plain(&edge.version),
            seen.utc_iso(),
        ]);
    }
    Ok(output::print(table)?)
}

fn state(edge: &Edge, seen: Moment, now: Moment) -> &'static str {
    match (seen.plus(AWAY) >= now, edge.report.is_complete) {
        (false, _) => "away",
        (true, false) => "filling",
        (true, true) => "connected",
    }
}

fn document(edge: &Edge, seen: Moment, now: Moment) -> Value {
    json!({
        "id": edge.id,
        "host": edge.host,
        "state": state(edge, seen, now),
        "users": edge.report.users,
        "waiting_fetches": edge.report.waiting_fetches,
        "version": edge.version,
        "started_at": edge.started_at.utc_iso(),
        "last_seen": seen.utc_iso(),
    })
}
