//! Panels under test: real processes, each with its own proxies to the servers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::sync::Mutex;

use super::cover::{Cover, Need};
use super::disks::Disk;
use super::ports::free_port;
use super::programs::Programs;
use super::proxy::Proxy;
use super::servers::Server;

/// A process that serves subscriptions: a panel or an edge.
pub trait Serving: Send + Sync {
    fn name(&self) -> &str;
    fn port(&self) -> u16;
    fn is_edge(&self) -> bool;
    /// Locked by a fault of the process.
    fn process(&self) -> &Mutex<Option<Server>>;
    /// The disk with its copy.
    fn disk(&self) -> &Disk;
    fn cover(&self) -> &Arc<Cover>;
    /// Starts the process.
    fn spawn(&self) -> anyhow::Result<Server>;

    /// The file of its copy.
    fn copy(&self) -> PathBuf {
        self.disk().folder.join("subscriptions.copy")
    }
}

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
    disk: Disk,
}

/// Settings that all panels of a run share.
#[derive(Clone)]
pub struct Settings {
    pub programs: Arc<Programs>,
    pub folder: PathBuf,
    pub data: PathBuf,
    pub database_name: String,
    pub cluster: String,
    pub ttl: u64,
    /// The URL of Redis; `None` for the panel's own proxy.
    pub redis: Option<String>,
    /// Folder of the scheduled back-ups.
    pub back_up_to: PathBuf,
    /// False: the panels keep no copy.
    pub has_copies: bool,
    pub cover: Arc<Cover>,
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
            disk: Disk::create(settings.folder.join(format!("copy-{name}")), "16m")?,
            settings,
        })
    }

    fn start(&self) -> anyhow::Result<Server> {
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
            ("SUBSCRIPTION_COPY_DIR", self.disk.folder.display().to_string()),
            ("SUBSCRIPTION_COPY_MAX_AGE_HOURS", if settings.has_copies { "24" } else { "0" }.to_owned()),
            // Revoked links are asked for all the time, from one address.
            ("SUBSCRIPTION_MISSES_PER_MINUTE", "0".to_owned()),
            ("BACKUP_TO", settings.back_up_to.display().to_string()),
            ("BACKUP_PERIOD_HOURS", "1".to_owned()),
            ("BACKUP_KEEP", "0".to_owned()),
        ];
        start(&self.name, "serve", settings.programs.next(&self.name), &settings.folder, &environment)
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

impl Serving for Panel {
    fn name(&self) -> &str {
        &self.name
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn is_edge(&self) -> bool {
        false
    }

    fn process(&self) -> &Mutex<Option<Server>> {
        &self.process
    }

    fn disk(&self) -> &Disk {
        &self.disk
    }

    fn cover(&self) -> &Arc<Cover> {
        &self.settings.cover
    }

    fn spawn(&self) -> anyhow::Result<Server> {
        self.start()
    }
}

/// Starts the program with this environment and no other.
pub fn start(
    name: &str,
    command: &str,
    program: &Path,
    folder: &Path,
    environment: &[(&str, String)],
) -> anyhow::Result<Server> {
    let mut arguments = vec!["-i".to_owned()];
    arguments.extend(environment.iter().map(|(name, value)| format!("{name}={value}")));
    arguments.extend([program.display().to_string(), command.to_owned()]);
    Server::start("env", &arguments, folder, &folder.join(format!("{name}.log")), None)
}

/// Starts the process unless it runs.
pub fn ensure_running(server: &dyn Serving, process: &mut Option<Server>) -> anyhow::Result<()> {
    if process.as_mut().is_none_or(|process| !process.is_running()) {
        // Until it is ready, nothing is promised.
        let _starting =
            [Need::Process, Need::Copy, Need::Source].map(|need| server.cover().disturb(server.name(), need));
        *process = Some(server.spawn()?);
    }
    Ok(())
}

/// Sends SIGTERM and waits up to 12 s until the process has exited.
pub async fn terminate(server: &dyn Serving, process: &mut Option<Server>) -> anyhow::Result<()> {
    if let Some(mut running) = process.take() {
        running.signal(Signal::TERM);
        let ended = running.ended(Duration::from_secs(12)).await;
        if ended.is_err() {
            // It was killed.
            server.cover().forget(server.name(), super::fetches::IN_MEMORY);
        }
        return ended;
    }
    Ok(())
}
