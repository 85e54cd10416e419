//! The result of a run, from the witness, the ledger and the node.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::backups::{self, BackUps};
use super::copies;
use super::kinds::Kind;
use super::programs::Starts;
use super::promises::{self, Fetches};
use super::world::{RECOVERY, World};

/// The result of a run, printed as a table and written as JSON.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub faults: BTreeMap<String, u64>,
    pub starts: Starts,
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
    /// I4: slots without a row in the ledger.
    pub missing_slots: i64,
    /// I5: time from the end of the last fault to a leader, milliseconds.
    pub leader_after_last_fault_ms: u128,
    /// I6: bytes that the node counted.
    pub bytes_produced: i64,
    pub bytes_applied: i64,
    /// Bytes in replies to a process that was killed or stopped before it stored them.
    pub bytes_lost: i64,
    /// Bytes that no process has asked for.
    pub bytes_left_on_node: i64,
    pub replies: usize,
    pub replies_lost: usize,
    /// Bytes that were lost without a fault of a process, or counted twice.
    pub bytes_unexplained: i64,
    pub leader_changes: usize,
    /// I7: changes of leader although the previous leader reached the database.
    pub unexplained_leader_changes: usize,
    /// I8: users that the node lacks, has with wrong values, or should not have.
    pub node_differences: usize,
    /// I9: time until a panel was ready, without a restart, after silent connections were healed and after the last fault.
    pub recovery_ms: Percentiles,
    /// I10 to I12.
    pub fetches: Fetches,
    /// I10 and the second part of I11 count in long runs only: they have limits of time that a machine without a free CPU misses.
    pub is_long: bool,
    /// I13: rows of copies that differ from the database, and copies that can't be read.
    pub copy_differences: usize,
    /// I14.
    pub back_ups: BackUps,
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

/// Waits up to a minute for a leader. Returns the milliseconds since the last fault.
pub async fn leader_after(world: &World, last_fault: Instant) -> u128 {
    while world.witness.leader().is_none() && last_fault.elapsed() < Duration::from_secs(60) {
        sleep(Duration::from_millis(5)).await;
    }
    last_fault.elapsed().as_millis()
}

/// Waits until nothing is in flight, and collects the result.
pub async fn collect(world: &World, faults: &BTreeMap<Kind, u64>, leader_after: u128, is_long: bool) -> Result<Report> {
    let mut report = Report { leader_after_last_fault_ms: leader_after, is_long, ..Report::default() };
    report.starts = world.panels[0].settings.programs.starts();
    for (kind, count) in faults {
        report.faults.insert(serde_json::to_value(kind)?.as_str().unwrap_or_default().to_owned(), *count);
    }
    world.wait_until_healthy().await?;
    // The spooled replies of an ended process are taken over by the other panels within a minute.
    let end = Instant::now() + Duration::from_secs(75);
    loop {
        bytes(world, &mut report).await?;
        report.node_differences = world.node_differences().await?;
        let is_settled = report.bytes_unexplained == 0 && report.replies_lost == 0 && report.node_differences == 0;
        if is_settled || Instant::now() > end {
            break;
        }
        sleep(Duration::from_millis(250)).await;
    }
    let recoveries = world.recoveries.lock().unwrap_or_else(PoisonError::into_inner).clone();
    report.recovery_ms = Percentiles::of(recoveries.into_iter().map(|took| took.as_millis() as u64).collect());
    slots(world, &mut report).await?;
    changes(world, &mut report);
    report.fetches = promises::judge(world).await?;
    report.copy_differences = copies::judge(world).await?;
    report.back_ups = backups::judge(world).await?;
    Ok(report)
}

