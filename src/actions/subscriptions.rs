//! What subscriptions are rendered from besides their user: hosts, settings and client rules, cached for a second, so
//! that a fetch costs one query, the user's.

use std::sync::Arc;

use tokio::task::spawn_blocking;
use xxhash_rust::xxh3::xxh3_128;

use super::Panel;
use super::cache::{Cache, Freshness, MAX_AGE};
use crate::domain::change::Changed;
use crate::domain::credentials::KeyDerivation;
use crate::domain::host::variables::HostVariables;
use crate::domain::moment::{Moment, SECOND};
use crate::domain::panel_address::ServerAddresses;
use crate::domain::subscription_settings::SubscriptionSettings;
use crate::domain::user::User;
use crate::store::hosts::subscription_sources;
use crate::store::{Db, StoreError};
use crate::subscription::Request;
use crate::subscription::catalogue::Catalogue;
use crate::subscription::client::Client;
use crate::subscription::client_rules::ClientRules;
use crate::subscription::shared_part::SharedPart;
use crate::subscription::templates::Templates;

/// With many wake-ups of other processes, which mostly change users, the hosts are read ten times a second at most.
const FRESHNESS: Freshness = Freshness {
    depends_on: &[Changed::Hosts, Changed::Services, Changed::Nodes, Changed::SubscriptionSettings],
    max_age: MAX_AGE,
    min_age: SECOND / 10,
};

/// Data for rendering that stays the same while the process runs.
#[derive(Clone, Debug, Default)]
pub struct RenderContext {
    /// How credentials are derived from keys.
    pub derivation: KeyDerivation,
    /// The fixed parts of configurations.
    pub templates: Templates,
    /// The machine's address, while the cluster has none: for a read-only panel, and for commands before the first start.
    pub own_ipv4: Option<String>,
    /// The machine's IPv6 address, likewise.
    pub own_ipv6: Option<String>,
}

impl RenderContext {
    /// The machine's addresses.
    fn server(&self) -> ServerAddresses<'_> {
        ServerAddresses { ipv4: self.own_ipv4.as_deref(), ipv6: self.own_ipv6.as_deref() }
    }

    /// A hash of the context and of the program's version, because another version may render differently.
    pub fn revision(&self) -> u128 {
        self.revision_in(env!("CARGO_PKG_VERSION"))
    }

    /// A hash of the templates, for a comparison with another process of the same version.
    pub fn templates_digest(&self) -> String {
        format!("{:032x}", xxh3_128(format!("{:?}", self.templates).as_bytes()))
    }

    fn revision_in(&self, version: &str) -> u128 {
        // The machine's addresses are values of variables, which differ from host to host.
        xxh3_128(format!("{version} {:?} {:?}", self.derivation, self.templates).as_bytes())
    }
}

/// Data for rendering that admins change.
#[derive(Debug)]
pub struct Sources {
    /// All hosts.
    pub catalogue: Catalogue,
    /// The settings of subscriptions.
    pub settings: SubscriptionSettings,
    /// The compiled client rules of the settings.
    pub rules: ClientRules,
    /// The panel's IPv4 address, if it is known.
    ipv4: Option<String>,
    /// The panel's IPv6 address, if it is known.
    ipv6: Option<String>,
    /// A hash of hosts, settings and addresses, the same in every process.
    pub revision: u128,
    /// True if the choice of the format may keep a worker busy for many milliseconds.
    pub has_many_rules: bool,
}

/// Bytes of a user's hosts from which on rendering is expensive: some five hundred ordinary hosts.
const MANY_HOSTS: usize = 640 << 10;
/// Client rules, more than operators have, whose patterns may all be slow.
const MANY_RULES: usize = 50;

