//! Scheduled back-ups in `GET /api/cluster`.

use serde::Serialize;
use utoipa::ToSchema;

use super::state::State;
use crate::domain::moment::{Moment, SECOND};
use crate::domain::schedule::Task;
use crate::store::StoreError;
use crate::store::cluster::run_history;
use crate::store::cluster::run_history::{RunFilter, RunState};

/// Scheduled back-ups, and the last one that was made in the past week.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackUpResponse {
    /// `BACKUP_TO`.
    place: String,
    /// When the last one was complete.
    last_at: Option<String>,
    age_seconds: Option<f64>,
    /// Size of the last one.
    bytes: Option<i64>,
}

/// Returns `None` without `BACKUP_TO`.
pub(super) async fn response(state: &State, now: Moment) -> Result<Option<BackUpResponse>, StoreError> {
    let Some(place) = state.cluster.back_up_to.clone() else { return Ok(None) };
    let made = RunFilter { task: Task::BackUp.name().to_owned(), states: vec![RunState::Done] };
    let last = run_history::page(&state.panel.db, &made, 1, 0).await?.into_iter().next();
    let finished = last.as_ref().and_then(|run| run.finished_at).map(Moment::from_micros);
    Ok(Some(BackUpResponse {
        place,
        last_at: finished.map(Moment::utc_iso),
        age_seconds: finished.map(|at| now.since(at) as f64 / SECOND as f64),
        bytes: last.map(|run| run.items),
    }))
}
