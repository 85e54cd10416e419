//! Tasks run once: there is one leader, and each slot that passes meanwhile has exactly one successful run in the ledger.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::panel::Panel;
use super::report::StepResult;

/// Time between two looks at the ledger.
const POLL: Duration = Duration::from_millis(500);
/// Slots of each task to wait for.
const SLOTS: usize = 2;

/// Watches the ledger for at most `time`, until each task that is frequent enough has run in [`SLOTS`] slots.
pub(super) async fn run_once(panel: &Panel, time: Duration) -> StepResult {
    let before = Cluster::get(panel).await?;
    let (leader, epoch) = before.leader()?;
    let watched = before.tasks_with_period_below(time / 2);
    if watched.is_empty() {
        return Err("no task has a period short enough to be watched; raise --watch".to_owned());
    }
    let start = Instant::now();
    let runs = watch(panel, &before.last_slots(), &watched, start + time).await?;
    let seconds = start.elapsed().as_secs();
    if let Some(failure) = failure(&runs) {
        return Err(failure);
    }
    if let Some(task) = watched.iter().find(|task| runs_of(&runs, task).count() < SLOTS) {
        return Err(format!("{task} did not run {SLOTS} times in {seconds} s"));
    }
    let after = Cluster::get(panel).await?;
    if after.leader()?.1 != epoch {
        return Err("the leader changed meanwhile; check again".to_owned());
    }
    let (slots, tasks, members) = (runs.len(), watched.len(), after.members());
    Ok(format!("{slots} slots of {tasks} tasks in {seconds} s, each run once; {leader} leads {members} members"))
}

/// Polls the ledger until each watched task has finished [`SLOTS`] runs, or until `end`. Returns all runs after
/// `last_slots`.
async fn watch(
    panel: &Panel,
    last_slots: &BTreeMap<String, String>,
    watched: &[String],
    end: Instant,
) -> Result<Vec<Run>, String> {
    loop {
        let runs = runs_after(panel, last_slots).await?;
        let is_done = |task: &String| runs_of(&runs, task).filter(|run| run.state != "running").count() >= SLOTS;
        if watched.iter().all(is_done) || Instant::now() > end {
            return Ok(runs);
        }
        sleep(POLL).await;
    }
}

/// Returns the first run that failed or was repeated, as text.
fn failure(runs: &[Run]) -> Option<String> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for run in runs {
        let Run { task, slot, state, attempts, error } = run;
        *counts.entry((task, slot)).or_default() += 1;
        if !["done", "running"].contains(&state.as_str()) {
            return Some(format!("{task} at {slot} is {state}: {error}"));
        }
        if *attempts > 1 {
            return Some(format!("{task} at {slot} took {attempts} attempts"));
        }
    }
    let ((task, slot), count) = counts.into_iter().find(|(_, count)| *count > 1)?;
    Some(format!("{task} at {slot} has {count} runs"))
}

/// The response of `/api/cluster`.
struct Cluster(Value);

impl Cluster {
    async fn get(panel: &Panel) -> Result<Self, String> {
        let response = panel.get("/api/cluster").await?;
        if response.status != 200 {
            return Err(format!("GET /api/cluster responds {}", response.status));
        }
        Ok(Self(response.body))
    }

    /// The leader's host and epoch.
    fn leader(&self) -> Result<(String, Value), String> {
        let leader = &self.0["leader"];
        let host = leader["host"].as_str().ok_or("the cluster has no leader")?;
        Ok((host.to_owned(), leader["epoch"].clone()))
    }

    fn members(&self) -> usize {
        self.0["members"].as_array().map_or(0, Vec::len)
    }

    fn tasks(&self) -> impl Iterator<Item = &Value> {
        self.0["tasks"].as_array().into_iter().flatten()
    }

    fn last_slots(&self) -> BTreeMap<String, String> {
        self.tasks().map(|task| (text(task, "name"), text(task, "last_slot"))).collect()
    }

    fn tasks_with_period_below(&self, limit: Duration) -> Vec<String> {
        let is_short = |task: &&Value| task["period_seconds"].as_f64().is_some_and(|it| it < limit.as_secs_f64());
        let enabled = self.tasks().filter(|task| task["enabled"] != false);
        enabled.filter(is_short).map(|task| text(task, "name")).collect()
    }
}

/// A row of the ledger.
struct Run {
    task: String,
    slot: String,
    state: String,
    attempts: i64,
    error: String,
}

/// Returns the scheduled runs of slots after `last_slots`. ISO 8601 times of one form compare as text.
async fn runs_after(panel: &Panel, last_slots: &BTreeMap<String, String>) -> Result<Vec<Run>, String> {
    let response = panel.get("/api/cluster/runs?size=100").await?;
    let items = response.body["items"].as_array();
    let items = items.ok_or_else(|| format!("GET /api/cluster/runs responds {}", response.status))?;
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

fn runs_of<'a>(runs: &'a [Run], task: &'a str) -> impl Iterator<Item = &'a Run> {
    runs.iter().filter(move |run| run.task == task)
}

fn text(item: &Value, field: &str) -> String {
    item[field].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(slot: &str, state: &str, attempts: i64) -> Run {
        let error = "timeout".to_owned();
        Run { task: "prune".to_owned(), slot: slot.to_owned(), state: state.to_owned(), attempts, error }
    }

    #[test]
    fn failed_repeated_and_doubled_runs_are_failures() {
        let good = || run("1", "done", 1);
        assert_eq!(failure(&[good(), run("2", "running", 1)]), None);
        for (second, expected) in [
            (run("2", "failed", 1), "prune at 2 is failed: timeout"),
            (run("2", "done", 3), "prune at 2 took 3 attempts"),
            (good(), "prune at 1 has 2 runs"),
        ] {
            assert_eq!(failure(&[good(), second]).as_deref(), Some(expected));
        }
    }

    #[test]
    fn only_enabled_tasks_with_short_periods_are_watched() {
        let task = |name: &str, period: f64, enabled: bool| serde_json::json!({"name": name, "period_seconds": period, "enabled": enabled});
        let tasks = [task("often", 30.0, true), task("off", 30.0, false), task("rare", 3_600.0, true)];
        let cluster = Cluster(serde_json::json!({"tasks": tasks}));
        assert_eq!(cluster.tasks_with_period_below(Duration::from_secs(40)), ["often"]);
    }
}
