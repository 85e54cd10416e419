//! The author of a change, as the database has it when the change is made. A request knows its admin as read up to a second before, and
//! what it leaves behind must not outlast the rights that the admin has lost meanwhile.

use super::rights::Actor;
use crate::actions::Panel;
use crate::domain::admin::Admin;
use crate::domain::audit::Actor as Origin;
use crate::domain::rights::Extent;
use crate::domain::scope::Scope;
use crate::store::access::admins;
use crate::store::{StoreError, Tx};

/// An author who still has the rights to its change.
#[derive(Debug)]
pub(in crate::actions) struct PresentAuthor(Option<Admin>);

impl PresentAuthor {
    pub(in crate::actions) const fn actor(&self) -> Actor<'_> {
        match &self.0 {
            Some(admin) => Actor::Admin(admin),
            None => Actor::Operator,
        }
    }
}

/// Reads the author of a change again, after what is changed was locked. Returns none if it may not make the change any more: it was
/// deleted or disabled, has lost one of the rights, or all its sessions were ended (API tokens go on).
pub(in crate::actions) async fn present_author(
    tx: &mut Tx,
    panel: &Panel,
    by: Actor<'_>,
    rights: &[(Scope, Extent)],
) -> Result<Option<PresentAuthor>, StoreError> {
    let Actor::Admin(known) = by else { return Ok(Some(PresentAuthor(None))) };
    let has_session = matches!(panel.origin.actor, Origin::Admin { .. });
    let present = admins::in_transaction(tx, &known.username).await?.filter(|admin| {
        admin.id == known.id
            && admin.may_sign_in()
            && rights.iter().all(|(Scope(resource, action), extent)| admin.may(*resource, *action, *extent))
            && (!has_session || admin.password_reset_at == known.password_reset_at)
    });
    Ok(present.map(|admin| PresentAuthor(Some(admin))))
}
