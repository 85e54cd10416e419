//! Attacks on a running panel from this machine, with what each may cost: memory, time of others, answers. The tests run
//! a short form of each; `make attack` the long one.

mod bodies;
mod charts;
mod connections;
mod documents;
mod subscriptions;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::app::panel_process::{PanelProcess, Setup};
use crate::app::processes::{call, first_admin, setup};
use crate::support::database::TestDatabase;

/// Returns the size of an attack: `long` in `make attack`, otherwise `short`.
#[expect(clippy::disallowed_methods, reason = "`make attack` chooses the size by a variable")]
pub fn size(short: usize, long: usize) -> usize {
    if std::env::var_os("SARBAN_ATTACK").is_some_and(|size| size == "long") { long } else { short }
}

/// A panel that is attacked, with admins and a user.
pub struct Target {
    pub panel: PanelProcess,
    /// Token of the sudo admin `root`, who only uses the panel.
    pub root: String,
    /// Token of the plain admin `mallory`, who attacks.
    pub mallory: String,
    /// Token of the sudo admin `eve`, who attacks.
    pub eve: String,
    _folder: tempfile::TempDir,
}

impl Target {
    /// Starts a panel with these settings.
    pub async fn start(test: &TestDatabase, settings: &[(&str, &str)]) -> Self {
        Self::start_as(test, async |setup| setup.start_with("target", settings)).await
    }

    /// Starts a panel in its own way.
    pub async fn start_as(test: &TestDatabase, start: impl AsyncFnOnce(&Setup<'_>) -> PanelProcess) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let setup = setup(test, folder.path());
        let mut panel = start(&setup).await;
        panel.ready().await;
        let root = first_admin(&setup, &panel).await;
        for (name, is_sudo) in [("mallory", false), ("eve", true)] {
            let admin = json!({"username": name, "password": format!("{name}pass"), "is_sudo": is_sudo});
            call(&panel, &root, Method::POST, "/api/admins", admin).await;
        }
        let user = json!({"username": "ann", "expire_strategy": "never", "key": "a1b2"});
        call(&panel, &root, Method::POST, "/api/users", user).await;
        let (mallory, eve) = (sign_in(&panel, "mallory").await, sign_in(&panel, "eve").await);
        Self { panel, root, mallory, eve, _folder: folder }
    }

    /// A connection to the panel.
    pub async fn connect(&self) -> std::io::Result<TcpStream> {
        TcpStream::connect(("127.0.0.1", self.panel.port)).await
    }

    /// The most memory that the panel has used so far, in MB.
    pub fn peak_mb(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.panel.id())).expect("it runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
        peak.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") / 1_024
    }

    /// Runs an attack while others use the panel. Panics unless health, a sudo admin and a subscriber are answered within 5 s
    /// each, and the memory grows by at most `mb`.
    pub async fn withstands<T>(&self, mb: usize, attack: impl Future<Output = T>) -> T {
        // In the short form, other tests need the cores at the same time.
        let longest = Duration::from_secs(size(20, 5) as u64);
        let before = self.peak_mb();
        let over = CancellationToken::new();
        let attacking = async {
            let outcome = attack.await;
            over.cancel();
            outcome
        };
        let (outcome, ()) = tokio::join!(attacking, async {
            while !over.is_cancelled() {
                self.serves_others(longest).await;
                sleep(Duration::from_millis(50)).await;
            }
        });
        self.serves_others(longest).await;
        let grown = self.peak_mb() - before;
        assert!(grown <= mb, "the panel's memory grew by {grown} MB");
        outcome
    }

    async fn serves_others(&self, longest: Duration) {
        for (path, token) in
            [("/health/ready", None), ("/api/admins/current", Some(&self.root)), ("/sub/ann/a1b2/links", None)]
        {
            let began = Instant::now();
            let send = || {
                let request = self.panel.request(Method::GET, path).timeout(longest);
                let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
                request.send()
            };
            let answered = async {
                match send().await {
                    // The panel closed the idle connection for a newer one while the request was on its way: browsers send it
                    // again, too.
                    Err(error) if error.is_request() && !error.is_timeout() && !error.is_connect() => send().await,
                    answer => answer,
                }
            };
            let answer = timeout(longest, answered).await;
            let answer = answer.unwrap_or_else(|_| panic!("{path} is not answered within {longest:?}"));
            let answer = answer.unwrap_or_else(|error| panic!("{path}: {error:?} after {:?}", began.elapsed()));
            assert_eq!(answer.status(), 200, "{path}");
        }
    }
}

async fn sign_in(panel: &PanelProcess, name: &str) -> String {
    let login = [("username", name.to_owned()), ("password", format!("{name}pass"))];
    let answer = panel.request(Method::POST, "/api/admins/token").form(&login).send().await.expect("an answer");
    let answer: Value = answer.json().await.expect("a token");
    answer["access_token"].as_str().expect("text").to_owned()
}

/// Sends all bytes, and returns the status line of the answer; empty if the connection ended without one.
pub async fn exchange(stream: &mut TcpStream, parts: &[&[u8]]) -> String {
    for part in parts {
        // A panel that has answered already closes the connection.
        if stream.write_all(part).await.is_err() {
            break;
        }
    }
    let mut answer = vec![0; 1_024];
    let read = stream.read(&mut answer).await.unwrap_or_default();
    String::from_utf8_lossy(&answer[..read]).lines().next().unwrap_or_default().to_owned()
}
