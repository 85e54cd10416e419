//! The user of a link with what the subscription is rendered from: from the database, or from the local copy while the database
//! is away.

use std::sync::Arc;
use std::time::Duration;

use poem::Response;
use poem::http::{HeaderName, HeaderValue};
use subtle::ConstantTimeEq as _;
use tokio::time::{Instant, sleep, timeout};

use crate::actions::copy::LocalCopy;
use crate::actions::subscriptions::Sources;
use crate::api::http::error::ApiError;
use crate::api::state::State;
use crate::domain::user::User;
use crate::foundation::with_sources;
use crate::store::{Condition, StoreError};

/// Longest wait for the database while the copy could answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longest wait otherwise: longer than the database's own limits.
const LIMIT: Duration = Duration::from_secs(30);
/// Time from a request to the probe's verdict on a database that does not answer it: the rest of a probe that had begun before (its limit and
/// the attempt to connect), a second until the next one asks, its limit, and something for a busy machine.
const VERDICT: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Header of what came from the copy: seconds since it last agreed with the database.
const COPY_AGE: HeaderName = HeaderName::from_static("x-subscription-copy-age");

/// The user of a right link.
pub(in crate::api) struct Subscriber {
    /// The user.
    pub user: Arc<User>,
    /// The sources that the subscription is rendered from.
    pub sources: Arc<Sources>,
    pub(super) copy_age: Option<i64>,
}

/// The user of a name, if there is one.
pub(super) struct Found {
    pub(super) user: Option<Arc<User>>,
    pub(super) sources: Arc<Sources>,
    /// Seconds since the copy that it comes from agreed with the database; `None`: it comes from the database.
    pub(super) copy_age: Option<i64>,
}

/// The changes by this panel for which a fetch need not ask the database.
#[derive(Clone, Copy)]
struct Settled {
    /// Those before this moment: the copy has them, or the database is away since.
    as_of: Option<Instant>,
    /// True while the database is away: also those of commits that were cut off.
    is_away: bool,
}

impl Subscriber {
    /// Marks a response that comes from the copy.
    pub(super) fn mark(&self, mut response: Response) -> Response {
        if let Some(age) = self.copy_age {
            metrics::counter!("subscription_copy_responses_total").increment(1);
            response.headers_mut().insert(COPY_AGE, HeaderValue::from(age));
        }
        response
    }
}

impl State {
    /// Returns the user of this name. The key only decides between two users of one name in the copy.
    pub(super) async fn find_subscriber(&self, username: &str, key: &str) -> Result<Found, ApiError> {
        if self.options.copy_only {
            let found = match &self.options.copy {
                Some(copy) => from_copy_alone(copy, username, key).await,
                None => None,
            };
            return found
                .ok_or_else(|| ApiError::unavailable("The local copy of subscriptions is not complete, or too old"));
        }
        let Some(copy) = self.options.copy.as_ref().filter(|copy| copy.can_serve()) else {
            return Ok(self.find_in_database(username).await?);
        };
        let (began, away) = (Instant::now(), self.panel.db.away_as_of());
        let is_current = self.is_current(copy);
        // Nobody waits for a database that is away: the probe of this process finds out when it is back.
        if away.is_some() {
            copy.source_is_away(Instant::now());
        }
        if away.is_some() || is_current && !copy.may_ask_source() {
            let settled = self.settled(copy);
            if let Some(found) = from_copy(copy, username, key).await
                && self.has_changes_of(&found, settled)
            {
                return Ok(found);
            }
        }
        // Who changed a moment ago waits for a slow database: the copy can't stand in for it.
        let is_quiet = away.is_some() || copy.is_current(self.panel.changes.last_shown_to(None));
        let lookup = timeout(if is_quiet { PATIENCE } else { LIMIT }, self.find_in_database(username));
        let answer = tokio::select! {
            answer = lookup => answer.ok(),
            () = self.is_found_away_after(away) => None,
        };
        let error = match answer {
            Some(Ok(found)) => {
                copy.source_answered();
                return Ok(found);
            }
            Some(Err(error)) if error.condition().is_none() => return Err(error.into()),
            Some(Err(error)) => error,
            None => StoreError::timed_out("the user of a link"),
        };
        // One connection may be broken and the others not: what this panel has just changed is not served as it was before.
        let is_broken = error.condition() != Some(Condition::TimedOut);
        if is_broken {
            copy.source_failed();
        }
        self.stand_in(copy, username, key, is_current || is_broken, began).await.ok_or_else(|| error.into())
    }

