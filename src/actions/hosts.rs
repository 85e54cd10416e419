//! What admins do with hosts. They only change what subscriptions show: no node needs to know.

use super::Panel;
use crate::domain::host::Host;
use crate::domain::ids::HostId;
use crate::store::hosts::HostView;
use crate::store::{self, StoreError};

/// Makes a host for its inbound, or an unbound one; its id is given here. `None`: the inbound is not there.
pub async fn create(panel: &Panel, host: &Host) -> Result<Option<HostView>, StoreError> {
    let id = panel.db.transaction("create host", async |tx| store::hosts::insert(tx, host).await).await?;
    read_again(panel, id).await
}

/// Writes a host anew, all but the inbound that it shows. `None`: it is not there.
pub async fn replace(panel: &Panel, host: &Host) -> Result<Option<HostView>, StoreError> {
    let found = panel.db.transaction("replace host", async |tx| store::hosts::update(tx, host).await).await?;
    read_again(panel, found.then_some(host.id)).await
}

/// Removes a host, also from the chains of others. False: it is not there.
pub async fn remove(panel: &Panel, id: HostId) -> Result<bool, StoreError> {
    panel.db.transaction("remove host", async |tx| store::hosts::delete(tx, id).await).await
}

/// The host as it now is: without the services and chained hosts that are not there, with its inbound's protocol.
async fn read_again(panel: &Panel, id: Option<HostId>) -> Result<Option<HostView>, StoreError> {
    match id {
        Some(id) => store::hosts::by_id(&panel.db, id).await,
        None => Ok(None),
    }
}
