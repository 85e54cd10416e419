//! Fetches that an edge served: they wait in the file of the copy until a panel has taken them.

use super::LocalCopy;
use crate::actions::fetch_log::FetchLog;
use crate::domain::ids::UserId;
use crate::store::StoreError;
use crate::store::users::subscription_fetches::Fetch;

impl LocalCopy {
    /// Moves fetches from memory to the file. While there is no file, they stay in memory.
    pub async fn store_fetches(&self, fetches: &FetchLog) -> Result<(), StoreError> {
        match self.file() {
            Some(file) => fetches.flush_into(&file, &self.0.clock).await.map(drop),
            None => Ok(()),
        }
    }

    /// Returns up to `limit` fetches that wait for a panel, by user.
    pub async fn waiting_fetches(&self, limit: usize) -> Result<Vec<(UserId, Fetch)>, StoreError> {
        match self.file() {
            Some(file) => file.stored_fetches(limit).await,
            None => Ok(Vec::new()),
        }
    }

    /// Returns the number of fetches that wait for a panel.
    pub async fn count_waiting_fetches(&self) -> Result<usize, StoreError> {
        match self.file() {
            Some(file) => file.count_fetches().await,
            None => Ok(0),
        }
    }

    /// Removes fetches that a panel has taken, unless there was a newer one meanwhile.
    pub async fn forget_fetches(&self, fetches: &[(UserId, Fetch)]) -> Result<(), StoreError> {
        match self.file() {
            Some(file) if !fetches.is_empty() => file.forget_fetches(fetches).await,
            _ => Ok(()),
        }
    }
}
