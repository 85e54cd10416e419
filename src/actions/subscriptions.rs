//! What subscriptions are rendered from, kept ready for at most a second: the hosts, the settings, the rules. A fetch
//! then costs one query, the user's.

use std::sync::{Arc, Mutex, MutexGuard};

use xxhash_rust::xxh3::xxh3_128;

use crate::clock::Clock;
use crate::domain::credentials::KeyDerivation;
use crate::domain::moment::{BootTime, SECOND};
use crate::domain::subscription_settings::SubscriptionSettings;
use crate::foundation::lock;
use crate::store::hosts::subscription_sources;
use crate::store::{Db, StoreError, settings};
use crate::subscription::catalogue::Catalogue;
use crate::subscription::client_rules::ClientRules;
use crate::subscription::templates::Templates;

/// Writes of other processes are seen after so long at the latest; this process's own at once.
const MAX_AGE: i64 = SECOND;

/// What renderings depend on and what does not change while the process runs.
#[derive(Clone, Debug)]
pub struct RenderContext {
    /// How credentials come from keys.
    pub derivation: KeyDerivation,
    /// The fixed parts of configurations.
    pub templates: Templates,
    /// The panel's own address, for hosts that name it.
    pub server_ip: String,
}

impl RenderContext {
    /// A hash of all of it and of the program's version: another one may render differently.
    pub fn revision(&self) -> u128 {
        self.revision_in(env!("CARGO_PKG_VERSION"))
    }

    fn revision_in(&self, version: &str) -> u128 {
        xxh3_128(format!("{version} {self:?}").as_bytes())
    }
}

impl Default for RenderContext {
    fn default() -> Self {
        Self {
            derivation: KeyDerivation::default(),
            templates: Templates::default(),
            server_ip: "127.0.0.1".to_owned(),
        }
    }
}

/// What renderings depend on and admins change.
#[derive(Debug)]
pub struct Sources {
    /// All hosts.
    pub catalogue: Catalogue,
    /// The settings.
    pub settings: SubscriptionSettings,
    /// Their rules, compiled.
    pub rules: ClientRules,
    /// A hash of hosts and settings: the same on every host.
    pub revision: u128,
}

/// The sources as they were at most a second ago.
#[derive(Debug, Default)]
pub struct SourceCache {
    shelf: Mutex<Shelf>,
    /// Held by whoever reads the database, so that a thousand fetches read it once.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Shelf {
    sources: Option<Arc<Sources>>,
    /// When `sources` were read; `None`: too long ago, or something has changed since.
    read_at: Option<BootTime>,
    /// How often something has changed.
    changes: u64,
}

impl SourceCache {
    /// The sources.
    pub async fn get(&self, db: &Db, clock: &Clock) -> Result<Arc<Sources>, StoreError> {
        if let Some(sources) = self.fresh(clock.boot()) {
            return Ok(sources);
        }
        let _reading = self.reading.lock().await;
        if let Some(sources) = self.fresh(clock.boot()) {
            return Ok(sources);
        }
        let (read_at, changes, old) = {
            let shelf = self.shelf();
            (clock.boot(), shelf.changes, shelf.sources.clone())
        };
        let settings = settings::subscription(db).await?;
        // Compiling the rules is most of the work, and they hardly ever change.
        let rules = match old {
            Some(old) if old.settings.rules == settings.rules => old.rules.clone(),
            _ => ClientRules::new(&settings.rules),
        };
        let hosts = subscription_sources::hosts(db).await?;
        let revision = xxh3_128(format!("{hosts:?} {settings:?}").as_bytes());
        let catalogue = Catalogue::new(hosts);
        let sources = Arc::new(Sources { catalogue, settings, rules, revision });
        let mut shelf = self.shelf();
        shelf.sources = Some(Arc::clone(&sources));
        // What was changed meanwhile may be missing here.
        shelf.read_at = (shelf.changes == changes).then_some(read_at);
        Ok(sources)
    }

    /// Something that subscriptions depend on was changed: the next fetch reads it.
    pub fn forget(&self) {
        let mut shelf = self.shelf();
        shelf.read_at = None;
        shelf.changes += 1;
    }

    fn fresh(&self, now: BootTime) -> Option<Arc<Sources>> {
        let shelf = self.shelf();
        let age = now.micros() - shelf.read_at?.micros();
        shelf.sources.clone().filter(|_| age < MAX_AGE)
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        lock(&self.shelf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else an app would be told for ever that it has what the program before this one made.
    #[test]
    fn another_version_of_the_program_has_other_tags() {
        let render_context = RenderContext::default();
        assert_eq!(render_context.revision_in("0.1.0"), render_context.revision_in("0.1.0"));
        assert_ne!(render_context.revision_in("0.1.0"), render_context.revision_in("0.1.1"));
    }
}
