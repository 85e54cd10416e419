//! What people ask of the cluster: to run a task now, to hand over. Whichever host is asked, the leader hears of it
//! through the database.

use super::Panel;
use crate::domain::moment::Moment;
use crate::domain::schedule::Task;
use crate::store::StoreError;
use crate::store::clock;
use crate::store::cluster::requests;

/// Asks for a run of a task. Returns its slot in the ledger.
pub async fn run_now(panel: &Panel, task: Task) -> Result<Moment, StoreError> {
    ask(panel, task.name()).await
}

/// Asks whoever leads to hand over.
pub async fn step_down(panel: &Panel) -> Result<(), StoreError> {
    ask(panel, requests::STEP_DOWN).await.map(drop)
}

async fn ask(panel: &Panel, what: &str) -> Result<Moment, StoreError> {
    // By the database's clock, as all slots are.
    let now = clock::now(&panel.db).await?;
    panel.db.transaction("request run", async |tx| requests::add(tx, what, now).await).await?;
    panel.wakeup.notify();
    Ok(now)
}
