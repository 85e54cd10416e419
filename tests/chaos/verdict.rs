//! What the witness, the ledger and the node say of a run.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::faults::Kind;
use super::world::World;

/// The result of a run, as it is printed and written.
#[derive(Debug, Default, Serialize)]
pub struct Verdict {
    pub faults: BTreeMap<String, u64>,
    pub slots_done: i64,
    pub slots_coalesced: i64,
    pub slots_failed: i64,
    pub slots_abandoned: i64,
    /// I1: more than one effect of a slot.
    pub double_runs: i64,
    /// I2: an older epoch committed after a newer one.
    pub epochs_out_of_order: i64,
    /// I3: a commit under an epoch that was not current.
    pub stale_commits: i64,
    /// I4: slots without a row.
    pub missing_slots: i64,
    /// I5: from the last fault's end to a leader, milliseconds.
    pub leader_after_last_fault_ms: u128,
    /// I6, in bytes. Lost: in replies that died with the process that had asked for them.
    pub bytes_produced: i64,
    pub bytes_applied: i64,
    pub bytes_lost: i64,
    /// Never asked for.
    pub bytes_left_on_node: i64,
    pub replies: usize,
    pub replies_lost: usize,
    /// Lost without such a death, or counted twice.
    pub bytes_unexplained: i64,
    pub leader_changes: usize,
    /// I7: a leader that reached the database was followed by another one.
    pub unexplained_leader_changes: usize,
    /// I8: users that a node has wrongly, or has not.
    pub node_differences: usize,
    pub take_over_ms: Percentiles,
    pub hand_over_ms: Percentiles,
    pub slot_lag_ms: Percentiles,
}

#[derive(Debug, Default, Serialize)]
pub struct Percentiles {
    pub count: usize,
    pub p50: u64,
    pub p99: u64,
    pub max: u64,
}

impl Percentiles {
    pub fn of(mut values: Vec<u64>) -> Self {
        values.sort_unstable();
        let at = |share: f64| {
            let index = (values.len() as f64 * share).ceil() as usize;
            values.get(index.saturating_sub(1)).copied().unwrap_or(0)
        };
        Self { count: values.len(), p50: at(0.5), p99: at(0.99), max: at(1.0) }
    }
}

/// Waits for rest and looks at everything.
pub async fn judge(world: &World, faults: &BTreeMap<Kind, u64>, last_fault: Instant) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    for (kind, count) in faults {
        verdict.faults.insert(serde_json::to_value(kind)?.as_str().unwrap_or_default().to_owned(), *count);
    }
    while world.witness.leader().is_none() && last_fault.elapsed() < Duration::from_secs(60) {
        sleep(Duration::from_millis(5)).await;
    }
    verdict.leader_after_last_fault_ms = last_fault.elapsed().as_millis();
    world.everybody_runs().await?;
    // What a process spooled before it died is taken up by the others within a minute.
    let end = Instant::now() + Duration::from_secs(75);
    loop {
        bytes(world, &mut verdict).await?;
        verdict.node_differences = world.node_differences().await?;
        let at_rest = verdict.bytes_unexplained == 0 && verdict.replies_lost == 0 && verdict.node_differences == 0;
        if at_rest || Instant::now() > end {
            break;
        }
        sleep(Duration::from_millis(250)).await;
    }
    slots(world, &mut verdict).await?;
    changes(world, &mut verdict);
    Ok(verdict)
}

