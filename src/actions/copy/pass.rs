//! A walk of the follower through all users, and what it finds wrong.

use tokio::time::Instant;

use crate::domain::copy::Update;

/// A walk through all users.
#[derive(Debug)]
pub(super) struct Pass {
    /// The last user so far.
    pub(super) after: i64,
    pub(super) is_first: bool,
    /// Users that differed in what the log has: their changes must come with the next update, or the copy was wrong.
    pub(super) suspects: Vec<i64>,
    pub(super) began: Instant,
    pub(super) next_page: Instant,
}

impl Pass {
    /// A walk from the first user on.
    pub(super) fn new(is_first: bool) -> Self {
        Self { after: i64::MIN, is_first, suspects: Vec::new(), began: Instant::now(), next_page: Instant::now() }
    }

    /// Compares the users that differed with the changes that came since.
    pub(super) fn settle(&mut self, update: &Update) {
        if self.suspects.is_empty() {
            return;
        }
        let is_in = |id: &i64| {
            update.users.binary_search_by_key(id, |user| user.id).is_ok() || update.gone.binary_search(id).is_ok()
        };
        self.suspects.retain(|id| !is_in(id));
        if update.has_more {
            return;
        }
        let wrong = std::mem::take(&mut self.suspects);
        if let Some(first) = wrong.first() {
            metrics::counter!("subscription_copy_repairs_total").increment(wrong.len() as u64);
            tracing::warn!(
                users = wrong.len(),
                first,
                "users of the local copy of subscriptions differed from the database; repaired"
            );
        }
    }
}
