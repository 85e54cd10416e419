//! Upgrades without a failed request: on one host the next process takes over the listening socket; on three hosts
//! behind a proxy with readiness checks, a rolling restart. No slot is missed or run twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Client;
use sarban::store::Engine;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::app::panel_process::Setup;
use crate::app::processes::{assert_every_slot_ran_once, setup, start};
use crate::support::database::{Content, TestDatabase, on_both_engines, with_database};
use crate::support::ports::free_port;

on_both_engines!(empty next_process_takes_over_the_socket);

/// Clients that send requests continuously, each on a new connection.
struct Clients {
    over: CancellationToken,
    answers: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Clients {
    fn start(port: u16) -> Self {
        let (over, answers) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
        let client = || {
            let http = Client::builder().pool_max_idle_per_host(0).timeout(Duration::from_secs(10)).no_proxy().build();
            let (http, over, answers) = (http.expect("a client"), over.clone(), answers.clone());
            tokio::spawn(async move {
                while !over.is_cancelled() {
                    // The request reads the database and is answered with 404.
                    let answer = http.get(format!("http://127.0.0.1:{port}/sub/nobody/key")).send().await;
                    let status = answer.unwrap_or_else(|error| panic!("a request failed: {error:?}")).status();
                    assert_eq!(status.as_u16(), 404);
                    answers.fetch_add(1, Ordering::Relaxed);
                    sleep(Duration::from_millis(10)).await;
                }
            })
        };
        let tasks = (0..4).map(|_| client()).collect();
        Self { over, answers, tasks }
    }

    /// Stops the clients and checks that no request failed; returns the number of answers.
    async fn stop_without_failures(self) -> u64 {
        self.over.cancel();
        for task in self.tasks {
            task.await.expect("no request failed");
        }
        self.answers.load(Ordering::Relaxed)
    }
}

/// Settings without a limit of subscription misses.
fn setup_without_miss_limit<'a>(test: &'a TestDatabase, folder: &'a std::path::Path) -> Setup<'a> {
    let more = vec![("SUBSCRIPTION_MISSES_PER_MINUTE", "0".to_owned())];
    Setup { more, ..setup(test, folder) }
}

async fn next_process_takes_over_the_socket(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup_without_miss_limit(&test, folder.path());
    let mut old = setup.start("first");
    old.ready().await;
    let port = old.port;
    let clients = Clients::start(port);
    for name in ["second", "third"] {
        sleep(Duration::from_millis(500)).await;
        let mut new = setup.start_on(name, port, &["--take-over"]);
        assert!(old.ended().await.success(), "the old process does not exit successfully by itself");
        new.ready().await;
        old = new;
    }
    sleep(Duration::from_secs(2)).await;
    println!("{} requests, none failed", clients.stop_without_failures().await);
    assert_every_slot_ran_once(&test.db).await;
    assert!(old.stop().await.success());
}

/// Without a process that offers a socket, `--take-over` is an ordinary start.
#[test]
fn panel_without_a_process_to_take_over_from_starts_as_usual() {
    with_database(Engine::Sqlite, Content::Empty, async |test| {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let mut panel = setup(&test, folder.path()).start_on("ann", port, &["--take-over"]);
        panel.ready().await;
        assert!(panel.stop().await.success());
    });
}

/// A connection from before the start of the panel waits in the backlog of the socket and is answered.
#[test]
fn socket_of_the_service_manager_is_taken_with_its_backlog() {
    with_database(Engine::Sqlite, Content::Empty, async |test| {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let early = Client::builder().timeout(Duration::from_secs(30)).no_proxy().build().expect("a client");
        let url = format!("http://{}/health/live", socket.local_addr().expect("its address"));
        let early = tokio::spawn(early.get(url).send());
        sleep(Duration::from_millis(200)).await;
        let mut panel = setup(&test, folder.path()).start_on_socket("ann", socket);
        assert!(early.await.expect("no panic").expect("an answer").status().is_success());
        panel.ready().await;
        let log = std::fs::read_to_string(folder.path().join("ann.log")).expect("a log");
        assert!(log.contains(&format!("the panel is at http://127.0.0.1:{}", panel.port)), "{log}");
        assert!(panel.stop().await.success());
    });
}

/// A proxy as in deployments: it checks the readiness of each panel five times a second, sends connections to ready
/// panels, and tries the next panel when a connection is refused.
async fn proxy(panels: Vec<u16>) -> u16 {
    let ready: Arc<Vec<(u16, std::sync::atomic::AtomicBool)>> =
        Arc::new(panels.into_iter().map(|port| (port, true.into())).collect());
    let asked = ready.clone();
    tokio::spawn(async move {
        let http = Client::builder().timeout(Duration::from_secs(2)).no_proxy().build().expect("a client");
        loop {
            for (port, is_ready) in asked.iter() {
                let answer = http.get(format!("http://127.0.0.1:{port}/health/ready")).send().await;
                is_ready.store(answer.is_ok_and(|answer| answer.status().is_success()), Ordering::Relaxed);
            }
            sleep(Duration::from_millis(200)).await;
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    tokio::spawn(async move {
        for turn in 0.. {
            let (mut client, _) = listener.accept().await.expect("a client");
            let ready = ready.clone();
            tokio::spawn(async move {
                for next in 0..ready.len() {
                    let (port, is_ready) = &ready[(turn + next) % ready.len()];
                    if is_ready.load(Ordering::Relaxed)
                        && let Ok(mut panel) = TcpStream::connect(("127.0.0.1", *port)).await
                    {
                        // The client notices a failed request by itself.
                        let _ = copy_bidirectional(&mut client, &mut panel).await;
                        return;
                    }
                }
            });
        }
    });
    port
}

#[test]
fn rolling_restart_of_three_behind_a_proxy_fails_no_request() {
    with_database(Engine::Postgres, Content::Empty, async |test| {
        let folder = tempfile::tempdir().expect("a folder");
        let setup = setup_without_miss_limit(&test, folder.path());
        let mut panels = start(&setup, &test).await;
        let clients = Clients::start(proxy(panels.iter().map(|panel| panel.port).collect()).await);
        for panel in &mut panels {
            sleep(Duration::from_millis(500)).await;
            let began = Instant::now();
            assert!(panel.stop().await.success());
            println!("{} stopped in {:?}", panel.name, began.elapsed());
            let (name, port) = (panel.name.clone(), panel.port);
            *panel = setup.start_on(&name, port, &[]);
            panel.ready().await;
        }
        sleep(Duration::from_secs(2)).await;
        println!("{} requests, none failed", clients.stop_without_failures().await);
        assert_every_slot_ran_once(&test.db).await;
    });
}
