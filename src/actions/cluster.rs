//! Requests to the leader: to run a task now, to step down. Any process may be asked; the leader reads the requests from
//! the database.

use serde_json::json;

use super::Panel;
use crate::domain::audit::Entry;
use crate::domain::change::Changed;
use crate::domain::moment::Moment;
use crate::domain::schedule::Task;
use crate::store::StoreError;
use crate::store::clock;
use crate::store::cluster::requests;

/// Requests a run of a task. Returns its slot in the ledger.
pub async fn run_now(panel: &Panel, task: Task) -> Result<Moment, StoreError> {
    request(panel, task.name()).await
}

/// Requests that the leader steps down.
pub async fn step_down(panel: &Panel) -> Result<(), StoreError> {
    request(panel, requests::STEP_DOWN).await.map(drop)
}

async fn request(panel: &Panel, what: &str) -> Result<Moment, StoreError> {
    // All slots are times of the database's clock.
    let now = clock::now(&panel.db).await?;
    let request = panel.transaction("request run", async |tx| {
        requests::add(tx, what, now).await?;
        let entry = match what {
            requests::STEP_DOWN => Entry::of_one("cluster.step_down"),
            task => Entry::of_one("task.run").with(json!({"task": task})),
        };
        Ok((now, panel.record(tx, Changed::LeaderRequests, &entry).await?))
    });
    request.await
}
