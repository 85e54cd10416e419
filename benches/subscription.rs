//! How long a subscription takes to render, in every format, with 20 and with 200 hosts, and how long an answer to a
//! program that has it already, where nothing is rendered.
//!
//! `cargo bench --bench subscription`; the house's aims: 25 µs for 20 hosts as links, 250 µs for 55 kB of Xray, which is
//! what 40 of these hosts make.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark may panic")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sarban::domain::credentials::KeyDerivation;
use sarban::domain::host::{Host, HostSpec};
use sarban::domain::host_variables::HostVariables;
use sarban::domain::ids::{HostId, InboundId, NodeId, ServiceId, UserId};
use sarban::domain::inbound::Inbound;
use sarban::domain::moment::{DAY, Moment, SECOND};
use sarban::domain::subscription_settings::SubscriptionSettings;
use sarban::domain::user::{Expiry, ResetStrategy, User};
use sarban::subscription::catalogue::{Catalogue, HostRow};
use sarban::subscription::client::ClientRules;
use sarban::subscription::etag::etag;
use sarban::subscription::headers::headers;
use sarban::subscription::templates::Templates;
use sarban::subscription::{Format, Request, render};

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW: Moment = Moment::from_micros(1_795_466_185 * SECOND);

fn user() -> User {
    User {
        id: UserId(7),
        username: Some("ann".to_owned()),
        key: "0123456789abcdef0123456789abcdef".to_owned(),
        owner: None,
        enabled: true,
        activated: true,
        removed: false,
        expiry: Expiry::FixedDate(NOW.plus(20 * DAY)),
        usage_duration: None,
        data_limit: Some(50 << 30),
        reset_strategy: ResetStrategy::NoReset,
        used_traffic: 7 << 30,
        lifetime_used_traffic: 7 << 30,
        online_at: None,
        traffic_reset_at: None,
        note: None,
        created_at: NOW,
        edit_at: None,
        sub_revoked_at: None,
        sub_updated_at: None,
        sub_last_user_agent: None,
        service_ids: vec![ServiceId(1)],
    }
}

/// How many names a host chooses from. Where chance chooses, no answer has a tag.
#[derive(Clone, Copy)]
enum Names {
    Several,
    One,
}

/// A mixture as panels have it: three protocols over four transports, and every tenth one WireGuard or Shadowsocks.
fn catalogue(count: i64, names: Names) -> Catalogue {
    let (sni, host_header) = match names {
        Names::Several => (r#""a.example", "b.example""#, "*.cdn.example"),
        Names::One => (r#""a.example""#, "a.cdn.example"),
    };
    let row = |id: i64| {
        let (protocol, network) = match id % 10 {
            8 => ("shadowsocks", ""),
            9 => ("wireguard", ""),
            other => (
                ["vless", "vmess", "trojan"][other as usize % 3],
                ["tcp", "ws", "grpc", "httpupgrade"][other as usize % 4],
            ),
        };
        let path = if protocol == "wireguard" { "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=" } else { "/path" };
        let config = format!(
            r#"{{"port": 443, "network": "{network}", "tls": "{}", "sni": [{sni}], "fp": "chrome",
                "host": ["{host_header}"], "path": "{path}", "address": "10.0.0.1/16",
                "pbk": "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA", "sid": "aa11"}}"#,
            if network == "tcp" { "reality" } else { "tls" },
        );
        let spec = HostSpec {
            remark: format!("🇩🇪 {id} {{USERNAME}} [{{PROTOCOL}} - {{TRANSPORT}}] {{DAYS_LEFT}}d {{DATA_LEFT}}"),
            address: format!("node{id}.example.com"),
            ..HostSpec::default()
        };
        HostRow {
            host: Host {
                id: HostId(id),
                inbound_id: Some(InboundId(id)),
                is_disabled: false,
                universal: false,
                weight: id % 7,
                spec,
                service_ids: Vec::new(),
                chain_ids: Vec::new(),
            },
            inbound: Some(Inbound {
                id: InboundId(id),
                node_id: NodeId(1),
                tag: format!("in{id}"),
                protocol: protocol.to_owned(),
                config,
            }),
            service_ids: vec![ServiceId(1)],
        }
    };
    Catalogue::new((1..=count).map(row).collect())
}

fn request<'a>(
    user: &'a User,
    catalogue: &'a Catalogue,
    settings: &'a SubscriptionSettings,
    templates: &'a Templates,
) -> Request<'a> {
    Request {
        variables: HostVariables::of(user, "192.0.2.1", NOW),
        catalogue,
        settings,
        templates,
        derivation: KeyDerivation::Xxh128,
        user_agent: "SFA/1.12.0 (570; sing-box 1.12.0; language de)",
    }
}

fn formats(criterion: &mut Criterion) {
    let (user, settings, templates) = (user(), SubscriptionSettings::initial(), Templates::default());
    for (name, format) in [
        ("links", Format::Links),
        ("base64", Format::Base64Links),
        ("xray", Format::Xray),
        ("sing-box", Format::SingBox),
        ("clash", Format::Clash),
        ("clash-meta", Format::ClashMeta),
        ("wireguard", Format::WireGuard),
    ] {
        let mut group = criterion.benchmark_group(name);
        let counts: &[i64] = if format == Format::Xray { &[20, 40, 200] } else { &[20, 200] };
        for &count in counts {
            let catalogue = catalogue(count, Names::Several);
            // A new one each time: a request works out only once what templates name.
            let request = || request(&user, &catalogue, &settings, &templates);
            let mut chance = StdRng::seed_from_u64(1);
            group.throughput(Throughput::Bytes(render(format, &request(), &mut chance).body.len() as u64));
            group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
                bencher.iter(|| render(format, &black_box(request()), &mut chance));
            });
        }
    }
}

/// What an answer costs besides its text: the tag, by which one that is there already is known, and the headers.
fn known(criterion: &mut Criterion) {
    let (user, settings, templates) = (user(), SubscriptionSettings::initial(), Templates::default());
    let mut group = criterion.benchmark_group("known already");
    for count in [20, 200] {
        let catalogue = catalogue(count, Names::One);
        let request = || request(&user, &catalogue, &settings, &templates);
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                let tag = etag(Format::Links, &black_box(request()), 7);
                (
                    tag,
                    headers(
                        &user,
                        &settings,
                        black_box("https://panel.example/sub/ann/0123456789abcdef0123456789abcdef"),
                    ),
                )
            });
        });
    }
}

fn rules(criterion: &mut Criterion) {
    let rules = ClientRules::new(&SubscriptionSettings::initial().rules);
    criterion.bench_function("which program", |bencher| bencher.iter(|| rules.result(black_box("v2rayNG/1.8.17"))));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(40);
    targets = formats, known, rules
}
criterion_main!(benches);
