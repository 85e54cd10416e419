//! A sample of users with inbounds and hosts, from the old rows, to compare with the new database.

use std::collections::{BTreeMap, HashMap};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::rows::accounts::ConvertedUser;
use crate::domain::credentials::KeyDerivation;
use crate::domain::host::Host;
use crate::domain::host::variables::HostVariables;
use crate::domain::ids::{HostId, InboundId, NodeId, ServiceId, UserId};
use crate::domain::inbound::Inbound;
use crate::domain::moment::Moment;
use crate::domain::subscription_settings::SubscriptionSettings;
use crate::domain::user::{Expiry, ExpiryFields, ResetStrategy, User};
use crate::store::import::tables::{HostRow, InboundRow};
use crate::subscription::catalogue::{self, Catalogue};
use crate::subscription::client::Client;
use crate::subscription::templates::Templates;
use crate::subscription::{Request, formats, render};

/// Number of users in the sample.
const USERS: i64 = 50;

/// Some of the users, with all inbounds and hosts.
#[derive(Debug)]
pub(super) struct Sample {
    /// The sample has every nth user.
    every: i64,
    seen: i64,
    users: BTreeMap<i64, User>,
    inbounds: HashMap<i64, Inbound>,
    inbound_services: HashMap<i64, Vec<ServiceId>>,
    hosts: Vec<Host>,
    host_services: HashMap<i64, Vec<ServiceId>>,
    chains: HashMap<i64, BTreeMap<i64, HostId>>,
}

impl Sample {
    /// An empty sample, for a database with `users` users.
    pub(super) fn new(users: i64) -> Self {
        Self {
            every: (users / USERS).max(1),
            seen: 0,
            users: BTreeMap::new(),
            inbounds: HashMap::new(),
            inbound_services: HashMap::new(),
            hosts: Vec::new(),
            host_services: HashMap::new(),
            chains: HashMap::new(),
        }
    }

    pub(super) fn user(&mut self, user: &ConvertedUser) {
        if self.seen % self.every == 0 {
            self.users.insert(user.account.id, domain_user(user));
        }
        self.seen += 1;
    }

    pub(super) fn user_service(&mut self, user: i64, service: i64) {
        if let Some(user) = self.users.get_mut(&user) {
            user.service_ids.push(ServiceId(service));
        }
    }

    pub(super) fn inbound(&mut self, row: &InboundRow) {
        let InboundRow { id, node_id, tag, protocol, config } = row.clone();
        self.inbounds.insert(id, Inbound { id: InboundId(id), node_id: NodeId(node_id), tag, protocol, config });
    }

    pub(super) fn inbound_service(&mut self, inbound: i64, service: i64) {
        self.inbound_services.entry(inbound).or_default().push(ServiceId(service));
    }

    pub(super) fn host(&mut self, row: &HostRow) {
        self.hosts.push(Host {
            id: HostId(row.id),
            inbound_id: row.inbound_id.map(InboundId),
            is_disabled: row.is_disabled,
            universal: row.universal,
            weight: row.weight,
            spec: row.spec.clone(),
            service_ids: Vec::new(),
            chain_ids: Vec::new(),
        });
    }

    pub(super) fn host_service(&mut self, host: i64, service: i64) {
        self.host_services.entry(host).or_default().push(ServiceId(service));
    }

    pub(super) fn chain(&mut self, host: i64, seq: i64, next: i64) {
        self.chains.entry(host).or_default().insert(seq, HostId(next));
    }

    /// Returns the users, and the hosts that their links are made from.
    pub(super) fn users_and_hosts(&self) -> (Vec<User>, Vec<catalogue::HostRow>) {
        let Self { users, inbounds, inbound_services, hosts, host_services, chains, .. } = self;
        let services = |of: &HashMap<i64, Vec<ServiceId>>, id: i64| of.get(&id).cloned().unwrap_or_default();
        let host = |host: &Host| {
            let chain_ids = chains.get(&host.id.0).map(|chain| chain.values().copied().collect()).unwrap_or_default();
            let host = Host { chain_ids, ..host.clone() };
            let inbound = host.inbound_id.and_then(|id| inbounds.get(&id.0)).cloned();
            let service_ids = match &inbound {
                Some(inbound) => services(inbound_services, inbound.id.0),
                None => services(host_services, host.id.0),
            };
            catalogue::HostRow { host, inbound, service_ids }
        };
        let user = |user: &User| {
            let mut user = user.clone();
            user.service_ids.sort_unstable();
            user
        };
        (users.values().map(user).collect(), hosts.iter().map(host).collect())
    }
}

/// Renders links deterministically.
#[derive(Debug)]
pub(super) struct LinkRenderer {
    catalogue: Catalogue,
    settings: SubscriptionSettings,
    now: Moment,
}

impl LinkRenderer {
    pub(super) fn new(hosts: Vec<catalogue::HostRow>, now: Moment) -> Self {
        // Compare the real links of disabled users too, not a placeholder.
        let settings = SubscriptionSettings { placeholder_if_disabled: false, ..SubscriptionSettings::initial() };
        Self { catalogue: Catalogue::new(hosts), settings, now }
    }

    /// Returns a user's links, one per line.
    pub(super) fn render(&self, user: &User) -> String {
        let request = Request {
            variables: HostVariables::of(user, "127.0.0.1", self.now),
            catalogue: &self.catalogue,
            settings: &self.settings,
            templates: &Templates::default(),
            derivation: KeyDerivation::default(),
            client: Client::of(""),
        };
        render(&formats::LINKS, &request, &mut StdRng::seed_from_u64(0)).body
    }
}

/// Returns the user without the owner, which links don't contain.
fn domain_user(user: &ConvertedUser) -> User {
    let ConvertedUser { account, traffic, fetch } = user;
    let moment = |micros: Option<i64>| micros.map(Moment::from_micros);
    let fields = ExpiryFields {
        date: moment(account.expire_date),
        duration: account.usage_duration,
        deadline: moment(account.activation_deadline),
    };
    let (expiry, unused_expiry) = Expiry::from_columns(&account.expire_strategy, fields);
    User {
        username: account.username.clone(),
        enabled: account.enabled,
        activated: account.activated,
        removed: account.removed,
        expiry,
        unused_expiry,
        data_limit: traffic.data_limit,
        reset_strategy: ResetStrategy::from_word(&traffic.data_limit_reset_strategy).unwrap_or(ResetStrategy::NoReset),
        used_traffic: traffic.used_traffic,
        lifetime_used_traffic: traffic.lifetime_used_traffic,
        online_at: moment(traffic.online_at),
        traffic_reset_at: moment(traffic.traffic_reset_at),
        note: account.note.clone(),
        edit_at: moment(account.edit_at),
        sub_revoked_at: moment(account.sub_revoked_at),
        sub_updated_at: fetch.as_ref().map(|fetch| Moment::from_micros(fetch.fetched_at)),
        sub_last_user_agent: fetch.as_ref().map(|fetch| fetch.user_agent.clone()),
        ..User::bare(UserId(account.id), "", &account.key, Moment::from_micros(account.created_at))
    }
}
