//! Reading a copy that this process does not follow with: of several processes with one folder one follows, and while a start waits
//! for the database nobody does.

use super::LocalCopy;
use super::prepared::is_shared_part_readable;
use crate::cluster::self_report::SelfReport;
use crate::foundation::{FailureStreak, with_sources};
use crate::store::copy::file::CopyFile;
use crate::store::{Condition, StoreError};

impl LocalCopy {
    /// Opens and checks the file. Returns true if subscriptions can be served from it.
    pub async fn open_to_serve(&self) -> Result<bool, StoreError> {
        let Some(file) = CopyFile::open(&self.file_path()).await? else { return Ok(false) };
        if let Some(fault) = file.first_fault().await? {
            tracing::warn!(fault, "the local copy of subscriptions is damaged");
            return Ok(false);
        }
        let state = file.state().await?;
        self.opened(&file, state).await?;
        let can_serve = self.can_serve();
        if !can_serve {
            tracing::warn!("the local copy of subscriptions is not complete, or too old, and can't serve meanwhile");
        }
        Ok(can_serve)
    }

    /// Reads what the following process wrote, if there is one, and publishes the state.
    pub async fn read_along(&self, own: &SelfReport, failures: &mut FailureStreak) {
        match self.watch().await {
            Ok(()) => _ = failures.ended(),
            Err(error) => {
                if failures.failed(error.reason()) {
                    tracing::warn!(error = with_sources(&error), "could not read the local copy of subscriptions");
                }
                // Another process may have put another file in its place. After other errors the next look may succeed.
                if matches!(error.condition(), Some(Condition::Damaged | Condition::Missing | Condition::Replaced)) {
                    self.close().await;
                }
            }
        }
        self.publish(own);
    }

    /// Forgets what this process could not write if another one that follows has read it later, and written it.
    pub(super) fn forget_what_another_wrote(&self) {
        let is_newer = {
            let view = self.view();
            view.state.agreed.as_ref().is_some_and(|agreed| view.unwritten.is_older_than(agreed))
        };
        if is_newer {
            self.all_is_written();
        }
    }

    /// The shared part is read only if it is another one than before.
    async fn watch(&self) -> Result<(), StoreError> {
        let known = {
            let view = self.view();
            view.file.clone().map(|file| (file, view.state.shared_changes))
        };
        let Some((file, shared_changes)) = known else {
            let Some(file) = CopyFile::open(&self.file_path()).await? else { return Ok(()) };
            let state = file.state().await?;
            return self.opened(&file, state).await;
        };
        let state = file.state().await?;
        if state.shared_changes != shared_changes {
            self.shared_part_changed(is_shared_part_readable(&file).await?);
        }
        self.state_was_read(&mut self.view(), state);
        self.forget_what_another_wrote();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::domain::copy::{CopiedUser, Update};
    use crate::domain::moment::HOUR;

    #[tokio::test]
    async fn what_another_process_wrote_later_replaces_what_this_one_remembers() {
        let folder = tempfile::tempdir().expect("a folder");
        let copy = LocalCopy::new(folder.path(), Clock::real(), HOUR);
        let file = CopyFile::create(&copy.file_path()).await.expect("a file");
        copy.watch().await.expect("it opens");
        let ann = |key: &str| {
            let mut user = CopiedUser::default();
            (user.id, user.username, user.key) = (1, "ann".to_owned(), key.to_owned());
            Update { users: vec![user], ..Update::default() }
        };
        let keys = async || {
            let mut found = file.users("ann").await.expect("it is read");
            copy.view().unwritten.correct("ann", &mut found);
            found.into_iter().map(|user| user.key).collect::<Vec<_>>()
        };
        let before = copy.now();
        copy.not_written(&ann("second"));
        file.apply(&ann("first"), Some(&before)).await.expect("written");
        copy.watch().await.expect("it is read");
        assert_eq!(keys().await, ["second"], "what was read earlier is no news");
        file.apply(&ann("third"), Some(&copy.now())).await.expect("written");
        copy.watch().await.expect("it is read");
        assert_eq!(keys().await, ["third"]);
    }
}
