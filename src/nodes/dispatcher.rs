//! From the marks in the database to the nodes' mailboxes, and back: a mark goes when every node has its change.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::pending_changes::Desk;
use crate::domain::ids::UserId;
use crate::foundation::with_sources;
use crate::store::nodes::expected_users;
use crate::store::nodes::expected_users::NodeUser;
use crate::store::nodes::sync_state;
use crate::store::users::changes;
use crate::store::{Fence, FenceError, IdList, StoreError};

/// Marks per page, and per statement that clears.
const CHUNK: usize = 500;

/// Looks for marks, and clears those that every node has, until told to stop. `poll` is the longest that a mark waits to
/// be seen; a ring of `wake` makes it sooner. Clearing writes and may have to wait, so looking does not wait for it.
pub(super) async fn dispatch(
    fence: &Fence,
    desk: &Arc<Desk>,
    wake: watch::Receiver<()>,
    poll: Duration,
    stop: &CancellationToken,
) {
    let looking = stop.run_until_cancelled(look(fence, desk, wake, poll));
    tokio::join!(looking, stop.run_until_cancelled(clear(fence, desk, poll)));
}

async fn look(fence: &Fence, desk: &Arc<Desk>, mut wake: watch::Receiver<()>, poll: Duration) {
    let mut failing = false;
    loop {
        let began = Instant::now();
        match post_all(fence, desk).await {
            Ok(()) => failing = false,
            Err(error) => report(&error, &mut failing, "changed users can't be read"),
        }
        metrics::gauge!("sarban_user_changes_waiting").set(desk.waiting() as f64);
        // A long table of marks (a node is slow) is read in full each time: so at most every other moment goes there. A
        // round that waited for the database is no such round: the next one must not wait as long again, and thrice more.
        let took = began.elapsed().min(LONGEST_ROUND);
        sleep(took).await;
        tokio::select! {
            () = sleep(poll.max(3 * took)) => {}
            () = rang(&mut wake) => {}
        }
    }
}

async fn clear(fence: &Fence, desk: &Arc<Desk>, pause: Duration) {
    let mut failing = false;
    loop {
        desk.settled().await;
        match clear_settled(fence, desk).await {
            Ok(()) => failing = false,
            Err(FenceError::Deposed) => {}
            Err(FenceError::Store(error)) => {
                report(&error, &mut failing, "marks of changed users can't be cleared");
                desk.wake_clearing();
            }
        }
        // So that many changes become one write.
        sleep(pause).await;
    }
}

fn report(error: &StoreError, failing: &mut bool, what: &str) {
    if !std::mem::replace(failing, true) {
        tracing::warn!(error = with_sources(error), "{what}");
    }
}

/// A round that took longer stood still.
const LONGEST_ROUND: Duration = Duration::from_secs(2);

/// Waits until the wakeup rings, or rang since the last call.
pub(super) async fn rang(wake: &mut watch::Receiver<()>) {
    if wake.changed().await.is_err() {
        // Nobody is left who could ring.
        std::future::pending::<()>().await;
    }
}

async fn post_all(fence: &Fence, desk: &Arc<Desk>) -> Result<(), StoreError> {
    let mut after = UserId(i64::MIN);
    loop {
        let page = changes::page(fence.db(), after, CHUNK).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = UserId(last.user_id);
        let is_last = page.len() < CHUNK;
        let fresh: Vec<_> = page.into_iter().filter(|mark| !desk.knows(mark)).collect();
        if !fresh.is_empty() {
            // Marks first, then the state: whatever changes in between has a newer mark.
            let ids = IdList::new(fresh.iter().map(|mark| mark.user_id));
            let users = expected_users::chosen(fence.db(), &ids).await?;
            let tags = expected_users::service_tags(fence.db()).await?;
            let mut users: HashMap<UserId, NodeUser> = users.into_iter().map(|user| (user.id, user)).collect();
            for mark in fresh {
                let id = UserId(mark.user_id);
                desk.post(mark, users.remove(&id).unwrap_or_else(|| NodeUser::gone(id)), &tags);
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

async fn clear_settled(fence: &Fence, desk: &Arc<Desk>) -> Result<(), FenceError> {
    let (mut settled, lacking) = desk.take_settled();
    if !lacking.is_empty() {
        let noting = sync_state::out_of_step(fence, &lacking).await;
        desk.noted(&lacking, noting.is_ok());
        if let Err(error) = noting {
            desk.put_back(settled);
            return Err(error);
        }
    }
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
