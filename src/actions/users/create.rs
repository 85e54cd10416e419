//! A new user.

use super::{UserError, grantable, random_key};
use crate::actions::{Panel, notifications};
use crate::domain::admin::Admin;
use crate::domain::ids::UserId;
use crate::domain::notification::Event;
use crate::domain::user::User;
use crate::domain::user_edit::{NewUser, limited};
use crate::store::users::changes;
use crate::store::{IdList, retry, users};

/// Makes a user who belongs to the admin. Services that do not exist or that the admin may not give are left out.
/// The nodes are told, even when the account has expired already.
pub async fn create(panel: &Panel, admin: &Admin, new: NewUser) -> Result<User, UserError> {
    let wanted = grantable(admin, &new.service_ids);
    let key = new.key.unwrap_or_else(random_key);
    let username = new.username.into_string();
    let created = retry(UserError::is_retry, || async {
        let mut tx = panel.db.begin().await?;
        let owner = users::hold_owner(&mut tx, &admin.username).await?.ok_or(UserError::NoSuchAdmin)?;
        let now = panel.clock.now();
        let mut user = User {
            id: UserId(0),
            username: Some(username.clone()),
            key: key.clone(),
            owner: Some(owner),
            enabled: true,
            activated: true,
            removed: false,
            expiry: new.expiry,
            usage_duration: None,
            data_limit: new.data_limit.and_then(limited),
            reset_strategy: new.reset_strategy,
            used_traffic: 0,
            lifetime_used_traffic: 0,
            online_at: None,
            traffic_reset_at: None,
            note: new.note.clone(),
            created_at: now,
            edit_at: None,
            sub_revoked_at: None,
            sub_updated_at: None,
            sub_last_user_agent: None,
            service_ids: users::hold_services(&mut tx, &wanted).await?,
        };
        user.id = users::insert(&mut tx, &user).await.map_err(UserError::of_write)?;
        changes::mark(&mut tx, IdList::new([user.id.0]), now).await?;
        notifications::enter(&mut tx, &panel.targets.now().targets, admin, &[Event::Created], &user, now).await?;
        tx.commit().await?;
        Ok(user)
    })
    .await?;
    panel.wakeup.notify();
    Ok(created)
}
