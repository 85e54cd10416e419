//! Creates users.

use super::{UserError, grantable, random_key};
use crate::actions::Panel;
use crate::actions::notifications::ByAdmin;
use crate::actions::quotas::guard::Guard;
use crate::domain::admin::Admin;
use crate::domain::audit::Entry;
use crate::domain::change::Changed;
use crate::domain::notification::Event;
use crate::domain::user::User;
use crate::domain::user::edit::NewUser;
use crate::store::users::changes;
use crate::store::{IdList, users};

/// Creates a user that belongs to the admin. Unknown services, and services that the admin may not assign, are left out.
/// The nodes get the user even if the account has expired already. Refused if the admin's quota has no room.
pub async fn create(panel: &Panel, admin: &Admin, new: NewUser) -> Result<User, UserError> {
    let wanted = grantable(admin, &new.service_ids);
    panel
        .transaction("create user", async |tx| -> Result<_, UserError> {
            let owner = users::lock_owner(tx, &admin.username).await?.filter(|owner| owner.id == admin.id);
            let owner = owner.ok_or(UserError::NoSuchAdmin)?;
            let guard = Guard::of_owner(tx, owner.id).await?;
            let now = panel.clock.now();
            let service_ids = users::lock_services(tx, &wanted).await?;
            let mut user = User::new(NewUser { service_ids, ..new.clone() }, owner, now, random_key);
            user.id = users::insert(tx, &user).await.map_err(UserError::of_write)?;
            guard.check(tx, [(None, &user)], now).await?;
            changes::mark(tx, IdList::new([user.id.0]), now).await?;
            let notify = ByAdmin { admin, targets: panel.targets.now(), now };
            notify.enter(tx, &[Event::Created], &user).await?;
            let change = Changed::Users.row(user.id.0).of(Some(admin.id));
            let entry = Entry::of("user.create", user.id.0, user.username.clone()).created(&user);
            let recorded = panel.record(tx, change, &entry).await?;
            Ok((user, recorded))
        })
        .await
}
