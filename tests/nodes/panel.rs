//! A panel that leads: a database with a node, a service and users, and a supervisor that keeps them in step.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use sarban::clock::Clock;
use sarban::domain::ids::Epoch;
use sarban::domain::moment::BootTime;
use sarban::domain::term::Term;
use sarban::nodes::{PanelIdentity, Supervisor, Timing, panel_certificate};
use sarban::store::users::changes;
use sarban::store::{Db, Fence, IdList, Tx};
use sqlx::{AssertSqlSafe, query_scalar, raw_sql};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::test_node::TestNode;

pub struct Panel {
    pub supervisor: Supervisor,
    pub term: Term,
    stop: CancellationToken,
    leading: JoinHandle<()>,
    _bell: watch::Sender<()>,
}

/// Everything that waits, waits shortly; full syncs come only when something breaks.
pub fn brisk() -> Timing {
    Timing {
        poll_changes: Duration::from_millis(20),
        poll_nodes: Duration::from_millis(50),
        backoff: (Duration::from_millis(20), Duration::from_millis(200)),
        settle: Duration::from_millis(60),
        steady: Duration::from_millis(300),
        in_vain: Duration::from_millis(300),
        ..Timing::default()
    }
}

impl Panel {
    /// Leads under the next epoch.
    pub async fn lead(db: &Db) -> Self {
        Self::lead_with(db, brisk()).await
    }

    pub async fn lead_with(db: &Db, timing: Timing) -> Self {
        let fence = next_term(db).await;
        let (term, clock) = (fence.term().clone(), Clock::real());
        let material = panel_certificate::obtain(db, clock.now()).await.unwrap();
        let identity = PanelIdentity::from_pem(&material.certificate, &material.key).unwrap();
        let (wakeup, wake) = watch::channel(());
        let supervisor = Supervisor::new(clock, identity, wake, 7, timing);
        let stop = CancellationToken::new();
        let (leader, until) = (supervisor.clone(), stop.clone());
        let leading = tokio::spawn(async move { leader.lead(fence, until).await });
        Self { supervisor, term, stop, leading, _bell: wakeup }
    }

    pub async fn step_down(mut self) {
        self.stop.cancel();
        (&mut self.leading).await.unwrap();
    }
}

impl Drop for Panel {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The fence of the next epoch's leader.
pub async fn next_term(db: &Db) -> Fence {
    sql(db, "UPDATE scheduler_epoch SET epoch = epoch + 1").await;
    let epoch = Epoch(number(db, "SELECT epoch FROM scheduler_epoch").await);
    let term = Term::new(epoch, BootTime::from_micros(i64::MAX));
    Fence::new(db.clone(), Clock::real(), term, Duration::from_secs(2), "test".to_owned())
}

/// A node's row, and no longer the one that every new panel begins with.
pub async fn add_node(db: &Db, id: i64, address: SocketAddr, kind: &str) {
    let (ip, port) = (address.ip(), address.port());
    sql(
        db,
        &format!(
            "DELETE FROM nodes WHERE name = 'local';
             INSERT INTO nodes (id, name, address, port, connection_backend, created_at)
             VALUES ({id}, 'node {id}', '{ip}', {port}, '{kind}', 0)"
        ),
    )
    .await;
}

/// A service (1) and users 1 to `users` in it; their keys are `key-1` and so on.
pub async fn add_users(db: &Db, users: i64) {
    sql(db, "INSERT INTO services (id, name) VALUES (1, 'all')").await;
    for id in 1..=users {
        sql(
            db,
            &format!(
                "INSERT INTO users (id, username, key, expire_strategy, created_at)
                    VALUES ({id}, 'user{id}', 'key-{id}', 'never', 0);
                 INSERT INTO users_services (user_id, service_id) VALUES ({id}, 1)"
            ),
        )
        .await;
    }
}

/// A node with `users` users that has them all, on its inbound `vless`.
pub async fn in_step(db: &Db, node: &TestNode, users: i64) -> Panel {
    add_node(db, 1, node.address(), "grpcio").await;
    add_users(db, users).await;
    let panel = Panel::lead(db).await;
    healthy(db, 1).await;
    give(db, "vless", users).await;
    eventually("the node has all users", async || node.users().len() as i64 == users).await;
    eventually("no mark is left", async || marks(db).await == 0).await;
    panel
}

/// The service gets an inbound, as when an admin edits it.
pub async fn give(db: &Db, tag: &str, users: i64) {
    let edit = format!("INSERT INTO inbounds_services SELECT id, 1 FROM inbounds WHERE tag = '{tag}'");
    change(db, &edit, 1..=users).await;
}

/// Changes something and marks the users that it concerns, in one transaction.
pub async fn change(db: &Db, text: &str, users: impl IntoIterator<Item = i64>) {
    let mut tx = db.begin().await.unwrap();
    run(&mut tx, text).await;
    changes::mark(&mut tx, IdList::new(users), Clock::real().now()).await.unwrap();
    tx.commit().await.unwrap();
}

/// A new key for a user.
pub async fn revoke(db: &Db, user: i64, key: &str) {
    let text = format!(
        "UPDATE key_change SET seq = seq + 1;
         UPDATE users SET key = '{key}', key_change_seq = (SELECT seq FROM key_change) WHERE id = {user}"
    );
    change(db, &text, [user]).await;
}

pub async fn healthy(db: &Db, node: i64) {
    let text = format!("SELECT COUNT(*) FROM nodes WHERE id = {node} AND status = 'healthy' AND message IS NULL");
    eventually("the node is healthy", async || number(db, &text).await == 1).await;
}

/// Waits until the node is unhealthy with a message that has `part` in it.
pub async fn unhealthy(db: &Db, node: i64, part: &str) {
    let text =
        format!("SELECT COUNT(*) FROM nodes WHERE id = {node} AND status = 'unhealthy' AND message LIKE '%{part}%'");
    let what = format!("node {node} has {part:?} in its message");
    eventually(&what, async || number(db, &text).await == 1).await;
}

pub async fn marks(db: &Db) -> i64 {
    number(db, "SELECT COUNT(*) FROM user_change").await
}

pub async fn sql(db: &Db, text: &str) {
    let mut tx = db.begin().await.unwrap();
    run(&mut tx, text).await;
    tx.commit().await.unwrap();
}

pub async fn number(db: &Db, text: &str) -> i64 {
    let text = AssertSqlSafe(text.to_owned());
    let mut tx = db.begin().await.unwrap();
    let answer = match &mut tx {
        Tx::Pg(tx) => query_scalar(text).fetch_one(&mut **tx).await,
        Tx::Lite { tx, .. } => query_scalar(text).fetch_one(&mut **tx).await,
    };
    tx.rollback().await.unwrap();
    answer.unwrap()
}

async fn run(tx: &mut Tx, text: &str) {
    let text = AssertSqlSafe(text.to_owned());
    match tx {
        Tx::Pg(tx) => raw_sql(text).execute(&mut **tx).await.map(drop),
        Tx::Lite { tx, .. } => raw_sql(text).execute(&mut **tx).await.map(drop),
    }
    .unwrap();
}

/// Waits for something that must come true.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    for _ in 0..500 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("this never came true: {what}");
}
