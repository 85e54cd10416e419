//! One change of many users: chosen ones, or all who match a filter. Each call is one transaction of a bounded number of
//! users, so that nothing is half done, and a caller who goes on from its cursor changes nobody twice.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use uuid::Uuid;

use super::bulk::pause;
use super::list::owner_filter;
use super::{UserError, events, grantable, random_key};
use crate::actions::Panel;
use crate::actions::notifications::ByAdmin;
use crate::actions::quotas::guard::Guard;
use crate::domain::admin::Admin;
use crate::domain::audit::{Entry, first_ids};
use crate::domain::change::Changed;
use crate::domain::ids::{AdminId, UserId};
use crate::domain::moment::Moment;
use crate::domain::notification::Event;
use crate::domain::rights::Extent;
use crate::domain::scope::{Action, Resource, Scope};
use crate::domain::user::User;
use crate::domain::user::bulk::BulkChange;
use crate::store::access::quotas::disabled;
use crate::store::users::bulk_requests::{self, Answered, BulkRequest};
use crate::store::users::bulk_selection;
use crate::store::users::changes;
use crate::store::users::list::UserFilter;
use crate::store::{Engine, IdList, Tx, users};

const CHANGE: Scope = Scope(Resource::Users, Action::Write);

/// Most users of one call.
pub const MOST: usize = 1_000;

/// Users of a part that the panel chooses. On SQLite a part holds the write lock for all processes; half a thousand users take
/// less than 250 ms there, in a debug build on a busy machine, too.
const fn part(engine: Engine) -> usize {
    match engine {
        Engine::Postgres => MOST,
        Engine::Sqlite => MOST / 2,
    }
}

/// The users of a bulk change.
#[derive(Clone, Debug)]
pub enum Selection {
    /// The users of these ids, at most [`MOST`]. Users that the admin may not change count as missing.
    Ids(IdList),
    /// The next users that match the filter, from the cursor of the last call on.
    Matching {
        /// The filter; its own `owner` is ignored.
        filter: UserFilter,
        /// Name of the owner, for admins who may change all users.
        owner_username: Option<String>,
        /// Where the last call ended; `None` begins.
        cursor: Option<Cursor>,
    },
}

/// The range of ids that is left: after one, up to the highest one when the change began. Users who are created later
/// are not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    after: UserId,
    up_to: UserId,
}

/// A change that an admin asks for.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// A change that needs no more than its values.
    Change(BulkChange),
    /// A change of owner to the admin of this name.
    SetOwner(String),
}

/// The outcome of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Users who were selected.
    pub matched: usize,
    /// Users who are different now.
    pub changed: usize,
    /// Where to go on; `None`: that were all.
    pub cursor: Option<Cursor>,
}

/// Changes the selected users, in one transaction. A request with the same `key` as one before changes nothing and returns
/// the outcome of that one, for a day.
pub async fn change(
    panel: &Panel,
    admin: &Admin,
    key: Option<Uuid>,
    selection: Selection,
    wanted: Wanted,
) -> Result<Outcome, UserError> {
    check_rights(admin, &wanted)?;
    let now = panel.clock.now();
    let request = key.map(|key| BulkRequest { admin: admin.id, key, fingerprint: fingerprint(&selection, &wanted) });
    let chosen = match &selection {
        Selection::Ids(_) => "chosen by id",
        Selection::Matching { .. } => "chosen by a filter",
    };
    let (filter, candidates, cursor) = match selection {
        Selection::Ids(ids) => {
            let filter = UserFilter { owner: owner_filter(panel, admin, CHANGE, None).await?, ..UserFilter::default() };
            (filter, ids, None)
        }
        Selection::Matching { filter, owner_username, cursor } => {
            let owner = owner_filter(panel, admin, CHANGE, owner_username.as_deref()).await?;
            let filter = UserFilter { owner, ..filter };
            let (ids, cursor) = next(panel, &filter, cursor, now).await?;
            (filter, ids, cursor)
        }
    };
    if candidates.is_empty() && request.is_none() {
        return Ok(Outcome { matched: 0, changed: 0, cursor: None });
    }
    let outcome = panel
        .transaction("change many users", async |tx| -> Result<_, UserError> {
            if let Some(request) = &request
                && let Some(answered) = bulk_requests::begin(tx, request, now).await?
            {
                return Ok((Outcome::of(&answered, request)?, None));
            }
            let (change, guard) = resolved(tx, &wanted, &candidates, filter.owner).await?;
            let ids = bulk_selection::lock_matching(tx, &filter, &candidates, now).await?;
            let (altered, stay) = apply(tx, panel, admin, (&change, guard.as_ref()), &ids, now).await?;
            let count = |users: usize| i64::try_from(users).unwrap_or(i64::MAX);
            let changed = altered.as_slice().len() + stay;
            if let Some(request) = &request {
                let next = cursor.map(|cursor| cursor.to_string());
                bulk_requests::finish(tx, request, count(ids.as_slice().len()), count(changed), next).await?;
            }
            let outcome = Outcome { matched: ids.as_slice().len(), changed, cursor };
            if changed == 0 {
                return Ok((outcome, None));
            }
            // A change of owner concerns two admins.
            let owner = filter.owner.filter(|_| !matches!(change, BulkChange::SetOwner(_)));
            let mut what = first_ids(if altered.is_empty() { ids.as_slice() } else { altered.as_slice() });
            what["change"] = described(&change).into();
            let entry = Entry::of_many(names_of(&change).0, chosen, count(changed)).with(what);
            Ok((outcome, Some(panel.record(tx, Changed::Users.any().of(owner), &entry).await?)))
        })
        .await?;
    if candidates.as_slice().len() >= part(panel.db.engine()) {
        // The caller may send the next part at once.
        pause(panel).await;
    }
    Ok(outcome)
}

