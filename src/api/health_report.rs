//! The health report that readiness probes receive. The app supplies it; the API publishes it.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// A source of health reports. Reading it is cheap: each probe does.
#[derive(Clone)]
pub struct Health {
    report: Arc<dyn Fn() -> HealthReport + Send + Sync>,
    is_draining: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// Health of this process and of the services it depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct HealthReport {
    /// Overall status.
    pub status: Status,
    /// Status of the database.
    pub database: Part,
    /// Why the database can't be used, or not for changes; absent while it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_reason: Option<&'static str>,
    /// Why the copy of an edge is not as it should be; absent while it is, and on a panel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy_reason: Option<&'static str>,
    /// Status of Redis.
    pub redis: Part,
    /// Leader, follower, or none while this process knows of no leader.
    pub scheduler: SchedulerRole,
}

/// Overall health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// No problems.
    Ok,
    /// Requests are served, but something else fails.
    Degraded,
    /// Requests must go to another host: the database is unreachable, or this process is stopping.
    Unavailable,
}

/// Health of a dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The dependency answers.
    Ok,
    /// The dependency is not configured.
    Off,
    /// The dependency answers, but changes fail.
    ReadOnly,
    /// The dependency does not answer.
    Down,
}

/// Leader, follower, or none while this process knows of no leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Place)]
pub enum SchedulerRole {
    /// This process holds the lease.
    Leader,
    /// Another process holds the lease.
    Follower,
    /// No process is known to hold the lease.
    None,
}

impl Health {
    /// Wraps a function that returns the current report.
    pub fn new(report: impl Fn() -> HealthReport + Send + Sync + 'static) -> Self {
        Self { report: Arc::new(report), is_draining: Arc::new(|| false) }
    }

    /// Adds a function that returns true while this process stops and still finishes requests. It is called for proxies
    /// that let such a process finish them.
    #[must_use]
    pub fn with_draining(self, is_draining: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { is_draining: Arc::new(is_draining), ..self }
    }

    /// Returns the current report.
    pub fn report(&self) -> HealthReport {
        (self.report)()
    }

    /// Returns true while this process stops and still finishes requests, for a proxy that then sends it no new ones.
    pub fn is_draining(&self) -> bool {
        (self.is_draining)()
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Health({:?})", self.report())
    }
}
