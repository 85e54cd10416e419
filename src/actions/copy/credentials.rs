//! The algorithm of users' credentials at an edge: with another one than its panels', every link would be refused by every node.

use super::LocalCopy;
use crate::store::copy::file::CopyState;

impl LocalCopy {
    /// Makes this the copy of an edge with this `AUTH_GENERATION_ALGORITHM`. Counts once.
    pub fn needs_credentials(&self, own: &'static str) {
        let _ = self.0.credentials.set(own);
    }

    /// True unless this is the copy of an edge whose panels had another `AUTH_GENERATION_ALGORITHM`.
    pub fn has_right_credentials(&self) -> bool {
        let own = self.0.credentials.get();
        own.is_none_or(|own| self.view().state.credentials.as_deref().is_none_or(|theirs| theirs == *own))
    }

    pub(super) fn credentials_are_right(&self, own: &str) {
        self.view().state.credentials = Some(own.to_owned());
    }

    /// Says so once if the file is of panels with another one.
    pub(super) fn compare_credentials(&self, before: &CopyState, state: &CopyState) {
        if let (Some(own), Some(theirs)) = (self.0.credentials.get(), &state.credentials)
            && *own != theirs.as_str()
            && before.credentials != state.credentials
        {
            tracing::error!(
                "the copy is that of panels with AUTH_GENERATION_ALGORITHM={theirs}, and this edge has {own}: nothing is served \
                 until a panel has the same"
            );
        }
    }
}