async fn bytes(world: &World, report: &mut Report) -> Result<()> {
    const APPLIED: &str = "SELECT CAST(COALESCE(SUM(lifetime_used_traffic), 0) AS BIGINT) FROM user_traffic";
    const BATCHES: &str = "SELECT bytes FROM usage_batch WHERE state <> 'staged'";
    report.bytes_produced = i64::try_from(world.node.totals().produced)?;
    report.bytes_applied = world.witness.number(APPLIED).await?;
    let batches: Vec<i64> = sqlx::query_scalar(BATCHES).fetch_all(&world.witness.pool).await?;
    let mut unmatched: BTreeMap<i64, i64> = BTreeMap::new();
    for bytes in batches {
        *unmatched.entry(bytes).or_default() += 1;
    }
    let replies = world.node.replies();
    report.replies = replies.len();
    let sent: u64 = replies.iter().map(|(_, bytes)| bytes).sum();
    report.bytes_left_on_node = report.bytes_produced - i64::try_from(sent)?;
    (report.replies_lost, report.bytes_lost, report.bytes_unexplained) = (0, 0, 0);
    let faults = world.process_faults.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for (at, bytes) in replies {
        let bytes = i64::try_from(bytes)?;
        match unmatched.get_mut(&bytes) {
            Some(count) if *count > 0 => *count -= 1,
            _ => {
                // The process that had asked was killed with the reply, or was stopped for longer than its deadline.
                let near =
                    |fault: &Instant| *fault + Duration::from_secs(1) >= at && *fault <= at + Duration::from_secs(4);
                if faults.iter().any(|fault| near(&fault.at)) {
                    report.replies_lost += 1;
                    report.bytes_lost += bytes;
                } else {
                    report.bytes_unexplained += bytes;
                }
            }
        }
    }
    // The remaining batches have no reply: they were counted twice.
    report.bytes_unexplained += unmatched.iter().map(|(bytes, count)| bytes * count).sum::<i64>();
    let balance = report.bytes_produced - report.bytes_applied - report.bytes_lost;
    report.bytes_unexplained = report.bytes_unexplained.max(balance.abs());
    Ok(())
}

async fn slots(world: &World, report: &mut Report) -> Result<()> {
    let witness = &world.witness;
    report.slots_done = witness.number("SELECT COUNT(*) FROM task_run WHERE state = 'done'").await?;
    report.slots_coalesced = witness.number("SELECT COUNT(*) FROM task_run WHERE state = 'coalesced'").await?;
    report.slots_failed = witness.number("SELECT COUNT(*) FROM task_run WHERE state = 'failed'").await?;
    report.slots_abandoned = witness.number("SELECT COUNT(*) FROM task_run WHERE state = 'abandoned'").await?;
    report.double_runs = witness
        .number(
            "SELECT CAST(COALESCE(SUM(n - 1), 0) AS BIGINT) FROM (SELECT COUNT(*) AS n FROM effect WHERE kind = 'done'
             AND trigger = 'schedule' GROUP BY task, slot HAVING COUNT(*) > 1) AS d",
        )
        .await?;
    report.epochs_out_of_order = witness
        .number(
            "SELECT COUNT(*) FROM (SELECT epoch, MAX(epoch) OVER (ORDER BY seq) AS newest FROM effect
             WHERE kind NOT IN ('usage', 'abandoned')) AS o WHERE epoch < newest",
        )
        .await?;
    // An abandoned run keeps the epoch of the process that began it.
    report.stale_commits =
        witness.number("SELECT COUNT(*) FROM effect WHERE epoch <> current_epoch AND kind <> 'abandoned'").await?;
    report.missing_slots = witness
        .number(
            "SELECT CAST(COALESCE(SUM((MAX - MIN) / 1000000 + 1 - n), 0) AS BIGINT) FROM
             (SELECT MAX(slot) AS MAX, MIN(slot) AS MIN, COUNT(DISTINCT slot) AS n FROM task_run
              WHERE task IN ('record_user_usages', 'review_users') AND trigger = 'schedule' GROUP BY task) AS t",
        )
        .await?;
    // Other tasks have one slot an hour, and the lag of their first slot is the age of the hour.
    const LAGS: &str = "SELECT lag_ms FROM task_run WHERE state = 'done' AND attempts = 1
        AND task IN ('record_user_usages', 'review_users')";
    let lags: Vec<i64> = sqlx::query_scalar(LAGS).fetch_all(&witness.pool).await?;
    report.slot_lag_ms = Percentiles::of(lags.into_iter().map(|lag| u64::try_from(lag).unwrap_or(0)).collect());
    Ok(())
}

