//! Chains the new entries of the audit log, so that a later change of any of them is found.

use super::context::{Context, TaskError};
use crate::actions::audit::ENTRIES_PER_SEAL;
use crate::store::audit::seals;

pub(super) async fn run(context: &Context) -> Result<i64, TaskError> {
    let (mut items, mut throttle) = (0, context.throttle());
    while !context.stop.is_cancelled() {
        let sealed = context
            .fence
            .transaction("seal audit log", async |tx| -> Result<_, TaskError> {
                Ok(seals::seal(tx, ENTRIES_PER_SEAL, context.now).await?)
            })
            .await?;
        items += sealed;
        if sealed < ENTRIES_PER_SEAL {
            break;
        }
        throttle.pause().await;
    }
    Ok(items)
}
