//! An admin that was found by name before a transaction, as the transaction has it.

use super::AdminError;
use crate::domain::admin::Admin;
use crate::store::Tx;
use crate::store::access::admins;

/// Locks an admin that was found by name before. A later admin of the same name is another one.
pub(in crate::actions) async fn lock(tx: &mut Tx, found: &Admin) -> Result<Admin, AdminError> {
    let admin = admins::lock_by_username(tx, &found.username).await?;
    admin.filter(|admin| admin.id == found.id).ok_or(AdminError::NotFound)
}

/// The same without a lock.
pub(in crate::actions) async fn read_again(tx: &mut Tx, found: &Admin) -> Result<Admin, AdminError> {
    let admin = admins::in_transaction(tx, &found.username).await?;
    admin.filter(|admin| admin.id == found.id).ok_or(AdminError::NotFound)
}
