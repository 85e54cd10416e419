//! A PostgreSQL that becomes read-only or refuses the panel's role: leadership is given up, and taken again when the
//! database accepts the panel, without a restart.

use std::time::Duration;

use rustix::process::Signal;
use sarban::cluster::leadership::Role;
use sarban::config::database_url::DatabaseUrl;
use sarban::store::migrate::migrate;
use sarban::store::{Db, OpenOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, raw_sql};
use tokio::time::{Instant, sleep, timeout};

use super::elector::{Cluster, leads};
use crate::support;
use crate::support::database::TestDatabase;
use crate::support::servers::{Postgres, open_folder};

/// As a fail-over or a restart does.
const END_SESSIONS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'panel'";

/// A state of the database: the statements that cause it, and those that end it.
struct State {
    name: &'static str,
    begin: &'static [&'static str],
    end: &'static [&'static str],
}

const STATES: [State; 5] = [
    State {
        name: "read-only for new sessions, and open ones stay",
        begin: &["ALTER DATABASE panel SET default_transaction_read_only = on"],
        end: &["ALTER DATABASE panel RESET default_transaction_read_only"],
    },
    State {
        name: "read-only for new sessions",
        begin: &["ALTER DATABASE panel SET default_transaction_read_only = on", END_SESSIONS],
        end: &["ALTER DATABASE panel RESET default_transaction_read_only"],
    },
    State {
        name: "read-only for open sessions",
        begin: &["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"],
        end: &["ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()"],
    },
    State {
        name: "the role may not log in",
        begin: &["ALTER ROLE panel NOLOGIN", END_SESSIONS],
        end: &["ALTER ROLE panel LOGIN"],
    },
    State {
        name: "no connection is left for the role",
        begin: &["ALTER ROLE panel CONNECTION LIMIT 0", END_SESSIONS],
        end: &["ALTER ROLE panel CONNECTION LIMIT -1"],
    },
];

/// Connects to a server that may still be starting.
async fn connect(url: &str) -> PgConnection {
    let limit = Instant::now() + Duration::from_secs(20);
    loop {
        match PgConnection::connect(url).await {
            Ok(connection) => return connection,
            Err(error) => assert!(Instant::now() < limit, "{error}"),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn run(server: &mut PgConnection, statements: &[&str]) {
    for statement in statements {
        let done = raw_sql(AssertSqlSafe((*statement).to_owned())).execute(&mut *server).await;
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

#[tokio::test]
async fn leadership_is_given_up_while_the_database_is_read_only_or_refuses() {
    let folder = open_folder().expect("a folder");
    let mut postgres = Postgres::start(support::postgres_bin(), folder.path().join("server")).await.expect("a server");
    let url = |role: &str, name: &str| format!("postgresql://{role}@127.0.0.1:{}/{name}", postgres.port);
    let mut server = connect(&url("postgres", "postgres")).await;
    run(
        &mut server,
        &["SET default_transaction_read_only = off", "CREATE ROLE panel LOGIN", "CREATE DATABASE panel OWNER panel"],
    )
    .await;
    let options = OpenOptions {
        url: DatabaseUrl::parse(&url("panel", "panel")).expect("an address"),
        connections: 2,
        statement_cache: 100,
        application_name: "sarban-test".to_owned(),
        acquire_timeout: Duration::from_secs(2),
        statement_timeout: Duration::from_secs(10),
        busy_timeout: Duration::from_secs(1),
        read_only: false,
    };
    let db = Db::open(&options).await.expect("connections");
    migrate(&db).await.expect("the schema");
    let cluster = Cluster::new(TestDatabase { db, options }, false);
    let mut member = cluster.join().await;
    member.leads_within(Duration::from_secs(4)).await;
    for state in STATES {
        run(&mut server, state.begin).await;
        // The TTL of 2 s, and as much again on a busy machine.
        let over = member.role.wait_for(|role| *role != Role::Leader);
        let over = timeout(Duration::from_secs(4), over).await;
        over.unwrap_or_else(|_| panic!("{}: it still leads", state.name)).expect("it lives");
        let terms = cluster.terms();
        sleep(Duration::from_secs(3)).await;
        assert!(!leads(&member) && cluster.terms() == terms, "{}: it leads again", state.name);
        run(&mut server, state.end).await;
        member.leads_within(Duration::from_secs(8)).await;
        assert_eq!(cluster.terms(), terms + 1, "{}", state.name);
    }
    member.drain.cancel();
    member.task.await.expect("it ends without a panic");
    postgres.stop(Signal::QUIT).await.expect("stopped");
}
