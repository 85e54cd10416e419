//! Lists of users, as an admin may see them.

use super::UserError;
use super::totals::TotalCache;
use crate::actions::Panel;
use crate::domain::admin::Admin;
use crate::domain::user::User;
use crate::store::StoreError;
use crate::store::access::admins;
use crate::store::users::list;
use crate::store::users::list::{Names, UserFilter, UserWindow};

/// Returns a page of the users that match, and the number of all that match. An admin without sudo sees their own users
/// only, and may not ask for an owner's. The filter's own `owner` is ignored.
pub async fn list(
    panel: &Panel,
    totals: &TotalCache,
    admin: &Admin,
    filter: UserFilter,
    owner_username: Option<&str>,
    window: UserWindow,
) -> Result<(Vec<User>, i64), UserError> {
    let owner = match owner_username {
        Some(_) if !admin.is_sudo => return Err(UserError::Forbidden),
        Some(username) => Some(admins::by_username(&panel.db, username).await?.ok_or(UserError::NoSuchAdmin)?.id),
        None => (!admin.is_sudo).then_some(admin.id),
    };
    let names = match filter.names {
        Names::Containing(text) if text.is_empty() => Names::Any,
        names => names,
    };
    let filter = UserFilter { names, owner, ..filter };
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
