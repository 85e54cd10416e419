//! The first sudo admin, made in a browser with a one-time code that only who can read the panel's log or run its commands
//! knows.

use super::Panel;
use super::admins::{self, AdminError, NewAdmin};
use crate::config::secret::Secret;
use crate::domain::admin::{Admin, username_fault};
use crate::domain::change::{Changed, Unchanged};
use crate::domain::moment::SECOND;
use crate::store::access::setup_codes;
use crate::store::{StoreError, Transient};

/// Time for which a code is good (microseconds).
const GOOD_FOR: i64 = 3_600 * SECOND;

/// Errors of making the first admin.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The code is wrong, was used, or is too old, or there is an admin already.
    #[error("the setup code is wrong, was used or is too old")]
    Code,
    /// The admin can't be made.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

impl From<StoreError> for SetupError {
    fn from(error: StoreError) -> Self {
        Self::Admin(AdminError::Store(error))
    }
}

impl Transient for SetupError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Admin(error) if error.is_transient())
    }
}

/// Makes a code that is good for an hour, unless there is an admin. Each process that starts makes one; each is good until
/// the first admin is made.
pub async fn new_code(panel: &Panel) -> Result<Option<String>, StoreError> {
    // 122 random bits.
    let code = uuid::Uuid::new_v4().simple().to_string();
    let now = panel.clock.now();
    let inserted = panel.transaction("make setup code", async |tx| -> Result<_, StoreError> {
        Ok((setup_codes::insert(tx, &code, now.plus(GOOD_FOR), now).await?, Unchanged))
    });
    Ok(inserted.await?.then_some(code))
}

/// Makes the first sudo admin. Of several attempts, on any number of hosts, one succeeds.
pub async fn make_first_admin(panel: &Panel, code: &str, name: &str, password: Secret) -> Result<Admin, SetupError> {
    if let Some(fault) = username_fault(name) {
        return Err(AdminError::Username(fault).into());
    }
    // Strangers without a code can't make this process hash passwords.
    if !setup_codes::is_good(&panel.db, code, panel.clock.now()).await? {
        return Err(SetupError::Code);
    }
    let hashed = admins::hashed(&password).await?;
    let new = NewAdmin::usual(name, password, true);
    let made = panel.transaction("make first admin", async |tx| -> Result<_, SetupError> {
        let now = panel.clock.now();
        if !setup_codes::take(tx, code, now).await? {
            return Err(SetupError::Code);
        }
        let admin = admins::insert(tx, &new, &hashed, now).await?;
        let entry = admins::entry("admin.create", &admin).created(&admin);
        let recorded = panel.record(tx, Changed::Admins.row(admin.id.0), &entry).await?;
        Ok((admin, recorded))
    });
    made.await
}
