//! Begins the periods of quotas, notifies of what is used of them, disables the users of admins whose traffic is used up, and enables
//! those users again when it is not.

use serde_json::json;

use super::context::{Context, TaskError};
use super::notifications;
use crate::domain::audit::{Entry, first_ids};
use crate::domain::change::Changed;
use crate::domain::ids::{AdminId, UserId};
use crate::domain::notification::Event;
use crate::domain::quota::notice::notice;
use crate::domain::quota::{Counted, Use, percent_reached};
use crate::domain::schedule::Task;
use crate::store::access::quotas::disabled::CHUNK;
use crate::store::access::quotas::{self, StoredQuota, disabled};
use crate::store::notify::outbox;
use crate::store::users::{bulk, changes};
use crate::store::{IdList, Tx, users};

pub(super) async fn run(context: &Context) -> Result<i64, TaskError> {
    let mut items = 0;
    for quota in quotas::all(&context.deps.db).await? {
        if context.stop.is_cancelled() {
            return Ok(items);
        }
        items += review(context, &quota).await?;
    }
    for owner in disabled::owners(&context.deps.db).await? {
        items += enable(context, owner).await?;
    }
    Ok(items)
}

/// Each step decides again under the lock of the quota. Returns the number of changes.
async fn review(context: &Context, quota: &StoredQuota) -> Result<i64, TaskError> {
    let admin = quota.of.admin;
    let mut items = 0;
    if is_due(context, quota) {
        let begun =
            context.fence.transaction("begin period of quota", async |tx| begin_period(context, tx, admin).await);
        items += begun.await?;
        context.deps.changes.publish(Changed::Admins);
    }
    let used = quotas::recorded_use(&context.deps.db, admin).await?;
    if notifications::are_wanted(context) {
        let active = active_users(context, quota, &used).await?;
        if !passed(quota, &used.with(Counted::ActiveUsers, active)).is_empty() {
            let noticed =
                context.fence.transaction("notify of quota", async |tx| notify(context, tx, admin, active).await);
            items += noticed.await?;
            context.deps.changes.publish(Changed::Notifications);
        }
    }
    if quota.of.quota.disables(used.traffic) {
        items += disable(context, admin).await?;
    }
    Ok(items)
}

/// Counts the active users, unless there would be nothing to notify of if all were active.
async fn active_users(context: &Context, quota: &StoredQuota, used: &Use) -> Result<i64, TaskError> {
    let most = used.with(Counted::ActiveUsers, used.users);
    if passed(quota, &most).iter().all(|(counted, _)| *counted != Counted::ActiveUsers) {
        return Ok(0);
    }
    Ok(quotas::active_users_now(&context.deps.db, quota.of.admin, context.now).await?)
}

fn is_due(context: &Context, quota: &StoredQuota) -> bool {
    quota.of.next_reset_at().is_some_and(|at| at <= context.now)
}

/// Begins the period that is due: one missed in an outage begins later, once.
async fn begin_period(context: &Context, tx: &mut Tx, admin: AdminId) -> Result<i64, TaskError> {
    let quota = quotas::lock(tx, admin).await?.filter(|quota| is_due(context, quota));
    let Some(quota) = quota else { return Ok(0) };
    let used = quotas::used(tx, admin, Counted::Traffic, context.now).await?;
    quotas::start_period(tx, admin, context.now).await?;
    let entry = Entry::of("admin.reset_quota", admin.0, quota.of.username).with(json!({"traffic": used}));
    context.record(tx, Task::ReviewAdmins, &entry).await?;
    Ok(1)
}

/// The numbers that have reached a higher threshold than the one of which was notified, with that threshold.
fn passed(quota: &StoredQuota, used: &Use) -> Vec<(Counted, i64)> {
    let reached = |counted: Counted| {
        let limit = quota.of.quota.limit(counted)?;
        let percent = percent_reached(used.of(counted), limit);
        (percent > quota.notified.of(counted)).then_some((counted, percent))
    };
    Counted::ALL.into_iter().filter_map(reached).collect()
}

/// Enters the notifications of thresholds that are passed, once per period. Returns their number. Active users were counted
/// before: that may take longer than a transaction.
async fn notify(context: &Context, tx: &mut Tx, admin: AdminId, active: i64) -> Result<i64, TaskError> {
    let Some(quota) = quotas::lock(tx, admin).await? else { return Ok(0) };
    let used = Use {
        users: quotas::used(tx, admin, Counted::Users, context.now).await?,
        active_users: active,
        traffic: quotas::used(tx, admin, Counted::Traffic, context.now).await?,
    };
    let passed = passed(&quota, &used);
    let notices: Vec<_> = passed
        .iter()
        .filter_map(|(counted, percent)| notice(&quota.of, *counted, *percent, used.of(*counted), context.now))
        .collect();
    let targets = context.deps.targets.now();
    outbox::enter(tx, &targets.targets.destinations, &notices, context.now).await?;
    let notified = passed.iter().fold(quota.notified, |notified, (counted, percent)| notified.with(*counted, *percent));
    quotas::set_notified(tx, admin, &notified).await?;
    Ok(i64::try_from(notices.len()).unwrap_or(i64::MAX))
}