impl Sources {
    /// Prepares the shared part. `stale` are the previous sources, if any: parts of them may be reused.
    pub async fn of(shared: SharedPart, stale: Option<Arc<Self>>) -> Self {
        let SharedPart { settings, hosts, nodes, ipv4, ipv6, owners: _ } = shared;
        // Compiling the rules is most of the work, and they hardly ever change.
        let rules = match stale {
            Some(stale) if stale.settings.rules == settings.rules => stale.rules.clone(),
            _ => {
                let rules = settings.rules.clone();
                let compiled = spawn_blocking(move || ClientRules::new(&rules)).await;
                compiled.unwrap_or_else(|_| ClientRules::new(&settings.rules))
            }
        };
        let description = format!("{hosts:?} {settings:?} {nodes:?} {ipv4:?} {ipv6:?}");
        let revision = xxh3_128(description.as_bytes());
        let has_many_rules = settings.rules.len() > MANY_RULES;
        let catalogue = Catalogue::new(hosts).with_nodes(nodes);
        Self { catalogue, settings, rules, ipv4, ipv6, revision, has_many_rules }
    }

    /// Everything that a rendering for this user and client depends on.
    pub fn request<'a>(
        &'a self,
        context: &'a RenderContext,
        user: &'a User,
        user_agent: &'a str,
        now: Moment,
    ) -> Request<'a> {
        Request {
            variables: HostVariables::of(user, self.server(context), now),
            catalogue: &self.catalogue,
            settings: &self.settings,
            templates: &context.templates,
            derivation: context.derivation,
            client: Client::of(user_agent),
        }
    }

    /// True if rendering to this user may keep a worker busy for many milliseconds.
    pub fn has_many_hosts(&self, user: &User) -> bool {
        self.catalogue.is_larger_than(MANY_HOSTS, &user.service_ids)
    }

    /// The panel's addresses, for hosts with `{SERVER_IP}`.
    fn server<'a>(&'a self, context: &'a RenderContext) -> ServerAddresses<'a> {
        ServerAddresses { ipv4: self.ipv4.as_deref(), ipv6: self.ipv6.as_deref() }.or(context.server())
    }
}

/// The cached sources.
#[derive(Debug)]
pub(super) struct SourceCache(Arc<Cache<(), Arc<Sources>>>);

impl SourceCache {
    pub(super) fn new(panel: &Panel) -> Self {
        Self(Arc::new(Cache::new(panel.changes.clone(), panel.clock.clone(), FRESHNESS)))
    }

    /// Returns the sources. A read goes on if the request gives up: otherwise the next request would begin it again and give up as
    /// well, for as long as a read takes longer than the patience of requests.
    pub(super) async fn get(&self, db: &Db) -> Result<Arc<Sources>, StoreError> {
        if let Some(sources) = self.0.fresh(&()) {
            return Ok(sources);
        }
        let (cache, db) = (self.0.clone(), db.clone());
        to_its_end(async move { cache.get(&(), async |stale| read(&db, stale).await).await }).await
    }
}

/// Runs a read that goes on if its caller gives up.
async fn to_its_end<T: Send + 'static>(
    read: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::spawn(read).await.unwrap_or_else(|_| Err(StoreError::timed_out("the sources of subscriptions")))
}

/// Reads the sources. `stale` are the previous ones, if any: parts of them may be reused.
pub async fn read(db: &Db, stale: Option<Arc<Sources>>) -> Result<Arc<Sources>, StoreError> {
    let shared = subscription_sources::shared_part(db).await?;
    Ok(Arc::new(Sources::of(shared, stale).await))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    /// Otherwise a panel whose sources take longer to read than requests wait would serve subscriptions from its copy for ever.
    #[tokio::test]
    async fn read_goes_on_when_its_caller_gives_up() {
        let ((go_on, wait), (done, is_done)) = (oneshot::channel::<()>(), oneshot::channel());
        let reading = to_its_end(async move {
            let _ = wait.await;
            let _ = done.send(());
            Ok(())
        });
        timeout(Duration::from_millis(1), reading).await.expect_err("the read takes longer");
        go_on.send(()).expect("the read waits");
        is_done.await.expect("the read has ended");
    }

    /// Otherwise apps would never fetch what another version renders.
    #[test]
    fn revision_changes_with_the_version_of_the_program() {
        let render_context = RenderContext::default();
        assert_eq!(render_context.revision_in("0.1.0"), render_context.revision_in("0.1.0"));
        assert_ne!(render_context.revision_in("0.1.0"), render_context.revision_in("0.1.1"));
    }
}
