//! The caches of a process that serves the API.

use std::sync::Arc;

use uuid::Uuid;

use super::Panel;
use super::cache::{Cache, Freshness, MAX_AGE};
use super::fetch_log::FetchLog;
use super::lookups::Lookups;
use super::subscriptions::{SourceCache, Sources};
use super::use_log::{UseKind, UseLog};
use super::users::totals::TotalCache;
use crate::domain::account::Account;
use crate::domain::admin::Admin;
use crate::domain::api_token::ApiToken;
use crate::domain::change::Changed;
use crate::domain::ids::AdminId;
use crate::domain::moment::SECOND;
use crate::store::access::{accounts, api_tokens};
use crate::store::stats::{self, UserCounts};
use crate::store::{Db, StoreError};

const ADMINS: Freshness = Freshness {
    depends_on: &[Changed::Admins, Changed::Roles, Changed::Services, Changed::Sessions],
    max_age: MAX_AGE,
    min_age: 0,
};
const SESSIONS: Freshness = Freshness { depends_on: &[Changed::Sessions], max_age: MAX_AGE, min_age: 0 };

/// Counting all users takes long, and the result may be a little old. After a change of another process, it is counted at
/// most five times a second.
const USER_COUNTS: Freshness =
    Freshness { depends_on: &[Changed::Users, Changed::Admins], max_age: 2 * SECOND, min_age: SECOND / 5 };

const TOKENS: Freshness = Freshness {
    depends_on: &[Changed::ApiTokens, Changed::Admins, Changed::Roles, Changed::Services],
    max_age: MAX_AGE,
    min_age: 0,
};

/// An API token and its admin.
#[derive(Clone, Debug)]
pub struct TokenAccount {
    /// The admin.
    pub admin: Admin,
    /// The token.
    pub token: Arc<ApiToken>,
}

/// Caches of frequent reads. A change by this process is seen at once, a change by another process after at most one
/// second (counts and totals: two seconds).
#[derive(Debug)]
pub struct Caches {
    panel: Panel,
    /// Users by name.
    pub users: Lookups,
    /// Numbers of users that list filters match.
    pub totals: TotalCache,
    /// Uses of sessions that the database may not have yet.
    pub session_uses: UseLog,
    /// Uses of API tokens that the database may not have yet.
    pub token_uses: UseLog,
    /// Subscription fetches that the database may not have yet.
    pub fetches: FetchLog,
    sources: SourceCache,
    accounts: Cache<String, Option<Arc<Account>>>,
    /// Sessions by id: true if they were ended.
    ended: Cache<Uuid, bool>,
    /// API tokens by id, with their admins, and ids that no token has.
    tokens: Cache<Uuid, Option<Arc<TokenAccount>>>,
    user_counts: Cache<Option<AdminId>, UserCounts>,
}

impl Caches {
    /// Empty caches for a panel that handles at most that many requests at once. Must be called in a runtime.
    pub fn start(panel: &Panel, requests_at_once: usize, fetches: FetchLog) -> Self {
        let (changes, clock) = (&panel.changes, &panel.clock);
        Self {
            panel: panel.clone(),
            users: Lookups::start(panel, requests_at_once),
            totals: TotalCache::new(panel),
            fetches,
            sources: SourceCache::new(panel),
            accounts: Cache::new(changes.clone(), clock.clone(), ADMINS),
            ended: Cache::new(changes.clone(), clock.clone(), SESSIONS),
            tokens: Cache::new(changes.clone(), clock.clone(), TOKENS),
            session_uses: UseLog::new(UseKind::Session),
            token_uses: UseLog::new(UseKind::ApiToken),
            user_counts: Cache::new(changes.clone(), clock.clone(), USER_COUNTS),
        }
    }

    /// The admin of that name, with the sessions that were ended.
    pub async fn account(&self, username: &str) -> Result<Option<Arc<Account>>, StoreError> {
        let read = async |_| Ok(accounts::by_username(self.db(), username).await?.map(Arc::new));
        self.accounts.get(username, read).await
    }

    /// True if a session was ended, for accounts with more ended sessions than are loaded with them.
    pub async fn has_ended(&self, session: Uuid) -> Result<bool, StoreError> {
        self.ended.get(&session, async |_| accounts::has_ended(self.db(), session).await).await
    }

    /// The API token of that id, with its admin.
    pub async fn token(&self, id: Uuid) -> Result<Option<Arc<TokenAccount>>, StoreError> {
        let read = async |_| {
            let found = api_tokens::with_admin(self.db(), id).await?;
            Ok(found.map(|(admin, token)| Arc::new(TokenAccount { admin, token: Arc::new(token) })))
        };
        self.tokens.get(&id, read).await
    }

    /// True if a token of that id was found lately. Then looking it up again can't be a guess.
    pub fn knows_token(&self, id: Uuid) -> bool {
        matches!(self.tokens.last(&id), Some(Some(_)))
    }

    /// Returns the sources that subscriptions are rendered from, besides their user.
    pub async fn sources(&self) -> Result<Arc<Sources>, StoreError> {
        self.sources.get(self.db()).await
    }

    /// Numbers of users by state: of an admin, or of all.
    pub async fn user_counts(&self, owner: Option<AdminId>) -> Result<UserCounts, StoreError> {
        let count = async |_| stats::users(self.db(), owner, self.panel.clock.now()).await;
        self.user_counts.get(&owner, count).await
    }

    fn db(&self) -> &Db {
        &self.panel.db
    }
}
