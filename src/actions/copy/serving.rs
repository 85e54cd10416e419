//! Users and sources of renderings from the copy.

use std::sync::Arc;
use std::time::Duration;

use subtle::ConstantTimeEq as _;

use super::LocalCopy;
use super::prepared::PreparedSources;
use crate::actions::subscriptions::Sources;
use crate::domain::moment::SECOND;
use crate::domain::user::User;
use crate::store::StoreError;
use crate::store::copy::file::CopyFile;
use crate::subscription::shared_part::SharedPart;

/// Longest time after the start in which a request may wait for what the copy lacks.
const CATCHES_UP: Duration = Duration::from_secs(5);

/// A user of the copy with everything that a rendering needs.
#[derive(Clone, Debug)]
pub struct CopiedSubscriber {
    /// The user; `None`: there is no user of this name.
    pub user: Option<Arc<User>>,
    /// The sources that subscriptions are rendered from.
    pub sources: Arc<Sources>,
    /// Seconds since the copy last agreed with the database.
    pub age: i64,
}

impl LocalCopy {
    /// True if the copy may serve subscriptions: it is complete and not too old.
    pub fn can_serve(&self) -> bool {
        let is_fresh = {
            let view = self.view();
            let is_open = view.file.is_some() && view.is_shared_part_readable;
            is_open && view.agreed.as_ref().is_some_and(|agreed| self.age_of(agreed) <= self.0.max_age)
        };
        is_fresh && self.has_right_credentials()
    }

    /// True in the first seconds after the start, until the copy has agreed with its source: it is as old as the time without this
    /// process, and older if the host lost the end of the file.
    pub fn is_catching_up(&self) -> bool {
        let opened = self.view().opened;
        opened.is_some_and(|opened| opened.elapsed() < CATCHES_UP && self.as_of() < Some(opened))
    }

    /// Returns the user of a name, the one with this key if the name passed to another user a moment ago. `None`: the copy can't
    /// serve.
    pub async fn subscriber(&self, username: &str, key: &str) -> Result<Option<CopiedSubscriber>, StoreError> {
        loop {
            let file = self.file();
            match self.find(username, key).await {
                // It was closed because another one has taken its place.
                Err(_) if !file.is_some_and(|file| self.is_open(&file)) => {}
                found => return found,
            }
        }
    }

    /// True if this is the file that is read now.
    fn is_open(&self, file: &CopyFile) -> bool {
        self.view().file.as_ref().is_some_and(|open| open.is_same(file))
    }

    async fn find(&self, username: &str, key: &str) -> Result<Option<CopiedSubscriber>, StoreError> {
        let (file, age) = {
            let view = self.view();
            (view.file.clone(), view.agreed.as_ref().map(|agreed| self.age_of(agreed) / SECOND))
        };
        let (Some(file), Some(age), true) = (file, age, self.can_serve()) else { return Ok(None) };
        let Some(prepared) = self.prepared(&file).await? else { return Ok(None) };
        let mut found = loop {
            let before = self.view().unwritten.forgotten();
            let mut found = file.users(username).await?;
            let view = self.view();
            // What was written meanwhile is read again.
            if view.unwritten.forgotten() == before {
                view.unwritten.correct(username, &mut found);
                break found;
            }
        };
        let is_of_key = |user: &crate::domain::copy::CopiedUser| bool::from(user.key.as_bytes().ct_eq(key.as_bytes()));
        let index = found.iter().position(is_of_key).unwrap_or(0);
        let user = (!found.is_empty()).then(|| found.swap_remove(index));
        let owner = |id| prepared.owners.iter().find(|owner| owner.id == id).cloned();
        Ok(Some(CopiedSubscriber { user: user.map(|user| Arc::new(user.user(owner))), sources: prepared.sources, age }))
    }

    /// Returns the sources of the shared part; `None` if the file has none that this version reads.
    async fn prepared(&self, file: &CopyFile) -> Result<Option<PreparedSources>, StoreError> {
        // Before the file is read.
        let change = self.view().shared_changes;
        let mut prepared = self.0.prepared.lock().await;
        if let Some(prepared) = &*prepared
            && prepared.change == change
        {
            return Ok(Some(prepared.clone()));
        }
        let Some(shared) = file.shared_part().await?.as_deref().and_then(SharedPart::from_json) else {
            // It was damaged since it was opened. The follower writes it again.
            self.shared_part_changed(false);
            return Ok(None);
        };
        let owners = shared.owners.clone().into();
        let stale = prepared.take().map(|prepared| prepared.sources);
        let sources = Arc::new(Sources::of(shared, stale).await);
        let new = PreparedSources { change, sources, owners };
        *prepared = Some(new.clone());
        Ok(Some(new))
    }
}
