//! A panel for one test, with a sudo admin `root`, and requests to it.

use std::net::IpAddr;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use metrics_exporter_prometheus::PrometheusBuilder;
use poem::listener::{Acceptor, Listener, TcpListener};
use rand::SeedableRng;
use rand::rngs::StdRng;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use sarban::actions::Panel;
use sarban::actions::use_log::UseLog;
use sarban::api;
use sarban::api::health_report::{Health, HealthReport, Part, SchedulerRole, Status};
use sarban::app::connections::{Connections, Limits};
use sarban::app::server::{self, Timeouts};
use sarban::app::{Machine, Wiring};
use sarban::clock::Clock;
use sarban::cluster::identity::Identity;
use sarban::cluster::view::ClusterView;
use sarban::config::Settings;
use sarban::domain::moment::Moment;
use sarban::domain::schedule::{Schedule, Task};
use sarban::store::Db;
use sarban::store::access::{admins, secrets};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// The secret that signs tokens. Tests use it to forge tokens.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Start of every test's clock: 2026-11-23T20:36:25, in unix microseconds.
pub const START: i64 = 1_795_466_185_000_000;

/// A running panel. Its server stops when it is dropped.
pub struct TestPanel {
    /// Database, clock and wake-up of the panel.
    pub panel: Panel,
    /// Uses of sessions that are not written yet.
    pub uses: UseLog,
    /// Uses of API tokens that are not written yet.
    pub token_uses: UseLog,
    base: String,
    client: Client,
    server: JoinHandle<()>,
}

/// A response with its complete body.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body: JSON, or text if it is not JSON, or null if it is empty.
    pub body: Value,
}

impl Drop for TestPanel {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl TestPanel {
    /// Starts a panel with the default settings.
    pub async fn start(db: Db) -> Self {
        Self::start_with(db, &[]).await
    }

    /// Starts a panel with these settings (names as in the environment).
    pub async fn start_with(db: Db, settings: &[(&str, &str)]) -> Self {
        let test = Self::open(db, settings).await;
        test.insert_admin("root", true).await;
        test
    }

    /// Starts a second panel on the database of `other`, like a second host.
    pub async fn beside(other: &Self, settings: &[(&str, &str)]) -> Self {
        Self::open(other.panel.db.clone(), settings).await
    }

    async fn open(db: Db, settings: &[(&str, &str)]) -> Self {
        Self::on_machine(db, settings, vec![IpAddr::from([192, 0, 2, 2])]).await
    }

    /// Starts a panel without admins on a machine with these addresses.
    pub async fn on_machine(db: Db, settings: &[(&str, &str)], addresses: Vec<IpAddr>) -> Self {
        let variables = settings.iter().map(|(name, value)| (name.into(), value.into()));
        let settings = Settings::load(variables, None, "test").expect("right settings");
        let clock = Clock::fixed(Moment::from_micros(START));
        secrets::jwt(&db, SECRET).await.expect("a secret");
        let machine = Machine { clock, rng: StdRng::seed_from_u64(1), cores: 2, addresses };
        let wiring = Wiring::new(&settings, db, machine).await.expect("right settings");
        let panel = wiring.panel.clone();
        let health = Health::new(|| HealthReport {
            status: Status::Ok,
            database: Part::Ok,
            database_reason: None,
            copy_reason: None,
            redis: Part::Off,
            scheduler: SchedulerRole::Leader,
        });
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let schedules = Task::ALL.map(|task| Schedule { task, period: 30_000_000 }).to_vec();
        let cluster = ClusterView::alone("test".to_owned(), Identity::new("host".to_owned()), schedules);
        let connections = Connections::new(Limits::of(1_000), settings.http.trusted_proxies.clone());
        let state = wiring.api(cluster, health, metrics);
        let uses = state.caches.session_uses.clone();
        let token_uses = state.caches.token_uses.clone();
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.expect("a free port");
        let base = acceptor.local_addr()[0].to_string();
        let server =
            server::serve(acceptor, connections, api::routes(state), Timeouts::default(), std::future::pending());
        let server = tokio::spawn(server);
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
        Self { panel, uses, token_uses, base, client: client.expect("a client"), server }
    }

    /// Inserts an admin whose password is its name followed by `pass`. The hash has the lowest cost, because the panel's
    /// own hashing takes seconds in a debug build.
    pub async fn insert_admin(&self, name: &str, is_sudo: bool) {
        let hash = bcrypt::hash(format!("{name}pass"), 4).expect("a hash");
        let mut tx = self.panel.db.begin().await.expect("a transaction");
        admins::insert(&mut tx, name, &hash, is_sudo, self.panel.clock.now()).await.expect("a new admin");
        tx.commit().await.expect("committed");
    }

    /// Returns an absolute URL of the panel.
    pub fn url(&self, path: &str) -> String {
        let base = self.base.trim_start_matches("socket://");
        format!("http://{base}{path}")
    }

    /// Returns the address that the panel listens on.
    pub fn address(&self) -> &str {
        self.base.trim_start_matches("socket://")
    }

    /// Starts a request without a token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// Returns a token for the admin `name`, as the panel would sign it.
    pub fn token_of(&self, name: &str) -> String {
        let now = self.panel.clock.now().seconds();
        forge(&json!({"sub": name, "access": "sudo", "iat": now, "exp": now + 600}), SECRET, Algorithm::HS256)
    }

    /// Sends a GET as the admin `by`.
    pub async fn get(&self, by: &str, path: &str) -> Answer {
        send(self.request(Method::GET, path).bearer_auth(self.token_of(by))).await
    }

    /// Sends a DELETE as the admin `by`.
    pub async fn delete(&self, by: &str, path: &str) -> Answer {
        send(self.request(Method::DELETE, path).bearer_auth(self.token_of(by))).await
    }

    /// Sends a POST with JSON as the admin `by`.
    pub async fn post(&self, by: &str, path: &str, body: Value) -> Answer {
        send(self.request(Method::POST, path).bearer_auth(self.token_of(by)).json(&body)).await
    }

    /// Sends a PUT with JSON as the admin `by`.
    pub async fn put(&self, by: &str, path: &str, body: Value) -> Answer {
        send(self.request(Method::PUT, path).bearer_auth(self.token_of(by)).json(&body)).await
    }

    /// Sends a PATCH with JSON as the admin `by`.
    pub async fn patch(&self, by: &str, path: &str, body: Value) -> Answer {
        send(self.request(Method::PATCH, path).bearer_auth(self.token_of(by)).json(&body)).await
    }
}

/// Signs a token with any claims, secret and algorithm.
pub fn forge(claims: &Value, secret: &str, algorithm: Algorithm) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).expect("a token")
}

/// Sends a request and reads the response.
pub async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.expect("a body");
    let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
    Answer { status, headers, body }
}

impl Answer {
    /// Returns the body of a 200; panics for any other status.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.body
    }

    /// Asserts that this is an error of that status with a text.
    #[track_caller]
    pub fn refused(&self, status: u16) {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert!(self.body["detail"].is_string(), "{}", self.body);
    }

    /// Asserts that this is a 422 with exactly these fields, in alphabetical order.
    #[track_caller]
    pub fn wrong_fields(&self, expected: &[&str]) {
        assert_eq!(self.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", self.body);
        let detail = self.body["detail"].as_object().unwrap_or_else(|| panic!("no object: {}", self.body));
        assert_eq!(detail.keys().collect::<Vec<_>>(), expected);
    }

    /// Returns a header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}
