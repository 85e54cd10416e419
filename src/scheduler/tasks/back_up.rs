//! Writes a back-up, and removes the oldest ones. A failure is a notification.

use std::time::Duration;

use tokio::time::sleep;

use super::context::{Context, TaskError};
use crate::backup::{BackupError, Pending, Scheduled};
use crate::domain::notification::Notification;
use crate::foundation::{chain, with_sources};
use crate::store::FenceError;
use crate::store::migrate::is_waiting;
use crate::store::notify::outbox;

/// Pause between two looks whether a migration is over.
const PAUSE: Duration = Duration::from_secs(1);

/// Returns the bytes of the back-up.
pub(super) async fn run(context: &Context) -> Result<i64, TaskError> {
    let Some(scheduled) = &context.deps.back_up else { return Ok(0) };
    let made = make(context, scheduled).await;
    if let Err(TaskError::BackUp(error)) = &made {
        notify(context, scheduled, error).await?;
    }
    made
}

async fn make(context: &Context, scheduled: &Scheduled) -> Result<i64, TaskError> {
    let written = context.stop.run_until_cancelled(write(context, scheduled)).await;
    // What was written so far is removed.
    let Some(written) = written else { return Err(FenceError::Deposed.into()) };
    let pending = written.map_err(TaskError::BackUp)?;
    // A leader that was deposed meanwhile leaves the place to the next one.
    context.fence.transaction("finish back-up", async |_| Ok::<_, TaskError>(())).await?;
    let (address, bytes) = pending.finish().await.map_err(TaskError::BackUp)?;
    tracing::info!(address, bytes, "a back-up was made");
    match scheduled.remove_old(&address).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "old back-ups were removed"),
        // The back-up is good, and the next run tries again.
        Err(error) => {
            tracing::warn!(error = with_sources(&error), "old back-ups could not be removed; check BACKUP_TO");
        }
    }
    match scheduled.taken_for_newer(&address).await {
        Ok(None) => {}
        Ok(Some(newest)) => tracing::warn!(
            newest,
            made = address,
            "BACKUP_TO has a back-up with a later time, as if a clock was ahead; a restore would read that one: rename it"
        ),
        Err(error) => tracing::warn!(error = with_sources(&error), "back-ups could not be listed; check BACKUP_TO"),
    }
    Ok(i64::try_from(bytes).unwrap_or(i64::MAX))
}

/// Writes a back-up, once more after each migration to which one gave way.
async fn write(context: &Context, scheduled: &Scheduled) -> Result<Pending, BackupError> {
    loop {
        match scheduled.write(&context.deps.db, context.now).await {
            Err(BackupError::GaveWay) => {
                tracing::info!("the back-up gave way to a migration and begins again after it");
            }
            other => return other,
        }
        while is_waiting(&context.deps.db).await.unwrap_or(true) {
            sleep(PAUSE).await;
        }
    }
}

async fn notify(context: &Context, scheduled: &Scheduled, error: &BackupError) -> Result<(), TaskError> {
    let targets = context.deps.targets.now();
    let notification = Notification::of_failed_back_up(scheduled.place(), &chain(error), context.now);
    let notifications = [notification];
    context
        .fence
        .transaction("notify of failed back-up", async |tx| -> Result<_, TaskError> {
            outbox::enter(tx, &targets.targets.destinations, &notifications, context.now).await?;
            Ok(())
        })
        .await
}
