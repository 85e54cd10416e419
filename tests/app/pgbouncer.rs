//! A panel behind a real pgbouncer in transaction mode, which assigns a server connection per transaction: API, tasks,
//! fence and ledger.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use sarban::config::database_url::DatabaseUrl;
use sarban::domain::ids::Epoch;
use sarban::store::clock;
use sarban::store::{Db, Engine, FenceError, OpenOptions};
use tokio::time::{Instant, sleep, timeout};

use crate::app::panel_process::{PanelProcess, Setup};
use crate::app::processes::{set_up_users, setup};
use crate::cluster::fence::fence;
use crate::support;
use crate::support::database::{Content, TestDatabase, execute, number, with_database};
use crate::support::ports::free_port;
use crate::support::servers::{Postgres, open_folder};
use crate::support::test_node::{Options, TestNode};

/// A pgbouncer of one test. Dropping it kills the process.
pub struct PgBouncer {
    child: Child,
    pub port: u16,
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl PgBouncer {
    /// Starts with only two connections to the server, so that clients share them.
    async fn start(folder: &Path) -> Self {
        let server = support::postgres_url();
        let (_, address) = server.rsplit_once('@').expect("user and host");
        let (host, _) = address.split_once('/').expect("host and name");
        Self::start_before(folder, host, 2).await
    }

    /// Starts in front of the server at this host and port, with this many connections to it.
    pub async fn start_before(folder: &Path, server: &str, connections: u8) -> Self {
        let (host, server_port) = server.split_once(':').expect("host and port");
        let port = free_port();
        let settings = format!(
            "[databases]\n* = host={host} port={server_port} user=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = {connections}\nmax_client_conn = 200\n\
             server_login_retry = 1\n"
        );
        let path = folder.join("pgbouncer.ini");
        std::fs::write(&path, settings).expect("the settings are written");
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).expect("a folder for all to read");
        let program = if Path::new("/usr/sbin/pgbouncer").exists() { "/usr/sbin/pgbouncer" } else { "pgbouncer" };
        let log = std::fs::File::create(folder.join("pgbouncer.log")).expect("a log");
        let mut command = Command::new(program);
        command.arg(&path).stdout(Stdio::null()).stderr(log);
        if rustix::process::geteuid().is_root() {
            // pgbouncer refuses to run as root; 65534 is the user `nobody`.
            command.uid(65_534).gid(65_534);
        }
        let mut bouncer = Self { child: command.spawn().expect("pgbouncer starts"), port };
        let limit = Instant::now() + Duration::from_secs(10);
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if let Some(status) = bouncer.child.try_wait().expect("the process is asked") {
                let log = std::fs::read_to_string(folder.join("pgbouncer.log"));
                panic!("pgbouncer ended with {status}: {log:?}");
            }
            assert!(Instant::now() < limit, "pgbouncer does not answer");
            sleep(Duration::from_millis(20)).await;
        }
        bouncer
    }

    /// The URL of a test's database through this pgbouncer.
    pub fn url(&self, test: &TestDatabase) -> DatabaseUrl {
        Self::url_at(test, self.port)
    }

    /// The URL of a test's database at this port, for a proxy in front of pgbouncer.
    pub fn url_at(test: &TestDatabase, port: u16) -> DatabaseUrl {
        let DatabaseUrl::Postgres { url } = &test.options.url else { panic!("not on PostgreSQL") };
        let (_, name) = url.expose().rsplit_once('/').expect("a name");
        DatabaseUrl::parse(&format!("postgresql://postgres@127.0.0.1:{port}/{name}")).expect("an address")
    }
}

/// With pgbouncer's default of `server_login_retry`, this takes 15 s.
#[tokio::test]
async fn restarted_postgres_is_reached_again_within_seconds() {
    let folder = open_folder().expect("a folder");
    let mut postgres = Postgres::start(support::postgres_bin(), folder.path().join("server")).await.expect("a server");
    let bouncer = PgBouncer::start_before(folder.path(), &format!("127.0.0.1:{}", postgres.port), 2).await;
    let url = DatabaseUrl::parse(&format!("postgresql://postgres@127.0.0.1:{}/postgres", bouncer.port));
    let db = Db::open(&options(url.expect("an address"))).await.expect("connections");
    clock::now(&db).await.expect("an answer");
    postgres.stop(Signal::QUIT).await.expect("stopped");
    for _ in 0..5 {
        // pgbouncer fails to log in, and from then on waits before each further attempt.
        let answer = timeout(Duration::from_millis(300), clock::now(&db)).await;
        assert!(!matches!(answer, Ok(Ok(_))), "there is no server");
    }
    postgres.restart(Signal::INT).await.expect("started again");
    let start = Instant::now();
    while !matches!(timeout(Duration::from_secs(1), clock::now(&db)).await, Ok(Ok(_))) {
        assert!(start.elapsed() < Duration::from_secs(6), "the database has been back for 6 s");
        sleep(Duration::from_millis(50)).await;
    }
    db.close().await;
}

