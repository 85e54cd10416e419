//! The environment of a run: servers, panels, a node that counts its bytes, and clients that change users.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rand::RngExt;
use rand::rngs::StdRng;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::backups::BackUps;
use super::cover::Cover;
use super::disks::Disk;
use super::edges::Edge;
use super::fetches::{Links, Record};
use super::panels::{Panel, Serving, Settings, ensure_running};
use super::programs::Programs;
use super::proxy::Proxy;
use super::servers::{Postgres, Redis, Sentinels};
use super::test_node::{Options, TestNode};
use super::witness::{Part, Witness};

/// The setup of a run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub panels: usize,
    pub ttl: Duration,
    pub sentinels: bool,
    /// No transaction is slowed down.
    pub calm: bool,
    /// Time that an engine of the node takes for a change of a user.
    pub engine: Duration,
    pub without: Option<Part>,
}

pub struct World {
    pub ttl: Duration,
    pub panels: Vec<Arc<Panel>>,
    pub edges: Vec<Arc<Edge>>,
    pub database_port: u16,
    pub postgres: Mutex<Postgres>,
    /// One server, or a master and its replica.
    pub redis: Mutex<Vec<Redis>>,
    pub sentinels: Option<Sentinels>,
    pub witness: Witness,
    pub node: TestNode,
    /// Between all panels and the node.
    pub node_proxy: Proxy,
    /// Locked by a fault of the connections to the node.
    pub node_way: Mutex<()>,
    pub http: reqwest::Client,
    /// Times from the end of a fault that left silent connections until a panel was ready, without a restart.
    pub recoveries: Lock<Vec<Duration>>,
    /// Faults of processes, in order.
    pub process_faults: Lock<Vec<ProcessFault>>,
    /// When servers are bound by what is promised for subscriptions.
    pub cover: Arc<Cover>,
    pub links: Links,
    pub fetches: Record,
    pub back_ups: Lock<BackUps>,
    /// Folders of back-ups that the leader makes, and that commands make.
    pub scheduled: PathBuf,
    pub by_hand: PathBuf,
    pub back_up_disk: Disk,
    pub service: Value,
    /// Number of users that were created, or were to be.
    pub users: AtomicU64,
    token: String,
    /// The disk of the spool.
    disk: Disk,
}

/// A process that was killed, terminated or stopped.
#[derive(Clone, Debug)]
pub struct ProcessFault {
    pub at: Instant,
    pub name: String,
    pub how: &'static str,
    /// True if the process led at that moment.
    pub was_leader: bool,
}

/// The longest time until a panel is ready after its connections are healed.
pub const RECOVERY: Duration = Duration::from_secs(30);

/// Number of edges.
const EDGES: usize = 2;

const NAMES: [&str; 5] = ["ann", "ben", "cyd", "dan", "eve"];

