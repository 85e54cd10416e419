//! Servers that a test starts: PostgreSQL, Redis, Sentinels. They have a temporary folder and free ports; the kernel
//! kills them when the test process ends.
#![allow(dead_code, reason = "each user takes a part of it")]

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use super::ports::free_port;

/// A child process that is killed when dropped.
pub struct Server {
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGKILL also ends a stopped process. The process may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    pub fn start(
        program: &str,
        arguments: &[String],
        folder: &Path,
        log: &Path,
        user: Option<&str>,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new("setpriv");
        if let Some(user) = user {
            command.args(["--reuid", user, "--regid", user, "--init-groups"]);
        }
        command.args(["--pdeathsig", "KILL", program]).args(arguments).current_dir(folder);
        let log = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Self { child: command.spawn().with_context(|| format!("{program} can't be started"))? })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        // The process may have exited already.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until the process has exited, and kills it after the limit.
    pub async fn ended(&mut self, limit: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + limit;
        while self.is_running() {
            if Instant::now() > end {
                self.kill();
                bail!("a process did not end in {limit:?}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

/// Waits up to 20 s until a server listens on the port.
async fn wait_for_port(port: u16) -> anyhow::Result<()> {
    let end = Instant::now() + Duration::from_secs(20);
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        ensure!(Instant::now() < end, "no server listens on port {port}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// A PostgreSQL server with its data.
pub struct Postgres {
    pub port: u16,
    bin: String,
    folder: PathBuf,
    server: Option<Server>,
}

fn database_user() -> Option<&'static str> {
    // PostgreSQL refuses to run as root.
    rustix::process::geteuid().is_root().then_some("postgres")
}

impl Postgres {
    pub async fn start(bin: String, folder: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir(&folder)?;
        if let Some(user) = database_user() {
            let owned = Command::new("chown").arg(format!("{user}:")).arg(&folder).status()?;
            ensure!(owned.success(), "{} can't be given to {user}", folder.display());
        }
        let data = folder.join("data").display().to_string();
        let arguments = ["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--pgdata", &data];
        let arguments: Vec<String> = arguments.map(str::to_owned).into();
        let log = folder.with_extension("log");
        let mut initdb = Server::start(&format!("{bin}/initdb"), &arguments, Path::new("/"), &log, database_user())?;
        initdb.ended(Duration::from_secs(60)).await?;
        let mut this = Self { port: free_port(), bin, folder, server: None };
        this.restart(Signal::INT).await?;
        Ok(this)
    }

    pub fn signal(&self, signal: Signal) {
        if let Some(server) = &self.server {
            server.signal(signal);
        }
    }

    /// Stops the server if it runs, with SIGINT for an orderly stop or SIGQUIT for a crash.
    pub async fn stop(&mut self, how: Signal) -> anyhow::Result<()> {
        if let Some(mut server) = self.server.take() {
            server.signal(how);
            let ended = server.ended(Duration::from_secs(20)).await;
            // A server that missed one of its processes while it crashed waits for it for ever. Killed, it has crashed, too.
            if how != Signal::QUIT {
                ended?;
            }
        }
        Ok(())
    }

    /// Stops the server if it runs, and starts it again.
    pub async fn restart(&mut self, how: Signal) -> anyhow::Result<()> {
        self.stop(how).await?;
        let arguments = [
            format!("-D{}", self.folder.join("data").display()),
            "-h127.0.0.1".to_owned(),
            format!("-p{}", self.port),
            format!("-k{}", self.folder.display()),
            "-cmax_connections=80".to_owned(),
            "-cfsync=off".to_owned(),
            "-clog_min_messages=fatal".to_owned(),
        ];
        let program = format!("{}/postgres", self.bin);
        let log = self.folder.with_extension("log");
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let mut server = Server::start(&program, &arguments, Path::new("/"), &log, database_user())?;
            let answers = wait_for_port(self.port);
            let exited = async {
                while server.is_running() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            tokio::select! {
                answers = answers => {
                    self.server = Some(server);
                    return answers;
                }
                // A process of a server that was killed may still hold the memory.
                () = exited => ensure!(Instant::now() < end, "PostgreSQL does not start: {}", log.display()),
            }
        }
    }
}

/// A Redis server.
pub struct Redis {
    pub port: u16,
    folder: PathBuf,
    more: Vec<String>,
    server: Option<Server>,
}

impl Redis {
    pub async fn start(folder: PathBuf, replica_of: Option<u16>) -> anyhow::Result<Self> {
        Self::start_with(folder, replica_of, free_port(), &[]).await
    }

    /// Starts a server with more arguments.
    pub async fn start_with(
        folder: PathBuf,
        replica_of: Option<u16>,
        port: u16,
        more: &[&str],
    ) -> anyhow::Result<Self> {
        fs::create_dir(&folder)?;
        let more = more.iter().map(|&argument| argument.to_owned()).collect();
        let mut this = Self { port, folder, more, server: None };
        this.start_again(replica_of).await?;
        Ok(this)
    }

    pub fn signal(&self, signal: Signal) {
        if let Some(server) = &self.server {
            server.signal(signal);
        }
    }

    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts the server again with the data of its append-only file.
    pub async fn start_again(&mut self, replica_of: Option<u16>) -> anyhow::Result<()> {
        let mut arguments = vec![
            "--bind".to_owned(),
            "127.0.0.1".to_owned(),
            "--port".to_owned(),
            self.port.to_string(),
            "--dir".to_owned(),
            self.folder.display().to_string(),
            "--save".to_owned(),
            String::new(),
            "--appendonly".to_owned(),
            "yes".to_owned(),
            "--repl-diskless-sync-delay".to_owned(),
            "0".to_owned(),
        ];
        if let Some(master) = replica_of {
            arguments.extend(["--replicaof".to_owned(), "127.0.0.1".to_owned(), master.to_string()]);
        }
        arguments.extend(self.more.iter().cloned());
        let log = self.folder.with_extension("log");
        self.server = Some(Server::start("redis-server", &arguments, &self.folder, &log, None)?);
        wait_for_port(self.port).await
    }

    /// Deletes the data, between `kill` and `start_again`.
    pub fn lose_data(&self) -> anyhow::Result<()> {
        Ok(fs::remove_dir_all(self.folder.join("appendonlydir"))?)
    }
}

/// Three Sentinels that watch one master.
pub struct Sentinels {
    pub ports: Vec<u16>,
    _servers: Vec<Server>,
}

impl Sentinels {
    pub async fn start(folder: &Path, master: u16) -> anyhow::Result<Self> {
        let (mut ports, mut servers) = (Vec::new(), Vec::new());
        for number in 0..3 {
            let port = free_port();
            let own_folder = folder.join(format!("sentinel-{number}"));
            fs::create_dir(&own_folder)?;
            let settings = own_folder.join("sentinel.conf");
            let text = format!(
                "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {master} 2\n\
                 sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n",
                own_folder.display()
            );
            fs::write(&settings, text)?;
            let log = own_folder.with_extension("log");
            servers.push(Server::start("redis-sentinel", &[settings.display().to_string()], &own_folder, &log, None)?);
            wait_for_port(port).await?;
            ports.push(port);
        }
        Ok(Self { ports, _servers: servers })
    }

    /// Returns the port of the master that the Sentinels report.
    pub async fn master(&self) -> anyhow::Result<u16> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.ports[0]))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let answer: (String, u16) =
            redis::cmd("SENTINEL").arg("get-master-addr-by-name").arg("main").query_async(&mut connection).await?;
        Ok(answer.1)
    }
}

/// Creates a folder that every user may enter, because PostgreSQL runs as another user.
pub fn open_folder() -> anyhow::Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new().prefix("sarban-chaos-").tempdir()?;
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o711))?;
    Ok(folder)
}
