//! A new user.

use super::{UserError, grantable, random_key};
use crate::actions::{Panel, notifications};
use crate::domain::admin::Admin;
use crate::domain::notification::Event;
use crate::domain::user::User;
use crate::domain::user::edit::NewUser;
use crate::store::users::changes;
use crate::store::{IdList, users};

/// Makes a user who belongs to the admin. Services that do not exist or that the admin may not give are left out.
/// The nodes are told, even when the account has expired already.
pub async fn create(panel: &Panel, admin: &Admin, new: NewUser) -> Result<User, UserError> {
    let wanted = grantable(admin, &new.service_ids);
    let created = panel
        .db
        .transaction("create user", async |tx| -> Result<_, UserError> {
            let owner = users::lock_owner(tx, &admin.username).await?.ok_or(UserError::NoSuchAdmin)?;
            let now = panel.clock.now();
            let service_ids = users::lock_services(tx, &wanted).await?;
            let mut user = User::new(NewUser { service_ids, ..new.clone() }, owner, now, random_key);
            user.id = users::insert(tx, &user).await.map_err(UserError::of_write)?;
            changes::mark(tx, IdList::new([user.id.0]), now).await?;
            notifications::enter(tx, &panel.targets.now().targets, admin, &[Event::Created], &user, now).await?;
            Ok(user)
        })
        .await?;
    panel.wakeup.notify();
    Ok(created)
}
