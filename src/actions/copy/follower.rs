//! Follows a source for ever: one step after the other, with the pauses between them, and what is done after a failure.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::LocalCopy;
use super::file_failures::FileFailures;
use super::following::{EVERY, Failure, Following, Next};
use super::source::Source;
use crate::cluster::self_report::SelfReport;
use crate::cluster::wakeup::WakeupReceiver;
use crate::foundation::{FailureStreak, with_sources};
use crate::store::Condition;
use crate::store::copy::file_lock::FollowerLock;

/// Shortest pause: many changes in a row are read together.
const AT_MOST_EVERY: Duration = Duration::from_millis(50);
/// After this many I/O errors in a row the file is opened again, and checked.
const CHECKED_AFTER: u32 = 4;

/// Follows for ever. Of several processes with one folder, one follows; the others read what it writes.
pub async fn follow(copy: LocalCopy, source: Source, mut wakeups: WakeupReceiver, own: SelfReport) {
    let (mut file_failures, mut read_failures) = (FileFailures::default(), FailureStreak::default());
    loop {
        let pause = match FollowerLock::try_take(&copy.lock_path()) {
            Ok(Some(_lock)) => follow_alone(&copy, &source, &mut wakeups, &own, &mut file_failures).await,
            Ok(None) => EVERY,
            Err(error) => file_failures.failed("could not lock the local copy of subscriptions", "lock", &error),
        };
        // The file may be that of another process, or of an earlier one.
        copy.read_along(&own, &mut read_failures).await;
        sleep(pause).await;
    }
}

/// Follows until the file must be opened again. Returns the pause before that. Meanwhile what was opened before is served.
async fn follow_alone(
    copy: &LocalCopy,
    source: &Source,
    wakeups: &mut WakeupReceiver,
    own: &SelfReport,
    file_failures: &mut FileFailures,
) -> Duration {
    let mut following = match Following::open(copy, source).await {
        Ok(following) => following,
        Err(error) => {
            return file_failures.failed("could not open the local copy of subscriptions", error.reason(), &error);
        }
    };
    let mut failures = 0;
    loop {
        let began = Instant::now();
        copy.publish(own);
        let next = following.step().await;
        if next.is_ok() {
            failures = 0;
            if following.has_written {
                file_failures.ended();
            }
        }
        let pause = match next {
            Ok(Next::AtOnce) => Duration::ZERO,
            Ok(Next::AfterAWakeUp) => EVERY,
            Err(Failure::Source(error)) => {
                tracing::debug!(error = with_sources(&error), "could not follow the source of the local copy");
                following.is_unsure = true;
                sleep(source.pause_after(failures)).await;
                failures += 1;
                continue;
            }
            Err(Failure::File(error)) => {
                let pause =
                    file_failures.failed("could not write the local copy of subscriptions", error.reason(), &error);
                following.has_written = false;
                match error.condition() {
                    Some(Condition::Damaged) => {
                        copy.close().await;
                        following.discard();
                        return EVERY;
                    }
                    Some(Condition::Missing | Condition::Replaced) => return EVERY,
                    // It may have lost something.
                    Some(Condition::IoError) if file_failures.in_a_row().is_multiple_of(CHECKED_AFTER) => return pause,
                    _ => {}
                }
                following.look_on(pause).await;
                continue;
            }
        };
        if !pause.is_zero() {
            let _ = timeout(pause, wakeups.wait()).await;
            sleep(AT_MOST_EVERY.saturating_sub(began.elapsed())).await;
        }
    }
}
