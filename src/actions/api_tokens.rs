//! API tokens: made, listed, revoked, and given new secrets. A token that makes another one gives it no more than it has.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::json;
use uuid::Uuid;

use super::Panel;
use super::admins::{self, Actor, AdminError, PresentAuthor, RightsError, may_change};
use super::attempt_limiter::{AttemptLimiter, Subject, TooMany};
use super::caches::{Caches, TokenAccount};
use crate::config::secret::Secret;
use crate::domain::admin::Admin;
use crate::domain::api_token::{ApiToken, MOST, PresentedToken, StoredSecret, TokenFault, name_fault, new_secret};
use crate::domain::audit::Entry;
use crate::domain::change::{Change, Changed};
use crate::domain::ids::AdminId;
use crate::domain::moment::{Moment, SECOND};
use crate::domain::rights::Extent;
use crate::domain::scope::{Action, Resource, Scope, Scopes};
use crate::store::access::admins::lock_by_username;
use crate::store::access::api_tokens as store;
use crate::store::access::api_tokens::OwnedToken;
use crate::store::{StoreError, Transient, Tx};

/// A token to make.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// A name for people; see [`name_fault`].
    pub name: String,
    /// At least one.
    pub scopes: Scopes,
    /// The networks from which it may be used; empty: from anywhere.
    pub addresses: Vec<IpNet>,
    /// When it ends; none: never.
    pub expires_at: Option<Moment>,
}

/// The author of a change of tokens.
#[derive(Clone, Copy, Debug)]
pub struct Author<'a> {
    /// The admin, or the operator.
    pub actor: Actor<'a>,
    /// The token with which the change is asked for, if it is one.
    pub token: Option<&'a ApiToken>,
}

/// Errors of changing tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There is no such token.
    #[error("there is no such API token")]
    NotFound,
    /// The admin has as many tokens as it can have.
    #[error("the admin has {MOST} API tokens already; revoke one first")]
    Most,
    /// No token can have this name.
    #[error("the name {0}")]
    Name(&'static str),
    /// A token is for something.
    #[error("the token needs at least one scope")]
    NoScope,
    /// The new token would be expired.
    #[error("the expiry must lie in the future")]
    Past,
    /// The token in use lacks a scope that the other one has.
    #[error("the API token in use lacks the scope {0}")]
    Scope(String),
    /// The token in use ends before the other one.
    #[error("the API token in use expires earlier")]
    Expiry,
    /// The token in use is for fewer addresses than the other one.
    #[error("the API token in use is for fewer addresses")]
    Addresses,
    /// The admin does not exist or may not be changed.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

/// The reason why a presented token is refused.
#[derive(Clone, Copy, Debug)]
pub enum Refused {
    /// There is no such token, or its admin may not sign in.
    Wrong,
    /// The token's time is over.
    Expired,
    /// The token is not for this client's address.
    Address,
    /// Too many wrong tokens from there.
    TooMany(TooMany),
}

impl From<StoreError> for TokenError {
    fn from(error: StoreError) -> Self {
        Self::Admin(AdminError::Store(error))
    }
}

impl Transient for TokenError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Admin(error) if error.is_transient())
    }
}

impl Author<'_> {
    fn may_have(&self, scopes: Scopes, addresses: &[IpNet], expires_at: Option<Moment>) -> Result<(), TokenError> {
        let Some(own) = self.token else { return Ok(()) };
        if let Some(scope) = scopes.beyond(own.scopes) {
            return Err(TokenError::Scope(scope));
        }
        if own.expires_at.is_some_and(|end| expires_at.is_none_or(|other| other > end)) {
            return Err(TokenError::Expiry);
        }
        let is_inside = |network: &IpNet| own.addresses.iter().any(|outer| outer.contains(network));
        if !own.addresses.is_empty() && (addresses.is_empty() || !addresses.iter().all(is_inside)) {
            return Err(TokenError::Addresses);
        }
        Ok(())
    }
}

/// Makes a token for the admin of that name. Returns it with its text, which is stored nowhere.
pub async fn create(
    panel: &Panel,
    author: Author<'_>,
    username: &str,
    new: NewToken,
) -> Result<(OwnedToken, Secret), TokenError> {
    let now = panel.clock.now();
    if let Some(fault) = name_fault(&new.name) {
        return Err(TokenError::Name(fault));
    }
    if new.scopes.is_empty() {
        return Err(TokenError::NoScope);
    }
    if new.expires_at.is_some_and(|at| at <= now) {
        return Err(TokenError::Past);
    }
    author.may_have(new.scopes, &new.addresses, new.expires_at)?;
    let id = Uuid::new_v4();
    let (secret, text) = new_secret(id);
    let token = ApiToken {
        id,
        name: new.name,
        scopes: new.scopes,
        addresses: new.addresses,
        created_at: now,
        expires_at: new.expires_at,
        last_used_at: None,
        last_address: None,
        secret,
    };
    panel
        .transaction("create API token", async |tx| -> Result<_, TokenError> {
            let admin = lock_by_username(tx, username).await?.ok_or(AdminError::NotFound)?;
            may_change(present(tx, panel, author, username).await?.actor(), &admin)?;
            if store::count(tx, admin.id).await? >= MOST {
                return Err(TokenError::Most);
            }
            store::insert(tx, admin.id, &token).await?;
            let entry = entry("api_token.create", &admin, &token);
            Ok(((), panel.record(tx, changed(&admin), &entry).await?))
        })
        .await?;
    Ok((OwnedToken { token, admin: username.to_owned() }, Secret::new(text)))
}

