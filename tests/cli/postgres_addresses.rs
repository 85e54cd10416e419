//! Addresses of PostgreSQL as people write them: sockets, and TLS in the words of several drivers.

use sqlx::{Connection, PgConnection, query_scalar};

use super::WorkDir;
use crate::support;

#[tokio::test]
async fn sockets_and_tls_are_honoured_as_in_python() {
    let url = support::postgres_url();
    let mut connection = PgConnection::connect(&url).await.expect("PostgreSQL");
    let mut show = async |statement| {
        let value = query_scalar::<_, String>(statement).fetch_one(&mut connection).await.expect("a value");
        value.split(',').next().expect("a value").trim().to_owned()
    };
    let (folder, port) = (show("SHOW unix_socket_directories").await, show("SHOW port").await);
    let dir = WorkDir::new();
    let dry_run = |from: &str| dir.run(&["import", "--dry-run"], &[("SARBAN_IMPORT_FROM", from)]);
    let login = url.strip_suffix("/postgres").expect("the address of a server").replace("postgresql://", "");
    for from in [
        format!("PostgreSQL+psycopg://postgres@/postgres?host={folder}&port={port}"),
        format!("postgresql+asyncpg://{login}/postgres?ssl=disable"),
        format!("postgresql://{login}/postgres?sslmode=prefer&connect_timeout=5&target_session_attrs=read-write"),
    ] {
        let error = dry_run(&from).expect_failure(2);
        assert!(error.contains("not a Marzneshin database"), "{from}: {error}");
    }
    for (from, code, part) in [
        (format!("postgresql+asyncpg://{login}/postgres?ssl=require"), 1, "TLS"),
        (
            format!("postgresql://{login}/postgres?sslmode=verify-full&sslrootcert=/nowhere/ca.pem"),
            2,
            "/nowhere/ca.pem",
        ),
        (format!("postgresql://{login}/postgres?passfile=/x"), 2, "\"passfile\""),
        (format!("postgresql://{login},127.0.0.2:1/postgres"), 2, "several hosts"),
    ] {
        let error = dry_run(&from).expect_failure(code);
        assert!(error.contains(part) && error.contains("SARBAN_IMPORT_FROM"), "{from}: {error}");
    }
}
