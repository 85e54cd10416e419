//! How many users a filter matches, kept for at most two seconds: an admin who turns pages counts once. What this
//! process itself has changed is counted at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::actions::Panel;
use crate::domain::moment::{BootTime, Moment, SECOND};
use crate::store::StoreError;
use crate::store::user_lists::{self, Totals, UserFilter};

/// What other processes have changed is seen after so long at the latest.
const MAX_AGE: i64 = 2 * SECOND;
/// Filters that are remembered.
const CAPACITY: usize = 1_000;

/// The totals of the last filters.
#[derive(Debug, Default)]
pub struct TotalCache(Mutex<HashMap<UserFilter, Slot>>);

/// Held by whoever counts, so that a filter is counted once for all who ask meanwhile.
type Slot = Arc<tokio::sync::Mutex<Option<Counted>>>;

#[derive(Clone, Copy, Debug)]
struct Counted {
    totals: Totals,
    at: BootTime,
    /// How often the bell had rung here before: it rings after each change.
    rings: u64,
}

impl TotalCache {
    /// The totals of a filter.
    pub async fn get(&self, panel: &Panel, filter: &UserFilter, now: Moment) -> Result<Totals, StoreError> {
        let everybody = UserFilter::default();
        let everybody =
            self.counted(panel, &everybody, now, |matching| Totals { matching, everybody: matching }).await?;
        if *filter == UserFilter::default() {
            return Ok(everybody);
        }
        self.counted(panel, filter, now, |matching| Totals { matching, ..everybody }).await
    }

    async fn counted(
        &self,
        panel: &Panel,
        filter: &UserFilter,
        now: Moment,
        totals: impl FnOnce(i64) -> Totals,
    ) -> Result<Totals, StoreError> {
        let slot = self.slot(filter);
        let mut slot = slot.lock().await;
        let (at, rings) = (panel.clock.boot(), panel.bell.rings_here());
        if let Some(known) = *slot
            && known.rings == rings
            && at.micros() - known.at.micros() < MAX_AGE
        {
            return Ok(known.totals);
        }
        let totals = totals(user_lists::count(&panel.db, filter, now).await?);
        *slot = Some(Counted { totals, at, rings });
        Ok(totals)
    }

    fn slot(&self, filter: &UserFilter) -> Slot {
        // Nothing under this lock can leave the map half changed.
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(filter) {
            return Arc::clone(slot);
        }
        if slots.len() >= CAPACITY {
            slots.clear();
        }
        Arc::clone(slots.entry(filter.clone()).or_default())
    }
}
