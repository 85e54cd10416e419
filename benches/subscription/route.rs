//! A complete request: its permit, its route, its user from a SQLite database, the entity tag, the headers and the
//! body. No cache helps: each request has another user, and there are more users than the caches hold.
//!
//! Measured in CPU time of the process, with SQLite's threads, per request, with 32 requests at once, on the number of
//! workers that a panel has on this machine.

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use futures_util::future::join_all;
use metrics_exporter_prometheus::PrometheusBuilder;
use poem::{Endpoint, Request, Response};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rustix::time::{ClockId, clock_gettime};
use sarban::api;
use sarban::api::health_report::{Health, HealthReport, Part, SchedulerRole, Status};
use sarban::app::{Machine, Wiring};
use sarban::clock::Clock;
use sarban::cluster::identity::Identity;
use sarban::cluster::view::ClusterView;
use sarban::config::Settings;
use sarban::config::cores::Cores;
use sarban::config::database_url::DatabaseUrl;
use sarban::domain::moment::DAY;
use sarban::domain::workers::Workers;
use sarban::store::migrate;
use sarban::store::{Db, OpenOptions, Tx};
use sarban::subscription::Format;
use sqlx::{AssertSqlSafe, query, raw_sql};
use tokio::runtime::{Builder, Runtime};

use super::panel::{Names, hosts};

const USERS: usize = 20_000;
const AT_ONCE: usize = 32;

pub fn formats(criterion: &mut Criterion) {
    let workers = Workers::plan(Cores::detect().whole(), None, false).threads;
    let runtime = Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap();
    PrometheusBuilder::new().install_recorder().unwrap();
    for hosts in [20, 200] {
        let folder = tempfile::tempdir().unwrap();
        let panel = runtime.block_on(BenchPanel::open(&folder.path().join("panel.sqlite3"), hosts));
        for name in Format::client_types() {
            let mut group = criterion.benchmark_group(format!("route/{name}"));
            group.bench_function(BenchmarkId::from_parameter(hosts), |bencher| {
                bencher.iter_custom(|requests| panel.answer(&runtime, name, requests));
            });
        }
        runtime.block_on(panel.db.close());
    }
}

/// A panel that answers requests for subscriptions.
struct BenchPanel<E> {
    db: Db,
    routes: Arc<E>,
    next: Arc<AtomicUsize>,
}

impl BenchPanel<()> {
    async fn open(path: &std::path::Path, hosts: i64) -> BenchPanel<impl Endpoint<Output = Response> + 'static> {
        let settings = Settings::load(std::iter::empty(), None, "bench").unwrap();
        let cores = Cores::detect().whole();
        let db = Db::open(&OpenOptions {
            url: DatabaseUrl::Sqlite { path: path.to_owned() },
            connections: settings.database.open_connections(cores),
            statement_cache: 100,
            application_name: "bench".to_owned(),
            acquire_timeout: Duration::from_secs(30),
            statement_timeout: Duration::from_secs(600),
            busy_timeout: Duration::from_secs(5),
            read_only: false,
        })
        .await
        .unwrap();
        migrate::migrate(&db).await.unwrap();
        fill(&db, hosts).await;
        let (clock, rng) = (Clock::real(), StdRng::seed_from_u64(1));
        let machine = Machine { clock, rng, cores, addresses: vec![IpAddr::from([127, 0, 0, 1])] };
        let wiring = Wiring::new(&settings, db.clone(), machine).await.unwrap();
        let health = Health::new(|| HealthReport {
            status: Status::Ok,
            database: Part::Ok,
            database_reason: None,
            copy_reason: None,
            redis: Part::Off,
            scheduler: SchedulerRole::Leader,
        });
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let cluster = ClusterView::alone("bench".to_owned(), Identity::new("host".to_owned()), Vec::new());
        let state = wiring.api(cluster, health, metrics);
        BenchPanel { db, routes: Arc::new(api::routes(state)), next: Arc::default() }
    }
}

impl<E: Endpoint<Output = Response> + 'static> BenchPanel<E> {
    /// Sends this number of requests and returns the CPU time that they took.
    fn answer(&self, runtime: &Runtime, format: &'static str, requests: u64) -> Duration {
        let left = Arc::new(AtomicUsize::new(requests as usize));
        let began = cpu_time();
        runtime.block_on(join_all((0..AT_ONCE).map(|_| {
            let (left, next, routes) = (left.clone(), self.next.clone(), self.routes.clone());
            let client = async move {
                while left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
                    let id = 1 + next.fetch_add(1, Relaxed) % USERS;
                    let request = Request::builder().uri_str(format!("/sub/user{id}/{id:032x}/{format}"));
                    let request = request.header("user-agent", "v2rayNG/1.8.17").header("host", "panel.example");
                    let response = routes.get_response(request.finish()).await;
                    assert!(response.is_success(), "{}", response.status());
                    black_box(response.into_body().into_bytes().await.unwrap());
                }
            };
            async { runtime.spawn(client).await.unwrap() }
        })));
        cpu_time() - began
    }
}

/// Returns the user and system time of this process.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Inserts users, hosts, and a service with all inbounds for all users.
async fn fill(db: &Db, count: i64) {
    let users = format!(
        "INSERT INTO services (id, name) VALUES (1, 'all');
         WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < {USERS})
         INSERT INTO users (id, username, key, activated, expire_strategy, expire_date, created_at)
         SELECT id, 'user' || id, printf('%032x', id), TRUE, 'fixed_date', {}, 0 FROM n;
         INSERT INTO user_traffic (user_id, data_limit, used_traffic, created_at)
         SELECT id, {}, {}, 0 FROM users;
         INSERT INTO users_services (user_id, service_id) SELECT id, 1 FROM users;",
        Clock::real().now().plus(20 * DAY).micros(),
        50_i64 << 30,
        7_i64 << 30,
    );
    let mut tx = db.begin().await.unwrap();
    let Tx::Lite { tx: lite, .. } = &mut tx else { unreachable!("the benchmark runs on SQLite") };
    raw_sql(AssertSqlSafe(users)).execute(&mut **lite).await.unwrap();
    for row in hosts(count, Names::Several) {
        let (host, inbound) = (row.host, row.inbound.unwrap());
        query("INSERT INTO inbounds (id, node_id, tag, protocol, config) VALUES ($1, $2, $3, $4, $5)")
            .bind(inbound.id.0)
            .bind(inbound.node_id.0)
            .bind(inbound.tag)
            .bind(inbound.protocol)
            .bind(inbound.config)
            .execute(&mut **lite)
            .await
            .unwrap();
        query("INSERT INTO hosts (id, inbound_id, weight, spec) VALUES ($1, $2, $3, $4)")
            .bind(host.id.0)
            .bind(host.inbound_id.map(|id| id.0))
            .bind(host.weight)
            .bind(serde_json::to_string(&host.spec).unwrap())
            .execute(&mut **lite)
            .await
            .unwrap();
    }
    raw_sql("INSERT INTO inbounds_services (inbound_id, service_id) SELECT id, 1 FROM inbounds; ANALYZE")
        .execute(&mut **lite)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}
