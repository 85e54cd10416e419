//! The state that all handlers share, and the settings it is made from.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use poem::{FromRequest, Request, RequestBody};
use rand::{CryptoRng, RngExt};
use tokio_util::sync::CancellationToken;

use crate::actions::Panel;
use crate::actions::attempt_limiter::AttemptLimiter;
use crate::actions::caches::Caches;
use crate::actions::copy::LocalCopy;
use crate::actions::fetch_log::FetchLog;
use crate::actions::sign_in_limits::SignInLimits;
use crate::actions::subscriptions::RenderContext;
use crate::cluster::shared_counters::SharedCounters;
use crate::cluster::shared_sets::SharedSets;
use crate::cluster::view::ClusterView;
use crate::config::auth::AuthSettings;
use crate::config::http::HttpSettings;
use crate::config::secret::Secret;
use crate::config::subscription::SubscriptionSettings;
use crate::notify::TelegramApi;

use super::admin_pages::AdminPages;
use super::charts::Charts;
use super::health_report::Health;
use super::http::admission::Admission;
use super::http::byte_budget::BodyMemory;
use super::http::error::ApiError;
use super::http::rng::SharedRng;
use super::http::streams::Streams;
use super::http::token::Signer;
use super::subscription::turns::Turns;

/// The state of all handlers, which take it as `state: &State`.
#[derive(Debug)]
pub struct State {
    /// Database, clock, nodes and notifications.
    pub panel: Panel,
    /// Settings.
    pub options: Options,
    /// Members, leader and tasks of the cluster.
    pub cluster: ClusterView,
    /// Source of the health report.
    pub health: Health,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// Signs and checks tokens.
    pub signer: Signer,
    /// Cached users, admins, hosts and counts, and the log of subscription fetches.
    pub caches: Caches,
    /// The first pages of all admins.
    pub(in crate::api) admin_pages: AdminPages,
    /// Hash of the templates and settings that subscriptions depend on and no admin can change.
    pub render_context_revision: u128,
    /// Limits wrong subscription links.
    pub misses: AttemptLimiter,
    /// Limits wrong API tokens.
    pub token_attempts: AttemptLimiter,
    /// Turns of expensive renderings.
    pub turns: Turns,
    /// Limits concurrent requests.
    pub admission: Admission,
    /// Bounds the memory of request bodies.
    pub body_memory: BodyMemory,
    /// Random number generators of requests.
    pub rng: SharedRng,
    /// Limits wrong passwords.
    pub limits: SignInLimits,
    /// Streams of change events that clients follow.
    pub event_streams: Streams,
    /// Logs of engines that clients follow.
    pub log_streams: Streams,
    /// Turns of charts that read much.
    pub charts: Charts,
    /// Cancelled when this process begins to stop: what would go on by itself ends.
    pub stopping: CancellationToken,
}

/// The settings of the API, and values derived from them.
#[derive(Clone, Debug)]
pub struct Options {
    /// HTTP settings.
    pub http: HttpSettings,
    /// Maximum number of concurrent requests.
    pub requests_at_once: usize,
    /// Settings of tokens and rate limits.
    pub auth: AuthSettings,
    /// `AUDIT_READS`.
    pub audit_reads: bool,
    /// True: users' hourly traffic is recorded (`DISABLE_RECORDING_NODE_USAGE` unset).
    pub user_hours: bool,
    /// `NOTIFY_REACHED_USAGE_PERCENT`.
    pub usage_percent: u32,
    /// Settings of subscription links and templates.
    pub subscription: SubscriptionSettings,
    /// Templates and addresses that were read at start.
    pub render_context: RenderContext,
    /// The local copy of what subscriptions need; `None` without one.
    pub copy: Option<LocalCopy>,
    /// True at an edge, and while the start waits for the database: subscriptions come from the copy alone.
    pub copy_only: bool,
    /// Subscription fetches that were noted while the start waited.
    pub fetches: FetchLog,
    /// Where Telegram's bots are reached, for tests of their settings.
    pub telegram: TelegramApi,
    /// Attempt counters shared by all hosts; `None` if each host counts by itself.
    pub counters: Option<Arc<SharedCounters>>,
    /// Networks of admins that all hosts remember; `None` if each host remembers by itself.
    pub sets: Option<Arc<SharedSets>>,
}

impl State {
    /// Creates the state. `rng` makes the secret that signs tokens, if the database has none.
    pub fn new(
        panel: Panel,
        options: Options,
        cluster: ClusterView,
        health: Health,
        metrics: PrometheusHandle,
        rng: &mut impl CryptoRng,
    ) -> Arc<Self> {
        let candidate = hex::encode(rng.random::<[u8; 32]>());
        let limits =
            SignInLimits::new(options.auth.login_attempts_per_minute, options.counters.clone(), options.sets.clone());
        let signer = Signer::new(Secret::new(candidate));
        let misses =
            AttemptLimiter::new("subscription", options.auth.subscription_misses_per_minute, options.counters.clone());
        let token_attempts =
            AttemptLimiter::new("token", options.auth.login_attempts_per_minute, options.counters.clone());
        let rng = SharedRng::new(rng);
        Arc::new(Self {
            render_context_revision: options.render_context.revision(),
            turns: Turns::default(),
            admission: Admission::new(options.requests_at_once),
            body_memory: BodyMemory::default(),
            caches: Caches::start(&panel, options.requests_at_once, options.fetches.clone()),
            admin_pages: AdminPages::new(&panel),
            panel,
            options,
            cluster,
            health,
            metrics,
            signer,
            limits,
            misses,
            token_attempts,
            rng,
            event_streams: Streams::of_events(),
            log_streams: Streams::of_logs(),
            charts: Charts::default(),
            stopping: CancellationToken::new(),
        })
    }

    /// Returns the state that the boundary attached to a request.
    pub(in crate::api) fn of(request: &Request) -> Result<&Arc<Self>, ApiError> {
        request.data().ok_or_else(|| ApiError::internal("a route outside of the boundary"))
    }
}

impl<'a> FromRequest<'a> for &'a State {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        Ok(State::of(request)?)
    }
}