async fn bytes(world: &World, verdict: &mut Verdict) -> Result<()> {
    const APPLIED: &str = "SELECT CAST(COALESCE(SUM(lifetime_used_traffic), 0) AS BIGINT) FROM user_traffic";
    const BATCHES: &str = "SELECT bytes FROM usage_batch WHERE state <> 'staged'";
    verdict.bytes_produced = i64::try_from(world.node.totals().produced)?;
    verdict.bytes_applied = world.witness.number(APPLIED).await?;
    let batches: Vec<i64> = sqlx::query_scalar(BATCHES).fetch_all(&world.witness.pool).await?;
    let mut unmatched: BTreeMap<i64, i64> = BTreeMap::new();
    for bytes in batches {
        *unmatched.entry(bytes).or_default() += 1;
    }
    let replies = world.node.replies();
    verdict.replies = replies.len();
    let sent: u64 = replies.iter().map(|(_, bytes)| bytes).sum();
    verdict.bytes_left_on_node = verdict.bytes_produced - i64::try_from(sent)?;
    (verdict.replies_lost, verdict.bytes_lost, verdict.bytes_unexplained) = (0, 0, 0);
    let deaths = world.deaths.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for (at, bytes) in replies {
        let bytes = i64::try_from(bytes)?;
        match unmatched.get_mut(&bytes) {
            Some(count) if *count > 0 => *count -= 1,
            _ => {
                // The process that had asked died with the answer, or was stopped for longer than its deadline.
                let near =
                    |death: &Instant| *death + Duration::from_secs(1) >= at && *death <= at + Duration::from_secs(4);
                if deaths.iter().any(|death| near(&death.at)) {
                    verdict.replies_lost += 1;
                    verdict.bytes_lost += bytes;
                } else {
                    verdict.bytes_unexplained += bytes;
                }
            }
        }
    }
    // What is left over was never sent: counted twice, or made up.
    verdict.bytes_unexplained += unmatched.iter().map(|(bytes, count)| bytes * count).sum::<i64>();
    let balance = verdict.bytes_produced - verdict.bytes_applied - verdict.bytes_lost;
    verdict.bytes_unexplained = verdict.bytes_unexplained.max(balance.abs());
    Ok(())
}

async fn slots(world: &World, verdict: &mut Verdict) -> Result<()> {
    let witness = &world.witness;
    verdict.slots_done = witness.number("SELECT COUNT(*) FROM task_run WHERE state = 'done'").await?;
    verdict.slots_coalesced = witness.number("SELECT COUNT(*) FROM task_run WHERE state = 'coalesced'").await?;
    verdict.slots_failed = witness.number("SELECT COUNT(*) FROM task_run WHERE state = 'failed'").await?;
    verdict.slots_abandoned = witness.number("SELECT COUNT(*) FROM task_run WHERE state = 'abandoned'").await?;
    verdict.double_runs = witness
        .number(
            "SELECT CAST(COALESCE(SUM(n - 1), 0) AS BIGINT) FROM (SELECT COUNT(*) AS n FROM effect WHERE kind = 'done'
             AND trigger = 'schedule' GROUP BY task, slot HAVING COUNT(*) > 1) AS d",
        )
        .await?;
    verdict.epochs_out_of_order = witness
        .number(
            "SELECT COUNT(*) FROM (SELECT epoch, MAX(epoch) OVER (ORDER BY seq) AS newest FROM effect
             WHERE kind NOT IN ('usage', 'abandoned')) AS o WHERE epoch < newest",
        )
        .await?;
    // A run that is given up keeps the epoch of the process that left it behind.
    verdict.stale_commits =
        witness.number("SELECT COUNT(*) FROM effect WHERE epoch <> current_epoch AND kind <> 'abandoned'").await?;
    verdict.missing_slots = witness
        .number(
            "SELECT CAST(COALESCE(SUM((MAX - MIN) / 1000000 + 1 - n), 0) AS BIGINT) FROM
             (SELECT MAX(slot) AS MAX, MIN(slot) AS MIN, COUNT(DISTINCT slot) AS n FROM task_run
              WHERE task IN ('record_user_usages', 'review_users') AND trigger = 'schedule' GROUP BY task) AS t",
        )
        .await?;
    // The others have one slot an hour: the first is as old as the hour.
    const LAGS: &str = "SELECT lag_ms FROM task_run WHERE state = 'done' AND attempts = 1
        AND task IN ('record_user_usages', 'review_users')";
    let lags: Vec<i64> = sqlx::query_scalar(LAGS).fetch_all(&witness.pool).await?;
    verdict.slot_lag_ms = Percentiles::of(lags.into_iter().map(|lag| u64::try_from(lag).unwrap_or(0)).collect());
    Ok(())
}

