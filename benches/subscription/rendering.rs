//! Rendering, entity tags and headers: pure functions, in wall time on one thread.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sarban::domain::credentials::KeyDerivation;
use sarban::domain::host::variables::HostVariables;
use sarban::domain::subscription_settings::SubscriptionSettings;
use sarban::domain::user::User;
use sarban::subscription::catalogue::Catalogue;
use sarban::subscription::client::Client;
use sarban::subscription::client_rules::ClientRules;
use sarban::subscription::etag::etag;
use sarban::subscription::headers::headers;
use sarban::subscription::templates::Templates;
use sarban::subscription::{Request, formats, render};

use super::panel::{NOW, Names, hosts, user};

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
        client: Client::of("SFA/1.12.0 (570; sing-box 1.12.0; language de)"),
    }
}

pub fn formats(criterion: &mut Criterion) {
    let (user, settings, templates) = (user(), SubscriptionSettings::initial(), Templates::default());
    for format in formats::ALL {
        let mut group = criterion.benchmark_group(format.client_type);
        let counts: &[i64] = if format.client_type == formats::XRAY.client_type { &[20, 40, 200] } else { &[20, 200] };
        for &count in counts {
            let catalogue = Catalogue::new(hosts(count, Names::Several));
            // A new request each time, because a request caches the values that templates name.
            let request = || request(&user, &catalogue, &settings, &templates);
            let mut chance = StdRng::seed_from_u64(1);
            group.throughput(Throughput::Bytes(render(format, &request(), &mut chance).body.len() as u64));
            group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
                bencher.iter(|| render(format, &black_box(request()), &mut chance));
            });
        }
    }
}

/// A response without its body: the entity tag and the headers.
pub fn without_body(criterion: &mut Criterion) {
    let (user, settings, templates) = (user(), SubscriptionSettings::initial(), Templates::default());
    let mut group = criterion.benchmark_group("without body");
    for count in [20, 200] {
        let catalogue = Catalogue::new(hosts(count, Names::One));
        let request = || request(&user, &catalogue, &settings, &templates);
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                let tag = etag(&formats::LINKS, &black_box(request()), 7);
                (
                    tag,
                    headers(
                        &user,
                        &settings,
                        black_box("https://panel.example/sub/ann/0123456789abcdef0123456789abcdef"),
                        request().client,
                    ),
                )
            });
        });
    }
}

pub fn rules(criterion: &mut Criterion) {
    let rules = ClientRules::new(&SubscriptionSettings::initial().rules);
    criterion.bench_function("client rules", |bencher| bencher.iter(|| rules.result(black_box("v2rayNG/1.8.17"))));
}