/// Disables the users of an admin, part by part, as long as its traffic is used up.
async fn disable(context: &Context, admin: AdminId) -> Result<i64, TaskError> {
    let (mut items, mut throttle, mut after) = (0, context.throttle(), UserId(0));
    while !context.stop.is_cancelled() {
        let some = context
            .fence
            .transaction("disable users by quota", async |tx| disable_some(context, tx, admin, after).await)
            .await?;
        let Some(last) = some.as_slice().last().copied() else { break };
        context.deps.changes.publish(Changed::Users);
        items += i64::try_from(some.as_slice().len()).unwrap_or(i64::MAX);
        after = UserId(last);
        throttle.pause().await;
    }
    Ok(items)
}

async fn disable_some(context: &Context, tx: &mut Tx, admin: AdminId, after: UserId) -> Result<IdList, TaskError> {
    let none = IdList::new([]);
    let Some(quota) = quotas::lock(tx, admin).await? else { return Ok(none) };
    let traffic = quotas::used(tx, admin, Counted::Traffic, context.now).await?;
    if !quota.of.quota.disables(traffic) {
        return Ok(none);
    }
    let chosen = bulk::lock_owned(tx, admin, Some(true), after, CHUNK).await?;
    if chosen.is_empty() {
        return Ok(none);
    }
    let known = bulk::disable(tx, chosen.clone()).await?;
    disabled::mark(tx, &chosen).await?;
    record(context, tx, Event::Disabled, &chosen, known, &quota.of.username).await?;
    Ok(chosen)
}

/// Enables the users of an owner whom a quota disabled, part by part, unless the owner's traffic is used up.
async fn enable(context: &Context, owner: AdminId) -> Result<i64, TaskError> {
    let (mut items, mut throttle, mut after) = (0, context.throttle(), UserId(0));
    while !context.stop.is_cancelled() {
        let (last, enabled) = context
            .fence
            .transaction("enable users by quota", async |tx| enable_some(context, tx, owner, after).await)
            .await?;
        let Some(last) = last else { break };
        after = last;
        context.deps.changes.publish(Changed::Users);
        items += enabled;
        throttle.pause().await;
    }
    Ok(items)
}

/// Returns the last user whose mark is settled, and the number of users that are enabled.
async fn enable_some(
    context: &Context,
    tx: &mut Tx,
    owner: AdminId,
    after: UserId,
) -> Result<(Option<UserId>, i64), TaskError> {
    let quota = quotas::lock(tx, owner).await?;
    if let Some(quota) = &quota {
        let traffic = quotas::used(tx, owner, Counted::Traffic, context.now).await?;
        if quota.of.quota.disables(traffic) {
            return Ok((None, 0));
        }
    }
    let marked = disabled::lock_of(tx, owner, after).await?;
    let Some(last) = marked.last().map(|user| UserId(user.id)) else { return Ok((None, 0)) };
    // Others were removed, or somebody has enabled them.
    let off = IdList::new(marked.iter().filter(|user| !user.enabled && !user.removed).map(|user| user.id));
    let active = if off.is_empty() { IdList::new([]) } else { bulk::enable(tx, off.clone(), context.now).await? };
    disabled::forget(tx, &IdList::new(marked.iter().map(|user| user.id))).await?;
    let username = quota.map_or_else(|| "of an admin without a quota".to_owned(), |quota| quota.of.username);
    record(context, tx, Event::Enabled, &off, active, &username).await?;
    Ok((Some(last), i64::try_from(off.as_slice().len()).unwrap_or(i64::MAX)))
}

/// Marks the users whom nodes have otherwise, and enters notifications and the entry of the audit log.
async fn record(
    context: &Context,
    tx: &mut Tx,
    event: Event,
    chosen: &IdList,
    for_nodes: IdList,
    owner: &str,
) -> Result<(), TaskError> {
    changes::mark(tx, for_nodes, context.now).await?;
    if notifications::are_wanted(context) {
        let shown = users::of_ids(tx, chosen).await?;
        notifications::enter(context, tx, event, shown, |_| format!("quota:{}", context.now.micros())).await?;
    }
    let action = if event == Event::Disabled { "user.disable" } else { "user.enable" };
    let count = i64::try_from(chosen.as_slice().len()).unwrap_or(i64::MAX);
    let entry = Entry::of_many(action, format!("quota of {owner}"), count).with(first_ids(chosen.as_slice()));
    Ok(context.record(tx, Task::ReviewAdmins, &entry).await?)
}