/// The promise for the death of a leader, with the lease of the harness: docs/operations.md.
const PROMISED_MS: u64 = 3_500;

fn changes(world: &World, report: &mut Report) {
    let changes = world.witness.changes();
    let faults = world.process_faults.lock().unwrap_or_else(PoisonError::into_inner).clone();
    report.leader_changes = changes.len().saturating_sub(1);
    report.unexplained_leader_changes = changes.iter().filter(|change| change.unexplained).count();
    let (mut take_overs, mut hand_overs) = (Vec::new(), Vec::new());
    for (number, change) in changes.iter().enumerate() {
        let Some(from) = &change.from else { continue };
        // The last fault of the previous leader in its term: an earlier one ended another.
        let began = changes[..number].iter().rev().find(|earlier| earlier.to == *from).map(|earlier| earlier.at);
        let in_term = |at| at < change.at && began.is_none_or(|began| began < at);
        let fault = faults.iter().rev().find(|fault| fault.name == *from && in_term(fault.at));
        let Some(fault) = fault.filter(|fault| fault.was_leader) else { continue };
        let took = change.at - fault.at;
        if took > Duration::from_secs(10) {
            continue;
        }
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if took > PROMISED_MS {
            let at = world.witness.seconds() - fault.at.elapsed().as_secs_f64();
            println!("{at:7.1} s  {from} was {}, and {} led {took} ms later", fault.how, change.to);
        }
        if fault.how == "terminated" { hand_overs.push(took) } else { take_overs.push(took) }
    }
    report.take_over_ms = Percentiles::of(take_overs);
    report.hand_over_ms = Percentiles::of(hand_overs);
}

impl Report {
    /// Returns each violated invariant with its count.
    pub fn violations(&self, ttl: Duration) -> Vec<String> {
        let mut violations = Vec::new();
        let mut check = |count: u128, name: &str| {
            if count > 0 {
                violations.push(format!("{name}: {count}"));
            }
        };
        let unsigned = |count: i64| u128::from(count.unsigned_abs());
        check(unsigned(self.double_runs), "I1 double runs");
        check(unsigned(self.epochs_out_of_order), "I2 epochs out of order");
        check(unsigned(self.stale_commits), "I3 stale commits");
        check(unsigned(self.missing_slots), "I4 slots without a row");
        // Twice the promised time, because machines that run tests have other load.
        let limit = 2 * (ttl + Duration::from_secs(1)).as_millis();
        let late = if self.leader_after_last_fault_ms > limit { self.leader_after_last_fault_ms } else { 0 };
        check(late, "I5 milliseconds without a leader after the last fault");
        check(unsigned(self.bytes_unexplained), "I6 bytes lost without a reason or counted twice");
        check(self.unexplained_leader_changes as u128, "I7 leaders deposed without a reason");
        check(self.node_differences as u128, "I8 users that differ on the node");
        let slow = if self.recovery_ms.max > RECOVERY.as_millis() as u64 { self.recovery_ms.max } else { 0 };
        check(u128::from(slow), "I9 milliseconds until a panel was ready after healing");
        let fetches = &self.fetches;
        if self.is_long {
            check(u128::from(fetches.refused), "I10 fetches refused although they were promised");
            check(u128::from(fetches.served_too_late), "I11 revoked keys served too long");
        }
        check(u128::from(fetches.unknown_links), "I10 good links that were unknown");
        check(u128::from(fetches.served_after_agreement), "I11 revoked keys served by what should have known");
        check(u128::from(fetches.lost), "I12 fetches that are not in the database");
        check(u128::from(fetches.wrong), "I12 fetches in the database that nobody made");
        check(self.copy_differences as u128, "I13 differences between copies and the database");
        check(self.back_ups.wrong.len() as u128, "I14 back-ups that are not what they seem");
        violations
    }

