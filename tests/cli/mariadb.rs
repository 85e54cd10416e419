//! A MariaDB of a test's own: in its folder, on a free port, gone when it is dropped.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::mysql::MySqlConnectOptions;
use sqlx::{ConnectOptions, MySqlConnection};

/// Longer than any machine takes to start one.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server.
pub struct MariaDb {
    server: Child,
    port: u16,
}

impl MariaDb {
    /// Starts one in `folder`.
    pub async fn start(folder: &Path) -> Self {
        let data = folder.join("mariadb");
        let log = File::create(folder.join("mariadb.log")).expect("a log");
        let option = |name: &str, value: &Path| format!("--{name}={}", value.display());
        // A server that starts clears its folder for temporary files: also of those of a server that runs.
        let temporary = folder.join("temporary");
        std::fs::create_dir(&temporary).expect("a folder");
        let made = Command::new("mariadb-install-db")
            .env("TMPDIR", &temporary)
            .arg("--no-defaults")
            .args([option("datadir", &data), "--skip-test-db".to_owned()])
            .arg("--auth-root-authentication-method=normal")
            .stdout(log.try_clone().expect("the log"))
            .stderr(log.try_clone().expect("the log"))
            .status()
            .expect("mariadb-install-db runs");
        let told = std::fs::read_to_string(folder.join("mariadb.log")).unwrap_or_default();
        assert!(made.success(), "{made}: {told}");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").local_addr().expect("a port").port();
        let user = Command::new("id").arg("-un").output().expect("id runs").stdout;
        let server = Command::new("mariadbd")
            .env("TMPDIR", &temporary)
            .args(["--no-defaults", "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0"])
            .args([option("datadir", &data), option("socket", &folder.join("mariadb.sock"))])
            .args([format!("--port={port}"), format!("--user={}", String::from_utf8_lossy(&user).trim())])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log"))
            .stderr(log)
            .spawn()
            .expect("mariadbd runs");
        let started = Self { server, port };
        let ready = tokio::time::timeout(PATIENCE, async {
            while started.options("").connect().await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        ready.await.expect("MariaDB starts");
        started
    }

    /// The address of a database, as the old panel's environment has it.
    pub fn url(&self, database: &str) -> String {
        format!("mysql+pymysql://root@127.0.0.1:{}/{database}?charset=utf8mb4", self.port)
    }

    /// A connection to a database; none of its own with an empty name.
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
        // Nothing in it is worth a farewell.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
