//! Settles the panel's public addresses once for all panels of the database.

use serde_json::json;

use super::Panel;
use crate::domain::audit::Entry;
use crate::domain::change::Changed;
use crate::domain::panel_address::{AddressSource, FoundAddress, StoredAddress};
use crate::store::cluster::members;
use crate::store::{StoreError, clock, panel_addresses};

/// Stores the addresses that this process knows, unless the cluster has one as good from another live host. `host` is
/// the label of this host. Returns sentences for the log.
pub async fn settle(panel: &Panel, host: &str, found: &[FoundAddress]) -> Result<Vec<String>, StoreError> {
    let now = clock::now(&panel.db).await?;
    let alive: Vec<String> = members::live(&panel.db, now).await?.into_iter().map(|member| member.host).collect();
    let mut warnings = Vec::new();
    for found in found {
        let stored = panel
            .transaction("settle the panel's address", async |tx| {
                let stored = panel_addresses::insert_or_lock(tx, found, host).await?;
                let Some(stored) = stored.filter(|stored| !found.replaces(stored, host, alive.contains(&stored.host)))
                else {
                    panel_addresses::replace(tx, found, host).await?;
                    let entry =
                        Entry::of_one("settings.panel_address").with(json!({"address": found.ip, "host": host}));
                    let recorded = panel.record(tx, Changed::SubscriptionSettings, &entry).await?;
                    return Ok::<_, StoreError>((None, Some(recorded)));
                };
                Ok((Some(stored), None))
            })
            .await?;
        warnings.extend(warning(found, stored.as_ref()));
    }
    Ok(warnings)
}

fn warning(found: &FoundAddress, stored: Option<&StoredAddress>) -> Option<String> {
    let name = if found.ip.is_ipv4() { "SERVER_IP" } else { "SERVER_IPV6" };
    match stored {
        Some(stored) if found.source == AddressSource::Setting && stored.ip != found.ip => Some(format!(
            "{name} is {} here, and hosts show {}, which the panel on {} stored; set {name} to one address for all panels",
            found.ip, stored.ip, stored.host
        )),
        None if found.source == AddressSource::Private && found.ip.is_ipv4() => Some(format!(
            "hosts with {{{name}}} on nodes beside the panel show the private address {}; set {name} to the public one",
            found.ip
        )),
        _ => None,
    }
}