impl World {
    pub async fn build(plan: Plan, folder: &TempDir, bin: String, programs: Programs) -> Result<Self> {
        let root = folder.path();
        let mut postgres = Postgres::start(bin, root.join("postgres")).await?;
        let mut redis = vec![Redis::start(root.join("redis-0"), None).await?];
        let mut sentinels = None;
        if plan.sentinels {
            let master = redis[0].port;
            redis.push(Redis::start(root.join("redis-1"), Some(master)).await?);
            sleep(Duration::from_secs(1)).await;
            sentinels = Some(Sentinels::start(root, master).await?);
        }
        let disk = Disk::create(root.join("data"), "48m")?;
        let [scheduled, by_hand] = ["scheduled", "by-hand"].map(|name| root.join(name));
        std::fs::create_dir(&scheduled)?;
        std::fs::create_dir(&by_hand)?;
        let cover = Arc::new(Cover::default());
        let programs = Arc::new(programs);
        let settings = Settings {
            programs: programs.clone(),
            folder: root.to_owned(),
            data: disk.folder.clone(),
            database_name: "sarban".to_owned(),
            cluster: "chaos".to_owned(),
            ttl: plan.ttl.as_secs(),
            redis: sentinels.as_ref().map(|sentinels: &Sentinels| {
                let hosts: Vec<String> = sentinels.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
                format!("redis+sentinel://{}/main/0", hosts.join(","))
            }),
            back_up_to: scheduled.clone(),
            has_copies: plan.without != Some(Part::Copies),
            cover: cover.clone(),
        };
        let server = Witness::new(postgres.port, "postgres").await?;
        sqlx::raw_sql("CREATE DATABASE sarban").execute(&server.pool).await?;
        // The times of revocations are those of their commits.
        sqlx::raw_sql("ALTER SYSTEM SET track_commit_timestamp = on").execute(&server.pool).await?;
        server.pool.close().await;
        postgres.restart(Signal::INT).await?;
        migrate(&format!("postgresql://postgres@127.0.0.1:{}/sarban", postgres.port), root, &programs.program)?;
        let mut witness = Witness::new(postgres.port, "sarban").await?;
        witness.started = programs.began;
        witness.prepare(plan.without, plan.calm).await?;
        // Before a panel runs: another program may listen on the address of the node that a new database has.
        let node = TestNode::start(Options::default()).await?;
        // A call that is broken off leaves the node stuck with a user.
        node.slow_engines(plan.engine);
        let node_proxy = Proxy::start(node.address().port()).await?;
        sqlx::query("UPDATE nodes SET address = $1, port = $2")
            .bind("127.0.0.1")
            .bind(i64::from(node_proxy.port))
            .execute(&witness.pool)
            .await?;

        let mut panels = Vec::new();
        for name in &NAMES[..plan.panels] {
            panels.push(Arc::new(Panel::new(name, settings.clone(), postgres.port, redis[0].port).await?));
        }
        let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).no_proxy().build()?;
        let mut world = Self {
            ttl: plan.ttl,
            panels,
            edges: Vec::new(),
            database_port: postgres.port,
            postgres: Mutex::new(postgres),
            redis: Mutex::new(redis),
            sentinels,
            witness,
            node,
            node_proxy,
            node_way: Mutex::new(()),
            http,
            recoveries: Lock::default(),
            process_faults: Lock::default(),
            cover,
            links: Links::default(),
            fetches: Record::default(),
            back_ups: Lock::default(),
            scheduled,
            by_hand,
            back_up_disk: Disk::create(root.join("small"), "8m")?,
            service: Value::Null,
            users: AtomicU64::new(0),
            token: String::new(),
            disk,
        };
        world.wait_until_healthy().await?;
        world.create_content().await?;
        for number in 0..EDGES {
            let name = format!("edge-{number}");
            let token = world.run(&["token", "create", "-a", "root", "-n", &name, "-s", "edge:*"])?;
            world.edges.push(Arc::new(Edge::new(number, &world.panels, token).await?));
        }
        world.wait_until_healthy().await?;
        Ok(world)
    }

    /// True if disks can be filled.
    pub const fn has_small_disks(&self) -> bool {
        self.disk.can_be_filled()
    }

    /// False if the panels keep no copies.
    pub fn has_copies(&self) -> bool {
        self.panels[0].settings.has_copies
    }

    /// All panels and edges.
    pub fn servers(&self) -> Vec<&dyn Serving> {
        let panels = self.panels.iter().map(|panel| &**panel as &dyn Serving);
        panels.chain(self.edges.iter().map(|edge| &**edge as &dyn Serving)).collect()
    }

    /// Returns the status of an answer; `None` if there is none within 2 s.
    pub async fn status_of(&self, server: &dyn Serving, path: &str) -> Option<u16> {
        Some(self.ask(server, path).await?.status().as_u16())
    }

    /// Returns the health report of a server that is ready.
    pub async fn health_of(&self, server: &dyn Serving) -> Option<Value> {
        self.ask(server, "/health/ready").await?.json().await.ok()
    }

    /// Returns the value of a metric.
    pub async fn metric(&self, server: &dyn Serving, name: &str) -> Option<f64> {
        let text = self.ask(server, "/metrics").await?.text().await.ok()?;
        let line = text.lines().find(|line| line.split(['{', ' ']).next() == Some(name))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    async fn ask(&self, server: &dyn Serving, path: &str) -> Option<reqwest::Response> {
        let url = format!("http://127.0.0.1:{}{path}", server.port());
        self.http.get(url).timeout(Duration::from_secs(2)).send().await.ok()
    }

    /// Chooses the leader with a probability of 70 %, otherwise any panel.
    pub fn pick(&self, rng: &mut StdRng) -> Arc<Panel> {
        let leader = self.witness.leader();
        let leader = self.panels.iter().find(|panel| Some(&panel.name) == leader.as_ref());
        match leader {
            Some(leader) if rng.random_bool(0.7) => leader.clone(),
            _ => self.panels[rng.random_range(0..self.panels.len())].clone(),
        }
    }

    /// Ends the excuse of a fault after two times to live of the lease, within which its late effects occur.
    pub fn settle(&self, name: &str) {
        self.witness.excuse_for(name, self.ttl * 2);
    }

    /// Records a fault of a process, or of the way to the node.
    pub fn record_process_fault(&self, name: &str, how: &'static str) {
        let mut faults = self.process_faults.lock().unwrap_or_else(PoisonError::into_inner);
        let was_leader = self.witness.leader().as_deref() == Some(name);
        faults.push(ProcessFault { at: Instant::now(), name: name.to_owned(), how, was_leader });
    }

    pub async fn redis_command(&self, words: &[&str]) -> Result<bool> {
        let Ok(redis) = self.redis.try_lock() else { return Ok(false) };
        let port = match &self.sentinels {
            Some(sentinels) => sentinels.master().await?,
            None => redis[0].port,
        };
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut command = redis::cmd(words[0]);
        let _: redis::Value = command.arg(&words[1..]).query_async(&mut connection).await?;
        Ok(true)
    }

    /// Fills the spool's disk for `time`.
    pub async fn fill_spool(&self, time: Duration) -> Result<bool> {
        let Some(_filled) = self.disk.fill() else { return Ok(false) };
        sleep(time).await;
        Ok(true)
    }

    /// Waits until the panels are ready after a fault of their connections, and records how long the slowest took.
    pub async fn recover(&self, panels: &[&Panel]) {
        let healed = Instant::now();
        for panel in panels {
            while !panel.is_ready(&self.http).await && healed.elapsed() < RECOVERY * 4 {
                sleep(Duration::from_millis(50)).await;
            }
            let took = healed.elapsed();
            println!("{:7.1} s  {} is ready {} ms after healing", self.witness.seconds(), panel.name, took.as_millis());
            self.recoveries.lock().unwrap_or_else(PoisonError::into_inner).push(took);
        }
    }

    /// Starts the panels and edges that don't run, and waits until each is healthy: panels up to 30 s, edges, whose requests may have
    /// to time out first, up to 90 s.
    pub async fn wait_until_healthy(&self) -> Result<()> {
        for server in self.servers() {
            ensure_running(server, &mut *server.process().lock().await)?;
        }
        let began = Instant::now();
        for server in self.servers() {
            let limit = Duration::from_secs(if server.is_edge() { 90 } else { 30 });
            while self.health_of(server).await.is_none_or(|health| health["status"] != "ok") {
                let health = self.health_of(server).await;
                ensure!(began.elapsed() < limit, "{} is not healthy: {health:?}", server.name());
                sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Creates an admin, a service with all inbounds of the node, and 20 users.
    async fn create_content(&mut self) -> Result<()> {
        self.run(&["admin", "create", "-u", "root", "--sudo"])?;
        // The links of all users name them.
        const HOST: &str = r#"INSERT INTO hosts (universal, spec) VALUES (TRUE, '{"remark": "{USERNAME}", "address": "192.0.2.1",
            "protocol": "trojan", "network": "tcp", "port": 443, "password": "pw", "security": "tls"}')"#;
        sqlx::raw_sql(HOST).execute(&self.witness.pool).await?;
        let form = [("username", "root"), ("password", "rootpass")];
        let url = format!("http://127.0.0.1:{}/api/admins/token", self.panels[0].port);
        let token: Value = self.http.post(url).form(&form).send().await?.json().await?;
        self.token = token["access_token"].as_str().context("no token")?.to_owned();
        let end = Instant::now() + Duration::from_secs(20);
        let inbounds = loop {
            let page = self.call(&self.panels[0], "GET", "/api/inbounds", Value::Null).await?;
            let ids: Vec<Value> =
                page["items"].as_array().context("no page")?.iter().map(|it| it["id"].clone()).collect();
            if ids.len() == self.node.tags() {
                break ids;
            }
            ensure!(Instant::now() < end, "the node's inbounds did not appear within 20 s");
            sleep(Duration::from_millis(100)).await;
        };
        let service = json!({"name": "all", "inbound_ids": inbounds});
        self.service = self.call(&self.panels[0], "POST", "/api/services", service).await?["id"].clone();
        for _ in 0..20 {
            self.new_user(&self.panels[0]).await?;
        }
        Ok(())
    }

    /// Runs a command of the program; returns what it printed.
    fn run(&self, arguments: &[&str]) -> Result<String> {
        let settings = &self.panels[0].settings;
        let ran = Command::new(&settings.programs.program)
            .args(arguments)
            .env_clear()
            .current_dir(&settings.folder)
            .env("SQLALCHEMY_DATABASE_URL", format!("postgresql://postgres@127.0.0.1:{}/sarban", self.database_port))
            .env("SARBAN_ADMIN_PASSWORD", "rootpass")
            .output()?;
        ensure!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        Ok(String::from_utf8_lossy(&ran.stdout).trim().to_owned())
    }

    pub async fn call(&self, panel: &Panel, method: &str, path: &str, body: Value) -> Result<Value> {
        let url = format!("http://127.0.0.1:{}{path}", panel.port);
        let request = self.http.request(method.parse()?, url).bearer_auth(&self.token).json(&body);
        let answer = request.send().await?;
        let status = answer.status();
        let body: Value = answer.json().await?;
        if !status.is_success() {
            bail!("{path}: {status} {body}");
        }
        Ok(body)
    }

    /// Starts processes again that have exited, as a service manager does.
    pub async fn keep_running(self: Arc<Self>) {
        loop {
            for server in self.servers() {
                if let Ok(mut process) = server.process().try_lock() {
                    // A process that can't be started shows in the result of the run.
                    let _ = ensure_running(server, &mut process);
                }
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// Counts the users that the node lacks, has with a wrong key or wrong inbounds, or should not have, and those whom its
    /// engines have otherwise than its memory.
    pub async fn node_differences(&self) -> Result<usize> {
        const LIVE: &str = "SELECT id, key FROM users WHERE activated AND enabled AND NOT removed";
        let rows: Vec<(i64, String)> = sqlx::query_as(LIVE).fetch_all(&self.witness.pool).await?;
        let expected: BTreeMap<u32, String> =
            rows.into_iter().map(|(id, key)| Ok((u32::try_from(id)?, key))).collect::<Result<_>>()?;
        let users = self.node.users();
        let tags = self.node.tags();
        let is_right =
            |id: &u32, key: &String| users.get(id).is_some_and(|user| user.key == *key && user.tags.len() == tags);
        let missing = expected.iter().filter(|(id, key)| !is_right(id, key)).count();
        let extra = users.keys().filter(|id| !expected.contains_key(id)).count();
        Ok(missing + extra + self.node.apart().len())
    }
}

fn migrate(url: &str, folder: &Path, program: &Path) -> Result<()> {
    let migrated = Command::new(program)
        .arg("migrate")
        .env_clear()
        .current_dir(folder)
        .env("SQLALCHEMY_DATABASE_URL", url)
        .output()?;
    ensure!(migrated.status.success(), "not migrated: {}", String::from_utf8_lossy(&migrated.stderr));
    Ok(())
}
