//! A real panel process for tests: the built program with its own environment.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use sarban::config::crash_point::UsageStep;
use sarban::config::database_url::DatabaseUrl;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::support::ports::free_port;

/// The environment that all processes of a test share.
pub struct Setup<'a> {
    pub database: &'a DatabaseUrl,
    pub redis: Option<String>,
    pub cluster: String,
    pub folder: &'a Path,
    /// Settings besides those that every test has.
    pub more: Vec<(&'static str, String)>,
}

/// One process. Dropping it kills the process.
pub struct PanelProcess {
    pub name: String,
    child: Child,
    log: PathBuf,
    pub port: u16,
    scheme: &'static str,
    http: Client,
}

impl Setup<'_> {
    /// Starts a process called `name`. The process may not answer yet.
    pub fn start(&self, name: &str) -> PanelProcess {
        self.start_in(self.command(), name, free_port(), &[])
    }

    /// Starts a process that kills itself at this step.
    pub fn start_doomed(&self, name: &str, step: UsageStep) -> PanelProcess {
        let mut command = self.command();
        command.env("SARBAN_CRASH_AT", step.name());
        self.start_in(command, name, free_port(), &[])
    }

    /// Starts a process that cannot write a file larger than `kib` KiB, as on a full disk.
    pub fn start_with_file_limit(&self, name: &str, kib: u32) -> PanelProcess {
        // The signal is ignored, so that writes fail with an error.
        self.start_after(name, &format!("trap '' XFSZ; ulimit -S -f {kib}"))
    }

    /// Starts a process that may open this many files.
    pub fn start_with_descriptors(&self, name: &str, most: u32) -> PanelProcess {
        self.start_after(name, &format!("ulimit -n {most}"))
    }

    /// Starts a process that a SIGHUP reaches, whatever the parent of the tests ignores.
    pub fn start_in_terminal(&self, name: &str) -> PanelProcess {
        self.start_after(name, "exec env --default-signal=HUP \"$0\" \"$@\"")
    }

    /// Starts a process with SIGHUP ignored, as `nohup` does.
    pub fn start_without_hangup(&self, name: &str) -> PanelProcess {
        self.start_after(name, "trap '' HUP")
    }

    /// Starts a process from a shell, after these commands.
    fn start_after(&self, name: &str, commands: &str) -> PanelProcess {
        let inner = self.command();
        let mut command = Command::new("bash");
        command.arg("-c").arg(format!("{commands}; exec \"$0\" \"$@\"")).arg(inner.get_program()).env_clear();
        command.current_dir(self.folder).envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        self.start_in(command, name, free_port(), &[])
    }

    /// Starts a process as a service manager with socket activation does: the socket is its file descriptor 3, named by
    /// `LISTEN_FDS` and `LISTEN_PID`. Its own settings name another port.
    pub fn start_on_socket(&self, name: &str, socket: TcpListener) -> PanelProcess {
        let inner = self.command();
        let mut command = Command::new("bash");
        let passing = "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\"";
        command.arg("-c").arg(passing).arg(inner.get_program()).env_clear();
        command.current_dir(self.folder).envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let port = socket.local_addr().expect("its address").port();
        command.stdin(OwnedFd::from(socket));
        let mut panel = self.start_in(command, name, free_port(), &[]);
        panel.port = port;
        panel
    }

    /// Starts a process with additional settings.
    pub fn start_with(&self, name: &str, settings: &[(&str, &str)]) -> PanelProcess {
        let mut command = self.command();
        command.envs(settings.iter().copied());
        self.start_in(command, name, free_port(), &[])
    }

    /// Starts a process on this port, with more arguments.
    pub fn start_on(&self, name: &str, port: u16, arguments: &[&str]) -> PanelProcess {
        self.start_in(self.command(), name, port, arguments)
    }

    /// Starts an edge that knows no database, with a folder of its own.
    pub fn start_edge(&self, name: &str, panels: &str, token: &str) -> PanelProcess {
        self.start_edge_with(name, panels, token, &[])
    }

    /// Starts an edge with additional settings.
    pub fn start_edge_with(&self, name: &str, panels: &str, token: &str, settings: &[(&str, &str)]) -> PanelProcess {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut command = self.command();
        command.env_remove("SQLALCHEMY_DATABASE_URL").env("EDGE_PANELS", panels).env("EDGE_TOKEN", token);
        command.envs(settings.iter().copied());
        self.run_in(&folder, command, name, free_port(), &["edge"])
    }

    fn start_in(&self, command: Command, name: &str, port: u16, arguments: &[&str]) -> PanelProcess {
        self.run_in(self.folder, command, name, port, &[&["serve"], arguments].concat())
    }

    fn run_in(&self, data: &Path, mut command: Command, name: &str, port: u16, arguments: &[&str]) -> PanelProcess {
        let log = self.folder.join(format!("{name}.log"));
        let has_certificate = command.get_envs().any(|(name, _)| name == "UVICORN_SSL_CERTFILE");
        let scheme = if has_certificate { "https" } else { "http" };
        let output = std::fs::File::options().create(true).append(true).open(&log);
        let child = command
            .args(arguments)
            .env("INSTANCE_NAME", name)
            .env("DATA_DIR", data)
            .env("UVICORN_HOST", "127.0.0.1")
            .env("UVICORN_PORT", port.to_string())
            .stderr(output.expect("a log"))
            .stdout(Stdio::null())
            .spawn();
        // Certificates of tests are signed by themselves.
        let http = Client::builder().timeout(Duration::from_secs(10)).danger_accept_invalid_certs(true).build();
        let (child, http) = (child.expect("the program starts"), http.expect("a client"));
        PanelProcess { name: name.to_owned(), child, log, port, scheme, http }
    }

    /// The program with only the shared environment.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sarban"));
        let database = match self.database {
            DatabaseUrl::Postgres { url } => url.expose().to_owned(),
            DatabaseUrl::Sqlite { path } => format!("sqlite:///{}", path.display()),
        };
        command
            .env_clear()
            .current_dir(self.folder)
            .env("SQLALCHEMY_DATABASE_URL", database)
            .env("CLUSTER_NAME", &self.cluster)
            .env("LEASE_TTL_SECONDS", "2")
            .env("TASKS_RECORD_USER_USAGES_INTERVAL", "1")
            .env("TASKS_REVIEW_USERS_INTERVAL", "1")
            .env("UVICORN_WORKERS", "2")
            .envs(self.redis.as_ref().map(|url| ("REDIS_URL", url)))
            .envs(self.more.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl PanelProcess {
    /// A request to this process.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}://127.0.0.1:{}{path}", self.scheme, self.port))
    }

    /// The body of `/health/ready`; `None` while the process does not answer.
    pub async fn health(&self) -> Option<Value> {
        self.request(Method::GET, "/health/ready").send().await.ok()?.json().await.ok()
    }

    /// Waits until the process is ready.
    pub async fn ready(&mut self) {
        let limit = Instant::now() + Duration::from_secs(30);
        loop {
            let health = self.health().await;
            if let Some(status) = self.child.try_wait().expect("the process is asked") {
                panic!("{} ended with {status}; its log:\n{}", self.name, self.log());
            }
            if health.is_some_and(|health| health["status"] == "ok") {
                return;
            }
            assert!(Instant::now() < limit, "{} is not ready after 30 s; its log:\n{}", self.name, self.log());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("a log")
    }

    /// Waits for a process that ends by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().expect("the process is asked") {
                return status;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The sum of a counter over its labels in the metrics; 0 when the counter is absent.
    pub async fn counter(&self, name: &str) -> f64 {
        let text = self.request(Method::GET, "/metrics").send().await.expect("an answer").text().await.expect("text");
        let values = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        values.map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number")).sum()
    }

    /// Kills the process with SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("the process ended");
    }

    /// Stops the process with SIGTERM; returns its exit status.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// The process ID.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Removes the limit of [`Setup::start_with_file_limit`].
    pub fn remove_file_limit(&self) {
        self.limit_files(None);
    }

    /// Changes the limit of [`Setup::start_with_file_limit`], in bytes.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Fsize, limit).expect("the process exists");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process exists");
    }
}

impl Drop for PanelProcess {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
