//! From the marks in the database to the nodes' mailboxes, and back: a mark goes when every node has its change.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use crate::domain::ids::UserId;
use crate::store::node_users::{self, NodeUser};
use crate::store::{Fence, FenceError, IdList, changes};

/// Marks per page, and per statement that clears.
const CHUNK: usize = 500;

/// Looks for marks until told to stop. `poll` is the longest that one waits; a ring of `wake` makes it sooner.
pub(super) async fn dispatch(
    fence: &Fence,
    desk: &Arc<Desk>,
    mut wake: watch::Receiver<()>,
    poll: Duration,
    stop: &CancellationToken,
) {
    let mut failing = false;
    while !stop.is_cancelled() {
        let began = Instant::now();
        match round(fence, desk).await {
            Ok(()) => failing = false,
            Err(FenceError::Deposed) => {}
            Err(FenceError::Store(error)) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(error = &error as &dyn std::error::Error, "changed users can't be read or cleared");
                }
            }
        }
        metrics::gauge!("sarban_user_changes_waiting").set(desk.waiting() as f64);
        // A long table of marks (a node is slow) is read in full each time: so at most every other moment goes there. A
        // round that waited for the database is no such round: the next one must not wait as long again, and thrice more.
        let took = began.elapsed().min(LONGEST_ROUND);
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(took) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(poll.max(3 * took)) => {}
            () = rang(&mut wake) => {}
            () = desk.settled() => {}
        }
    }
}

/// A round that took longer stood still.
const LONGEST_ROUND: Duration = Duration::from_secs(2);

/// Waits until the bell rings, or rang since the last call.
pub(super) async fn rang(wake: &mut watch::Receiver<()>) {
    if wake.changed().await.is_err() {
        // Nobody is left who could ring.
        std::future::pending::<()>().await;
    }
}

async fn round(fence: &Fence, desk: &Arc<Desk>) -> Result<(), FenceError> {
    clear(fence, desk).await?;
    let mut after = UserId(i64::MIN);
    loop {
        let page = changes::page(fence.db(), after, CHUNK).await?;
        let Some(last) = page.last() else { break };
        after = UserId(last.user_id);
        let is_last = page.len() < CHUNK;
        let fresh: Vec<_> = page.into_iter().filter(|mark| !desk.knows(mark)).collect();
        if !fresh.is_empty() {
            // Marks first, then the state: whatever changes in between has a newer mark.
            let ids = IdList::new(fresh.iter().map(|mark| mark.user_id));
            let users = node_users::chosen(fence.db(), &ids).await?;
            let tags = node_users::service_tags(fence.db()).await?;
            let mut users: HashMap<UserId, NodeUser> = users.into_iter().map(|user| (user.id, user)).collect();
            for mark in fresh {
                let id = UserId(mark.user_id);
                desk.post(mark, users.remove(&id).unwrap_or_else(|| NodeUser::gone(id)), &tags);
            }
        }
        if is_last {
            break;
        }
    }
    clear(fence, desk).await
}

async fn clear(fence: &Fence, desk: &Arc<Desk>) -> Result<(), FenceError> {
    let mut settled = desk.take_settled();
    while !settled.is_empty() {
        let rest = settled.split_off(settled.len().min(CHUNK));
        if let Err(error) = changes::clear(fence, &settled).await {
            desk.put_back(settled.into_iter().chain(rest));
            return Err(error);
        }
        desk.forget(&settled);
        settled = rest;
    }
    Ok(())
}
