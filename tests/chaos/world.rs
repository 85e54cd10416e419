//! The environment of a run: servers, panels, a node that counts its bytes, and clients that change users.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::panels::{Panel, Settings, ensure_running};
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
    pub without: Option<Part>,
}

pub struct World {
    pub ttl: Duration,
    pub panels: Vec<Arc<Panel>>,
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
    token: String,
    service: Value,
    users: AtomicU64,
    spool: PathBuf,
    /// The disk of the spool; `None` if this host permits no mount.
    disk: Option<Mount>,
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

/// A mounted disk of 48 MB, unmounted on drop.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The longest time until a panel is ready after its connections are healed.
pub const RECOVERY: Duration = Duration::from_secs(30);

const NAMES: [&str; 5] = ["ann", "ben", "cyd", "dan", "eve"];

impl World {
    pub async fn build(plan: Plan, folder: &TempDir, bin: String, program: PathBuf) -> Result<Self> {
        let root = folder.path();
        let postgres = Postgres::start(bin, root.join("postgres")).await?;
        let mut redis = vec![Redis::start(root.join("redis-0"), None).await?];
        let mut sentinels = None;
        if plan.sentinels {
            let master = redis[0].port;
            redis.push(Redis::start(root.join("redis-1"), Some(master)).await?);
            sleep(Duration::from_secs(1)).await;
            sentinels = Some(Sentinels::start(root, master).await?);
        }
        let data = root.join("data");
        std::fs::create_dir(&data)?;
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=48m", "sarban-chaos"]).arg(&data).output();
        let disk = mounted.is_ok_and(|done| done.status.success()).then(|| Mount(data.clone()));
        let settings = Settings {
            program: program.clone(),
            folder: root.to_owned(),
            data: data.clone(),
            database_name: "sarban".to_owned(),
            cluster: "chaos".to_owned(),
            ttl: plan.ttl.as_secs(),
            redis: sentinels.as_ref().map(|sentinels: &Sentinels| {
                let hosts: Vec<String> = sentinels.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
                format!("redis+sentinel://{}/main/0", hosts.join(","))
            }),
        };
        let server = Witness::new(postgres.port, "postgres").await?;
        sqlx::raw_sql("CREATE DATABASE sarban").execute(&server.pool).await?;
        server.pool.close().await;
        migrate(&format!("postgresql://postgres@127.0.0.1:{}/sarban", postgres.port), root, &program)?;
        let witness = Witness::new(postgres.port, "sarban").await?;
        witness.prepare(plan.without, plan.calm).await?;
        // Before a panel runs: another program may listen on the address of the node that a new database has.
        let node = TestNode::start(Options::default()).await?;
        // A call that is broken off leaves the node stuck with a user.
        node.slow_engines(Duration::from_millis(3));
        let node_proxy = Proxy::start(node.address().port()).await?;
        sqlx::query("UPDATE nodes SET address = $1, port = $2")
            .bind("127.0.0.1")
            .bind(i64::from(node_proxy.port))
            .execute(&witness.pool)
            .await?;
        tokio::spawn(witness.clone().watch());

        let mut panels = Vec::new();
        for name in &NAMES[..plan.panels] {
            panels.push(Arc::new(Panel::new(name, settings.clone(), postgres.port, redis[0].port).await?));
        }
        let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?;
        let mut world = Self {
            ttl: plan.ttl,
            panels,
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
            token: String::new(),
            service: Value::Null,
            users: AtomicU64::new(0),
            spool: data,
            disk,
        };
        world.wait_until_healthy().await?;
        world.create_content().await?;
        Ok(world)
    }

    /// True if the disk of the spool can be filled.
    pub const fn has_small_disk(&self) -> bool {
        self.disk.is_some()
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
        if self.disk.is_none() {
            return Ok(false);
        }
        let filler = self.spool.join("filler");
        if filler.exists() {
            return Ok(false);
        }
        // The write fails when the disk is full, which is the purpose.
        let _ = std::fs::write(&filler, vec![1; 64 * 1024 * 1024]);
        sleep(time).await;
        std::fs::remove_file(&filler)?;
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

    /// Starts the panels that don't run, and waits up to 30 s until each is healthy.
    pub async fn wait_until_healthy(&self) -> Result<()> {
        for panel in &self.panels {
            ensure_running(panel, &mut *panel.process.lock().await)?;
        }
        for panel in &self.panels {
            let end = Instant::now() + Duration::from_secs(30);
            while panel.health(&self.http).await.is_none_or(|health| health["status"] != "ok") {
                ensure!(Instant::now() < end, "{} is not healthy: {:?}", panel.name, panel.health(&self.http).await);
                sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Creates an admin, a service with all inbounds of the node, and 20 users.
    async fn create_content(&mut self) -> Result<()> {
        let settings = &self.panels[0].settings;
        let created = Command::new(&settings.program)
            .args(["admin", "create", "-u", "root", "--sudo"])
            .env_clear()
            .current_dir(&settings.folder)
            .env(
                "SQLALCHEMY_DATABASE_URL",
                format!("postgresql://postgres@127.0.0.1:{}/sarban", self.panels[0].database.port),
            )
            .env("SARBAN_ADMIN_PASSWORD", "rootpass")
            .output()?;
        ensure!(created.status.success(), "no admin: {}", String::from_utf8_lossy(&created.stderr));
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

    async fn new_user(&self, panel: &Panel) -> Result<()> {
        let number = self.users.fetch_add(1, Ordering::SeqCst);
        let user =
            json!({"username": format!("user_{number}"), "expire_strategy": "never", "service_ids": [self.service]});
        self.call(panel, "POST", "/api/users", user).await.map(drop)
    }

    async fn call(&self, panel: &Panel, method: &str, path: &str, body: Value) -> Result<Value> {
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
            for panel in &self.panels {
                if let Ok(mut process) = panel.process.try_lock() {
                    // A process that can't be started shows in the result of the run.
                    let _ = ensure_running(panel, &mut process);
                }
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// Changes users through random panels until the task is aborted. Requests may fail during faults.
    pub async fn change_users(self: Arc<Self>, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        loop {
            let panel = self.panels[rng.random_range(0..self.panels.len())].clone();
            let known = self.users.load(Ordering::SeqCst);
            let name = format!("user_{}", rng.random_range(0..known));
            let _ = match rng.random_range(0..10) {
                0 if known < 200 => self.new_user(&panel).await,
                1..4 => self.call(&panel, "POST", &format!("/api/users/{name}/disable"), json!({})).await.map(drop),
                4..7 => self.call(&panel, "POST", &format!("/api/users/{name}/enable"), json!({})).await.map(drop),
                _ => self.call(&panel, "POST", &format!("/api/users/{name}/revoke_sub"), json!({})).await.map(drop),
            };
            sleep(Duration::from_millis(rng.random_range(50..400))).await;
        }
    }

    /// Adds usage of 20 users to the node until the task is aborted.
    pub async fn produce(self: Arc<Self>, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        loop {
            for user in 1..=20 {
                self.node.add_usage(user, rng.random_range(1..5_000));
            }
            sleep(Duration::from_millis(20)).await;
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
