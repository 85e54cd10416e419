//! A back-up whose place takes nothing for minutes is no reason for PostgreSQL to end its session.

use sarban::store::{Engine, Tx};
use sqlx::query_scalar;

use crate::support::database::{Content, TestDatabase, with_database};

/// Milliseconds after which S3 has failed in any case.
const ATTEMPTS: i64 = 300_000;

#[test]
fn server_waits_for_a_back_up_that_reads_nothing_meanwhile() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { db, .. }| {
        let mut tx = db.begin_snapshot().await.expect("a snapshot");
        let Tx::Pg(pg) = &mut tx else { panic!("this is about PostgreSQL") };
        let limits = "SELECT CAST(setting AS BIGINT) FROM pg_settings WHERE name IN ('tcp_user_timeout',
                      'idle_in_transaction_session_timeout', 'statement_timeout') ORDER BY name";
        let limits = query_scalar::<_, i64>(limits).fetch_all(pg.connection().expect("a connection")).await;
        let limits = limits.expect("three numbers");
        assert_eq!(limits.len(), 3);
        assert!(limits.iter().all(|limit| *limit == 0 || *limit > ATTEMPTS), "{limits:?}");
    });
}
