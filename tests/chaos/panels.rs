//! Panels under test: real processes, each with its own proxies to the servers.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::sync::Mutex;

use super::ports::free_port;
use super::proxy::Proxy;
use super::servers::Server;

/// A panel. Its name is the host in the lease when it leads.
pub struct Panel {
    pub name: String,
    pub port: u16,
    pub database: Proxy,
    pub redis: Proxy,
    /// Locked by a fault of the process.
    pub process: Mutex<Option<Server>>,
    /// Locked by a fault of the connections to the database.
    pub database_way: Mutex<()>,
    /// Locked by a fault of the connections to Redis.
    pub redis_way: Mutex<()>,
    pub settings: Settings,
}

/// Settings that all panels of a run share.
#[derive(Clone)]
pub struct Settings {
    pub program: PathBuf,
    pub folder: PathBuf,
    pub data: PathBuf,
    pub database_name: String,
    pub cluster: String,
    pub ttl: u64,
    /// The URL of Redis; `None` for the panel's own proxy.
    pub redis: Option<String>,
}

impl Panel {
    pub async fn new(name: &str, settings: Settings, postgres: u16, redis: u16) -> anyhow::Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            port: free_port(),
            database: Proxy::start(postgres).await?,
            redis: Proxy::start(redis).await?,
            process: Mutex::new(None),
            database_way: Mutex::new(()),
            redis_way: Mutex::new(()),
            settings,
        })
    }

    /// Starts the process.
    pub fn spawn(&self) -> anyhow::Result<Server> {
        let settings = &self.settings;
        let redis = settings.redis.clone().unwrap_or_else(|| format!("redis://127.0.0.1:{}", self.redis.port));
        let database = format!("postgresql://postgres@127.0.0.1:{}/{}", self.database.port, settings.database_name);
        let environment = [
            ("SQLALCHEMY_DATABASE_URL", database),
            ("SQLALCHEMY_CONNECTION_POOL_SIZE", "5".to_owned()),
            ("REDIS_URL", redis),
            ("CLUSTER_NAME", settings.cluster.clone()),
            ("INSTANCE_NAME", self.name.clone()),
            ("LEASE_TTL_SECONDS", settings.ttl.to_string()),
            ("TASKS_RECORD_USER_USAGES_INTERVAL", "1".to_owned()),
            ("TASKS_REVIEW_USERS_INTERVAL", "1".to_owned()),
            // A panel that is killed breaks calls off, many times within the usual interval.
            ("NODE_HEALING_INTERVAL_SECONDS", "1".to_owned()),
            ("UVICORN_WORKERS", "2".to_owned()),
            ("UVICORN_HOST", "127.0.0.1".to_owned()),
            ("UVICORN_PORT", self.port.to_string()),
            ("DATA_DIR", settings.data.display().to_string()),
        ];
        let mut arguments = vec!["-i".to_owned()];
        arguments.extend(environment.map(|(name, value)| format!("{name}={value}")));
        arguments.extend([settings.program.display().to_string(), "serve".to_owned()]);
        let log = settings.folder.join(format!("{}.log", self.name));
        Server::start("env", &arguments, &settings.folder, &log, None)
    }

    /// Returns the health report, or `None` if the panel does not answer within 2 s.
    pub async fn health(&self, http: &reqwest::Client) -> Option<Value> {
        let url = format!("http://127.0.0.1:{}/health/ready", self.port);
        http.get(url).timeout(Duration::from_secs(2)).send().await.ok()?.json().await.ok()
    }
}

impl Panel {
    /// True if the panel is ready to serve, with or without Redis.
    pub async fn is_ready(&self, http: &reqwest::Client) -> bool {
        let url = format!("http://127.0.0.1:{}/health/ready", self.port);
        let answer = http.get(url).timeout(Duration::from_secs(2)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }
}

/// Starts the process unless it runs.
pub fn ensure_running(panel: &Panel, process: &mut Option<Server>) -> anyhow::Result<()> {
    if process.as_mut().is_none_or(|server| !server.is_running()) {
        *process = Some(panel.spawn()?);
    }
    Ok(())
}

/// Sends SIGTERM and waits up to 12 s until the process has exited.
pub async fn terminate(process: &mut Option<Server>) -> anyhow::Result<()> {
    if let Some(mut server) = process.take() {
        server.signal(Signal::TERM);
        server.ended(Duration::from_secs(12)).await?;
    }
    Ok(())
}
