//! The scheduled tasks. Each is a reconciler: its input is the database, and its next run is its retry.

mod back_up;
mod context;
mod expire_days_reached;
mod notifications;
mod prune;
mod record_user_usages;
mod reset_user_data_usage;
mod review_admins;
mod review_users;
mod seal_audit;
mod sync_nodes;

pub use context::{Context, Deps, TaskError};

use crate::domain::schedule::Task;

/// Runs a task. Returns the number of users, nodes or rows that it changed.
pub async fn run(task: Task, context: &Context) -> Result<i64, TaskError> {
    match task {
        Task::RecordUserUsages => record_user_usages::run(context).await,
        Task::ReviewUsers => review_users::run(context).await,
        Task::ReviewAdmins => review_admins::run(context).await,
        Task::ResetUserDataUsage => reset_user_data_usage::run(context).await,
        Task::ExpireDaysReached => expire_days_reached::run(context).await,
        Task::SyncNodes => sync_nodes::run(context).await,
        Task::SealAudit => seal_audit::run(context).await,
        Task::Prune => prune::run(context).await,
        Task::BackUp => back_up::run(context).await,
    }
}
