//! A MariaDB server for a test: in its folder, on a free port, stopped on drop.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::mysql::MySqlConnectOptions;
use sqlx::{ConnectOptions, MySqlConnection};

/// Time limit for the start.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A running server.
pub struct MariaDb {
    server: Child,
    /// TCP port.
    pub port: u16,
    /// Unix socket.
    pub socket: PathBuf,
}

impl MariaDb {
    /// Starts a server with its data in `folder`, and without TLS.
    pub async fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[]).await
    }

    /// Starts a server with more options.
    pub async fn start_with(folder: &Path, more: &[String]) -> Self {
        let data = folder.join("mariadb");
        let log = File::create(folder.join("mariadb.log")).expect("a log");
        let option = |name: &str, value: &Path| format!("--{name}={}", value.display());
        // A server deletes all files in its temporary folder when it starts, even those of another server.
        let temporary = folder.join("temporary");
        std::fs::create_dir(&temporary).expect("a folder");
        let status = Command::new("mariadb-install-db")
            .env("TMPDIR", &temporary)
            .arg("--no-defaults")
            .args([option("datadir", &data), "--skip-test-db".to_owned()])
            .arg("--auth-root-authentication-method=normal")
            .stdout(log.try_clone().expect("the log"))
            .stderr(log.try_clone().expect("the log"))
            .status()
            .expect("mariadb-install-db runs");
        let text = std::fs::read_to_string(folder.join("mariadb.log")).unwrap_or_default();
        assert!(status.success(), "{status}: {text}");
        let port = crate::support::ports::free_port();
        let user = Command::new("id").arg("-un").output().expect("id runs").stdout;
        let server = Command::new("mariadbd")
            .env("TMPDIR", &temporary)
            .args(["--no-defaults", "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0"])
            .args([option("datadir", &data), option("socket", &folder.join("mariadb.sock"))])
            .args([format!("--port={port}"), format!("--user={}", String::from_utf8_lossy(&user).trim())])
            .args(more)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log"))
            .stderr(log)
            .spawn()
            .expect("mariadbd runs");
        let started = Self { server, port, socket: folder.join("mariadb.sock") };
        let ready = tokio::time::timeout(START_TIMEOUT, async {
            while started.options("").connect().await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        ready.await.expect("MariaDB starts");
        started
    }

    /// The address of a database in SQLAlchemy's syntax.
    pub fn url(&self, database: &str) -> String {
        format!("mysql+pymysql://root@127.0.0.1:{}/{database}?charset=utf8mb4", self.port)
    }

    /// Connects to a database; with an empty name, only to the server.
    pub async fn connect(&self, database: &str) -> MySqlConnection {
        self.options(database).connect().await.expect("a connection to MariaDB")
    }

    fn options(&self, database: &str) -> MySqlConnectOptions {
        let options = MySqlConnectOptions::new().host("127.0.0.1").port(self.port).username("root");
        if database.is_empty() { options } else { options.database(database) }
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
