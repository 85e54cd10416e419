//! Tasks run once: one leader, and in the ledger every slot that went by while watching, each with one run that ended
//! well.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use super::Finding;
use super::panel::Panel;

const LOOK: Duration = Duration::from_millis(500);
/// Slots of each task that are waited for.
const SLOTS: usize = 2;

pub(super) async fn run_once(panel: &Panel, watch: Duration) -> Finding {
    let before = cluster(panel).await?;
    let leader = before["leader"]["host"].as_str().ok_or("nobody leads")?.to_owned();
    let epoch = before["leader"]["epoch"].clone();
    let last_slots: BTreeMap<String, String> =
        tasks(&before).map(|(name, task)| (name, text(task, "last_slot"))).collect();
    // What comes too seldom to be seen is not waited for.
    let watched: Vec<String> = tasks(&before)
        .filter(|(_, task)| task["enabled"] != false)
        .filter(|(_, task)| task["period_seconds"].as_f64().is_some_and(|period| period * 2.0 < watch.as_secs_f64()))
        .map(|(name, _)| name)
        .collect();
    if watched.is_empty() {
        return Err("no task comes often enough to be seen; give more time with --watch".to_owned());
    }
    let begun = Instant::now();
    let runs = loop {
        let runs = runs_after(panel, &last_slots).await?;
        let done =
            |name: &String| runs.iter().filter(|run| run.task == *name && run.state != "running").count() >= SLOTS;
        if watched.iter().all(done) || begun.elapsed() > watch {
            break runs;
        }
        sleep(LOOK).await;
    };
    let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for run in &runs {
        *seen.entry((run.task.as_str(), run.slot.as_str())).or_default() += 1;
        if !["done", "running"].contains(&run.state.as_str()) {
            return Err(format!("{} at {} is {}: {}", run.task, run.slot, run.state, run.error));
        }
        if run.attempts > 1 {
            return Err(format!("{} at {} took {} attempts", run.task, run.slot, run.attempts));
        }
    }
    if let Some(((task, slot), count)) = seen.iter().find(|(_, count)| **count > 1) {
        return Err(format!("{task} at {slot} has {count} runs"));
    }
    for name in &watched {
        if runs.iter().filter(|run| run.task == *name).count() < SLOTS {
            return Err(format!("{name} did not run {SLOTS} times in {} s", begun.elapsed().as_secs()));
        }
    }
    let after = cluster(panel).await?;
    if after["leader"]["epoch"] != epoch {
        return Err("the leader changed while it was watched".to_owned());
    }
    let members = after["members"].as_array().map_or(0, Vec::len);
    Ok(format!(
        "{} slots of {} tasks in {} s, each run once; {leader} leads {members} members",
        runs.len(),
        watched.len(),
        begun.elapsed().as_secs()
    ))
}

/// A row of the ledger.
struct Run {
    task: String,
    slot: String,
    state: String,
    attempts: i64,
    error: String,
}

/// The scheduled runs of slots that came after those. ISO times of one form compare as texts.
async fn runs_after(panel: &Panel, last_slots: &BTreeMap<String, String>) -> Result<Vec<Run>, String> {
    let answer = panel.get("/api/cluster/runs?size=100").await?;
    let items =
        answer.body["items"].as_array().ok_or_else(|| format!("/api/cluster/runs answers {}", answer.status))?;
    let run = |item: &Value| Run {
        task: text(item, "task"),
        slot: text(item, "slot"),
        state: text(item, "state"),
        attempts: item["attempts"].as_i64().unwrap_or(1),
        error: text(item, "error"),
    };
    let scheduled = items.iter().filter(|item| item["trigger"] != "request").map(run);
    Ok(scheduled.filter(|run| last_slots.get(&run.task).is_some_and(|last| run.slot > *last)).collect())
}

async fn cluster(panel: &Panel) -> Result<Value, String> {
    let answer = panel.get("/api/cluster").await?;
    if answer.status == 200 { Ok(answer.body) } else { Err(format!("/api/cluster answers {}", answer.status)) }
}

fn tasks(cluster: &Value) -> impl Iterator<Item = (String, &Value)> {
    cluster["tasks"].as_array().into_iter().flatten().map(|task| (text(task, "name"), task))
}

fn text(item: &Value, field: &str) -> String {
    item[field].as_str().unwrap_or_default().to_owned()
}