impl Outcome {
    /// The outcome of a request that was made before.
    fn of(answered: &Answered, request: &BulkRequest) -> Result<Self, UserError> {
        if answered.fingerprint != request.fingerprint {
            return Err(UserError::OtherRequest);
        }
        let count = |count: i64| usize::try_from(count).unwrap_or_default();
        // It was written by this program.
        let cursor = answered.next_cursor.as_deref().and_then(|text| text.parse().ok());
        Ok(Self { matched: count(answered.matched), changed: count(answered.changed), cursor })
    }
}

/// Hash of what a request asks for, so that a key that is used twice by mistake is noticed.
fn fingerprint(selection: &Selection, wanted: &Wanted) -> String {
    hex::encode(digest(&SHA256, format!("{selection:?} {wanted:?}").as_bytes()))
}

fn check_rights(admin: &Admin, wanted: &Wanted) -> Result<(), UserError> {
    let allowed = match wanted {
        Wanted::SetOwner(_) => admin.may(Resource::Users, Action::Write, Extent::All),
        Wanted::Change(BulkChange::AddService(service)) => !grantable(admin, &[*service]).is_empty(),
        Wanted::Change(_) => true,
    };
    if allowed && admin.may_modify_users() { Ok(()) } else { Err(UserError::Forbidden) }
}

/// The next candidates, and the cursor behind them if there may be more.
async fn next(
    panel: &Panel,
    filter: &UserFilter,
    cursor: Option<Cursor>,
    now: Moment,
) -> Result<(IdList, Option<Cursor>), UserError> {
    let Cursor { after, up_to } = match cursor {
        Some(cursor) => cursor,
        None => Cursor { after: UserId(0), up_to: bulk_selection::last(&panel.db).await? },
    };
    let part = part(panel.db.engine());
    let limit = i64::try_from(part).unwrap_or(i64::MAX);
    let ids = bulk_selection::matching(&panel.db, filter, (after, up_to), limit, now).await?;
    let full = ids.as_slice().len() == part;
    let more = ids.as_slice().last().filter(|_| full).map(|last| Cursor { after: UserId(*last), up_to });
    Ok((ids, more))
}

/// Locks what the change refers to, and the quotas that need room for it, before users are locked.
/// `owner`: of all users that are changed; what a caller names may be others'.
async fn resolved(
    tx: &mut Tx,
    wanted: &Wanted,
    candidates: &IdList,
    owner: Option<AdminId>,
) -> Result<(BulkChange, Option<Guard>), UserError> {
    match wanted {
        Wanted::SetOwner(username) => {
            let owner = users::lock_owner(tx, username).await?.ok_or(UserError::NoSuchAdmin)?;
            let guard = Guard::of_owner(tx, owner.id).await?;
            Ok((BulkChange::SetOwner(owner), Some(guard)))
        }
        Wanted::Change(change) => {
            if let BulkChange::AddService(service) = change {
                let found = users::lock_services(tx, &[*service]).await?;
                found.first().ok_or(UserError::NoSuchService)?;
            }
            let guard = match change {
                BulkChange::Enable | BulkChange::ResetTraffic | BulkChange::Extend(_) | BulkChange::AddData(_) => {
                    Some(match owner {
                        Some(owner) => Guard::of_admin(tx, owner).await?,
                        None => Guard::of_users(tx, candidates).await?,
                    })
                }
                _ => None,
            };
            Ok((change.clone(), guard))
        }
    }
}

