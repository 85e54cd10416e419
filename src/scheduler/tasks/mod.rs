//! The scheduled tasks. Each is a reconciler: its input is the database, and its next run is its retry.

mod context;
mod expire_days_reached;
mod notifications;
mod prune;
mod record_user_usages;
mod reset_user_data_usage;
mod review_users;
mod sync_nodes;

pub use context::{Context, Deps, TaskError};

use crate::domain::schedule::Task;

/// Runs a task. Returns the number of users, nodes or rows that it changed.
pub async fn run(task: Task, context: &Context) -> Result<i64, TaskError> {
    match task {
        Task::RecordUserUsages => record_user_usages::run(context).await,
        Task::ReviewUsers => review_users::run(context).await,
        Task::ResetUserDataUsage => reset_user_data_usage::run(context).await,
        Task::ExpireDaysReached => expire_days_reached::run(context).await,
        Task::SyncNodes => sync_nodes::run(context).await,
        Task::Prune => prune::run(context).await,
    }
}