    /// Prints the table.
    pub fn print(&self, ttl: Duration) {
        println!("\n{:<34}{:>10}", "fault", "times");
        for (kind, count) in &self.faults {
            println!("{kind:<34}{count:>10}");
        }
        println!("{:<34}{:>10}\n", "all", self.faults.values().sum::<u64>());
        let row = |name: &str, value: String| println!("{name:<44}{value:>20}");
        row("starts of the program, of the older one", format!("{}, {}", self.starts.program, self.starts.older));
        row("slots done", self.slots_done.to_string());
        row("slots coalesced", self.slots_coalesced.to_string());
        row("slots failed", self.slots_failed.to_string());
        row("slots abandoned", self.slots_abandoned.to_string());
        row("I1 double runs", self.double_runs.to_string());
        row("I2 epochs out of order", self.epochs_out_of_order.to_string());
        row("I3 stale commits", self.stale_commits.to_string());
        row("I4 slots without a row", self.missing_slots.to_string());
        row("I5 leader after the last fault", format!("{} ms", self.leader_after_last_fault_ms));
        row("I6 bytes produced", self.bytes_produced.to_string());
        row("   bytes applied", self.bytes_applied.to_string());
        row("   bytes lost with a killed process", self.bytes_lost.to_string());
        row("   bytes left on the node", self.bytes_left_on_node.to_string());
        row("   replies (lost with a killed process)", format!("{} ({})", self.replies, self.replies_lost));
        row("   bytes unexplained", self.bytes_unexplained.to_string());
        row("leader changes", self.leader_changes.to_string());
        row("I7 leader changes without a reason", self.unexplained_leader_changes.to_string());
        row("I8 users that differ on the node", self.node_differences.to_string());
        let fetches = &self.fetches;
        row("fetches, of them from copies", format!("{}, {}", fetches.fetches, fetches.from_copy));
        row("   excused", fetches.excused.to_string());
        row("I10 refused, good links unknown", format!("{}, {}", fetches.refused, fetches.unknown_links));
        row("fetches with a revoked key", fetches.with_revoked_key.to_string());
        row("   of them served in time", fetches.served_in_time.to_string());
        row("   of them without a disturbance", fetches.with_revoked_key_undisturbed.to_string());
        let late = format!("{}, {}", fetches.served_after_agreement, fetches.served_too_late);
        row("I11 served after agreement, too late", late);
        row("I12 lost, wrong", format!("{}, {}", fetches.lost, fetches.wrong));
        row("I13 differences of copies", self.copy_differences.to_string());
        let BackUps { made, not_made, scheduled, verified, restored, wrong } = &self.back_ups;
        row("back-ups made, not made, by the task", format!("{made}, {not_made}, {scheduled}"));
        row("   verified, restored", format!("{verified}, {restored}"));
        row("I14 wrong", wrong.len().to_string());
        for (name, times) in [
            ("fetch from a panel's database", &fetches.from_panel_ms),
            ("fetch from a copy", &fetches.from_copy_ms),
            ("I9 ready after healing", &self.recovery_ms),
            ("take-over", &self.take_over_ms),
            ("hand-over", &self.hand_over_ms),
            ("slot lag", &self.slot_lag_ms),
        ] {
            let Percentiles { count, p50, p99, max } = times;
            row(&format!("{name}: p50 / p99 / max of {count}"), format!("{p50} / {p99} / {max} ms"));
        }
        for violation in self.violations(ttl) {
            println!("VIOLATED: {violation}");
        }
    }
}