/// Changes locked users, marks those whom nodes have otherwise, and enters the notifications. Returns the users who are
/// different now, and the number of those whom a quota had disabled and who stay so.
async fn apply(
    tx: &mut Tx,
    panel: &Panel,
    admin: &Admin,
    (change, guard): (&BulkChange, Option<&Guard>),
    ids: &IdList,
    now: Moment,
) -> Result<(IdList, usize), UserError> {
    // By hand from now on, whatever a quota did.
    let forgotten = match change {
        BulkChange::Enable | BulkChange::Disable => disabled::forget(tx, ids).await?,
        _ => 0,
    };
    let stay = if matches!(change, BulkChange::Disable) { usize::try_from(forgotten).unwrap_or(usize::MAX) } else { 0 };
    let mut altered = Vec::new();
    for before in users::of_ids(tx, ids).await? {
        let mut after = before.clone();
        if change.apply(&mut after, now, random_key) {
            altered.push((before, after));
        }
    }
    users::update_all(tx, &altered).await?;
    if let Some(guard) = guard {
        guard.check(tx, altered.iter().map(|(before, after)| (Some(before), after)), now).await?;
    }
    let for_nodes = altered.iter().filter(|(before, after)| before.on_nodes() != after.on_nodes());
    changes::mark(tx, IdList::new(for_nodes.map(|(_, after)| after.id.0)), now).await?;
    if let (_, Some(event)) = names_of(change) {
        let mut shown = Vec::new();
        for (before, after) in &altered {
            for event in events(event, before, after, now) {
                // A deleted user has no name any more, but the notification shows it.
                shown.push((event, User { username: before.username.clone(), ..after.clone() }));
            }
        }
        ByAdmin { admin, targets: panel.targets.now(), now }.enter_all(tx, &shown).await?;
    }
    Ok((IdList::new(altered.iter().map(|(_, after)| after.id.0)), stay))
}

/// The action in the audit log, and the event as which changed users are notified; a change of owner has none.
const fn names_of(change: &BulkChange) -> (&'static str, Option<Event>) {
    match change {
        BulkChange::Enable => ("user.enable", Some(Event::Enabled)),
        BulkChange::Disable => ("user.disable", Some(Event::Disabled)),
        BulkChange::ResetTraffic => ("user.reset", Some(Event::UsageReset)),
        BulkChange::Revoke => ("user.revoke", Some(Event::SubscriptionRevoked)),
        BulkChange::Delete => ("user.delete", Some(Event::Deleted)),
        BulkChange::SetOwner(_) => ("user.set_owner", None),
        BulkChange::Extend(_) | BulkChange::AddData(_) | BulkChange::AddService(_) | BulkChange::RemoveService(_) => {
            ("user.update", Some(Event::Updated))
        }
    }
}

/// The change with its values, for the audit log.
fn described(change: &BulkChange) -> String {
    match change {
        BulkChange::Extend(seconds) => format!("extended by {seconds} s"),
        BulkChange::AddData(bytes) => format!("{bytes} bytes added"),
        BulkChange::SetOwner(owner) => format!("owner {}", owner.username),
        BulkChange::AddService(service) => format!("service {} added", service.0),
        BulkChange::RemoveService(service) => format!("service {} removed", service.0),
        BulkChange::Enable => "enabled".to_owned(),
        BulkChange::Disable => "disabled".to_owned(),
        BulkChange::ResetTraffic => "used traffic reset".to_owned(),
        BulkChange::Revoke => "key replaced".to_owned(),
        BulkChange::Delete => "deleted".to_owned(),
    }
}

/// `AFTER-UP_TO`.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.after.0, self.up_to.0)
    }
}

/// The text is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let (after, up_to) = text.split_once('-').ok_or(NoCursor)?;
        let id = |digits: &str| digits.parse().ok().filter(|id| *id >= 0).map(UserId).ok_or(NoCursor);
        Ok(Self { after: id(after)?, up_to: id(up_to)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_is_read_as_it_was_written() {
        let cursor = Cursor { after: UserId(12), up_to: UserId(340) };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for wrong in ["", "12", "12-", "-12-3", "a-b", "12-3-4"] {
            assert_eq!(wrong.parse::<Cursor>(), Err(NoCursor), "{wrong}");
        }
    }
}
