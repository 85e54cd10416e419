//! Sessions of admins: begun by a sign-in, listed, and ended one by one or all at once.

use std::net::IpAddr;

use serde_json::json;
use uuid::Uuid;

use super::Panel;
use super::admins::{self, Actor, AdminError, RightsError};
use crate::domain::admin::Admin;
use crate::domain::audit::Entry;
use crate::domain::change::{Change, Changed};
use crate::domain::moment::Moment;
use crate::domain::rights::Extent;
use crate::domain::scope::{Action, Resource, Scope};
use crate::domain::session::{MAX_USER_AGENT, Session, expires_at};
use crate::store::access::admins::{lock_by_username, update};
use crate::store::access::sessions as store;
use crate::store::{StoreError, Transient, Tx};

/// Sessions of an admin that are listed. Tokens of older ones stay good until they expire or all sessions are ended: scripts
/// that sign in for each call must not end those of people.
pub const MOST_LISTED: i64 = 1_000;

/// The client that signs in, and how long its token lasts.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The client's address; none for a Unix socket.
    pub address: Option<IpAddr>,
    /// The client's program, as it names itself.
    pub user_agent: String,
    /// The lifetime of its token; 0: it does not expire.
    pub minutes: u32,
}

/// Errors of listing and ending sessions.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// There is no such session, or it has ended.
    #[error("there is no such session")]
    NotFound,
    /// The admin does not exist or may not be changed.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

impl From<StoreError> for SessionError {
    fn from(error: StoreError) -> Self {
        Self::Admin(AdminError::Store(error))
    }
}

impl Transient for SessionError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Admin(error) if error.is_transient())
    }
}

impl Origin {
    fn session(&self, now: Moment) -> Session {
        Session {
            id: Uuid::new_v4(),
            created_at: now,
            last_used_at: now,
            expires_at: expires_at(self.minutes, now),
            address: self.address.map(|address| address.to_string()),
            user_agent: self.user_agent.chars().take(MAX_USER_AGENT).collect(),
        }
    }
}

/// Begins a session of an admin who was just read. Returns none if its password was changed meanwhile.
pub async fn start(panel: &Panel, admin: &Admin, origin: &Origin) -> Result<Option<Uuid>, StoreError> {
    let session = origin.session(panel.clock.now());
    panel
        .transaction("start session", async |tx| -> Result<_, StoreError> {
            if !store::start(tx, admin, &session).await? {
                return Ok((None, None));
            }
            store::trim(tx, admin.id, MOST_LISTED).await?;
            let entry = entry("session.start", admin, &session);
            Ok((Some(session.id), Some(panel.record(tx, changed(admin), &entry).await?)))
        })
        .await
}

/// Returns a page of an admin's sessions, and their number.
pub async fn list(panel: &Panel, admin: &Admin, limit: i64, offset: i64) -> Result<(Vec<Session>, i64), StoreError> {
    store::page(&panel.db, admin.id, panel.clock.now(), limit, offset).await
}

/// Ends a session: its token is refused from now on here, and within a second on other hosts. Without `others`, those of others count as
/// missing. `own` is the session of the request: its token is good, so it can be ended even if it is not listed any more.
pub async fn end(panel: &Panel, by: &Admin, others: bool, own: Option<Uuid>, id: Uuid) -> Result<(), SessionError> {
    let now = panel.clock.now();
    let is_own = own == Some(id);
    let listed = store::owner(&panel.db, id, now).await?;
    let name = listed.or_else(|| is_own.then(|| by.username.clone())).ok_or(SessionError::NotFound)?;
    if name != by.username && !others {
        return Err(SessionError::NotFound);
    }
    panel
        .transaction("end session", async |tx| -> Result<_, SessionError> {
            let admin = lock_by_username(tx, &name).await?.ok_or(SessionError::NotFound)?;
            admins::may_change(Actor::Admin(by), &admin)?;
            let has_ended =
                store::end(tx, id, now).await? || is_own && store::insert_ended(tx, &admin, id, now).await?;
            if !has_ended {
                return Err(SessionError::NotFound);
            }
            let entry = admins::entry("session.end", &admin).with(json!({"session": id}));
            Ok(((), panel.record(tx, changed(&admin), &entry).await?))
        })
        .await
}

/// Ends all sessions of an admin but `kept`, and tokens without a session, such as those of Marzneshin. Returns the changed
/// admin, for whom a new token has to be signed, and whether `kept` goes on.
pub async fn end_all(
    panel: &Panel,
    by: Actor<'_>,
    username: &str,
    kept: Option<Uuid>,
    minutes: u32,
) -> Result<(Admin, bool), SessionError> {
    let now = panel.clock.now();
    panel
        .transaction("end all sessions", async |tx| -> Result<_, SessionError> {
            let admin = lock_by_username(tx, username).await?.ok_or(AdminError::NotFound)?;
            // The session that goes on gets a new token: one that was ended meanwhile must not.
            let extent = if matches!(by, Actor::Admin(by) if by.id == admin.id) { Extent::Own } else { Extent::All };
            let right = (Scope(Resource::Sessions, Action::Write), extent);
            let by = admins::present_author(tx, panel, by, &[right]).await?;
            let by = by.ok_or(AdminError::Rights(RightsError::Lost))?;
            admins::may_change(by.actor(), &admin)?;
            let (admin, goes_on) = end_others(tx, admin, None, kept, minutes, now).await?;
            let entry = admins::entry("session.end_all", &admin).with(json!({"kept": kept.filter(|_| goes_on)}));
            let recorded = panel.record(tx, Changed::Admins.row(admin.id.0), &entry).await?;
            Ok(((admin, goes_on), recorded))
        })
        .await
}

/// Ends all sessions of a locked admin but `kept`, and gives the admin a new password if there is one. Returns the changed admin,
/// and whether `kept` goes on.
pub(super) async fn end_others(
    tx: &mut Tx,
    admin: Admin,
    new_password: Option<&str>,
    kept: Option<Uuid>,
    minutes: u32,
    now: Moment,
) -> Result<(Admin, bool), StoreError> {
    let admin = admins::without_tokens(admin, now);
    update(tx, &admin, new_password).await?;
    let goes_on = store::end_others(tx, &admin, kept, expires_at(minutes, now), now).await?;
    Ok((admin, goes_on))
}

fn entry(action: &'static str, admin: &Admin, session: &Session) -> Entry {
    admins::entry(action, admin).with(json!({"session": session.id, "user_agent": session.user_agent}))
}

fn changed(admin: &Admin) -> Change {
    Changed::Sessions.any().of(Some(admin.id))
}
