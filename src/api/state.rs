//! The state that all handlers share, and the settings it is made from.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use poem::{FromRequest, Request, RequestBody};
use rand::{CryptoRng, RngExt};

use crate::actions::Panel;
use crate::actions::attempt_limiter::AttemptLimiter;
use crate::actions::fetch_log::FetchLog;
use crate::actions::lookups::Lookups;
use crate::actions::recent::{MAX_AGE, Recent, Rings};
use crate::actions::subscriptions::{RenderContext, SourceCache};
use crate::actions::users::totals::TotalCache;
use crate::cluster::shared_counters::SharedCounters;
use crate::cluster::view::ClusterView;
use crate::config::auth::AuthSettings;
use crate::config::http::HttpSettings;
use crate::config::secret::Secret;
use crate::config::subscription::SubscriptionSettings;
use crate::domain::admin::Admin;
use crate::domain::ids::AdminId;
use crate::domain::moment::SECOND;
use crate::store::stats::UserCounts;

use super::health_report::Health;
use super::http::admission::Admission;
use super::http::error::ApiError;
use super::http::rng::SharedRng;
use super::http::token::Signer;

/// What the handlers need. Take it as `state: &State`.
#[derive(Debug)]
pub struct State {
    /// The panel itself.
    pub panel: Panel,
    /// Settings.
    pub options: Options,
    /// The others.
    pub cluster: ClusterView,
    /// How the panel is.
    pub health: Health,
    /// Renders what was counted and measured.
    pub metrics: PrometheusHandle,
    /// Tokens.
    pub signer: Signer,
    /// Fetches of subscriptions that the database may not have yet: the app flushes it.
    pub fetches: FetchLog,
    /// What subscriptions are rendered from; `forget` it after every change of hosts, inbounds, services or settings.
    pub sources: SourceCache,
    /// Admins as requests name them.
    pub admins: Recent<String, Option<Admin>>,
    /// Users as requests name them.
    pub users: Lookups,
    /// A hash of what subscriptions depend on and no admin changes.
    pub render_context_revision: u128,
    /// How many users of what kind there are, by owner.
    pub user_counts: Recent<Option<AdminId>, UserCounts>,
    /// How many users the last lists had.
    pub totals: TotalCache,
    /// How often a subscription's link may be wrong.
    pub misses: AttemptLimiter,
    /// Places for requests.
    pub admission: Admission,
    /// Random digits and choices.
    pub rng: SharedRng,
    /// How often a password may be wrong.
    pub limiter: AttemptLimiter,
}

/// The settings that the API needs, and what was made of them.
#[derive(Clone, Debug)]
pub struct Options {
    /// How to answer.
    pub http: HttpSettings,
    /// So many requests are worked on at once.
    pub requests_at_once: usize,
    /// Signing in.
    pub auth: AuthSettings,
    /// Links and templates.
    pub subscription: SubscriptionSettings,
    /// What was found out about them at the start.
    pub render_context: RenderContext,
    /// What all hosts count together; `None`: each counts by itself.
    pub counters: Option<Arc<SharedCounters>>,
}

impl State {
    /// `rng` makes the secret that signs tokens, if the database has none yet.
    pub fn new(
        panel: Panel,
        options: Options,
        cluster: ClusterView,
        health: Health,
        metrics: PrometheusHandle,
        rng: &mut impl CryptoRng,
    ) -> Arc<Self> {
        let candidate = hex::encode(rng.random::<[u8; 32]>());
        let limiter = AttemptLimiter::new("password", options.auth.login_attempts_per_minute, options.counters.clone());
        let signer = Signer::new(Secret::new(candidate));
        let misses =
            AttemptLimiter::new("subscription", options.auth.subscription_misses_per_minute, options.counters.clone());
        let (fetches, sources, rng) = (FetchLog::default(), SourceCache::default(), SharedRng::new(rng));
        Arc::new(Self {
            render_context_revision: options.render_context.revision(),
            admission: Admission::new(options.requests_at_once),
            admins: Recent::new(MAX_AGE, Rings::All),
            users: Lookups::start(&panel, options.requests_at_once),
            user_counts: Recent::new(2 * SECOND, Rings::Own),
            totals: TotalCache::default(),
            panel,
            options,
            cluster,
            health,
            metrics,
            signer,
            limiter,
            fetches,
            sources,
            misses,
            rng,
        })
    }
}

impl<'a> FromRequest<'a> for &'a State {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let state = request.data::<Arc<State>>();
        Ok(state.map(AsRef::as_ref).ok_or_else(|| ApiError::internal("a route outside the boundary"))?)
    }
}
