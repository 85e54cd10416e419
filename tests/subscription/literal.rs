//! Short constructors of users, hosts and subscriptions for tests.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sarban::domain::credentials::KeyDerivation;
use sarban::domain::host::variables::HostVariables;
use sarban::domain::host::{Host, HostSpec};
use sarban::domain::ids::{HostId, InboundId, NodeId, ServiceId, UserId};
use sarban::domain::inbound::Inbound;
use sarban::domain::moment::{Moment, SECOND};
use sarban::domain::subscription_settings::SubscriptionSettings;
use sarban::domain::user::User;
use sarban::subscription::catalogue::{Catalogue, HostRow};
use sarban::subscription::client::Client;
use sarban::subscription::templates::Templates;
use sarban::subscription::{Format, Rendered, Request, render};

/// The time of every rendering: 2026-11-23T20:36:25Z.
pub const NOW: Moment = Moment::from_micros(1_795_466_185 * SECOND);

/// Returns the user `ann`, who has service 1 and no limits.
pub fn user() -> User {
    let key = "00000000000000000000000000000001";
    User { service_ids: vec![ServiceId(1)], ..User::bare(UserId(7), "ann", key, NOW) }
}

/// Returns a spec with this remark and the address `a.example`.
pub fn spec(remark: &str) -> HostSpec {
    HostSpec { remark: remark.to_owned(), address: "a.example".to_owned(), ..HostSpec::default() }
}

/// Returns a host of service 1, bound to an inbound with this protocol and configuration, or unbound.
pub fn row(id: i64, spec: HostSpec, inbound: Option<(&str, String)>) -> HostRow {
    let inbound = inbound.map(|(protocol, config)| Inbound {
        id: InboundId(id),
        node_id: NodeId(1),
        tag: format!("in{id}"),
        protocol: protocol.to_owned(),
        config,
    });
    HostRow {
        host: Host {
            id: HostId(id),
            inbound_id: inbound.as_ref().map(|inbound| inbound.id),
            is_disabled: false,
            universal: false,
            weight: 1,
            spec,
            service_ids: Vec::new(),
            chain_ids: Vec::new(),
        },
        inbound,
        service_ids: vec![ServiceId(1)],
    }
}

/// Renders a user's subscription with these settings.
pub fn rendered_with(format: &Format, user: &User, rows: Vec<HostRow>, settings: &SubscriptionSettings) -> String {
    rendered_by(format, user, rows, settings, "").body
}

/// Renders the subscription of [`user`] for a client with this User-Agent.
pub fn rendered_for(format: &Format, rows: Vec<HostRow>, user_agent: &str) -> Rendered {
    rendered_by(format, &user(), rows, &SubscriptionSettings::initial(), user_agent)
}

fn rendered_by(
    format: &Format,
    user: &User,
    rows: Vec<HostRow>,
    settings: &SubscriptionSettings,
    user_agent: &str,
) -> Rendered {
    let catalogue = Catalogue::new(rows);
    let request = Request {
        variables: HostVariables::of(user, "192.0.2.2", NOW),
        catalogue: &catalogue,
        settings,
        templates: &Templates::default(),
        derivation: KeyDerivation::Xxh128,
        client: Client::of(user_agent),
    };
    render(format, &request, &mut StdRng::seed_from_u64(7))
}

/// Renders the subscription of [`user`] with the initial settings.
pub fn rendered(format: &Format, rows: Vec<HostRow>) -> String {
    rendered_with(format, &user(), rows, &SubscriptionSettings::initial())
}