fn options(url: DatabaseUrl) -> OpenOptions {
    OpenOptions {
        url,
        connections: 2,
        statement_cache: 0,
        application_name: String::new(),
        acquire_timeout: Duration::from_secs(1),
        busy_timeout: Duration::from_secs(1),
        statement_timeout: Duration::from_secs(10),
        read_only: false,
    }
}

#[test]
fn clients_that_share_connections_do_not_disturb_each_other() {
    with_database(Engine::Postgres, Content::Schema, async |test: TestDatabase| {
        let folder = tempfile::tempdir().expect("a folder");
        let bouncer = PgBouncer::start(folder.path()).await;
        let options = OpenOptions { url: bouncer.url(&test), statement_cache: 0, ..test.options.clone() };
        // Six clients share two connections: with named statements this fails at once, and with unnamed ones outside
        // a transaction as soon as two of them mix.
        let mut clients = Vec::new();
        for number in 0..6 {
            let options = options.clone();
            clients.push(tokio::spawn(async move {
                let db = Db::open(&options).await.expect("connections");
                for round in 0..100 {
                    clock::now(&db).await.unwrap_or_else(|error| panic!("client {number}, {round}: {error:?}"));
                    sarban::store::users::by_username(&db, "nobody").await.expect("a read with a bind");
                    sarban::store::settings::subscription(&db).await.expect("another read");
                    let mut tx = fence(&db, Epoch(0)).begin().await.expect("the term is alive");
                    tx.allow(Duration::from_secs(5)).await.expect("a time limit for this transaction");
                    tx.commit().await.expect("committed");
                }
                db.close().await;
            }));
        }
        for client in clients {
            client.await.expect("no statement failed");
        }
        let db = Db::open(&options).await.expect("connections");
        execute(&db, "UPDATE scheduler_epoch SET epoch = 1").await;
        let tx = fence(&db, Epoch(0)).begin().await.expect("the term does not know the newer epoch");
        assert!(matches!(tx.commit().await, Err(FenceError::Deposed)), "the commit passed the fence");
        db.close().await;
    });
}

#[test]
fn panel_behind_pgbouncer_runs_tasks_and_records_usage() {
    with_database(Engine::Postgres, Content::Empty, async |test: TestDatabase| {
        let folder = tempfile::tempdir().expect("a folder");
        let bouncer = PgBouncer::start(folder.path()).await;
        let DatabaseUrl::Postgres { url: direct } = &test.options.url else { panic!("not on PostgreSQL") };
        let url = bouncer.url(&test);
        let more =
            vec![("DATABASE_STATEMENT_CACHE", "0".to_owned()), ("DATABASE_DIRECT_URL", direct.expose().to_owned())];
        let setup = Setup { database: &url, more, ..setup(&test, folder.path()) };
        let mut panels: Vec<PanelProcess> = ["ann", "ben"].map(|name| setup.start(name)).into();
        for panel in &mut panels {
            panel.ready().await;
        }
        let node = TestNode::start(Options::default()).await.expect("a node");
        set_up_users(&setup, &mut panels, &node).await;
        node.controls().0.add_usage(1, 1_000);
        let recorded = "SELECT CAST(SUM(lifetime_used_traffic) AS BIGINT) FROM user_traffic";
        let limit = Instant::now() + Duration::from_secs(15);
        while number(&test.db, recorded).await < 1_000 {
            assert!(Instant::now() < limit, "the usage is not recorded");
            sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(number(&test.db, recorded).await, 1_000);
        let bad = "SELECT COUNT(*) FROM task_run WHERE state IN ('failed', 'abandoned')";
        assert_eq!(number(&test.db, bad).await, 0);
        for panel in &mut panels {
            assert!(panel.stop().await.success());
            let log = std::fs::read_to_string(folder.path().join(format!("{}.log", panel.name))).expect("its log");
            assert!(!log.contains("prepared statement"), "{log}");
        }
    });
}
