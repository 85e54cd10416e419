//! Finishes all usage inside one transaction: what is staged is applied, and what is applied is folded. For an export, whose
//! transaction is rolled back afterwards, so that the panel goes on as if nothing had happened.

use super::batches::{self, DueBatches};
use super::hours;
use super::totals::{self, ApplyOptions};
use crate::domain::moment::Moment;
use crate::store::engine::{StoreError, Tx};

/// Applies and folds every batch that can be read; the others are marked.
pub async fn finish(tx: &mut Tx, options: ApplyOptions, now: Moment) -> Result<(), StoreError> {
    loop {
        let due = batches::oldest_staged_within(tx).await?;
        if due.is_empty() {
            break;
        }
        set_aside(tx, &due).await?;
        totals::apply(tx, &due.batches, options, now).await?;
    }
    loop {
        let due = batches::oldest_applied_within(tx).await?;
        if due.is_empty() {
            return Ok(());
        }
        set_aside(tx, &due).await?;
        hours::fold(tx, &due.batches, options.node_hours, now).await?;
    }
}

async fn set_aside(tx: &mut Tx, due: &DueBatches) -> Result<(), StoreError> {
    for key in &due.damaged {
        batches::quarantine(tx, *key, "its payload is damaged").await?;
    }
    Ok(())
}