    /// The user from the copy instead of a database that did not answer. If that is only slow, it may know of changes that the copy lacks;
    /// whether it is away the probe finds out soon. `may_replace`: the copy could when the request came, at `began`.
    async fn stand_in(
        &self,
        copy: &LocalCopy,
        username: &str,
        key: &str,
        may_replace: bool,
        began: Instant,
    ) -> Option<Found> {
        let mut outdated: Option<Found> = None;
        loop {
            let settled = self.settled(copy);
            // The user is not read again before the change that was missing may be there.
            if outdated.as_ref().is_none_or(|found| self.has_changes_of(found, settled))
                && (may_replace || self.panel.db.away_as_of().is_some() || self.is_current(copy))
                && let Some(found) = from_copy(copy, username, key).await
            {
                if self.has_changes_of(&found, settled) {
                    copy.source_failed();
                    return Some(found);
                }
                outdated = Some(found);
            }
            if began.elapsed() >= VERDICT {
                return None;
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until a probe that began later than this has found that the database is away.
    async fn is_found_away_after(&self, before: Option<Instant>) {
        while self.panel.db.away_as_of() <= before {
            sleep(LOOK_AGAIN).await;
        }
    }

    fn settled(&self, copy: &LocalCopy) -> Settled {
        let away = self.panel.db.away_as_of();
        Settled { as_of: copy.as_of().max(away), is_away: away.is_some() }
    }

    /// True if the copy agreed with the database a moment ago, and has what this panel changed in all subscriptions.
    fn is_current(&self, copy: &LocalCopy) -> bool {
        copy.is_current(self.panel.changes.last_shown_to_everybody())
    }

    /// True if the copy is enough: this panel has last changed what this user of it is shown before what [`State::settled`] said, which
    /// was asked before the user was read. While the database is away, nobody can ask what became of a commit that was cut off.
    fn has_changes_of(&self, found: &Found, settled: Settled) -> bool {
        let (changes, user) = (&self.panel.changes, found.user.as_ref().map(|user| user.id));
        let last = if settled.is_away { changes.last_confirmed_to(user) } else { changes.last_shown_to(user) };
        last < settled.as_of
    }

    async fn find_in_database(&self, username: &str) -> Result<Found, StoreError> {
        let user = self.caches.users.recent_user(username).await?;
        Ok(Found { user, sources: self.caches.sources().await?, copy_age: None })
    }
}

/// The user from a copy that nobody can be asked instead of. Who is new to one that has just been opened waits until it has caught up.
async fn from_copy_alone(copy: &LocalCopy, username: &str, key: &str) -> Option<Found> {
    let found = from_copy(copy, username, key).await;
    let is_right = |user: &Arc<User>| user.key.as_bytes().ct_eq(key.as_bytes()).into();
    if found.as_ref().and_then(|found| found.user.as_ref()).is_some_and(is_right) || !copy.is_catching_up() {
        return found;
    }
    while copy.is_catching_up() {
        sleep(LOOK_AGAIN).await;
    }
    from_copy(copy, username, key).await
}

async fn from_copy(copy: &LocalCopy, username: &str, key: &str) -> Option<Found> {
    match copy.subscriber(username, key).await {
        Ok(found) => found.map(|found| Found { user: found.user, sources: found.sources, copy_age: Some(found.age) }),
        Err(error) => {
            tracing::error!(error = with_sources(&error), "could not read the local copy of subscriptions");
            None
        }
    }
}