fn changes(world: &World, verdict: &mut Verdict) {
    let changes = world.witness.changes();
    let deaths = world.deaths.lock().unwrap_or_else(PoisonError::into_inner).clone();
    verdict.leader_changes = changes.len().saturating_sub(1);
    verdict.unexplained_leader_changes = changes.iter().filter(|change| change.unexplained).count();
    let (mut take_overs, mut hand_overs) = (Vec::new(), Vec::new());
    for change in &changes {
        let Some(from) = &change.from else { continue };
        // What happened to the leader before, last of all, within the time that it explains.
        let death = deaths.iter().rev().find(|death| death.name == *from && death.at < change.at);
        let Some(death) = death.filter(|death| death.led) else { continue };
        let took = change.at - death.at;
        if took > Duration::from_secs(10) {
            continue;
        }
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if death.how == "terminated" { hand_overs.push(took) } else { take_overs.push(took) }
    }
    verdict.take_over_ms = Percentiles::of(take_overs);
    verdict.hand_over_ms = Percentiles::of(hand_overs);
}

impl Verdict {
    /// Each invariant that does not hold, in words.
    pub fn broken(&self, ttl: Duration) -> Vec<String> {
        let mut broken = Vec::new();
        let mut check = |count: u128, words: &str| {
            if count > 0 {
                broken.push(format!("{words}: {count}"));
            }
        };
        let whole = |count: i64| u128::from(count.unsigned_abs());
        check(whole(self.double_runs), "I1 double runs");
        check(whole(self.epochs_out_of_order), "I2 epochs out of order");
        check(whole(self.stale_commits), "I3 stale commits");
        check(whole(self.missing_slots), "I4 slots without a row");
        // Twice the promise: machines that run tests do other things too.
        let limit = 2 * (ttl + Duration::from_secs(1)).as_millis();
        let late = if self.leader_after_last_fault_ms > limit { self.leader_after_last_fault_ms } else { 0 };
        check(late, "I5 milliseconds without a leader after the last fault");
        check(whole(self.bytes_unexplained), "I6 bytes lost without a reason or counted twice");
        check(self.unexplained_leader_changes as u128, "I7 leaders deposed without a reason");
        check(self.node_differences as u128, "I8 users that the node has wrongly");
        broken
    }

    /// The table.
    pub fn print(&self, ttl: Duration) {
        println!("\n{:<34}{:>10}", "fault", "times");
        for (kind, count) in &self.faults {
            println!("{kind:<34}{count:>10}");
        }
        println!("{:<34}{:>10}\n", "all", self.faults.values().sum::<u64>());
        let row = |name: &str, value: String| println!("{name:<44}{value:>20}");
        row("slots done", self.slots_done.to_string());
        row("slots coalesced", self.slots_coalesced.to_string());
        row("slots failed three times or just now", self.slots_failed.to_string());
        row("slots abandoned", self.slots_abandoned.to_string());
        row("I1 double runs", self.double_runs.to_string());
        row("I2 epochs out of order", self.epochs_out_of_order.to_string());
        row("I3 stale commits", self.stale_commits.to_string());
        row("I4 slots without a row", self.missing_slots.to_string());
        row("I5 leader after the last fault", format!("{} ms", self.leader_after_last_fault_ms));
        row("I6 bytes produced", self.bytes_produced.to_string());
        row("   bytes applied", self.bytes_applied.to_string());
        row("   bytes lost with a process that died asking", self.bytes_lost.to_string());
        row("   bytes left on the node", self.bytes_left_on_node.to_string());
        row("   replies (and such ones)", format!("{} ({})", self.replies, self.replies_lost));
        row("   bytes unexplained", self.bytes_unexplained.to_string());
        row("leader changes", self.leader_changes.to_string());
        row("I7 leader changes without a reason", self.unexplained_leader_changes.to_string());
        row("I8 users that the node has wrongly", self.node_differences.to_string());
        for (name, times) in
            [("take-over", &self.take_over_ms), ("hand-over", &self.hand_over_ms), ("slot lag", &self.slot_lag_ms)]
        {
            let Percentiles { count, p50, p99, max } = times;
            row(&format!("{name}: p50 / p99 / max of {count}"), format!("{p50} / {p99} / {max} ms"));
        }
        for broken in self.broken(ttl) {
            println!("BROKEN: {broken}");
        }
    }
}
