//! Users as responses show them, and pages of them for the lists of several resources.

use rand::Rng as _;

use crate::actions::users;
use crate::api::http::error::ApiError;
use crate::api::http::paging::Paging;
use crate::api::state::State;
use crate::domain::user::User;
use crate::domain::user::document::UserDocument;
use crate::store::users::list::{UserFilter, UserSort, UserWindow};

impl State {
    /// Returns the matching users of a page, of any owner, and the total number of matches.
    pub(in crate::api) async fn page_of_users(
        &self,
        filter: &UserFilter,
        paging: &Paging,
    ) -> Result<(Vec<UserDocument>, i64), ApiError> {
        let window =
            UserWindow { sort: UserSort::Id, descending: false, offset: paging.offset(), limit: paging.limit() };
        let (found, total) = users::page(&self.panel, &self.caches.totals, filter, window).await?;
        Ok((self.user_documents(found), total))
    }

    /// Returns a user's document, including a subscription fetch that is not in the database yet.
    pub(in crate::api) fn user_document(&self, mut user: User) -> UserDocument {
        self.caches.fetches.overlay(&mut user);
        let mut rng = self.rng.fork();
        UserDocument::of(user, &self.options.subscription.url_prefix, self.panel.clock.now(), || rng.next_u64())
    }

    /// Returns the documents of several users.
    pub(in crate::api) fn user_documents(&self, users: Vec<User>) -> Vec<UserDocument> {
        users.into_iter().map(|user| self.user_document(user)).collect()
    }
}
