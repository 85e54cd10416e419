//! Lists of users, as an admin may see them.

use super::UserError;
use super::totals::TotalCache;
use crate::actions::Panel;
use crate::domain::admin::Admin;
use crate::domain::ids::AdminId;
use crate::domain::scope::{Action, Resource, Scope};
use crate::domain::user::User;
use crate::store::StoreError;
use crate::store::access::admins;
use crate::store::users::list;
use crate::store::users::list::{Names, UserFilter, UserWindow};

/// Returns a page of the users that match, and the number of all that match. An admin who may not read all users sees its own
/// only, and may not ask for an owner's. The filter's own `owner` is ignored.
pub async fn list(
    panel: &Panel,
    totals: &TotalCache,
    admin: &Admin,
    filter: UserFilter,
    owner_username: Option<&str>,
    window: UserWindow,
) -> Result<(Vec<User>, i64), UserError> {
    let names = match filter.names {
        Names::Containing(text) if text.is_empty() => Names::Any,
        names => names,
    };
    let filter = UserFilter {
        names,
        owner: owner_filter(panel, admin, Scope(Resource::Users, Action::Read), owner_username).await?,
        ..filter
    };
    Ok(page(panel, totals, &filter, window).await?)
}

/// The same without a check of rights.
pub async fn page(
    panel: &Panel,
    totals: &TotalCache,
    filter: &UserFilter,
    window: UserWindow,
) -> Result<(Vec<User>, i64), StoreError> {
    let now = panel.clock.now();
    let totals = totals.get(panel, filter, now).await?;
    Ok((list::page(&panel.db, filter, window, totals, now).await?, totals.matching))
}

/// Returns the owner whose users an admin may act on: the one it asks for, itself without the right to all, or everybody's.
pub async fn owner_filter(
    panel: &Panel,
    admin: &Admin,
    Scope(resource, action): Scope,
    owner_username: Option<&str>,
) -> Result<Option<AdminId>, UserError> {
    let only_own = admin.only_own(resource, action);
    match owner_username {
        Some(_) if only_own.is_some() => Err(UserError::Forbidden),
        Some(username) => Ok(Some(admins::by_username(&panel.db, username).await?.ok_or(UserError::NoSuchAdmin)?.id)),
        None => Ok(only_own),
    }
}