/// The author of a secret for a token of the admin `of`, as it is now: a secret outlasts the session or token that asks for it.
async fn present(tx: &mut Tx, panel: &Panel, author: Author<'_>, of: &str) -> Result<PresentAuthor, TokenError> {
    let lost = || AdminError::Rights(RightsError::Lost);
    if let Some(used) = author.token
        && store::locked(tx, used.id).await?.is_none()
    {
        return Err(lost().into());
    }
    let is_own = matches!(author.actor, Actor::Admin(by) if by.username == of);
    let extent = if is_own { Extent::Own } else { Extent::All };
    let right = (Scope(Resource::Tokens, Action::Write), extent);
    Ok(admins::present_author(tx, panel, author.actor, &[right]).await?.ok_or_else(lost)?)
}

/// Returns a page of tokens, of an admin or of all, and their number.
pub async fn list(
    panel: &Panel,
    admin: Option<AdminId>,
    limit: i64,
    offset: i64,
) -> Result<(Vec<OwnedToken>, i64), StoreError> {
    store::page(&panel.db, admin, limit, offset).await
}

/// Deletes a token: it is refused from now on here, and within a second on other hosts.
pub async fn revoke(panel: &Panel, author: Author<'_>, id: Uuid) -> Result<OwnedToken, TokenError> {
    let found = find(panel, author, id).await?;
    panel
        .transaction("revoke API token", async |tx| -> Result<_, TokenError> {
            let admin = lock_by_username(tx, &found.admin).await?.ok_or(TokenError::NotFound)?;
            may_change(author.actor, &admin)?;
            if !store::delete(tx, id).await? {
                return Err(TokenError::NotFound);
            }
            let entry = entry("api_token.revoke", &admin, &found.token);
            Ok(((), panel.record(tx, changed(&admin), &entry).await?))
        })
        .await?;
    Ok(found)
}

/// Gives a token a new secret. The one before stays good for `overlap_seconds`, in which programs are given the new one.
pub async fn rotate(
    panel: &Panel,
    author: Author<'_>,
    id: Uuid,
    overlap_seconds: i64,
) -> Result<(OwnedToken, Secret), TokenError> {
    let found = find(panel, author, id).await?;
    let (secret, text) = new_secret(id);
    let until = panel.clock.now().plus(overlap_seconds.saturating_mul(SECOND));
    let rotated = panel
        .transaction("rotate API token", async |tx| -> Result<_, TokenError> {
            let admin = lock_by_username(tx, &found.admin).await?.ok_or(TokenError::NotFound)?;
            may_change(present(tx, panel, author, &found.admin).await?.actor(), &admin)?;
            let owned = store::locked(tx, id).await?.ok_or(TokenError::NotFound)?;
            author.may_have(owned.token.scopes, &owned.token.addresses, owned.token.expires_at)?;
            store::replace_secret(tx, id, &secret.hash, until).await?;
            let entry = entry("api_token.rotate", &admin, &owned.token);
            Ok((owned, panel.record(tx, changed(&admin), &entry).await?))
        })
        .await?;
    let previous = Some((rotated.token.secret.hash.clone(), until));
    let token = ApiToken { secret: StoredSecret { previous, ..secret }, ..rotated.token };
    Ok((OwnedToken { token, admin: rotated.admin }, Secret::new(text)))
}

/// Checks a token that a client presents. Wrong ones are limited by the client's network, and each costs one read at most: ids
/// are cached, also those that no token has. Tokens that were found lately are not limited. `from` is the address to limit; none
/// for a client on this machine.
pub async fn check(
    panel: &Panel,
    caches: &Caches,
    limiter: &AttemptLimiter,
    presented: &PresentedToken,
    address: Option<IpAddr>,
    from: Option<IpAddr>,
) -> Result<Result<TokenAccount, Refused>, StoreError> {
    let subject = || match from {
        Some(address) => Subject::address(address),
        None => Subject::local_name(&presented.id.to_string()),
    };
    if !caches.knows_token(presented.id)
        && let Err(too_many) = limiter.check_here(&[subject()], panel.clock.boot())
    {
        return Ok(Err(Refused::TooMany(too_many)));
    }
    let found = caches.token(presented.id).await?;
    let fault = |account: &TokenAccount| account.token.fault(presented, address, panel.clock.now());
    let Some(account) = found.filter(|account| fault(account) != Some(TokenFault::Secret)) else {
        // An attempt that is dropped stays counted.
        let counted = limiter.begin(vec![subject()], panel.clock.boot()).await;
        return Ok(Err(counted.map_or_else(Refused::TooMany, |_counted| Refused::Wrong)));
    };
    Ok(match fault(&account) {
        Some(TokenFault::Expired) => Err(Refused::Expired),
        Some(TokenFault::Address) => Err(Refused::Address),
        _ if !account.admin.may_sign_in() => Err(Refused::Wrong),
        _ => Ok(TokenAccount::clone(&account)),
    })
}

/// Returns a token that the author may see.
async fn find(panel: &Panel, author: Author<'_>, id: Uuid) -> Result<OwnedToken, TokenError> {
    let found = store::by_id(&panel.db, id).await?.ok_or(TokenError::NotFound)?;
    match author.actor {
        Actor::Admin(by) if found.admin != by.username && !by.may(Resource::Tokens, Action::Write, Extent::All) => {
            Err(TokenError::NotFound)
        }
        _ => Ok(found),
    }
}

fn entry(action: &'static str, admin: &Admin, token: &ApiToken) -> Entry {
    let addresses: Vec<String> = token.addresses.iter().map(ToString::to_string).collect();
    admins::entry(action, admin).with(json!({
        "id": token.id,
        "name": token.name,
        "scopes": token.scopes.texts(),
        "addresses": addresses,
        "expires_at": token.expires_at.map(|at| at.utc_iso()),
    }))
}

fn changed(admin: &Admin) -> Change {
    Changed::ApiTokens.any().of(Some(admin.id))
}
