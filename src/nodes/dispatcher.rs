//! Enqueues changed users for the nodes, and clears the marks of changes that every connected node has confirmed.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::pending_changes::Tracker;
use super::timing::AFTER_FAILURE;
use crate::domain::ids::UserId;
use crate::foundation::with_sources;
use crate::store::nodes::expected_users::{self, NodeUser};
use crate::store::nodes::sync_state;
use crate::store::users::changes;
use crate::store::{Fence, FenceError, IdList, StoreError};

/// Marks per page, and per statement that clears marks.
const CHUNK: usize = 500;
/// Time over which confirmed changes are collected into one write, at most.
const COLLECTING: Duration = Duration::from_millis(200);
/// A round counts as this long at most: the rest of it was waiting for the database.
const LONGEST_ROUND: Duration = Duration::from_secs(2);

/// Enqueues and clears until `stop`. `poll` is the longest interval between two polls; a notification of `wake` starts
/// one sooner. Clearing writes and may have to wait, so enqueueing does not wait for it.
pub(super) async fn dispatch(
    fence: &Fence,
    tracker: &Tracker,
    wake: watch::Receiver<()>,
    poll: Duration,
    stop: &CancellationToken,
) {
    let enqueueing = stop.run_until_cancelled(enqueue_changes(fence, tracker, wake, poll));
    tokio::join!(enqueueing, stop.run_until_cancelled(clear_marks(fence, tracker, poll.min(COLLECTING))));
}

/// Waits for a notification of `wake`, or returns at once if there was one since the last call.
pub(super) async fn notified(wake: &mut watch::Receiver<()>) {
    if wake.changed().await.is_err() {
        // All senders are gone.
        std::future::pending::<()>().await;
    }
}

async fn enqueue_changes(fence: &Fence, tracker: &Tracker, mut wake: watch::Receiver<()>, poll: Duration) {
    let mut failing = false;
    loop {
        let started = Instant::now();
        match enqueue_all(fence, tracker).await {
            Ok(()) => failing = false,
            Err(error) => report(&error, &mut failing, "could not read changed users; changes reach nodes later"),
        }
        metrics::gauge!("sarban_user_changes_waiting").set(tracker.unconfirmed() as f64);
        // Each round reads every mark, and a slow node leaves many: so rounds take up at most half of the time, and a
        // quarter without notifications. A round that mostly waited for the database must not delay the next one much.
        let took = started.elapsed().min(LONGEST_ROUND);
        let pause = if failing { poll.min(AFTER_FAILURE) } else { poll };
        sleep(took).await;
        tokio::select! {
            () = sleep(pause.max(3 * took)) => {}
            () = notified(&mut wake) => {}
        }
    }
}

async fn clear_marks(fence: &Fence, tracker: &Tracker, pause: Duration) {
    let mut failing = false;
    loop {
        tracker.confirmed().await;
        match clear_confirmed(fence, tracker).await {
            Ok(()) => failing = false,
            Err(FenceError::Deposed) => {}
            Err(FenceError::Store(error)) => {
                report(&error, &mut failing, "could not clear the marks of delivered user changes; trying again");
                tracker.wake_clearing();
            }
        }
        // Collects many changes into one write.
        sleep(pause).await;
    }
}

/// Logs the first failure of a series.
fn report(error: &StoreError, failing: &mut bool, message: &str) {
    if !std::mem::replace(failing, true) {
        tracing::warn!(error = with_sources(error), "{message}");
    }
}

async fn enqueue_all(fence: &Fence, tracker: &Tracker) -> Result<(), StoreError> {
    let mut after = UserId(i64::MIN);
    loop {
        tracker.begin_page();
        let page = changes::page(fence.db(), after, CHUNK).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = UserId(last.user_id);
        let is_last = page.len() < CHUNK;
        let fresh: Vec<_> = page.into_iter().filter(|mark| !tracker.is_tracked(mark)).collect();
        if !fresh.is_empty() {
            // The users are read after their marks: a change in between makes a newer mark.
            let ids = IdList::new(fresh.iter().map(|mark| mark.user_id));
            let users = expected_users::chosen(fence.db(), &ids).await?;
            let tags = expected_users::service_tags(fence.db()).await?;
            let mut users: HashMap<UserId, NodeUser> = users.into_iter().map(|user| (user.id, user)).collect();
            for mark in fresh {
                let id = UserId(mark.user_id);
                tracker.enqueue(mark, users.remove(&id).unwrap_or_else(|| NodeUser::gone(id)), &tags);
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

async fn clear_confirmed(fence: &Fence, tracker: &Tracker) -> Result<(), FenceError> {
    let (mut confirmed, out_of_step) = tracker.take_confirmed();
    if !out_of_step.is_empty() {
        if let Err(error) = sync_state::out_of_step(fence, &out_of_step).await {
            tracker.out_of_step_not_saved(&out_of_step);
            tracker.put_back(confirmed);
            return Err(error);
        }
        tracker.out_of_step_saved(&out_of_step);
    }
    while !confirmed.is_empty() {
        let rest = confirmed.split_off(confirmed.len().min(CHUNK));
        if let Err(error) = changes::clear(fence, &confirmed).await {
            tracker.put_back(confirmed.into_iter().chain(rest));
            return Err(error);
        }
        tracker.forget(&confirmed);
        confirmed = rest;
    }
    Ok(())
}
